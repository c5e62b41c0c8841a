//! numpy's dtypes. numpy takes from a dtype's state whether its elements are pointers and where its fields lie, and
//! believes it (`arraydescr_setstate` in `descriptor.c`): a state that lies makes it follow addresses from the file.

use crate::weights::pickle::{Node, NodeId, Pickle};

/// Flags of a dtype (`ndarraytypes.h`): its elements are references (`NPY_ITEM_REFCOUNT`), pickled as a list
/// (`NPY_LIST_PICKLE`), and are pointers (`NPY_ITEM_IS_POINTER`). A record with such fields has the first two.
const OBJECT_FLAGS: i64 = 0b111;
const RECORD_FLAGS: i64 = 0b011;

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
    match *state {
        [] if element.letter != b'V' => None,
        // Bytes without fields.
        [] => None,
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
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then_some(Self { letter, count })
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
        let flags = pickle.int(parts[7]).map(|flags| flags & OBJECT_FLAGS);
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
