//! What the nodes of a pickle stand for in Python: dicts of every kind, classes, instances.

use indexmap::IndexMap;

use crate::weights::pickle::{GlobalName, Node, NodeId, Pickle};

/// The class or function, if the node is one. In the oldest layouts a module's class stands in a persistent id, beside
/// its source code.
pub fn class(pickle: &Pickle, id: NodeId) -> Option<&GlobalName> {
    match pickle.node(id) {
        Node::Global(global) => Some(global),
        Node::Persistent(saved) => match pickle.sequence(*saved)? {
            [kind, class, ..] if pickle.str(*kind) == Some("module") => pickle.global(*class),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the node is this global.
pub fn is(pickle: &Pickle, id: NodeId, module: &str, name: &str) -> bool {
    class(pickle, id).is_some_and(|global| &*global.module == module && &*global.name == name)
}

/// What a call's result was made of: the callable and its arguments.
pub fn call(pickle: &Pickle, id: NodeId) -> Option<(&GlobalName, &[NodeId])> {
    match pickle.node(id) {
        Node::Object { callable, args, .. } => {
            Some((class(pickle, *callable)?, pickle.sequence(*args)?))
        }
        _ => None,
    }
}

/// The class of an instance, and the last state it was given, if there was one.
pub fn instance(pickle: &Pickle, id: NodeId) -> Option<(&GlobalName, Option<NodeId>)> {
    let Node::Object { state, .. } = pickle.node(id) else {
        return None;
    };
    let (global, args) = call(pickle, id)?;
    // How protocols 0 and 1 make an instance: `copyreg._reconstructor(class, object, None)`.
    let class = match (&*global.module, &*global.name, args) {
        ("copyreg" | "copy_reg", "_reconstructor" | "__newobj__", [of, ..]) => class(pickle, *of)?,
        _ => global,
    };
    Some((class, state.last().copied()))
}

/// The keys and values, if the node is a dict or a class of dicts. A later value of one key is still beside the earlier.
pub fn pairs(pickle: &Pickle, id: NodeId) -> Option<Vec<(NodeId, NodeId)>> {
    if let Node::Dict(entries) = pickle.node(id) {
        return Some(entries.clone());
    }
    let Node::Object { entries, .. } = pickle.node(id) else {
        return None;
    };
    let (global, args) = call(pickle, id)?;
    let given = match (&*global.module, &*global.name) {
        // Python 2, and protocols 0 and 1: `OrderedDict([[key, value], ...])`.
        ("collections", "OrderedDict") => args.first(),
        ("collections", "Counter") | ("builtins" | "__builtin__", "dict") => args.first(),
        ("collections", "defaultdict") => args.get(1),
        _ => return None,
    };
    let mut all = given.map_or(Some(Vec::new()), |given| listed(pickle, *given))?;
    all.extend(entries);
    Some(all)
}

/// The pairs of a list of pairs, or of a dict.
fn listed(pickle: &Pickle, id: NodeId) -> Option<Vec<(NodeId, NodeId)>> {
    match pickle.node(id) {
        Node::Dict(entries) => Some(entries.clone()),
        Node::List(items) | Node::Tuple(items) => items
            .iter()
            .map(|item| match pickle.sequence(*item)? {
                [key, value] => Some((*key, *value)),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

/// The values of a dict by those of its keys that are texts, in order, as Python leaves them: the last value counts.
pub fn by_name(pickle: &Pickle, id: NodeId) -> Option<IndexMap<&str, NodeId>> {
    let mut names = IndexMap::new();
    for (key, value) in pairs(pickle, id)? {
        if let Some(name) = pickle.str(key) {
            names.insert(name, value);
        }
    }
    Some(names)
}

/// What the node is, with its article, for people.
pub fn what(pickle: &Pickle, id: NodeId) -> String {
    match instance(pickle, id) {
        Some((class, _)) if pairs(pickle, id).is_none() => format!("an object of `{class}`"),
        Some(_) => "a dict".to_owned(),
        None => pickle.node(id).what().to_owned(),
    }
}
