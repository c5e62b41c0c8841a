//! Values out of a pickle's graph: what Python would see, whichever way a protocol writes it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Display;

use super::{Dtype, Kind, RawArray, is_scalar};
use crate::weights::pickle::{GlobalName, Node, NodeId};

/// A value is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found}")]
pub struct Mismatch {
    pub expected: String,
    pub found: String,
}

/// The error that something else was expected.
pub fn mismatch(expected: impl Into<String>, found: impl Display) -> Mismatch {
    Mismatch {
        expected: expected.into(),
        found: found.to_string(),
    }
}

/// The nodes of one pickle, and the raw arrays that they refer to.
#[derive(Clone, Copy, Debug)]
pub struct Nodes<'a> {
    nodes: &'a [Node],
    arrays: &'a [RawArray],
}

/// A scalar of numpy's: its type and bytes.
#[derive(Clone, Debug)]
pub struct Scalar<'a> {
    pub dtype: Dtype,
    pub bytes: Cow<'a, [u8]>,
}

impl<'a> Nodes<'a> {
    /// The nodes of a pickle that is perhaps not at its end.
    pub fn new(nodes: &'a [Node], arrays: &'a [RawArray]) -> Self {
        Self { nodes, arrays }
    }

    /// All ids, in the order in which the stream made the nodes.
    pub fn ids(self) -> impl Iterator<Item = NodeId> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// The node with this id.
    pub fn node(self, id: NodeId) -> &'a Node {
        self.nodes.get(id.0 as usize).unwrap_or(&Node::None)
    }

    /// The raw array of this number.
    pub(super) fn raw(self, number: usize) -> Option<&'a RawArray> {
        self.arrays.get(number)
    }

    /// The error that a node is not what it should be.
    pub fn unlike(self, expected: impl Into<String>, id: NodeId) -> Mismatch {
        mismatch(expected, self.describe(id))
    }

    /// A node in a few words.
    pub fn describe(self, id: NodeId) -> String {
        match self.node(id) {
            Node::Bool(true) => "True".to_owned(),
            Node::Bool(false) => "False".to_owned(),
            Node::Int(number) => number.to_string(),
            Node::Float(number) => number.to_string(),
            Node::Str(text) => format!("'{}'", shortened(text)),
            Node::Bytes(bytes) => format!("{} bytes", bytes.len()),
            Node::List(items) => format!("a list of {}", items.len()),
            Node::Tuple(items) => format!("a tuple of {}", items.len()),
            Node::Dict(entries) => format!("a dict of {}", entries.len()),
            Node::Global(name) => format!("the global {}", shortened(&name.to_string())),
            Node::Object { .. } => match self.class(id) {
                Some(class) => format!("an object of {}", shortened(&class.to_string())),
                None => "an object of a computed class".to_owned(),
            },
            other => other.what().to_owned(),
        }
    }

    /// The global that a node is.
    pub fn global(self, id: NodeId) -> Option<&'a GlobalName> {
        match self.node(id) {
            Node::Global(name) => Some(name),
            _ => None,
        }
    }

    /// Whether a node is this global.
    pub fn is_global(self, id: NodeId, module: &str, name: &str) -> bool {
        let global = self.global(id);
        global.is_some_and(|global| &*global.module == module && &*global.name == name)
    }

    /// What made an object: its class, or a function. Protocols 0 and 1 make objects by way of
    /// `copyreg._reconstructor(class, object, None)`.
    pub fn class(self, id: NodeId) -> Option<&'a GlobalName> {
        let Node::Object { callable, args, .. } = self.node(id) else {
            return None;
        };
        let global = self.global(*callable)?;
        let by_copyreg =
            matches!(&*global.module, "copyreg" | "copy_reg") && &*global.name == "_reconstructor";
        match self.tuple(*args) {
            Some([class, _, _]) if by_copyreg => self.global(*class),
            _ => Some(global),
        }
    }

    /// The attributes of an object that has them from one dict, and nothing else done to it.
    ///
    /// # Errors
    /// Fails if there is more to it.
    pub fn attributes(self, id: NodeId) -> Result<&'a [(NodeId, NodeId)], Mismatch> {
        match self.node(id) {
            Node::Object {
                kwargs: None,
                state,
                items,
                entries,
                ..
            } if items.is_empty() && entries.is_empty() => match *state.as_slice() {
                [] => Ok(&[]),
                [state] => self.distinct(state),
                _ => Err(mismatch(
                    "its attributes in one dict",
                    format!("{} of them", state.len()),
                )),
            },
            _ => Err(self.unlike("an object with attributes only", id)),
        }
    }

    /// The entries of a dict whose keys are texts, each there once. The object took the dict as it was at its BUILD; had
    /// an entry been set anew since, the graph would show what the object never saw.
    fn distinct(self, id: NodeId) -> Result<&'a [(NodeId, NodeId)], Mismatch> {
        const EXPECTED: &str = "its attributes in a dict, each name once";
        let Node::Dict(entries) = self.node(id) else {
            return Err(self.unlike(EXPECTED, id));
        };
        let mut names = HashSet::new();
        for (name, _) in entries {
            match self.node(*name) {
                Node::Str(text) if names.insert(&**text) => {}
                _ => return Err(self.unlike(EXPECTED, *name)),
            }
        }
        Ok(entries)
    }

    /// The items of a tuple.
    pub fn tuple(self, id: NodeId) -> Option<&'a [NodeId]> {
        match self.node(id) {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// The items of a list.
    pub fn list(self, id: NodeId) -> Option<&'a [NodeId]> {
        match self.node(id) {
            Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// Whether a node is None.
    pub fn is_none(self, id: NodeId) -> bool {
        matches!(self.node(id), Node::None)
    }

    /// A text: Python's or numpy's.
    pub fn text(self, id: NodeId) -> Result<Cow<'a, str>, Mismatch> {
        match self.node(id) {
            Node::Str(text) => Ok(Cow::Borrowed(text)),
            _ => {
                let scalar = self.scalar_of(id, "a text")?;
                let text = scalar.column().texts()?.pop();
                Ok(Cow::Owned(text.unwrap_or_default()))
            }
        }
    }

    /// A number without a fraction: Python's or numpy's.
    pub fn int(self, id: NodeId) -> Result<i64, Mismatch> {
        match self.node(id) {
            Node::Int(number) => Ok(*number),
            _ => {
                let scalar = self.scalar_of(id, "an integer")?;
                let number = scalar.column().ints()?.pop();
                number.ok_or_else(|| self.unlike("an integer", id))
            }
        }
    }

    /// Any real number: Python's or numpy's.
    pub fn float(self, id: NodeId) -> Result<f64, Mismatch> {
        match self.node(id) {
            Node::Int(number) => Ok(*number as f64),
            Node::Float(number) => Ok(*number),
            _ => {
                let scalar = self.scalar_of(id, "a number")?;
                let number = scalar.column().floats()?.pop();
                number.ok_or_else(|| self.unlike("a number", id))
            }
        }
    }

    /// A truth: Python's or numpy's, or 0 or 1.
    pub fn flag(self, id: NodeId) -> Result<bool, Mismatch> {
        match self.node(id) {
            Node::Bool(flag) => Ok(*flag),
            Node::Int(flag @ (0 | 1)) => Ok(*flag == 1),
            _ => {
                let scalar = self.scalar_of(id, "True or False")?;
                let flag = scalar.column().bools()?.pop();
                flag.ok_or_else(|| self.unlike("True or False", id))
            }
        }
    }

    /// Bytes. Protocols before 3 write them as `_codecs.encode(text, 'latin1')`, and none at all as `bytes()`.
    pub fn bytes(self, id: NodeId) -> Result<Cow<'a, [u8]>, Mismatch> {
        let found = || self.unlike("bytes", id);
        let (callable, args) = match self.node(id) {
            Node::Bytes(bytes) => return Ok(Cow::Borrowed(bytes)),
            Node::Object {
                callable,
                args,
                kwargs: None,
                state,
                items,
                entries,
            } if state.is_empty() && items.is_empty() && entries.is_empty() => {
                (*callable, self.tuple(*args).ok_or_else(found)?)
            }
            _ => return Err(found()),
        };
        let is_bytes = ["builtins", "__builtin__"]
            .iter()
            .any(|module| self.is_global(callable, module, "bytes"));
        match *args {
            [] if is_bytes => Ok(Cow::Borrowed(&[])),
            [text, codec] if self.is_global(callable, "_codecs", "encode") => {
                match (self.node(text), self.node(codec)) {
                    (Node::Str(text), Node::Str(codec)) if &**codec == "latin1" => {
                        let bytes: Option<Vec<u8>> =
                            text.chars().map(|c| u8::try_from(c).ok()).collect();
                        bytes.map(Cow::Owned).ok_or_else(found)
                    }
                    _ => Err(found()),
                }
            }
            _ => Err(found()),
        }
    }

    /// A scalar: `numpy.core.multiarray.scalar(dtype, bytes)`.
    ///
    /// # Errors
    /// Fails if it is something else, or not as numpy writes it.
    pub fn scalar(self, id: NodeId) -> Result<Scalar<'a>, Mismatch> {
        self.scalar_of(id, "a numpy scalar")
    }

    fn scalar_of(self, id: NodeId, expected: &str) -> Result<Scalar<'a>, Mismatch> {
        let found = || self.unlike(expected, id);
        let args = match self.node(id) {
            Node::Object {
                callable,
                args,
                kwargs: None,
                state,
                items,
                entries,
            } if is_scalar(self, *callable)
                && state.is_empty()
                && items.is_empty()
                && entries.is_empty() =>
            {
                self.tuple(*args).ok_or_else(found)?
            }
            _ => return Err(found()),
        };
        let &[dtype, bytes] = args else {
            return Err(found());
        };
        let dtype = Dtype::of(self, dtype)?;
        if matches!(dtype.kind, Kind::Object) {
            return Err(mismatch("a scalar of numbers or text", "one of objects"));
        }
        let bytes = self.bytes(bytes)?;
        match bytes.len() as u64 == dtype.size {
            true => Ok(Scalar { dtype, bytes }),
            false => Err(mismatch(
                format!("{} bytes of {}", dtype.size, dtype.name()),
                bytes.len(),
            )),
        }
    }
}

/// A text that a message can hold.
pub(super) fn shortened(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
