//! The arguments of `BUILD`: what an object is told to be.
//!
//! Without a `__setstate__`, `BUILD` sets attributes from a dict, or from a tuple of a dict and a dict of slots
//! (CPython's `load_build`). An attribute that Python looks for on instances, `__setstate__` before all, is called by
//! the next opcode.

use std::collections::HashMap;

use super::Kind;
use super::fault::Fault;
use super::policy::{self, Use};
use crate::weights::pickle::{Node, NodeId, Pickle};

/// Judges states; each once, however many objects share it.
pub(super) struct States<'a> {
    kind: Kind,
    pickle: &'a Pickle,
    /// By mapping: any number of tuples may share one.
    known: HashMap<NodeId, Option<Fault>>,
}

impl<'a> States<'a> {
    pub fn new(kind: Kind, pickle: &'a Pickle) -> Self {
        Self {
            kind,
            pickle,
            known: HashMap::new(),
        }
    }

    /// What is wrong with this state.
    pub fn fault(&mut self, state: NodeId) -> Option<Fault> {
        match self.pickle.node(state) {
            Node::Tuple(parts) if parts.len() == 2 => {
                let mut parts = parts.iter();
                parts.find_map(|&part| self.mapping(part))
            }
            node if is_computed(node) => Some(Fault::ComputedState),
            _ => self.mapping(state),
        }
    }

    fn mapping(&mut self, mapping: NodeId) -> Option<Fault> {
        if let Some(fault) = self.known.get(&mapping) {
            return fault.clone();
        }
        let fault = self.planted(mapping);
        self.known.insert(mapping, fault.clone());
        fault
    }

    /// What a mapping sets that Python looks for by itself.
    fn planted(&self, mapping: NodeId) -> Option<Fault> {
        let entries = match self.pickle.node(mapping) {
            Node::Dict(entries) => entries,
            Node::Object {
                callable,
                args,
                entries,
                ..
            } => {
                // A mapping may be made with entries of its own.
                let callable = self.pickle.global(*callable);
                let how = callable.and_then(|global| policy::known(self.kind, global));
                let bare = self.pickle.sequence(*args).is_some_and(<[_]>::is_empty);
                if matches!(how, Some(Use::Mapping | Use::DefaultDict)) && !bare {
                    return Some(Fault::ComputedState);
                }
                entries
            }
            _ => return None,
        };
        // A scalar of numpy's may be equal to such a name, and is one then.
        let mut keys = entries.iter().map(|(key, _)| self.pickle.node(*key));
        if keys.any(is_computed) {
            return Some(Fault::ComputedState);
        }
        let mut keys = entries.iter().filter_map(|(key, _)| self.pickle.str(*key));
        let attribute = keys.find(|key| is_looked_for(key))?.into();
        Some(Fault::Planted { attribute })
    }
}

/// Whether it takes a run to know what the value is.
fn is_computed(node: &Node) -> bool {
    matches!(
        node,
        Node::Object { .. }
            | Node::Global(_)
            | Node::Persistent(_)
            | Node::Raw(_)
            | Node::Extension(_)
    )
}

fn is_looked_for(attribute: &str) -> bool {
    attribute.len() > 4 && attribute.starts_with("__") && attribute.ends_with("__")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::pickle::{self, NoHost};

    /// Any number of tuples may hold the same mapping.
    #[test]
    fn a_mapping_is_judged_once() {
        let stream = b"}X\x01\0\0\0aNsq\x010h\x01N\x860h\x01N\x860h\x01N\x86.";
        let pickle = pickle::read(&stream.to_vec().into(), 0, &mut NoHost).unwrap();
        let mut states = States::new(Kind::Torch, &pickle);
        for (id, node) in pickle.nodes.iter().enumerate() {
            if matches!(node, Node::Tuple(_)) {
                assert_eq!(states.fault(NodeId(id as u32)), None);
            }
        }
        // The dict, and None.
        assert_eq!(states.known.len(), 2);
    }
}
