//! The archive as its users meet it: written, read back, proved, and laid out the same for good.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;

use model_bundle::archive::{
    Archive, Entry, Layout, Source, WriteError, sha256_file, verify, write,
};
use model_bundle::digest::Contents;
use model_bundle::progress::Silent;

use crate::archive_kit::{build, entries, entry, files, folder, sample};

#[test]
fn an_archive_is_written_read_back_and_proved() {
    let (_folder, zip) = folder();
    let files = sample();
    let written = build(&zip, &files);
    assert_eq!(written.size, fs::metadata(&zip).unwrap().len());
    assert_eq!(written.sha256, sha256_file(&zip, &Silent).unwrap());

    let known = HashMap::new();
    let differences = verify(&zip, &entries(&files), &known, &Silent).unwrap();
    assert_eq!(differences, []);

    let archive = Archive::open(&zip).unwrap();
    assert_eq!(archive.entries().len(), files.len());
    for (name, bytes) in &files {
        let entry = archive.entry(name).unwrap();
        assert_eq!(archive.read(entry, 100).unwrap(), *bytes);
        assert_eq!(
            archive.contents(entry, &Silent).unwrap(),
            Contents::of(bytes)
        );
    }
}
