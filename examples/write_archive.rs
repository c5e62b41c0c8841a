//! Writes a canonical archive of many small entries, and verifies it: the archive layer without configs and locks.
//!
//! ```sh
//! cargo run --example write_archive -- OUT.zip 70000
//! ```

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;

use model_bundle::archive::{BundlePath, Entry, Source, verify, write};
use model_bundle::digest::Contents;
use model_bundle::progress::Silent;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "usage: write_archive OUT.zip COUNT";
    let out: PathBuf = arguments.next().ok_or(usage)?.into();
    let count = arguments
        .next()
        .and_then(|text| text.to_str()?.parse().ok());
    let count: u32 = count.ok_or(usage)?;

    let mut sources = Vec::new();
    for number in 0..count {
        let bytes = number.to_le_bytes().to_vec();
        let path = BundlePath::new(&format!("tests/{number}"))?;
        let contents = Contents::of(&bytes);
        sources.push((Entry { path, contents }, Source::Bytes(bytes)));
    }
    let written = write(&mut File::create_new(&out)?, &sources, &Silent)?;
    println!(
        "{}: {} bytes, sha256 {}",
        out.display(),
        written.size,
        written.sha256
    );

    let entries: Vec<Entry> = sources.into_iter().map(|(entry, _)| entry).collect();
    let differences = verify(&out, &entries, &HashMap::new(), &Silent)?;
    match differences.first() {
        None => Ok(()),
        Some(difference) => Err(difference.to_string().into()),
    }
}
