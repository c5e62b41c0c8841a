//! The archive: how a bundle's bytes are laid out in a ZIP, written, read back and proved.
//!
//! ZIP is read as PKWARE's APPNOTE 6.3.10 defines it; section numbers in this module are that document's.
//! [`layout`] is pure and says what every byte of a canonical archive is; [`write()`] and [`verify()`] follow it.
//! [`Archive`] reads canonical archives and other people's, and refuses what two readers could see differently.

use crate::digest::Contents;

mod diagnose;
mod difference;
mod format;
pub mod layout;
mod path;
mod pipeline;
mod problem;
mod proof;
mod read;
mod scan;
mod unpack;
mod verify;
mod write;

pub use difference::Difference;
pub use layout::{Layout, LayoutError, Placed};
pub use path::{
    BadName, BundlePath, Collision, CollisionKind, EntryName, MemberName, NameFault, collisions,
};
pub use pipeline::{sha256_blob, sha256_file};
pub use problem::{Problem, Record};
pub use read::{Archive, ArchiveEntry, Inflated, Method, OpenError, ReadError};
pub use unpack::{UnpackError, unpack};
pub use verify::{VerifyError, differs_only_by_line_endings, to_lf, verify, verify_foreign};
pub use write::{Changed, Found, Source, WriteError, Written, write};

/// One file of an archive: its name and what its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub path: BundlePath,
    pub contents: Contents,
}

/// Brings entries into the order in which a canonical archive holds them: `config.yml`, `bundle.lock`,
/// `config_tracker.yml`, then the folders `metadata`, `models` and `tests`, then anything else; by bytes within.
pub fn canonical_order(entries: &mut [Entry]) {
    entries.sort_by(|a, b| rank(&a.path).cmp(&rank(&b.path)));
}

/// Where a name stands in the canonical order.
pub fn rank(path: &BundlePath) -> (usize, &str) {
    const FILES: [&str; 3] = ["config.yml", "bundle.lock", "config_tracker.yml"];
    const FOLDERS: [&str; 3] = ["metadata", "models", "tests"];
    let name = path.as_str();
    let file = FILES.iter().position(|file| *file == name);
    let folder = || {
        let (first, _) = name.split_once('/')?;
        FOLDERS.iter().position(|folder| *folder == first)
    };
    let group = file
        .or_else(|| folder().map(|index| FILES.len() + index))
        .unwrap_or(FILES.len() + FOLDERS.len());
    (group, name)
}

/// A number as people read it: `1 byte`, `12 bytes`.
struct Bytes(u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            1 => f.write_str("1 byte"),
            n => write!(f, "{n} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_comes_first_and_strangers_last() {
        let names = [
            "zebra",
            "tests/a",
            "models/b",
            "models/B",
            "models2/a",
            "metadata/x.json",
            "config_tracker.yml",
            "bundle.lock",
            "config.yml",
            "models/b/c",
            "a",
        ];
        let mut entries: Vec<_> = names
            .iter()
            .map(|name| Entry {
                path: BundlePath::new(name).unwrap(),
                contents: Contents::of(b""),
            })
            .collect();
        canonical_order(&mut entries);
        let sorted: Vec<_> = entries.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(
            sorted,
            [
                "config.yml",
                "bundle.lock",
                "config_tracker.yml",
                "metadata/x.json",
                "models/B",
                "models/b",
                "models/b/c",
                "tests/a",
                "a",
                "models2/a",
                "zebra",
            ]
        );
    }
}
