//! joblib's raw arrays: `NumpyArrayWrapper`, and the bytes that follow its BUILD.
//!
//! `NumpyUnpickler.load_build` in joblib's `numpy_pickle.py` replaces the wrapper on the stack by the array that it
//! reads right after the opcode, and goes on behind the array.

use crate::blob::Blob;
use crate::weights::numpy::{
    Dtype, Kind, Mismatch, Nodes, RawArray, array, bytes_of, is_fortran, mismatch, shape,
};
use crate::weights::pickle::{self, Host, NoHost, Node, NodeId};

/// The raw arrays of one stream, by number.
#[derive(Debug, Default)]
pub(super) struct Arrays {
    pub raw: Vec<RawArray>,
    /// Where the bytes of the first begin, padding and all.
    pub begin: Option<u64>,
}

impl Host for Arrays {
    fn after_build(
        &mut self,
        nodes: &[Node],
        object: NodeId,
        blob: &Blob,
        position: u64,
    ) -> Result<Option<(usize, u64)>, String> {
        let nodes = Nodes::new(nodes, &self.raw);
        let Some(class) = nodes.class(object) else {
            return Ok(None);
        };
        match (&*class.module, &*class.name) {
            (
                "joblib.numpy_pickle" | "sklearn.externals.joblib.numpy_pickle",
                "NumpyArrayWrapper",
            ) => {}
            (
                "joblib.numpy_pickle" | "joblib.numpy_pickle_compat",
                "NDArrayWrapper" | "ZNDArrayWrapper",
            ) => {
                return Err("joblib before 0.10 wrote it, its arrays are in other files: load it and write it \
                            anew with a later joblib"
                    .to_owned());
            }
            _ => return Ok(None),
        }
        let wrapper = Wrapper::read(nodes, object);
        let wrapper =
            wrapper.map_err(|error| format!("a NumpyArrayWrapper is damaged: {error}"))?;
        let (raw, end) = wrapper.data(blob, position)?;
        self.raw.push(raw);
        self.begin.get_or_insert(position);
        Ok(Some((self.raw.len() - 1, end)))
    }
}

/// joblib's alignment of raw bytes in the file (`NUMPY_ARRAY_ALIGNMENT_BYTES`, since 1.2). It is never another, and
/// no opcode of a pickle is as small, so that nothing that reads on as a plain pickle gets past a padding's length.
const ALIGNMENT: u8 = 16;

/// What a wrapper says, in Python's own values only: where the next opcode lies hangs on it, and a scalar of numpy's is
/// what its dtype was when the scalar was made, not what the graph shows in the end.
struct Wrapper {
    dtype: Dtype,
    shape: Vec<u64>,
    fortran: bool,
    aligned: bool,
}

impl Wrapper {
    fn read(nodes: Nodes, object: NodeId) -> Result<Self, Mismatch> {
        let attributes = nodes.attributes(object)?;
        let get = |name: &str| {
            let mut all = attributes.iter();
            let is_named =
                |key: NodeId| matches!(nodes.node(key), Node::Str(key) if **key == *name);
            all.find(|(key, _)| is_named(*key)).map(|(_, value)| *value)
        };
        let need = |name: &str| get(name).ok_or_else(|| mismatch(format!("`{name}`"), "none"));
        let known = ["subclass", "shape", "order", "dtype", "allow_mmap"];
        let alignment = get("numpy_array_alignment_bytes");
        let others = usize::from(alignment.is_some());
        if attributes.len() != known.len() + others || known.iter().any(|name| get(name).is_none())
        {
            let expected = "each attribute that joblib gives it once";
            return Err(mismatch(
                expected,
                format!("{} attributes", attributes.len()),
            ));
        }
        let subclass = need("subclass")?;
        let is_plain = nodes.is_global(subclass, "numpy", "ndarray")
            || nodes.is_global(subclass, "numpy", "memmap")
            || nodes.is_global(subclass, "numpy.core.memmap", "memmap");
        if !is_plain {
            return Err(nodes.unlike("numpy.ndarray as its class", subclass));
        }
        let (dims, order) = (need("shape")?, need("order")?);
        let is_plain = |id: &NodeId| matches!(nodes.node(*id), Node::Int(_));
        if !nodes
            .tuple(dims)
            .is_some_and(|dims| dims.iter().all(is_plain))
        {
            return Err(nodes.unlike("a shape of plain integers", dims));
        }
        let fortran = is_fortran(nodes, order)?;
        let mmap = need("allow_mmap")?;
        if !matches!(nodes.node(mmap), Node::Bool(_)) {
            return Err(nodes.unlike("True or False for `allow_mmap`", mmap));
        }
        let aligned = match alignment {
            None => false,
            Some(id) if nodes.is_none(id) => false,
            Some(id) => match nodes.node(id) {
                Node::Int(number) if *number == i64::from(ALIGNMENT) => true,
                _ => return Err(nodes.unlike(format!("an alignment of {ALIGNMENT}"), id)),
            },
        };
        Ok(Self {
            dtype: Dtype::of(nodes, need("dtype")?)?,
            shape: shape(nodes, dims)?,
            fortran,
            aligned,
        })
    }

    /// The array's data at `position`, and where it ends.
    fn data(self, blob: &Blob, position: u64) -> Result<(RawArray, u64), String> {
        if self.dtype.kind == Kind::Object {
            return pickled(blob, position);
        }
        let short = |_| "an array's bytes go on past the end of the file".to_owned();
        let start = match self.aligned {
            true => padding_end(blob, position)?,
            false => position,
        };
        let size = bytes_of(&self.dtype, &self.shape).map_err(|error| error.to_string())?;
        let end = start.checked_add(size).ok_or(()).map_err(short)?;
        let bytes = blob.slice(start..end).ok_or(()).map_err(short)?;
        let raw = RawArray::Numbers {
            dtype: self.dtype,
            shape: self.shape,
            fortran: self.fortran,
            bytes,
        };
        Ok((raw, end))
    }
}

/// One byte that says how many follow, and as many 0xff.
fn padding_end(blob: &Blob, position: u64) -> Result<u64, String> {
    let mut length = [0];
    let mut padding = [0; ALIGNMENT as usize];
    let cannot = |error| format!("the padding before an array cannot be read: {error}");
    blob.read_exact_at(&mut length, position).map_err(cannot)?;
    let length = length[0];
    if !(1..=ALIGNMENT).contains(&length) {
        return Err(format!(
            "expected 1 to {ALIGNMENT} bytes of padding before an array, found {length}"
        ));
    }
    let padding = &mut padding[..usize::from(length)];
    blob.read_exact_at(padding, position + 1).map_err(cannot)?;
    match padding.iter().find(|byte| **byte != 0xff) {
        None => Ok(position + 1 + u64::from(length)),
        Some(byte) => Err(format!(
            "expected padding of 0xff before an array, found {byte:#04x}"
        )),
    }
}

/// An array of objects: a pickle of its own in the midst of the other, read by plain `pickle.load`.
fn pickled(blob: &Blob, position: u64) -> Result<(RawArray, u64), String> {
    let pickle = pickle::read(blob, position, &mut NoHost)
        .map_err(|error| format!("the pickle of an array of objects inside: {error}"))?;
    array(Nodes::new(&pickle.nodes, &[]), pickle.root)
        .map_err(|error| format!("the pickle of an array of objects inside: {error}"))?;
    let end = pickle.end;
    Ok((RawArray::Pickled(pickle), end))
}
