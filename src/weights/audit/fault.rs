//! What an audit finds, in the words that a user reads.

use std::collections::HashSet;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::weights::pickle::GlobalName;

/// Why a pickle is refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// A global that is known to do harm.
    Dangerous {
        global: GlobalName,
        /// What it does: `runs programs`.
        why: &'static str,
    },
    /// A global that is neither known to be needed nor known to do harm. The only fault that a user can lift.
    Unknown { global: GlobalName },
    /// A known global, used as no pickler uses it.
    Misused {
        global: GlobalName,
        /// How it is used otherwise: `a text and "latin1" as its arguments`.
        expected: &'static str,
    },
    /// A call of something that is no global but, say, the result of another call.
    ComputedCall { found: &'static str },
    /// An opcode that changes something that a pickler never changes with it.
    Changed {
        opcode: &'static str,
        found: &'static str,
    },
    /// A state that sets an attribute which Python itself looks for, and calls.
    Planted { attribute: String },
    /// A state that cannot be known without running the calls that it comes from.
    ComputedState,
    /// A global named by a number that only the program knows.
    Extension { code: i32 },
    /// A reference to something outside the stream, where the format has none.
    PersistentId,
    /// Pickles in byte strings in pickles, or one after another, in such number that nobody needs.
    Endless { what: &'static str },
    /// Bytes after the one pickle of a file.
    Trailing { bytes: u64 },
    /// An object that compiled code would follow out of range: a tree's index, an array's shape.
    Unsound { error: String },
    /// A pickle that could not be read to its end, and so not audited to its end.
    Unread { error: String },
}

impl Fault {
    /// Its name in reports that programs read.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Dangerous { .. } => "dangerous_global",
            Self::Unknown { .. } => "unknown_global",
            Self::Misused { .. } => "misused_global",
            Self::ComputedCall { .. } => "computed_call",
            Self::Changed { .. } => "odd_change",
            Self::Planted { .. } => "planted_attribute",
            Self::ComputedState => "computed_state",
            Self::Extension { .. } => "extension_code",
            Self::PersistentId => "persistent_id",
            Self::Endless { .. } => "endless",
            Self::Trailing { .. } => "trailing_bytes",
            Self::Unsound { .. } => "unsound_object",
            Self::Unread { .. } => "unread",
        }
    }

    /// The global it is about, if it is about one.
    pub fn global(&self) -> Option<&GlobalName> {
        match self {
            Self::Dangerous { global, .. }
            | Self::Unknown { global }
            | Self::Misused { global, .. } => Some(global),
            _ => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dangerous { global, why } => write!(
                f,
                "it names `{}`, which {why}, as soon as the file is unpickled; no weights need it, and it cannot be \
                 allowed",
                Shown(global)
            ),
            Self::Unknown { global } => {
                let global = Shown(global);
                write!(
                    f,
                    "it names `{global}`, which weights are not known to need: unpickling imports it, and may call it."
                )
            }
            Self::Misused { global, expected } => write!(
                f,
                "it uses `{}` as no pickler does, and it is harmless only as picklers use it: {expected}",
                Shown(global)
            ),
            Self::ComputedCall { found } => write!(
                f,
                "it calls {found}: which function that is cannot be known without running the file"
            ),
            Self::Changed { opcode, found } => write!(
                f,
                "{opcode} changes {found}, as no pickler does: it could change what lives on after the file is read"
            ),
            Self::Planted { attribute } => write!(
                f,
                "a state sets the attribute `{}`, which Python looks for by itself and calls",
                shortened(attribute)
            ),
            Self::ComputedState => f.write_str(
                "the state of an object comes from a call: what it sets cannot be known without running the file",
            ),
            Self::Extension { code } => write!(
                f,
                "it names a global by the extension code {code}: only the program that loads it knows which that is"
            ),
            Self::PersistentId => f.write_str(
                "it refers to something outside the file by a persistent id, which such files have none of",
            ),
            Self::Endless { what } => write!(f, "it has {what}, so it cannot be audited to its end"),
            Self::Trailing { bytes } => write!(
                f,
                "the pickle has ended, and {bytes} more bytes follow, which some loader may read on"
            ),
            Self::Unsound { error } => write!(
                f,
                "an object in it does not hold together, and compiled code would believe it: {}",
                plain(error)
            ),
            Self::Unread { error } => write!(
                f,
                "it is a pickle, but cannot be read to its end, and so not be audited to its end: {}",
                plain(error)
            ),
        }
    }
}

/// The faults of one pickle, each at its first place.
#[derive(Debug, Default)]
pub(super) struct Faults {
    seen: HashSet<Fault>,
    list: Vec<(u64, Fault)>,
}

/// A pickle with more faults than this has one more: that it has.
const MOST: usize = 1000;

impl Faults {
    pub fn add(&mut self, offset: u64, fault: Fault) {
        let fault = match self.list.len() < MOST {
            true => fault,
            // Not to be lifted, since what is not listed may be worse than what is.
            false => Fault::Endless {
                what: "a thousand and more things that are wrong with it",
            },
        };
        if !self.seen.contains(&fault) {
            self.seen.insert(fault.clone());
            self.list.push((offset, fault));
        }
    }

    /// Whether there is one that nothing lifts.
    pub fn are_final(&self) -> bool {
        let mut all = self.list.iter();
        all.any(|(_, fault)| !matches!(fault, Fault::Unknown { .. }))
    }

    /// In the order of the stream.
    pub fn sorted(mut self) -> Vec<(u64, Fault)> {
        self.list.sort_by_key(|(offset, _)| *offset);
        self.list
    }
}

/// A fault, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The member of the file, where it has members.
    pub member: Option<String>,
    /// For a pickle in a byte string of another one: where that byte string is, from the outermost pickle inwards.
    pub within: Vec<u64>,
    /// Where the opcode is, in bytes from the beginning of the innermost of them.
    pub offset: u64,
    pub fault: Fault,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(member) = &self.member {
            write!(f, "in `{}`, ", shortened(member))?;
        }
        for offset in &self.within {
            write!(f, "in the pickle inside the value at byte {offset}, ")?;
        }
        write!(f, "at byte {}: {}", self.offset, self.fault)
    }
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Report<'a> {
            kind: &'static str,
            member: Option<&'a str>,
            within: &'a [u64],
            offset: u64,
            global: Option<String>,
            message: String,
        }
        Report {
            kind: self.fault.kind(),
            member: self.member.as_deref(),
            within: &self.within,
            offset: self.offset,
            global: self.fault.global().map(ToString::to_string),
            message: self.fault.to_string(),
        }
        .serialize(serializer)
    }
}

/// A global's name, safe to print: a stream may put anything into it.
struct Shown<'a>(&'a GlobalName);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shortened(&self.0.to_string()))
    }
}

/// An error that may quote the file: on one line, without control characters, and not longer than a few lines.
fn plain(error: &str) -> String {
    const LONGEST: usize = 400;
    let mut shown = String::new();
    for character in error.chars().take(LONGEST) {
        match character.is_control() {
            true => shown.extend(character.escape_debug()),
            false => shown.push(character),
        }
    }
    if error.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Without control characters, and not longer than a few lines.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 200;
    let mut shown: String = text
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_error_quotes_is_shown_and_not_obeyed() {
        let error = format!("found '<\0\u{1b}[2J{}'", "x".repeat(1000));
        for fault in [
            Fault::Unsound {
                error: error.clone(),
            },
            Fault::Unread { error },
        ] {
            let text = fault.to_string();
            assert!(!text.chars().any(char::is_control), "{text}");
            assert!(
                text.contains("found '<\\0\\u{1b}[2Jx") && text.len() < 600,
                "{text}"
            );
        }
    }
}
