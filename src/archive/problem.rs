//! What can be wrong with an archive, whoever made it: why every reader refuses it.

use std::fmt;

use serde::Serialize;

use super::Bytes;
use super::path::{Collision, NameFault};

/// One reason to refuse an archive. Entry names are as the archive has them, escaped where they are not text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Problem {
    #[error(
        "there is no whole end of central directory record: this is no ZIP, or it was cut short or has much \
         appended to it; copy or download it again"
    )]
    NoEndRecord,
    #[error("{} after the end of the archive, at offset {offset}", Bytes(*bytes))]
    TrailingBytes { offset: u64, bytes: u64 },
    #[error(
        "the archive begins only after {}: something stands before it, or this is the tail of another archive \
         that was cut short",
        Bytes(*bytes)
    )]
    LeadingBytes { bytes: u64 },
    #[error(
        "there are end records at offsets {first} and {second}: readers differ in which they take"
    )]
    SeveralEndRecords { first: u64, second: u64 },
    #[error("the archive says that it is spread over several disks")]
    SeveralDisks,
    #[error("the end records disagree on the {field}: {expected} and {found}")]
    EndRecordsDisagree {
        field: &'static str,
        expected: u64,
        found: u64,
    },
    #[error("the ZIP64 end record is damaged: {reason}")]
    Zip64End { reason: &'static str },
    #[error(
        "the central directory should end at offset {expected}, where the end record begins, but ends at {found}"
    )]
    DirectoryMisplaced { expected: u64, found: u64 },
    #[error("the central directory has {}; this reader takes {}", Bytes(*found), Bytes(*expected))]
    DirectoryTooLarge { expected: u64, found: u64 },
    #[error("the central directory is damaged at offset {offset}, after {entries} entries")]
    DirectoryDamaged { offset: u64, entries: u64 },
    #[error("the end record counts {expected} entries, the central directory holds {found}")]
    EntryCount { expected: u64, found: u64 },

    #[error("the entry name \"{entry}\" {reason}")]
    Name { entry: String, reason: NameFault },
    #[error(transparent)]
    Names(Collision),
    #[error(
        "{entry}: there is no local header at offset {offset}, where the central directory says it is"
    )]
    NoLocalHeader { entry: String, offset: u64 },
    #[error(
        "{entry}: the headers disagree on the {field}: {found} in the local header, {expected} in the central directory"
    )]
    HeadersDisagree {
        entry: String,
        field: &'static str,
        expected: String,
        found: String,
    },
    #[error(
        "{entry}: the data descriptor at offset {offset} is missing or disagrees with the central directory"
    )]
    Descriptor { entry: String, offset: u64 },
    #[error("{first} and {second} overlap at offset {offset}")]
    Overlap {
        first: String,
        second: String,
        offset: u64,
    },
    #[error("no entry owns the {} at offset {offset}", Bytes(*bytes))]
    Uncovered { offset: u64, bytes: u64 },
    #[error("{entry} claims {}, but the file has only {} for it", Bytes(*expected), Bytes(*found))]
    BeyondEnd {
        entry: String,
        expected: u64,
        found: u64,
    },
    #[error("{entry} is encrypted")]
    Encrypted { entry: String },
    #[error("{entry}: the compression method {method} is not one of 0 (stored) and 8 (deflated)")]
    Method { entry: String, method: u16 },
    #[error("{entry}: the flags {flags:#06x} ask for something that this reader does not know")]
    Flags { entry: String, flags: u16 },
    #[error("{entry} is {what} (mode {mode:06o}); only regular files and folders are taken")]
    Mode {
        entry: String,
        mode: u32,
        what: &'static str,
    },
    #[error("{entry}: the extra field {id:#06x} in the {record} {reason}")]
    ExtraField {
        entry: String,
        record: Record,
        id: u16,
        reason: &'static str,
    },
    #[error("{entry}: the extra fields in the {record} do not add up to their length")]
    ExtraLength { entry: String, record: Record },
    #[error("{entry} is a folder, but holds {}", Bytes(*size))]
    FolderWithData { entry: String, size: u64 },
    #[error("{entry}: {} cannot hold {} of data", Bytes(*compressed), Bytes(*size))]
    ImpossibleSize {
        entry: String,
        compressed: u64,
        size: u64,
    },
    #[error("there are more problems than the {listed} listed")]
    More { listed: usize },
}

/// Which of an entry's two headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    LocalHeader,
    CentralHeader,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LocalHeader => "local header",
            Self::CentralHeader => "central header",
        })
    }
}

/// How many problems are listed: enough for every real archive, a bound for a hostile one.
const MOST: usize = 1000;

/// Collects problems.
#[derive(Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        match self.0.len() {
            MOST => self.0.push(Problem::More { listed: MOST }),
            n if n < MOST => self.0.push(problem),
            _ => {}
        }
    }

    pub fn into_vec(self) -> Vec<Problem> {
        self.0
    }
}

/// A raw name for a message: text as it is, anything else escaped, and not without end.
pub fn show_name(name: &[u8]) -> String {
    const LONGEST: usize = 200;
    let (shown, rest) = name.split_at_checked(LONGEST).unwrap_or((name, &[]));
    let text = match std::str::from_utf8(shown) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => shown.escape_ascii().to_string(),
    };
    if rest.is_empty() {
        text
    } else {
        format!("{text}...")
    }
}
