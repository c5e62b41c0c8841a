//! What a pickle says of a tensor: the calls of `torch._utils` that would build it, taken apart.

use super::graph::{Entries, call, class, entries, instance, is, length, pairs, what};
use crate::weights::pickle::{Node, NodeId, Pickle};
use crate::weights::tensor::DType;

/// Dimensions that a tensor may have: more than any operation of PyTorch takes (64).
const MOST_DIMENSIONS: usize = 64;

/// Calls around a tensor that are looked through: a parameter of a subclass has two.
const MOST_LAYERS: usize = 8;

/// Something in the graph that PyTorch would not take either.
#[derive(Debug)]
pub struct Fault {
    /// Of the opcode that made it, in bytes from the beginning of the blob.
    pub offset: u64,
    pub message: String,
}

pub type Result<T> = std::result::Result<T, Fault>;

/// A fault at the node.
pub fn fault<T>(pickle: &Pickle, id: NodeId, message: impl Into<String>) -> Result<T> {
    Err(Fault {
        offset: pickle.offset(id),
        message: message.into(),
    })
}

/// What a storage's elements are. A storage without a type counts bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elements {
    Typed(DType),
    Bytes,
    /// Of a type that is no dtype of ours; its name, and the bytes that an element takes.
    Other(&'static str, u64),
}

impl Elements {
    /// Bytes of one element.
    pub fn size(self) -> u64 {
        match self {
            Self::Typed(dtype) => dtype.size(),
            Self::Bytes => 1,
            Self::Other(_, size) => size,
        }
    }

    /// Of a storage class, by its name alone, as `torch.serialization.StorageType` has it.
    pub fn of_class(name: &str) -> Option<Self> {
        Some(Self::Typed(match name {
            "DoubleStorage" => DType::F64,
            "FloatStorage" => DType::F32,
            "HalfStorage" => DType::F16,
            "BFloat16Storage" => DType::BF16,
            "LongStorage" => DType::I64,
            "IntStorage" => DType::I32,
            "ShortStorage" => DType::I16,
            "CharStorage" => DType::I8,
            "ByteStorage" => DType::U8,
            "BoolStorage" => DType::Bool,
            "ComplexDoubleStorage" => DType::C128,
            "ComplexFloatStorage" => DType::C64,
            "UntypedStorage" => return Some(Self::Bytes),
            "QInt8Storage" => return Some(Self::Other("qint8", 1)),
            "QUInt8Storage" => return Some(Self::Other("quint8", 1)),
            "QInt32Storage" => return Some(Self::Other("qint32", 4)),
            "QUInt4x2Storage" => return Some(Self::Other("quint4x2", 1)),
            "QUInt2x4Storage" => return Some(Self::Other("quint2x4", 1)),
            _ => return None,
        }))
    }
}

/// The dtype that a global names: `torch.float32`, or one of its older names.
fn dtype(name: &str) -> Option<DType> {
    let all = [
        DType::F64,
        DType::F32,
        DType::F16,
        DType::BF16,
        DType::F8E4M3FN,
        DType::F8E4M3FNUZ,
        DType::F8E5M2,
        DType::F8E5M2FNUZ,
        DType::I64,
        DType::I32,
        DType::I16,
        DType::I8,
        DType::U64,
        DType::U32,
        DType::U16,
        DType::U8,
        DType::Bool,
        DType::C128,
        DType::C64,
        DType::C32,
    ];
    let name = match name {
        "double" => "float64",
        "float" => "float32",
        "half" => "float16",
        "long" => "int64",
        "int" => "int32",
        "short" => "int16",
        "cdouble" => "complex128",
        "cfloat" => "complex64",
        "chalf" => "complex32",
        name => name,
    };
    all.into_iter().find(|dtype| dtype.name() == name)
}

/// A storage as a persistent id names it: `("storage", class, key, location, numel)`, and in the legacy layout a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageId {
    pub key: String,
    pub elements: Elements,
    /// How many elements the file has for it.
    pub count: u64,
    /// The part of it that is meant, in elements: how far from its beginning, and how many.
    pub view: Option<(u64, u64)>,
}

impl StorageId {
    /// Bytes of the whole storage.
    pub fn size(&self) -> Option<u64> {
        self.count.checked_mul(self.elements.size())
    }

    /// What a persistent id names; `None` if the node is none, or names the class of a module, as the oldest files do.
    ///
    /// # Errors
    /// Fails if PyTorch would not take it, or takes it only by leniency: a kind or location of bytes, which it decodes
    /// (`torch.serialization._maybe_decode_ascii`), would be a storage that nothing here has looked at.
    pub fn read(pickle: &Pickle, id: NodeId) -> Result<Option<Self>> {
        let Node::Persistent(saved) = pickle.node(id) else {
            return Ok(None);
        };
        let Node::Tuple(parts) = pickle.node(*saved) else {
            let found = what(pickle, *saved);
            let message = format!("expected a persistent id that is a tuple, found {found}");
            return fault(pickle, id, message);
        };
        let kind = parts.first().and_then(|kind| pickle.str(*kind));
        if kind == Some("module") && class(pickle, id).is_some() {
            return Ok(None);
        }
        let (Some("storage"), [_, storage, key, location, count, rest @ ..]) = (kind, &parts[..])
        else {
            return fault(pickle, id, "a persistent id is not that of a storage");
        };
        if pickle.str(*location).is_none() {
            return fault(pickle, id, "the location of a storage is no text");
        }
        let elements = class(pickle, *storage).and_then(|class| Elements::of_class(&class.name));
        let Some(elements) = elements else {
            let found =
                class(pickle, *storage).map_or(what(pickle, *storage), |c| format!("`{c}`"));
            return fault(
                pickle,
                id,
                format!("expected a storage class, found {found}"),
            );
        };
        let view = match rest {
            [] => None,
            [view] if *pickle.node(*view) == Node::None => None,
            [view] => match pickle.sequence(*view) {
                Some([_key, offset, size]) => {
                    Some((natural(pickle, *offset)?, natural(pickle, *size)?))
                }
                _ => return fault(pickle, id, "expected a view of a storage as three values"),
            },
            _ => return fault(pickle, id, "a storage has more values than PyTorch writes"),
        };
        Ok(Some(Self {
            key: key_of(pickle, *key)?,
            elements,
            count: natural(pickle, *count)?,
            view,
        }))
    }
}

/// Bytes of a storage's key. PyTorch writes a number; many storages may name one text.
const LONGEST_KEY: usize = 256;

/// The key of a storage: a text, or the number that it is in the oldest files.
pub fn key_of(pickle: &Pickle, id: NodeId) -> Result<String> {
    match (pickle.str(id), pickle.int(id)) {
        (Some(text), _) if text.len() > LONGEST_KEY => fault(
            pickle,
            id,
            format!("the key of a storage has more than {LONGEST_KEY} bytes"),
        ),
        (Some(text), _) => Ok(text.to_owned()),
        (_, Some(number)) => Ok(number.to_string()),
        _ => fault(
            pickle,
            id,
            format!("expected the key of a storage, found {}", what(pickle, id)),
        ),
    }
}

/// A number that counts something.
pub fn natural(pickle: &Pickle, id: NodeId) -> Result<u64> {
    let number = pickle.int(id);
    match number.map(u64::try_from) {
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => fault(
            pickle,
            id,
            format!(
                "expected a number that is not negative, found {}",
                number.unwrap_or_default()
            ),
        ),
        None => fault(
            pickle,
            id,
            format!("expected a number, found {}", what(pickle, id)),
        ),
    }
}

/// What a value of a state dict is.
#[derive(Debug)]
pub enum Value {
    Tensor(Described),
    /// A tensor that this program does not read; what it is, with its article.
    Unsupported(String),
    /// No tensor.
    Other,
}

/// What the calls say of a tensor.
#[derive(Debug)]
pub struct Described {
    pub storage: StorageId,
    pub dtype: DType,
    pub offset: u64,
    pub shape: Vec<u64>,
    pub strides: Vec<u64>,
}

/// Whether the node may be a tensor, as far as its outermost call tells.
pub fn is_tensor(pickle: &Pickle, id: NodeId) -> bool {
    call(pickle, id).is_some_and(|(function, _)| {
        matches!(
            (&*function.module, &*function.name),
            ("torch._utils", name) if name.starts_with("_rebuild_")
        ) || matches!(
            (&*function.module, &*function.name),
            (
                "torch._tensor" | "torch.tensor",
                "_rebuild_from_type" | "_rebuild_from_type_v2"
            )
        )
    })
}

/// The first call that would build a tensor from something that is neither a storage nor a tensor. The functions of
/// `torch/_utils.py` are Python, and call methods of what they are given (`data.to(...)`, `storage._untyped_storage`),
/// whatever that is.
pub fn misbuilt(pickle: &Pickle) -> Option<Fault> {
    let ids = (0..pickle.nodes.len()).filter_map(|index| u32::try_from(index).ok().map(NodeId));
    let mut calls = ids.filter(|id| is_tensor(pickle, *id));
    calls.find_map(|id| {
        let (mut function, mut args) = call(pickle, id)?;
        let is_right = (0..MOST_LAYERS).find_map(|_| match (&*function.name, args) {
            ("_rebuild_from_type" | "_rebuild_from_type_v2", [inner, _, of, ..]) => {
                match class(pickle, *inner).zip(pickle.sequence(*of)) {
                    Some(inner) => {
                        (function, args) = inner;
                        None
                    }
                    None => Some(false),
                }
            }
            ("_rebuild_nested_tensor", parts) => {
                Some(parts.iter().all(|part| is_tensor(pickle, *part)))
            }
            (
                "_rebuild_tensor"
                | "_rebuild_tensor_v2"
                | "_rebuild_tensor_v3"
                | "_rebuild_qtensor"
                | "_rebuild_parameter"
                | "_rebuild_parameter_with_state"
                | "_rebuild_device_tensor_from_cpu_tensor",
                args,
            ) => {
                let is_right =
                    |first: &NodeId| is_stored(pickle, *first) || is_tensor(pickle, *first);
                Some(args.first().is_none_or(is_right))
            }
            _ => Some(true),
        });
        match is_right {
            Some(true) => None,
            _ => Some(Fault {
                offset: pickle.offset(id),
                message: "a tensor is built from something that is neither a storage nor a tensor"
                    .to_owned(),
            }),
        }
    })
}

/// Whether the node is something that the container holds, and not a class in a persistent id, nor what only looks like
/// one: the tar layout gives back the first of a tuple as it is.
fn is_stored(pickle: &Pickle, id: NodeId) -> bool {
    let saved = match pickle.node(id) {
        Node::Persistent(saved) => saved,
        // It has no methods that anyone chose: the call fails.
        Node::None => return true,
        _ => return false,
    };
    match pickle.node(*saved) {
        Node::Int(_) | Node::Str(_) => true,
        Node::Tuple(parts) => parts.first().and_then(|kind| pickle.str(*kind)) == Some("storage"),
        _ => false,
    }
}

/// Takes the calls apart that would build a tensor (`torch/_utils.py`, `torch/_tensor.py`).
pub fn value(pickle: &Pickle, id: NodeId) -> Result<Value> {
    let Some((mut function, mut args)) = call(pickle, id).filter(|_| is_tensor(pickle, id)) else {
        return Ok(Value::Other);
    };
    for _ in 0..MOST_LAYERS {
        let inner = match (&*function.name, args) {
            ("_rebuild_parameter" | "_rebuild_parameter_with_state", [data, ..]) => {
                call(pickle, *data)
            }
            ("_rebuild_from_type" | "_rebuild_from_type_v2", [function, of, args, ..]) => {
                if !plain_tensor(pickle, *of) {
                    let of = class(pickle, *of).map_or(what(pickle, *of), |of| format!("`{of}`"));
                    return Ok(Value::Unsupported(format!("a tensor of the subclass {of}")));
                }
                class(pickle, *function).zip(pickle.sequence(*args))
            }
            (name, _) => return tensor(pickle, id, name, args),
        };
        let Some(inner) = inner else {
            return fault(pickle, id, "expected the call that builds a tensor");
        };
        (function, args) = inner;
    }
    fault(
        pickle,
        id,
        "a tensor is wrapped in more calls than PyTorch writes",
    )
}

/// Whether the class is one whose tensors have their elements like any other.
fn plain_tensor(pickle: &Pickle, of: NodeId) -> bool {
    [
        ("torch", "Tensor"),
        ("torch.nn.parameter", "Parameter"),
        ("torch.nn.parameter", "Buffer"),
    ]
    .into_iter()
    .any(|(module, name)| is(pickle, of, module, name))
}

/// Reads the arguments of the function that builds the tensor.
fn tensor(pickle: &Pickle, id: NodeId, function: &str, args: &[NodeId]) -> Result<Value> {
    let unsupported = |what: &str| Ok(Value::Unsupported(what.to_owned()));
    let (typed, metadata) = match function {
        "_rebuild_tensor" | "_rebuild_tensor_v2" => (None, args.get(6)),
        "_rebuild_tensor_v3" => (args.get(6), args.get(7)),
        "_rebuild_qtensor" => return unsupported("a quantised tensor"),
        "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor" => {
            return unsupported("a sparse tensor");
        }
        "_rebuild_nested_tensor" => return unsupported("a nested tensor"),
        "_rebuild_meta_tensor_no_storage" => {
            return unsupported("a tensor without elements (of the device `meta`)");
        }
        "_rebuild_wrapper_subclass" => return unsupported("a tensor subclass that wraps others"),
        "_rebuild_device_tensor_from_numpy"
        | "_rebuild_device_tensor_from_cpu_tensor"
        | "_rebuild_xla_tensor" => {
            return unsupported("a tensor of another device, saved as a NumPy array");
        }
        other => {
            return Ok(Value::Unsupported(format!(
                "a tensor that `{other}` builds"
            )));
        }
    };
    let [storage, offset, size, stride, ..] = args else {
        return fault(
            pickle,
            id,
            format!(
                "`{function}` needs at least 4 arguments, and has {}",
                args.len()
            ),
        );
    };
    if metadata.is_some_and(|metadata| is_lazy(pickle, *metadata)) {
        return unsupported("a tensor that is conjugated or negated only when it is used");
    }
    let Some(storage_id) = StorageId::read(pickle, *storage)? else {
        let found = what(pickle, *storage);
        return fault(pickle, id, format!("expected a storage, found {found}"));
    };
    let dtype = match (typed, storage_id.elements) {
        (None, Elements::Typed(dtype)) => dtype,
        (None, Elements::Bytes) => DType::U8,
        (None, Elements::Other(name, _)) => {
            return Ok(Value::Unsupported(format!("a tensor of {name}")));
        }
        (Some(typed), _) => {
            let global = class(pickle, *typed).filter(|global| &*global.module == "torch");
            match global.map(|global| (dtype(&global.name), &global.name)) {
                Some((Some(dtype), _)) => dtype,
                Some((None, name)) => return Ok(Value::Unsupported(format!("a tensor of {name}"))),
                None => return fault(pickle, *typed, "expected a dtype"),
            }
        }
    };
    Ok(Value::Tensor(Described {
        storage: storage_id,
        dtype,
        offset: natural(pickle, *offset)?,
        shape: naturals(pickle, *size)?,
        strides: naturals(pickle, *stride)?,
    }))
}

/// Whether the metadata ask for something to be done to the elements first (`torch._utils.set_tensor_metadata`).
fn is_lazy(pickle: &Pickle, metadata: NodeId) -> bool {
    // It knows two, and many tensors may have one dict of many.
    const MOST: usize = 16;
    let Some(Entries { given, own }) = entries(pickle, metadata) else {
        return false;
    };
    if own.len() + given.map_or(0, |given| length(pickle, given)) > MOST {
        return true;
    }
    let entries = pairs(pickle, metadata).unwrap_or_default();
    entries
        .iter()
        .any(|(_, value)| *pickle.node(*value) == Node::Bool(true))
}

/// Sizes or strides: a tuple of numbers, or a `torch.Size` of one.
fn naturals(pickle: &Pickle, id: NodeId) -> Result<Vec<u64>> {
    let inner = match call(pickle, id) {
        Some((class, [inner])) if &*class.module == "torch" && &*class.name == "Size" => *inner,
        _ => id,
    };
    match pickle.sequence(inner) {
        Some(items) if items.len() <= MOST_DIMENSIONS => {
            items.iter().map(|item| natural(pickle, *item)).collect()
        }
        Some(items) => fault(
            pickle,
            id,
            format!(
                "a tensor has {} dimensions; at most {MOST_DIMENSIONS} are taken",
                items.len()
            ),
        ),
        None => fault(
            pickle,
            id,
            format!("expected sizes or strides, found {}", what(pickle, id)),
        ),
    }
}

/// The class, if the node is an instance of a module: an object with the attributes that every `torch.nn.Module` has.
pub fn module_class(pickle: &Pickle, id: NodeId) -> Option<crate::weights::pickle::GlobalName> {
    let (class, state) = instance(pickle, id)?;
    let attributes = super::graph::by_name(pickle, state?)?;
    let is_module = ["_modules", "_parameters"]
        .iter()
        .all(|name| attributes.contains_key(name));
    is_module.then(|| class.clone())
}
