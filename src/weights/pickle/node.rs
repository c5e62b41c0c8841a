//! The graph that a pickle describes.

use std::fmt;
use std::sync::Arc;

/// A node of a [`Pickle`], by its place in [`Pickle::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A value that a pickle describes. Containers hold ids, so that shared and cyclic values are what they are.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    None,
    Bool(bool),
    /// An integer that fits.
    Int(i64),
    /// A larger integer, as the two's complement little-endian bytes of `LONG1`.
    BigInt(Arc<[u8]>),
    Float(f64),
    Str(Arc<str>),
    Bytes(Arc<[u8]>),
    List(Vec<NodeId>),
    Tuple(Vec<NodeId>),
    Set(Vec<NodeId>),
    FrozenSet(Vec<NodeId>),
    /// In order of insertion; a later equal key is not merged.
    Dict(Vec<(NodeId, NodeId)>),
    /// A global that was named, not looked up.
    Global(GlobalName),
    /// What calling `callable` with the tuple `args` would give (`REDUCE`, `NEWOBJ`, `NEWOBJ_EX`, `INST`, `OBJ`), and
    /// what was then done to it.
    Object {
        callable: NodeId,
        args: NodeId,
        /// Keyword arguments (`NEWOBJ_EX`).
        kwargs: Option<NodeId>,
        /// The argument of `BUILD`, in order if there were several.
        state: Vec<NodeId>,
        /// What was appended to it (`APPEND`, `APPENDS`, `ADDITEMS`).
        items: Vec<NodeId>,
        /// What was set in it (`SETITEM`, `SETITEMS`).
        entries: Vec<(NodeId, NodeId)>,
    },
    /// A persistent id (`PERSID`, `BINPERSID`): the container's own reference to something outside the stream.
    Persistent(NodeId),
    /// Bytes that a container put into the stream, such as joblib's raw arrays: what the host knows under this number.
    Raw(usize),
    /// A global by its number in `copyreg`'s registry of extensions (`EXT1`, `EXT2`, `EXT4`): what it is, only the
    /// program that unpickles it knows.
    Extension(i32),
}

impl Node {
    /// What it is, for messages, with its article.
    pub fn what(&self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Bool(_) => "a truth value",
            Self::Int(_) | Self::BigInt(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Str(_) => "a text",
            Self::Bytes(_) => "a byte string",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Set(_) => "a set",
            Self::FrozenSet(_) => "a frozen set",
            Self::Dict(_) => "a dict",
            Self::Global(_) => "a global",
            Self::Object { .. } => "the result of a call",
            Self::Persistent(_) => "a persistent id",
            Self::Raw(_) => "a raw array",
            Self::Extension(_) => "an extension code",
        }
    }
}

/// A global as a pickle names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GlobalName {
    pub module: Arc<str>,
    pub name: Arc<str>,
}

impl fmt::Display for GlobalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}

/// Where a stream names a global.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalUse {
    pub global: GlobalName,
    /// The offset of the opcode in its stream, in bytes.
    pub offset: u64,
}

/// An opcode that changes what it never changes in a stream that a pickler wrote: `BUILD` of a class, `SETITEMS` of
/// a list. Python may well do it, to something that outlives the stream; the graph does not show it. Or one that takes
/// an object before its state is there, which picklers set first: the graph shows what it is in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oddity {
    /// The offset of the opcode in its stream, in bytes.
    pub offset: u64,
    pub opcode: &'static str,
    /// What it changes, or takes.
    pub target: NodeId,
    /// Whether it takes it, without a state.
    pub is_early: bool,
}

/// One pickle, from its first opcode to `STOP`.
#[derive(Clone, Debug)]
pub struct Pickle {
    pub nodes: Vec<Node>,
    pub root: NodeId,
    /// Every global it names, in the order of the stream.
    pub globals: Vec<GlobalUse>,
    /// The first of those it has.
    pub oddities: Vec<Oddity>,
    /// For each node the offset of the opcode that made it; `None`, truth values and `()` are made once.
    pub made_at: Vec<u64>,
    /// The protocol that it declares; 0 or 1 declare none, and are 0 here.
    pub protocol: u8,
    /// Where it begins and where the byte after `STOP` is, in the blob.
    pub start: u64,
    pub end: u64,
}

impl Pickle {
    /// The node with this id.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0 as usize]
    }

    /// The offset of the opcode that made it.
    pub fn offset(&self, id: NodeId) -> u64 {
        self.made_at[id.0 as usize]
    }

    /// The name, if the node is a global.
    pub fn global(&self, id: NodeId) -> Option<&GlobalName> {
        match self.node(id) {
            Node::Global(global) => Some(global),
            _ => None,
        }
    }

    /// The text, if the node is one.
    pub fn str(&self, id: NodeId) -> Option<&str> {
        match self.node(id) {
            Node::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, if the node is one that fits.
    pub fn int(&self, id: NodeId) -> Option<i64> {
        match self.node(id) {
            Node::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// The items, if the node is a tuple or a list.
    pub fn sequence(&self, id: NodeId) -> Option<&[NodeId]> {
        match self.node(id) {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }
}
