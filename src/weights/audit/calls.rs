//! What a pickle calls and changes, and whether picklers do so.

use super::Kind;
use super::dtype;
use super::fault::{Fault, Faults};
use super::policy::{self, Use};
use super::state::States;
use crate::weights::pickle::{GlobalName, Node, NodeId, Pickle};

/// What is wrong with a pickle besides the names in it, with offsets.
pub(super) fn faults(kind: Kind, pickle: &Pickle, faults: &mut Faults) {
    let mut states = States::new(kind, pickle);
    for (node, &offset) in pickle.nodes.iter().zip(&pickle.made_at) {
        match node {
            Node::Object { .. } => {
                let call = Call::of(kind, pickle, node);
                let found = call.and_then(|call| call.fault(&mut states));
                if let Some(fault) = found {
                    faults.add(offset, fault);
                }
            }
            Node::Extension(code) => faults.add(offset, Fault::Extension { code: *code }),
            Node::Persistent(_) if kind == Kind::Estimator => {
                faults.add(offset, Fault::PersistentId);
            }
            _ => {}
        }
    }
    for odd in &pickle.oddities {
        let fault = match pickle.node(odd.target) {
            Node::Object { callable, .. } if odd.is_early => Fault::Misused {
                global: match pickle.global(*callable) {
                    Some(global) => global.clone(),
                    None => continue,
                },
                expected: "given its state before anything takes it",
            },
            target => Fault::Changed {
                opcode: odd.opcode,
                found: target.what(),
            },
        };
        faults.add(odd.offset, fault);
    }
}

/// A call, and what is done to its result.
struct Call<'a> {
    kind: Kind,
    pickle: &'a Pickle,
    callable: NodeId,
    args: NodeId,
    kwargs: Option<NodeId>,
    state: &'a [NodeId],
    items: &'a [NodeId],
    entries: &'a [(NodeId, NodeId)],
}

impl<'a> Call<'a> {
    fn of(kind: Kind, pickle: &'a Pickle, node: &'a Node) -> Option<Self> {
        let Node::Object {
            callable,
            args,
            kwargs,
            state,
            items,
            entries,
        } = node
        else {
            return None;
        };
        Some(Self {
            kind,
            pickle,
            callable: *callable,
            args: *args,
            kwargs: *kwargs,
            state,
            items,
            entries,
        })
    }

    fn fault(&self, states: &mut States) -> Option<Fault> {
        let global = match self.pickle.node(self.callable) {
            Node::Global(global) => global,
            // The code is a finding of its own.
            Node::Extension(_) => return None,
            other => {
                return Some(Fault::ComputedCall {
                    found: other.what(),
                });
            }
        };
        // What is not known is refused by its name. A user who allows it allows what it does.
        let how = policy::known(self.kind, global)?;
        self.misuse(how)
            .map(|expected| Fault::Misused {
                global: global.clone(),
                expected,
            })
            .or_else(|| self.change(how))
            .or_else(|| self.passed_state(how).and_then(|state| states.fault(state)))
            .or_else(|| self.state.iter().find_map(|&state| states.fault(state)))
    }

    /// How it is used where picklers use it, if this is not that.
    fn misuse(&self, how: Use) -> Option<&'static str> {
        let keywords = self.kwargs.map(|kwargs| self.pickle.node(kwargs));
        if !matches!(keywords, None | Some(Node::None)) && keywords != Some(&Node::Dict(Vec::new()))
        {
            return Some("called without keyword arguments");
        }
        let Node::Tuple(args) = self.pickle.node(self.args) else {
            return Some("called with a tuple of arguments");
        };
        let (fits, expected) = match how {
            Use::Mention => (false, "named, and never called"),
            Use::Call | Use::Mapping | Use::Sequence | Use::WithState => return None,
            Use::Instance => (args.is_empty(), "called without arguments"),
            Use::DefaultDict => (
                self.makes_plain_values(args),
                "with None or a type such as `list` as its first argument",
            ),
            Use::Octets => (
                self.are_octets(args),
                "with a byte string or text as its first argument",
            ),
            Use::Encode => (
                self.is_latin1(args),
                "with a text and \"latin1\" as its arguments",
            ),
            Use::Dtype => match dtype::misuse(self.pickle, args, self.state) {
                None => return None,
                Some(expected) => (false, expected),
            },
            Use::Reconstruct => (
                self.is_empty_array(args),
                "of a `numpy.ndarray` of shape (0,)",
            ),
            Use::Random => (
                self.makes_generator(args),
                "with the name of a generator, and with numpy's own function to make it",
            ),
            Use::Reconstructor => (
                self.is_plain_instance(args),
                "of a class that may be an instance, with `object` as its base",
            ),
            Use::FromType => (
                self.rebuilds_tensor(args),
                "with one of `torch._utils._rebuild_...` as its first argument",
            ),
        };
        (!fits).then_some(expected)
    }

    fn global(&self, id: Option<&NodeId>) -> Option<&'a GlobalName> {
        self.pickle.global(*id?)
    }

    fn how(&self, global: &GlobalName) -> Option<Use> {
        policy::known(self.kind, global)
    }

    fn is_builtin(global: &GlobalName) -> bool {
        matches!(&*global.module, "builtins" | "__builtin__")
    }

    fn makes_plain_values(&self, args: &[NodeId]) -> bool {
        let Some(first) = args.first() else {
            return true;
        };
        match self.pickle.node(*first) {
            Node::None => true,
            Node::Global(global) => {
                Self::is_builtin(global)
                    && (self.how(global) == Some(Use::Mention) || &*global.name == "set")
            }
            _ => false,
        }
    }

    fn are_octets(&self, args: &[NodeId]) -> bool {
        match args {
            [] => true,
            [bytes] => matches!(self.pickle.node(*bytes), Node::Bytes(_)),
            [text, encoding] => {
                self.pickle.str(*text).is_some()
                    && matches!(self.pickle.str(*encoding), Some("latin-1" | "latin1"))
            }
            _ => false,
        }
    }

    fn is_latin1(&self, args: &[NodeId]) -> bool {
        matches!(args, [text, encoding]
            if self.pickle.str(*text).is_some()
                && matches!(self.pickle.str(*encoding), Some("latin1" | "latin-1")))
    }

    fn is_empty_array(&self, args: &[NodeId]) -> bool {
        let class = self.global(args.first());
        let shape = args.get(1).and_then(|shape| self.pickle.sequence(*shape));
        class.is_some_and(|class| (&*class.module, &*class.name) == ("numpy", "ndarray"))
            && shape.is_some_and(|shape| shape.iter().all(|&side| self.pickle.int(side) == Some(0)))
            && args.len() == 3
    }

    fn makes_generator(&self, args: &[NodeId]) -> bool {
        let [generator, maker @ ..] = args else {
            return true;
        };
        let generator = match self.pickle.node(*generator) {
            Node::Str(_) | Node::Object { .. } => true,
            Node::Global(class) => class.module.starts_with("numpy.random."),
            _ => false,
        };
        let maker = match maker {
            [] => true,
            [maker] => self.pickle.global(*maker).is_some_and(|maker| {
                self.how(maker) == Some(Use::Random) && &*maker.name == "__bit_generator_ctor"
            }),
            _ => false,
        };
        generator && maker
    }

    fn is_plain_instance(&self, args: &[NodeId]) -> bool {
        let [class, base, state] = args else {
            return false;
        };
        let (Some(class), Some(base)) = (self.pickle.global(*class), self.pickle.global(*base))
        else {
            return false;
        };
        match self.how(class) {
            Some(Use::Instance) => {
                Self::is_builtin(base)
                    && &*base.name == "object"
                    && *self.pickle.node(*state) == Node::None
            }
            Some(_) => false,
            // A class that the user has to allow; what it is made from must be plain all the same.
            None => Self::is_builtin(base) && self.how(base).is_some(),
        }
    }

    fn rebuilds_tensor(&self, args: &[NodeId]) -> bool {
        let [function, class, inner, _state] = args else {
            return false;
        };
        let function = self.pickle.global(*function);
        let rebuilds = function.is_some_and(|function| {
            &*function.module == "torch._utils" && self.how(function) == Some(Use::Call)
        });
        rebuilds
            && self.pickle.global(*class).is_some()
            && matches!(self.pickle.node(*inner), Node::Tuple(_))
    }

    /// A state among the arguments.
    fn passed_state(&self, how: Use) -> Option<NodeId> {
        match how {
            Use::WithState | Use::FromType => self.pickle.sequence(self.args)?.get(3).copied(),
            _ => None,
        }
    }

    /// Keys that are set, or values that are appended, where nothing takes them.
    fn change(&self, how: Use) -> Option<Fault> {
        let opcode = if !self.items.is_empty() && how != Use::Sequence {
            "APPENDS"
        } else if !self.entries.is_empty() && !matches!(how, Use::Mapping | Use::DefaultDict) {
            "SETITEMS"
        } else {
            return None;
        };
        let found = "the result of a call that takes no such change";
        Some(Fault::Changed { opcode, found })
    }
}
