//! numpy's dtypes. numpy takes from a dtype's state whether its elements are pointers and where its fields lie, and
//! believes it (`arraydescr_setstate` in `descriptor.c`): a state that lies makes it follow addresses from the file.

use crate::weights::pickle::{Node, NodeId, Pickle};

/// All flags of a dtype of objects, and those that a record has from such fields (`NPY_OBJECT_DTYPE_FLAGS` and
/// `NPY_FROM_FIELDS` in `ndarraytypes.h`). One of them, `NPY_NEEDS_INIT`, has memory cleared before it is filled:
/// without it numpy drops references to whatever lay there.
const OBJECT_FLAGS: i64 = 0x3f;
const RECORD_FLAGS: i64 = 0x1b;

/// What those without objects may say: memory is cleared before it is filled, which texts have, and Python's lock is
/// held meanwhile, which records have (`NPY_NEEDS_INIT`, `NPY_NEEDS_PYAPI`).
const HARMLESS: i64 = 0x18;

/// What a record may say besides: its fields lie as in C (`NPY_ALIGNED_STRUCT`).
const ALIGNED: i64 = 0x80;

/// numpy kept the size of an element in a C `int` until its version 2, and cuts a larger one short.
const LARGEST: u64 = i32::MAX as u64;

/// How `numpy.dtype` is used where numpy pickles one, if this is not that.
pub(super) fn misuse(pickle: &Pickle, args: &[NodeId], state: &[NodeId]) -> Option<&'static str> {
    let code = args.first().map(|code| pickle.node(*code));
    let code = match code {
        Some(Node::Str(code)) => code,
        _ => return Some("with a text such as \"f8\" as its first argument"),
    };
    let plain = |arg: &NodeId| matches!(pickle.node(*arg), Node::Bool(_) | Node::Int(0 | 1));
    if args.len() > 3 || !args[1..].iter().all(plain) {
        return Some("with a text and two truth values as its arguments");
    }
    let Some(element) = Element::of(code) else {
        return Some("with a text such as \"f8\" as its first argument");
    };
    let flag = |arg: &NodeId, wanted: bool| match pickle.node(*arg) {
        Node::Bool(flag) => *flag == wanted,
        Node::Int(flag) => *flag == i64::from(wanted),
        _ => false,
    };
    // Called otherwise, it may be numpy's own object, which all share: it does not take a state
    // (`arraydescr_setstate`), so that one in the file would say what is not so.
    let is_own = matches!(args, [_, align, copy] if flag(align, false) && flag(copy, true));
    match *state {
        [] => None,
        [_] if !is_own => Some("with (code, False, True) as its arguments where it has a state"),
        [state] => element.state_misuse(pickle, state),
        _ => Some("with its state set once"),
    }
}

/// A dtype's code: a letter, and how many bytes, or characters, an element has.
struct Element {
    letter: u8,
    count: u64,
}

impl Element {
    fn of(code: &str) -> Option<Self> {
        let code = code.trim_start_matches(['<', '>', '|', '=']);
        let (&letter, digits) = code.as_bytes().split_first()?;
        if !b"?biufcmMOSUV".contains(&letter) || digits.len() > 10 {
            return None;
        }
        let count = match digits {
            [] => 0,
            _ => std::str::from_utf8(digits).ok()?.parse().ok()?,
        };
        let element = Self { letter, count };
        (digits.iter().all(u8::is_ascii_digit) && element.bytes() <= LARGEST).then_some(element)
    }

    fn bytes(&self) -> u64 {
        match self.letter {
            b'U' => self.count * 4,
            _ => self.count,
        }
    }

    /// `(version, byte order, subarray, names, fields, size, alignment, flags)`, and metadata since version 4.
    fn state_misuse(&self, pickle: &Pickle, state: NodeId) -> Option<&'static str> {
        let parts = match pickle.node(state) {
            Node::Tuple(parts) if (8..=9).contains(&parts.len()) => parts,
            _ => return Some("with a state of eight or nine parts"),
        };
        if *pickle.node(parts[2]) != Node::None {
            return Some("without subarrays");
        }
        let sized = matches!(self.letter, b'S' | b'U' | b'V');
        let size = pickle.int(parts[5]);
        if size != Some(-1) && size.and_then(|size| u64::try_from(size).ok()) != Some(self.bytes())
            || sized && size == Some(-1)
        {
            return Some("with the size in its state that its code says");
        }
        let wanted = match (self.letter, pickle.node(parts[4])) {
            (b'O', Node::None) => OBJECT_FLAGS,
            (_, Node::None) => 0,
            (b'V', Node::Dict(fields)) => match self.fields(pickle, fields) {
                Some(true) => RECORD_FLAGS,
                Some(false) => 0,
                None => return Some("with fields that lie inside its elements"),
            },
            _ => return Some("with fields in records only"),
        };
        let mut ignored = if wanted == 0 { HARMLESS } else { 0 };
        if matches!(pickle.node(parts[4]), Node::Dict(_)) {
            ignored |= ALIGNED;
        }
        let flags = pickle.int(parts[7]).map(|flags| flags & !ignored);
        (flags != Some(wanted)).then_some("with flags that say whether its elements hold objects")
    }

    /// Whether one of the fields holds objects; `None` if they are not as numpy writes them.
    fn fields(&self, pickle: &Pickle, fields: &[(NodeId, NodeId)]) -> Option<bool> {
        let mut objects = false;
        for (_, field) in fields {
            let [dtype, offset, ..] = *pickle.sequence(*field)? else {
                return None;
            };
            let Node::Object {
                callable,
                args,
                state,
                ..
            } = pickle.node(dtype)
            else {
                return None;
            };
            let callable = pickle.global(*callable)?;
            let code = pickle.str(*pickle.sequence(*args)?.first()?)?;
            let element = Self::of(code)
                .filter(|_| (&*callable.module, &*callable.name) == ("numpy", "dtype"))?;
            let end = u64::try_from(pickle.int(offset)?)
                .ok()?
                .checked_add(element.bytes())?;
            if end > self.bytes() {
                return None;
            }
            objects |= element.holds_objects(pickle, state);
        }
        Some(objects)
    }

    /// By its code, or, for a record, by its flags, which are checked where it stands itself.
    fn holds_objects(&self, pickle: &Pickle, state: &[NodeId]) -> bool {
        let flags = state
            .first()
            .and_then(|state| pickle.int(*pickle.sequence(*state)?.get(7)?));
        self.letter == b'O'
            || self.letter == b'V' && flags.is_some_and(|flags| flags & RECORD_FLAGS != 0)
    }
}
