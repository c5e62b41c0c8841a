//! numpy's dtypes: what an element is, and how its bytes lie.

use super::nodes::{Mismatch, Nodes, mismatch};
use crate::weights::pickle::{Node, NodeId};

/// The type of an array's elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dtype {
    pub kind: Kind,
    /// Bytes of an element.
    pub size: u64,
    pub big_endian: bool,
}

/// numpy's kinds, by their letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `b`
    Bool,
    /// `i`
    Int,
    /// `u`
    UInt,
    /// `f`
    Float,
    /// `c`
    Complex,
    /// `S`: bytes, padded with zeros.
    Bytes,
    /// `U`: four bytes a character, padded with zeros.
    Text,
    /// `O`
    Object,
    /// `M` and `m`: dates and spans of time.
    Time,
    /// `V` with fields.
    Record(Vec<RecordField>),
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordField {
    pub name: String,
    pub dtype: Dtype,
    /// Where it begins in the record, in bytes.
    pub offset: u64,
}

/// The flags of a dtype of objects (`NPY_OBJECT_DTYPE_FLAGS` in numpy's `ndarraytypes.h`). One of them has memory
/// cleared before it is filled: without it numpy would drop references to whatever lay there.
const OBJECT_FLAGS: i64 = 0x3f;

/// What any may say: memory is cleared before it is filled, which texts have, and Python's lock is held meanwhile,
/// which records have (`NPY_NEEDS_INIT`, `NPY_NEEDS_PYAPI`).
const HARMLESS: i64 = 0x18;

/// What a record may say besides: its fields lie as in C (`NPY_ALIGNED_STRUCT`).
const ALIGNED: i64 = 0x80;

/// numpy kept the size of an element in a C `int` until its version 2, and cuts a larger one short: it would take
/// fewer bytes of the file for the array than its code says.
const LARGEST: u64 = i32::MAX as u64;

/// More fields than anything of scikit-learn has.
const FIELDS: usize = 64;

impl Dtype {
    pub(super) fn plain(kind: Kind, size: u64) -> Self {
        Self {
            kind,
            size,
            big_endian: false,
        }
    }

    /// Reads `numpy.dtype(code, False, True)` and its state (`arraydescr_reduce` in numpy's `descriptor.c`).
    ///
    /// # Errors
    /// Fails if it is something else; if it is not as numpy writes it; or if numpy would take bytes for pointers.
    pub fn of(nodes: Nodes, id: NodeId) -> Result<Self, Mismatch> {
        Self::read(nodes, id, true)
    }

    fn read(nodes: Nodes, id: NodeId, may_be_record: bool) -> Result<Self, Mismatch> {
        let found = || nodes.unlike("a numpy dtype", id);
        let (args, state) = match nodes.node(id) {
            Node::Object {
                callable,
                args,
                kwargs: None,
                state,
                items,
                entries,
            } if nodes.is_global(*callable, "numpy", "dtype")
                && items.is_empty()
                && entries.is_empty() =>
            {
                (nodes.tuple(*args).ok_or_else(found)?, state.as_slice())
            }
            _ => return Err(found()),
        };
        let [code, rest @ ..] = args else {
            return Err(found());
        };
        let plain = match rest {
            [align, copy] => !plain_flag(nodes, *align)? && plain_flag(nodes, *copy)?,
            // numpy's own object, which all share: it does not take a state (`arraydescr_setstate`), so that one in
            // the file would say what is not so.
            _ => rest.is_empty() && state.is_empty(),
        };
        if !plain {
            return Err(mismatch(
                "numpy.dtype(code, False, True)",
                "other arguments",
            ));
        }
        let code = plain_text(nodes, *code)?;
        let dtype = from_code(code)?;
        match *state {
            [] if matches!(dtype.kind, Kind::Record(_)) => {
                Err(mismatch("a record's fields", "none"))
            }
            [] => Ok(dtype),
            [state] => dtype.with_state(nodes, state, may_be_record),
            _ => Err(mismatch(
                "a dtype whose state is set once",
                format!("one set {} times", state.len()),
            )),
        }
    }

    /// `(version, byte order, subarray, names, fields, size, alignment, flags)`, and metadata since version 4.
    fn with_state(
        mut self,
        nodes: Nodes,
        state: NodeId,
        may_be_record: bool,
    ) -> Result<Self, Mismatch> {
        const EXPECTED: &str = "a dtype's state of version 3 or 4";
        let state = match nodes.tuple(state) {
            Some(items @ ([_, _, _, _, _, _, _, _] | [_, _, _, _, _, _, _, _, _])) => items,
            _ => return Err(nodes.unlike(EXPECTED, state)),
        };
        let &[
            version,
            order,
            subarray,
            names,
            fields,
            size,
            _alignment,
            flags,
            ..,
        ] = state
        else {
            return Err(mismatch(EXPECTED, "another"));
        };
        if !matches!(plain_int(nodes, version)?, 3 | 4) {
            return Err(nodes.unlike(EXPECTED, version));
        }
        self.big_endian = match plain_text(nodes, order)? {
            // numpy would turn its own pointers around.
            ">" if self.kind == Kind::Object => {
                return Err(nodes.unlike("the byte order '|' of objects", order));
            }
            ">" => true,
            "<" | "|" | "=" => false,
            _ => return Err(nodes.unlike("the byte order '<', '>' or '|'", order)),
        };
        if !nodes.is_none(subarray) {
            return Err(nodes.unlike("a dtype without subarrays", subarray));
        }
        self.check_size(plain_int(nodes, size)?)?;
        let flags = plain_int(nodes, flags)?;
        let fits = match self.kind {
            Kind::Object => flags == OBJECT_FLAGS,
            // Of numbers only, see below.
            Kind::Record(_) => flags & !(HARMLESS | ALIGNED) == 0,
            _ => flags & !HARMLESS == 0,
        };
        if !fits {
            return Err(mismatch(
                format!(
                    "the flags of {} to say whether it holds pointers",
                    self.name()
                ),
                flags,
            ));
        }
        if matches!(self.kind, Kind::Record(_)) && may_be_record {
            self.kind = Kind::Record(record(nodes, names, fields, self.size)?);
            return Ok(self);
        }
        match nodes.is_none(names) && nodes.is_none(fields) {
            true if !matches!(self.kind, Kind::Record(_)) => Ok(self),
            _ => Err(mismatch("a dtype of plain elements", "fields in it")),
        }
    }

    /// The size in the state is -1 for types of one size only.
    fn check_size(&self, size: i64) -> Result<(), Mismatch> {
        let sized = matches!(self.kind, Kind::Text | Kind::Bytes | Kind::Record(_));
        let fits = match u64::try_from(size) {
            Ok(size) => size == self.size,
            Err(_) => !sized && size == -1,
        };
        match fits {
            true => Ok(()),
            false => Err(mismatch(
                format!("the size of {} in its state", self.name()),
                size,
            )),
        }
    }

    /// What numpy calls it, as far as that is one word: `float64`.
    pub fn name(&self) -> String {
        let bits = self.size.saturating_mul(8);
        match self.kind {
            Kind::Bool => "bool".to_owned(),
            Kind::Int => format!("int{bits}"),
            Kind::UInt => format!("uint{bits}"),
            Kind::Float => format!("float{bits}"),
            Kind::Complex => format!("complex{bits}"),
            Kind::Bytes => format!("S{}", self.size),
            Kind::Text => format!("U{}", self.size / 4),
            Kind::Object => "object".to_owned(),
            Kind::Time => "datetime64 or timedelta64".to_owned(),
            Kind::Record(_) => format!("a record of {} bytes", self.size),
        }
    }
}

// A dtype's own parts are Python's values. Were they looked for among numpy's scalars too, which have dtypes, a cyclic
// graph could be followed without end.

fn plain_int(nodes: Nodes, id: NodeId) -> Result<i64, Mismatch> {
    match nodes.node(id) {
        Node::Int(number) => Ok(*number),
        _ => Err(nodes.unlike("an integer", id)),
    }
}

fn plain_text(nodes: Nodes<'_>, id: NodeId) -> Result<&str, Mismatch> {
    match nodes.node(id) {
        Node::Str(text) => Ok(text),
        _ => Err(nodes.unlike("a text", id)),
    }
}

fn plain_flag(nodes: Nodes, id: NodeId) -> Result<bool, Mismatch> {
    match nodes.node(id) {
        Node::Bool(flag) => Ok(*flag),
        Node::Int(flag @ (0 | 1)) => Ok(*flag == 1),
        _ => Err(nodes.unlike("True or False", id)),
    }
}

/// A dtype from a letter and a number: bytes, or characters for `U`. Records get their fields later.
fn from_code(code: &str) -> Result<Dtype, Mismatch> {
    let unknown = || mismatch("a dtype's code such as 'f8'", format!("`{code}`"));
    let mut letters = code.chars();
    let letter = letters.next().ok_or_else(unknown)?;
    let digits = letters.as_str();
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let number: u64 = match is_number {
        true => digits.parse().map_err(|_| unknown())?,
        false => return Err(unknown()),
    };
    let (kind, size) = match (letter, number) {
        ('b', 1) => (Kind::Bool, 1),
        ('i', 1 | 2 | 4 | 8) => (Kind::Int, number),
        ('u', 1 | 2 | 4 | 8) => (Kind::UInt, number),
        // 12 and 16: C's long double, as this platform or another has it.
        ('f', 2 | 4 | 8 | 12 | 16) => (Kind::Float, number),
        ('c', 8 | 16 | 24 | 32) => (Kind::Complex, number),
        ('M' | 'm', 8) => (Kind::Time, number),
        ('O', 4 | 8) => (Kind::Object, number),
        ('S', _) => (Kind::Bytes, number),
        ('U', _) => (Kind::Text, number.checked_mul(4).ok_or_else(unknown)?),
        ('V', _) => (Kind::Record(Vec::new()), number),
        _ => return Err(unknown()),
    };
    match size <= LARGEST {
        true => Ok(Dtype::plain(kind, size)),
        false => Err(unknown()),
    }
}

/// The fields of a record of `size` bytes, in the order of `names`.
fn record(
    nodes: Nodes,
    names: NodeId,
    fields: NodeId,
    size: u64,
) -> Result<Vec<RecordField>, Mismatch> {
    let names_found = || nodes.unlike("a record's names", names);
    let tuple = nodes
        .tuple(names)
        .filter(|names| !names.is_empty() && names.len() <= FIELDS);
    let names = tuple.ok_or_else(names_found)?;
    let entries = match nodes.node(fields) {
        Node::Dict(entries) if entries.len() == names.len() => entries,
        _ => return Err(nodes.unlike("a field for each of a record's names", fields)),
    };
    let mut record = Vec::with_capacity(names.len());
    for name in names {
        let name = plain_text(nodes, *name)?;
        let mut entries = entries.iter();
        let entry = entries.find(|(key, _)| plain_text(nodes, *key).is_ok_and(|key| key == name));
        let found = || mismatch(format!("(dtype, offset) as the field `{name}`"), "another");
        let &(_, value) = entry.ok_or_else(found)?;
        let &[dtype, offset] = nodes.tuple(value).ok_or_else(found)? else {
            return Err(found());
        };
        let dtype = Dtype::read(nodes, dtype, false)?;
        let offset = u64::try_from(plain_int(nodes, offset)?).map_err(|_| found())?;
        let inside = offset
            .checked_add(dtype.size)
            .is_some_and(|end| end <= size);
        if dtype.kind == Kind::Object || !inside {
            return Err(mismatch(
                format!("the field `{name}` to be numbers within {size} bytes"),
                format!("{} at {offset}", dtype.name()),
            ));
        }
        record.push(RecordField {
            name: name.to_owned(),
            dtype,
            offset,
        });
    }
    Ok(record)
}
