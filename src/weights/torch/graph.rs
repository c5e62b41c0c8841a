//! What the nodes of a pickle stand for in Python: dicts of every kind, classes, instances.

use std::collections::HashMap;

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

/// Where a dict, or an instance of a class of dicts, has its entries.
#[derive(Clone, Copy)]
pub struct Entries<'a> {
    /// What it was made of: a dict, or a list of pairs. Any number of dicts may have one and the same, so that who goes
    /// through many dicts should go through it once.
    pub given: Option<NodeId>,
    pub own: &'a [(NodeId, NodeId)],
}

/// The places of its entries, if the node is a dict or an instance of a class of dicts.
pub fn entries(pickle: &Pickle, id: NodeId) -> Option<Entries<'_>> {
    let own = match pickle.node(id) {
        Node::Dict(own) => return Some(Entries { given: None, own }),
        Node::Object { entries, .. } => entries,
        _ => return None,
    };
    let (global, args) = call(pickle, id)?;
    let given = match (&*global.module, &*global.name) {
        // Python 2, and protocols 0 and 1: `OrderedDict([[key, value], ...])`.
        ("collections", "OrderedDict") => args.first(),
        ("collections", "Counter") | ("builtins" | "__builtin__", "dict") => args.first(),
        ("collections", "defaultdict") => args.get(1),
        _ => return None,
    };
    Some(Entries {
        given: given.copied(),
        own,
    })
}

/// The keys and values, if the node is a dict or a class of dicts. A later value of one key is still beside the earlier.
pub fn pairs(pickle: &Pickle, id: NodeId) -> Option<Vec<(NodeId, NodeId)>> {
    let Entries { given, own } = entries(pickle, id)?;
    let mut all = given.map_or(Some(Vec::new()), |given| listed(pickle, given))?;
    all.extend(own);
    Some(all)
}

/// The pairs of a list of pairs, or of a dict.
pub fn listed(pickle: &Pickle, id: NodeId) -> Option<Vec<(NodeId, NodeId)>> {
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

/// How many pairs these would be at most.
pub fn length(pickle: &Pickle, id: NodeId) -> usize {
    match pickle.node(id) {
        Node::Dict(entries) => entries.len(),
        Node::List(items) | Node::Tuple(items) => items.len(),
        _ => 0,
    }
}

/// The values of a dict by those of its keys that are texts, in order, as Python leaves them: the last value counts.
pub fn by_name(pickle: &Pickle, id: NodeId) -> Option<IndexMap<&str, NodeId>> {
    let mut names = IndexMap::new();
    // A long text that is the key of many entries is hashed once.
    let mut known: HashMap<NodeId, usize> = HashMap::new();
    for (key, value) in pairs(pickle, id)? {
        let Some(name) = pickle.str(key) else {
            continue;
        };
        let known = known.get(&key).copied().map_or_else(
            || {
                let index = names.insert_full(name, value).0;
                known.insert(key, index);
                None
            },
            Some,
        );
        if let Some((_, last)) = known.and_then(|index| names.get_index_mut(index)) {
            *last = value;
        }
    }
    Some(names)
}

/// What the node is, with its article, for people.
pub fn what(pickle: &Pickle, id: NodeId) -> String {
    match instance(pickle, id) {
        Some((class, _)) if entries(pickle, id).is_none() => format!("an object of `{class}`"),
        Some(_) => "a dict".to_owned(),
        None => pickle.node(id).what().to_owned(),
    }
}
