//! Why a pickle cannot be interpreted to its end, and the ceilings that hold whatever a stream claims.

use std::io;

use super::node::GlobalUse;

/// What a stream may ask for at most, whatever its size. Real ones stay far below: a checkpoint of 10,000 tensors
/// has 200,000 nodes, a forest of 1000 trees 150,000.
pub(super) mod ceiling {
    pub const OPCODES: u64 = 1 << 25;
    pub const NODES: u64 = 1 << 21;
    pub const MEMO: u64 = 1 << 21;
    pub const STACK: u64 = 1 << 21;
    pub const MARKS: u64 = 1 << 20;
    /// Bytes of all texts and byte strings together; these are held in memory.
    pub const BYTES: u64 = 1 << 29;
    /// Decimal digits of an integer; CPython has the same limit (`sys.int_info.default_max_str_digits`).
    pub const DIGITS: u64 = 4300;
}

/// A pickle that cannot be interpreted to its end.
#[derive(Debug, thiserror::Error)]
#[error("{kind}")]
pub struct PickleError {
    /// Of the opcode, in bytes from the beginning of the blob.
    pub offset: u64,
    pub kind: PickleErrorKind,
    /// What it named before: a program that unpickles it has imported these by then.
    pub globals: Vec<GlobalUse>,
}

#[derive(Debug, thiserror::Error)]
pub enum PickleErrorKind {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the pickle ends in the middle; the next opcode, or the rest of this one, is missing")]
    Truncated,
    #[error("{code:#04x} is no pickle opcode")]
    Opcode { code: u8 },
    #[error("it declares pickle protocol {found}; protocols 0 to 5 are known")]
    Protocol { found: u8 },
    #[error("{opcode} takes more values from the stack than there are")]
    Underflow { opcode: &'static str },
    #[error("{opcode} needs a MARK, and there is none")]
    NoMark { opcode: &'static str },
    #[error("{opcode} needs pairs of keys and values, and found an odd number of them")]
    OddItems { opcode: &'static str },
    #[error("{opcode} asks for memo {index}, which was never stored")]
    UnsetMemo { opcode: &'static str, index: u64 },
    /// What follows the opcode in the stream.
    #[error("{opcode} should be followed by {expected}")]
    Argument {
        opcode: &'static str,
        expected: &'static str,
    },
    /// What the opcode finds on the stack.
    #[error("{opcode} needs {expected}, and found {found}")]
    Operand {
        opcode: &'static str,
        expected: &'static str,
        found: &'static str,
    },
    #[error("{opcode} names a global by {found}: what it names cannot be known without running it")]
    ComputedGlobal {
        opcode: &'static str,
        found: &'static str,
    },
    /// A frame that does not lie around whole opcodes.
    #[error("{opcode} {wrong}, and readers differ on what follows")]
    Frame {
        opcode: &'static str,
        wrong: &'static str,
    },
    #[error("NEXT_BUFFER asks for data outside the pickle, and a file has none")]
    OutOfBand,
    #[error("it has more than {ceiling} {what}")]
    Ceiling { what: &'static str, ceiling: u64 },
    /// The container's own error at bytes that it put into the stream.
    #[error("{0}")]
    Host(String),
}

impl PickleErrorKind {
    /// Whether Python's own unpickler gives up here too. Where it does not, what follows may still run there.
    pub fn stops_python(&self) -> bool {
        !matches!(
            self,
            Self::Io(_)
                | Self::ComputedGlobal { .. }
                | Self::Frame { .. }
                | Self::Ceiling { .. }
                | Self::Host(_)
        )
    }
}
