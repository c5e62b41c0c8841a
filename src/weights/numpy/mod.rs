//! numpy's arrays, scalars and dtypes as pickles describe them: decoded from the graph, never by numpy.
//!
//! What is checked here is what numpy's own `__setstate__` methods believe, and what code written in C would then run
//! into: bytes that match the shape, fields that lie within their record, no pointers made from bytes.

mod dtype;
mod elements;
mod nodes;
#[cfg(test)]
mod tests;

pub use dtype::{Dtype, Kind, RecordField};
pub use elements::{Column, Labels};
pub use nodes::{Mismatch, Nodes, mismatch};

use std::borrow::Cow;
use std::collections::HashSet;

use super::pickle::{Node, NodeId, Pickle};
use crate::blob::Blob;

/// An array that joblib put into the stream of a pickle, or right after what describes it.
#[derive(Clone, Debug)]
pub enum RawArray {
    /// Its elements' bytes.
    Numbers {
        dtype: Dtype,
        shape: Vec<u64>,
        /// Whether the first index runs fastest in `bytes`.
        fortran: bool,
        bytes: Blob,
    },
    /// A pickle of its own: what arrays of objects are written as.
    Pickled(Pickle),
}

/// An array, its bytes still as they were pickled. Their number is that of the shape.
#[derive(Clone, Debug)]
pub struct Array<'a> {
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    fortran: bool,
    data: Data<'a>,
}

#[derive(Clone, Debug)]
enum Data<'a> {
    Bytes(Cow<'a, [u8]>),
    Blob(&'a Blob),
    /// The objects, which are nodes of this graph.
    Objects(Nodes<'a>, &'a [NodeId]),
}

/// What numpy's modules are called: the second since numpy 2.
const MODULES: [&str; 2] = ["numpy.core", "numpy._core"];

fn is_numpy(nodes: Nodes, callable: NodeId, module: &str, name: &str) -> bool {
    nodes.global(callable).is_some_and(|global| {
        let mut modules = MODULES.iter();
        &*global.name == name
            && modules.any(|m| {
                let rest = global
                    .module
                    .strip_prefix(m)
                    .and_then(|m| m.strip_prefix('.'));
                rest == Some(module)
            })
    })
}

/// Whether a node is an array.
pub fn is_array(nodes: Nodes, id: NodeId) -> bool {
    match nodes.node(id) {
        Node::Raw(_) => true,
        Node::Object { callable, .. } => {
            is_numpy(nodes, *callable, "multiarray", "_reconstruct")
                || is_numpy(nodes, *callable, "numeric", "_frombuffer")
        }
        _ => false,
    }
}

/// Whether a node is a scalar: `numpy.float64(1.0)`.
pub(super) fn is_scalar(nodes: Nodes, callable: NodeId) -> bool {
    is_numpy(nodes, callable, "multiarray", "scalar")
}

/// Reads an array.
///
/// # Errors
/// Fails if it is something else, or not as numpy writes it.
pub fn array<'a>(nodes: Nodes<'a>, id: NodeId) -> Result<Array<'a>, Mismatch> {
    let array = match nodes.node(id) {
        Node::Raw(number) => return raw(nodes.raw(*number), nodes, id),
        Node::Object {
            callable,
            args,
            kwargs: None,
            state,
            items,
            entries,
        } if items.is_empty() && entries.is_empty() => {
            if is_numpy(nodes, *callable, "multiarray", "_reconstruct") {
                Some(reconstructed(nodes, *args, state)?)
            } else if is_numpy(nodes, *callable, "numeric", "_frombuffer") && state.is_empty() {
                Some(from_buffer(nodes, *args)?)
            } else {
                None
            }
        }
        _ => None,
    };
    let array = array.ok_or_else(|| nodes.unlike("a numpy array", id))?;
    array.check()
}

fn raw<'a>(raw: Option<&'a RawArray>, nodes: Nodes<'a>, id: NodeId) -> Result<Array<'a>, Mismatch> {
    match raw {
        Some(RawArray::Numbers {
            dtype,
            shape,
            fortran,
            bytes,
        }) => Array {
            dtype: dtype.clone(),
            shape: shape.clone(),
            fortran: *fortran,
            data: Data::Blob(bytes),
        }
        .check(),
        // A graph of its own, without raw arrays: this goes no deeper.
        Some(RawArray::Pickled(pickle)) => array(Nodes::new(&pickle.nodes, &[]), pickle.root),
        None => Err(nodes.unlike("a numpy array", id)),
    }
}

/// `_reconstruct(ndarray, (0,), b'b')`, and then `__setstate__((1, shape, dtype, is_fortran, data))`.
fn reconstructed<'a>(
    nodes: Nodes<'a>,
    args: NodeId,
    state: &[NodeId],
) -> Result<Array<'a>, Mismatch> {
    const EXPECTED: &str = "_reconstruct(numpy.ndarray, (0,), b'b')";
    let found = || nodes.unlike(EXPECTED, args);
    let &[class, shape, code] = nodes.tuple(args).ok_or_else(found)? else {
        return Err(found());
    };
    let is_plain = nodes.is_global(class, "numpy", "ndarray")
        && nodes
            .tuple(shape)
            .is_some_and(|shape| matches!(shape, [zero] if nodes.int(*zero).ok() == Some(0)))
        && (nodes.bytes(code).is_ok_and(|code| *code == *b"b")
            || matches!(nodes.node(code), Node::Str(code) if **code == *"b"));
    if !is_plain {
        return Err(found());
    }
    match *state {
        [] => Ok(Array {
            dtype: Dtype::plain(Kind::Int, 1),
            shape: vec![0],
            fortran: false,
            data: Data::Bytes(Cow::Borrowed(&[])),
        }),
        [state] => with_state(nodes, state),
        _ => Err(mismatch(
            "an array whose state is set once",
            format!("one set {} times", state.len()),
        )),
    }
}

fn with_state<'a>(nodes: Nodes<'a>, state: NodeId) -> Result<Array<'a>, Mismatch> {
    const EXPECTED: &str = "an array's state: (version, shape, dtype, is_fortran, data)";
    let Some(&[version, shape, dtype, fortran, data]) = nodes.tuple(state) else {
        return Err(nodes.unlike(EXPECTED, state));
    };
    match nodes.int(version)? {
        1 => {}
        other => return Err(mismatch("an array's state of version 1", other)),
    }
    let dtype = Dtype::of(nodes, dtype)?;
    let data = match (dtype.kind == Kind::Object, nodes.node(data)) {
        (true, Node::List(objects)) => Data::Objects(nodes, objects),
        (true, _) => return Err(nodes.unlike("a list of objects", data)),
        (false, _) => Data::Bytes(nodes.bytes(data)?),
    };
    Ok(Array {
        shape: self::shape(nodes, shape)?,
        fortran: nodes.flag(fortran)?,
        dtype,
        data,
    })
}

/// `_frombuffer(bytes, dtype, shape, order)`: arrays in protocol 5.
fn from_buffer<'a>(nodes: Nodes<'a>, args: NodeId) -> Result<Array<'a>, Mismatch> {
    let Some(&[data, dtype, shape, order]) = nodes.tuple(args) else {
        let expected = "_frombuffer(bytes, dtype, shape, order)";
        return Err(nodes.unlike(expected, args));
    };
    let dtype = Dtype::of(nodes, dtype)?;
    if dtype.kind == Kind::Object {
        return Err(mismatch("bytes of numbers", "bytes as objects"));
    }
    Ok(Array {
        dtype,
        shape: self::shape(nodes, shape)?,
        fortran: is_fortran(nodes, order)?,
        data: Data::Bytes(nodes.bytes(data)?),
    })
}

/// `'C'` or `'F'`, in Python's own text: one of numpy's may be any number of zeros longer.
pub(super) fn is_fortran(nodes: Nodes, order: NodeId) -> Result<bool, Mismatch> {
    match nodes.node(order) {
        Node::Str(order) if **order == *"C" => Ok(false),
        Node::Str(order) if **order == *"F" => Ok(true),
        _ => Err(nodes.unlike("the order 'C' or 'F'", order)),
    }
}

/// A shape: a tuple of at most 64 numbers (numpy's own limit).
pub(super) fn shape(nodes: Nodes, id: NodeId) -> Result<Vec<u64>, Mismatch> {
    const RANK: usize = 64;
    let found = || nodes.unlike("a shape", id);
    let dims = nodes.tuple(id).filter(|dims| dims.len() <= RANK);
    let dims = dims.ok_or_else(found)?.iter();
    dims.map(|dim| u64::try_from(nodes.int(*dim)?).map_err(|_| found()))
        .collect()
}

/// How many bytes an array takes.
pub(super) fn bytes_of(dtype: &Dtype, shape: &[u64]) -> Result<u64, Mismatch> {
    let mut dims = shape.iter();
    let size = dims.try_fold(dtype.size, |size, dim| size.checked_mul(*dim));
    size.ok_or_else(|| mismatch("a shape that fits a file", format!("{shape:?}")))
}

impl<'a> Array<'a> {
    /// How many elements it has.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// The nodes that an array of objects holds, in the order of the file, and their graph.
    pub fn objects(&self) -> Option<(Nodes<'a>, &'a [NodeId])> {
        match self.data {
            Data::Objects(nodes, objects) => Some((nodes, objects)),
            _ => None,
        }
    }

    fn check(self) -> Result<Self, Mismatch> {
        let size = bytes_of(&self.dtype, &self.shape)?;
        let (expected, found, unit) = match &self.data {
            Data::Bytes(bytes) => (size, bytes.len() as u64, "bytes"),
            Data::Blob(blob) => (size, blob.size(), "bytes"),
            Data::Objects(_, objects) => (size / self.dtype.size, objects.len() as u64, "objects"),
        };
        match expected == found {
            true => Ok(self),
            false => Err(mismatch(
                format!("{expected} {unit} for the shape {:?}", self.shape),
                found,
            )),
        }
    }
}

/// Checks every dtype, array and scalar of a pickle, reachable or not: what numpy would build of them holds together.
///
/// # Errors
/// Fails with the first that does not.
pub fn check(nodes: Nodes) -> Result<(), Mismatch> {
    let mut texts = Texts::default();
    for id in nodes.ids() {
        texts.charge(nodes, id)?;
        match nodes.node(id) {
            Node::Object { callable, .. } if nodes.is_global(*callable, "numpy", "dtype") => {
                Dtype::of(nodes, id)?;
            }
            Node::Object { callable, .. } if is_scalar(nodes, *callable) => {
                nodes.scalar(id)?;
            }
            _ if is_array(nodes, id) => {
                array(nodes, id)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// How much text was decoded into the bytes of arrays and scalars. Each has its own where numpy writes them; any number
/// that shared one would take time as the square of the file's size.
#[derive(Default)]
struct Texts {
    seen: HashSet<NodeId>,
    again: u64,
}

impl Texts {
    /// What the decoding of texts that were decoded before may come to, in bytes.
    const AGAIN: u64 = 4 << 20;

    /// Counts the text that an array or a scalar has its bytes from.
    fn charge(&mut self, nodes: Nodes, id: NodeId) -> Result<(), Mismatch> {
        let Some(text) = text_of(nodes, id) else {
            return Ok(());
        };
        if !self.seen.insert(text) {
            let Node::Str(text) = nodes.node(text) else {
                return Ok(());
            };
            self.again = self.again.saturating_add(text.len() as u64);
        }
        match self.again <= Self::AGAIN {
            true => Ok(()),
            false => Err(mismatch(
                "arrays with bytes of their own",
                format!("more than {} bytes that several share", Self::AGAIN),
            )),
        }
    }
}

/// The text in `_codecs.encode(text, 'latin1')`, where that is an array's or a scalar's bytes.
fn text_of(nodes: Nodes, id: NodeId) -> Option<NodeId> {
    let Node::Object {
        callable,
        args,
        state,
        ..
    } = nodes.node(id)
    else {
        return None;
    };
    let bytes = if is_scalar(nodes, *callable) {
        *nodes.tuple(*args)?.get(1)?
    } else if is_numpy(nodes, *callable, "numeric", "_frombuffer") {
        *nodes.tuple(*args)?.first()?
    } else if is_numpy(nodes, *callable, "multiarray", "_reconstruct") {
        *nodes.tuple(*state.first()?)?.get(4)?
    } else {
        return None;
    };
    match nodes.node(bytes) {
        Node::Object { args, .. } => nodes.tuple(*args)?.first().copied(),
        _ => None,
    }
}
