//! Pickles where no format says there is one: in the byte strings and texts of another, or in any run of bytes.

use super::danger;
use crate::weights::pickle::{self, NoHost, Node, Pickle, PickleError};

/// How deep byte strings are followed. Each level is part of the one above, so that the work is at most this many times
/// the file.
pub(super) const DEPTH: usize = 8;

/// The byte strings, and texts as bytes, that may be pickles, with the offsets of the opcodes that hold them.
pub(super) fn candidates(pickle: &Pickle) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let nodes = pickle.nodes.iter().zip(&pickle.made_at);
    nodes.filter_map(|(node, &offset)| {
        let bytes = match node {
            Node::Bytes(bytes) if may_be_pickle(bytes) => bytes.to_vec(),
            // Before protocol 3 byte strings are written as text of latin-1 characters.
            Node::Str(text) if may_be_pickle(text.as_bytes()) => match latin1(text) {
                Some(bytes) => bytes,
                None => text.as_bytes().to_vec(),
            },
            _ => return None,
        };
        Some((offset, bytes))
    })
}

fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(c).ok()).collect()
}

/// Whether the bytes hold an opcode that names a global, and then a `STOP` or a protocol at the beginning.
fn may_be_pickle(bytes: &[u8]) -> bool {
    // `\x80` and `\x93` as they are, or after `\xc2` in UTF-8.
    let names = |byte: &u8| matches!(byte, b'c' | b'i' | 0x82..=0x84 | 0x93);
    bytes.iter().any(names) && (has_protocol(bytes) || bytes.contains(&b'.'))
}

fn has_protocol(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, 0..=5, ..] | [0xc2, 0x80, 0..=5, ..])
}

/// The pickle that a byte string is. By itself nothing unpickles it, so what only looks like the beginning of one is
/// none: it must be read to its end, or begin with its protocol, or name something of the list of dangers.
pub(super) fn read(bytes: &[u8]) -> Option<Result<Pickle, PickleError>> {
    match pickle::read(&bytes.to_vec().into(), 0, &mut NoHost) {
        Ok(pickle) if pickle.globals.is_empty() && pickle.protocol < 2 => None,
        Err(error) if !is_begun(&error) => None,
        Err(error) if !has_protocol(bytes) && !names_danger(&error) => None,
        result => Some(result),
    }
}

fn names_danger(error: &PickleError) -> bool {
    let mut globals = error.globals.iter();
    globals.any(|used| danger::is_listed(&used.global))
}

/// Whether a program that unpickles this would have got as far as an import before it stops.
pub(super) fn is_begun(error: &PickleError) -> bool {
    !error.kind.stops_python()
        || error
            .globals
            .iter()
            .any(|used| is_importable(&used.global.module))
}

/// Whether Python could find a module of this name: text and tables that happen to begin with the letter of `GLOBAL`
/// mostly could not be one.
fn is_importable(module: &str) -> bool {
    module.split('.').all(|part| {
        let mut characters = part.chars();
        let first = characters.next();
        first.is_some_and(|first| first == '_' || first.is_alphabetic())
            && characters.all(|c| c == '_' || c.is_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_dotted_identifiers() {
        for module in ["os", "a.b_c.d1", "_x", "naïve"] {
            assert!(is_importable(module), "{module}");
        }
        for module in [
            "",
            "lass Module(Module):",
            "mport os",
            "1a",
            "a..b",
            "a b",
            "a-b",
            "a.1",
        ] {
            assert!(!is_importable(module), "{module}");
        }
    }
}
