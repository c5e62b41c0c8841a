//! What the archive tests share: sample entries, archives on disk, and an assembler of ZIPs good and bad.

use std::fs::File;
use std::path::{Path, PathBuf};

use model_bundle::archive::{BundlePath, Entry, Source, Written, write};
use model_bundle::digest::Contents;
use model_bundle::progress::Silent;

pub fn path(name: &str) -> BundlePath {
    BundlePath::new(name).unwrap()
}

pub fn entry(name: &str, bytes: &[u8]) -> Entry {
    Entry {
        path: path(name),
        contents: Contents::of(bytes),
    }
}

/// Files by name: what a test wants in an archive.
pub type Files = Vec<(String, Vec<u8>)>;

pub fn files(list: &[(&str, &[u8])]) -> Files {
    list.iter()
        .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec()))
        .collect()
}

/// A small bundle with a file of every kind, an empty one and a name that is not ASCII among them.
pub fn sample() -> Files {
    files(&[
        ("config.yml", b"bf_focus:\n  model_path: models/a.pth\n"),
        ("bundle.lock", b"version = 1\n"),
        ("config_tracker.yml", b"TrackerConfig: {}\n"),
        ("metadata/a.json", b"{\n  \"original_name\": \"a\"\n}\n"),
        ("models/a.pth", &[0x80, 2, b'.', 0, 0xff, 0x10, 7]),
        (
            "models/\u{fc}.pth",
            b"PK\x05\x06 inside the data is nobody's end record",
        ),
        ("tests/bf_focus/input.npy", b""),
    ])
}

pub fn entries(files: &Files) -> Vec<Entry> {
    files
        .iter()
        .map(|(name, bytes)| entry(name, bytes))
        .collect()
}

/// Writes the canonical archive of `files`.
pub fn build(at: &Path, files: &Files) -> Written {
    let sources: Vec<(Entry, Source)> = files
        .iter()
        .map(|(name, bytes)| (entry(name, bytes), Source::Bytes(bytes.clone())))
        .collect();
    write(&mut File::create(at).unwrap(), &sources, &Silent).unwrap()
}

/// A temporary folder and the path of an archive in it.
pub fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let zip = folder.path().join("bundle.zip");
    (folder, zip)
}
