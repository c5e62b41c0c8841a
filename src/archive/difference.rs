//! What can differ between an archive and what its lock says it is.

use serde::Serialize;

use super::format::Common;
use super::layout::LAYOUT;
use super::problem::{Problem, Record};
use super::{BundlePath, Bytes};
use crate::digest::Digest;

/// One difference between an archive and what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Difference {
    #[error("{path} is missing")]
    Missing { path: BundlePath },
    #[error("{path} is in the archive, but should not be")]
    Extra { path: String },
    #[error("{path}: the contents differ: expected BLAKE3 {expected}, found {found}{}", endings(*line_endings))]
    Content {
        path: BundlePath,
        expected: Digest,
        found: Digest,
        /// Whether only LF and CRLF differ.
        line_endings: bool,
    },
    #[error("{path}: the size differs: expected {}, found {}{}", Bytes(*expected), Bytes(*found), endings(*line_endings))]
    Size {
        path: BundlePath,
        expected: u64,
        found: u64,
        line_endings: bool,
    },
    #[error("{reason}")]
    Unreadable {
        path: BundlePath,
        /// A whole sentence, which names the path.
        reason: String,
    },
    #[error("the order differs: expected {expected} at position {position}, found {found}")]
    Order {
        /// Counted from 1.
        position: usize,
        expected: BundlePath,
        found: BundlePath,
    },
    #[error("{path}: the {field} in the {record}: expected {expected}, found {found}")]
    Header {
        path: BundlePath,
        record: Record,
        field: &'static str,
        expected: String,
        found: String,
    },
    #[error("the archive has a comment of {}; it should have none", Bytes(*bytes))]
    Comment { bytes: u64 },
    #[error("the archive has {}ZIP64 end record, and should have {}", if *expected { "no " } else { "a " }, if *expected { "one" } else { "none" })]
    Zip64End {
        /// Whether there should be one.
        expected: bool,
    },
    #[error("the archive's size differs: expected {}, found {}", Bytes(*expected), Bytes(*found))]
    ArchiveSize { expected: u64, found: u64 },
    #[error("{problem}")]
    Structure { problem: Problem },
    #[error("the bytes from offset {offset} on are not those of layout {LAYOUT}")]
    Bytes { offset: u64 },
}

fn endings(line_endings: bool) -> &'static str {
    if line_endings {
        " (only line endings differ, LF and CRLF: was the file checked out by git with autocrlf?)"
    } else {
        ""
    }
}

/// A field that differs: its name, what was expected and what was found.
pub type FieldDifference = (&'static str, String, String);

/// Compares the fields of two headers, apart from sizes and CRC, which are the contents' matter.
pub fn compare_common(expected: &Common, found: &Common) -> Vec<FieldDifference> {
    let mut fields = Vec::new();
    let mut row = |field, expected: u16, found: u16, show: fn(u16) -> String| {
        if expected != found {
            fields.push((field, show(expected), show(found)));
        }
    };
    row(
        "version needed",
        expected.version_needed,
        found.version_needed,
        version,
    );
    row("flags", expected.flags, found.flags, flags);
    row("method", expected.method, found.method, method);
    row("time", expected.time, found.time, time);
    row("date", expected.date, found.date, date);
    fields
}

/// A version as APPNOTE counts it (4.4.3.1).
pub fn version(value: u16) -> String {
    format!("{}.{}", (value & 0xff) / 10, (value & 0xff) % 10)
}

fn flags(value: u16) -> String {
    let names = [(0, "encrypted"), (3, "data descriptor"), (11, "UTF-8")];
    let set: Vec<&str> = names
        .iter()
        .filter(|(bit, _)| value >> bit & 1 == 1)
        .map(|(_, name)| *name)
        .collect();
    match set.as_slice() {
        [] => format!("{value:#06x}"),
        set => format!("{value:#06x} ({})", set.join(", ")),
    }
}

fn method(value: u16) -> String {
    match value {
        0 => "0 (stored)".to_owned(),
        8 => "8 (deflated)".to_owned(),
        other => other.to_string(),
    }
}

/// MS-DOS's time: hours, minutes and pairs of seconds (4.4.6).
fn time(value: u16) -> String {
    let (hour, minute, second) = (value >> 11, value >> 5 & 63, (value & 31) * 2);
    format!("{hour:02}:{minute:02}:{second:02}")
}

/// MS-DOS's date: years since 1980, month and day (4.4.6).
fn date(value: u16) -> String {
    let (year, month, day) = ((value >> 9) + 1980, value >> 5 & 15, value & 31);
    format!("{year}-{month:02}-{day:02}")
}

/// External attributes: Unix's mode, and MS-DOS's attributes below it.
pub fn attributes(value: u32) -> String {
    match value & 0xffff {
        0 => format!("mode {:06o}", value >> 16),
        low => format!("mode {:06o} and {low:#06x}", value >> 16),
    }
}
