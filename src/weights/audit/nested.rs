//! Pickles where no format says there is one: in the byte strings and texts of another, or in any run of bytes.

use std::io;

use super::danger;
use crate::blob::Blob;
use crate::weights::pickle::{self, NoHost, Node, Pickle, PickleError};

/// How deep byte strings are followed. Each level is part of the one above, so that the work is at most this many times
/// the file.
pub(super) const DEPTH: usize = 8;

/// A value of a pickle that may be a pickle itself.
pub(super) struct Candidate {
    /// Of the opcode that holds it.
    pub offset: u64,
    bytes: Blob,
    is_text: bool,
}

/// The byte strings, and texts as bytes, that may be pickles.
pub(super) fn candidates(pickle: &Pickle) -> impl Iterator<Item = Candidate> {
    let nodes = pickle.nodes.iter().zip(&pickle.made_at);
    nodes.filter_map(|(node, &offset)| match node {
        Node::Bytes(bytes) if names_something(bytes) => Some(Candidate {
            offset,
            bytes: bytes.clone().into(),
            is_text: false,
        }),
        // Before protocol 3 byte strings are written as text of latin-1 characters.
        Node::Str(text) if names_something(text.as_bytes()) && text.contains('.') => {
            let bytes = latin1(text).unwrap_or_else(|| text.as_bytes().into());
            Some(Candidate {
                offset,
                bytes: bytes.into(),
                is_text: true,
            })
        }
        _ => None,
    })
}

fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(c).ok()).collect()
}

/// Whether the bytes hold an opcode that names a global: as it is, or after `\xc2` in UTF-8.
fn names_something(bytes: &[u8]) -> bool {
    let names = |byte: &u8| matches!(byte, b'c' | b'i' | 0x82..=0x84 | 0x93);
    bytes.iter().any(names)
}

impl Candidate {
    /// The pickle that it is. By itself nothing unpickles it, so what only looks like the beginning of one is none: it
    /// must be read to its end, or be bytes that begin with a protocol or name something of the list of dangers.
    pub fn read(&self) -> Option<Result<Pickle, PickleError>> {
        match pickle::read(&self.bytes, 0, &mut NoHost) {
            Ok(pickle) if pickle.globals.is_empty() && pickle.protocol < 2 => None,
            Err(error) if self.is_text || !is_begun(&error) => None,
            Err(error) if !self.has_protocol() && !names_danger(&error) => None,
            result => Some(result),
        }
    }

    fn has_protocol(&self) -> bool {
        let mut start = [0; 2];
        let read = self.bytes.read_exact_at(&mut start, 0);
        read.is_ok() && matches!(start, [0x80, 0..=5])
    }
}

fn names_danger(error: &PickleError) -> bool {
    let mut globals = error.globals.iter();
    globals.any(|used| danger::is_listed(&used.global))
}

/// Where the data of an array in numpy's own format begins; arrays of objects have a pickle there. 0 for other bytes.
pub(super) fn after_npy_header(blob: &Blob) -> io::Result<u64> {
    let mut start = [0; 12];
    let known = blob.size().min(12) as usize;
    blob.read_exact_at(&mut start[..known], 0)?;
    // A magic, the version, and the size of the header: two bytes in version 1, four later (`numpy.lib.format`).
    let size = match start {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, a, b, ..] => {
            10 + u64::from(u16::from_le_bytes([a, b]))
        }
        [0x93, b'N', b'U', b'M', b'P', b'Y', _, _, a, b, c, d] => {
            12 + u64::from(u32::from_le_bytes([a, b, c, d]))
        }
        _ => 0,
    };
    Ok(size.min(blob.size()))
}

/// Whether a program that unpickles this would have got as far as an import before it stops. An empty name is no
/// hindrance: the module is imported before the name is looked up in it (CPython's `find_class`).
pub fn is_begun(error: &PickleError) -> bool {
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

    #[test]
    fn a_module_is_imported_for_an_empty_name_too() {
        let begun = |bytes: &[u8]| {
            let error = pickle::read(&bytes.to_vec().into(), 0, &mut NoHost).unwrap_err();
            is_begun(&error)
        };
        assert!(begun(b"\x80\x04\x8c\x04this\x8c\x00\x93\xff"));
        assert!(!begun(b"\x80\x04\x8c\x00\x8c\x00\x93\xff"));
    }
}
