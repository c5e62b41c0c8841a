//! What made an output, kept in a hidden folder beside it, so that a later run can tell what is done already.
//!
//! A record holds a digest of everything that decides the output (the weights and their metadata, every argument, the
//! version of this program, the input's size and time) and the output's own size and time. An output counts as done
//! only if all of it is as recorded; anything else is done again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::atomic::{self, folder_of};
use crate::cache::Stamp;
use crate::digest::Digest;

/// The folder of records, beside the outputs.
const FOLDER: &str = ".bundle-run";

/// A larger file is no record.
const MAX_RECORD: u64 = 1 << 16;

/// What made an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Of all that decides the output.
    made_from: Digest,
    /// The output's size, in bytes, and when it was written, in nanoseconds since 1970.
    size: u64,
    modified: String,
}

/// Collects what decides an output.
#[derive(Clone, Debug)]
pub struct Recipe(blake3::Hasher);

impl Recipe {
    /// What is the same for all files of a run: the model and the arguments.
    pub fn new(parts: &[&str]) -> Self {
        let mut recipe = Self(blake3::Hasher::new());
        recipe.add(env!("CARGO_PKG_VERSION"));
        for part in parts {
            recipe.add(part);
        }
        recipe
    }

    fn add(&mut self, part: &str) {
        // The length in front, so that no two lists of parts have one digest.
        self.0.update(&(part.len() as u64).to_le_bytes());
        self.0.update(part.as_bytes());
    }

    /// With the files of one job, by their sizes and times.
    ///
    /// # Errors
    /// Fails if one of them is not there.
    pub fn of_files<'a>(&self, files: impl IntoIterator<Item = &'a Path>) -> io::Result<Digest> {
        let mut recipe = self.clone();
        for file in files {
            let stamp = Stamp::of(file)?;
            recipe.add(&format!("{} {}", stamp.size, stamp.modified));
        }
        Ok(Digest::finish(&recipe.0))
    }
}

impl Record {
    /// Whether `output` is what a run with this recipe made, and unchanged since.
    pub fn proves(output: &Path, made_from: Digest) -> bool {
        Self::read(output)
            .is_some_and(|record| Self::of(output, made_from).is_ok_and(|found| found == record))
    }

    /// Notes that `output` was made so.
    ///
    /// # Errors
    /// Fails if the disk does.
    pub fn write(output: &Path, made_from: Digest) -> io::Result<()> {
        let record = Self::of(output, made_from)?;
        let path = path_of(output);
        fs::create_dir_all(folder_of(&path))?;
        atomic::write(&path, serde_json::to_string_pretty(&record)?.as_bytes())
    }

    /// Forgets how `output` was made: it is about to be made again.
    pub fn forget(output: &Path) {
        // A record that stays proves nothing of other bytes.
        let _ = fs::remove_file(path_of(output));
    }

    fn of(output: &Path, made_from: Digest) -> io::Result<Self> {
        let stamp = Stamp::of(output)?;
        Ok(Self {
            made_from,
            size: stamp.size,
            modified: stamp.modified.to_string(),
        })
    }

    fn read(output: &Path) -> Option<Self> {
        let bytes = crate::digest::read_at_most(&path_of(output), MAX_RECORD).ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

fn path_of(output: &Path) -> PathBuf {
    let mut name = output.file_name().unwrap_or_default().to_owned();
    name.push(".json");
    folder_of(output).join(FOLDER).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_is_done_only_if_nothing_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (input, output) = (folder.path().join("a.tif"), folder.path().join("b.tif"));
        fs::write(&input, b"input").unwrap();
        fs::write(&output, b"output").unwrap();
        let recipe = Recipe::new(&["weights", "arguments"]);
        let made_from = recipe.of_files([input.as_path()]).unwrap();
        assert!(!Record::proves(&output, made_from));
        Record::write(&output, made_from).unwrap();
        assert!(Record::proves(&output, made_from));

        let other = Recipe::new(&["weightsa", "rguments"]);
        assert!(!Record::proves(
            &output,
            other.of_files([input.as_path()]).unwrap()
        ));
        fs::write(&input, b"longer input").unwrap();
        assert!(!Record::proves(
            &output,
            recipe.of_files([input.as_path()]).unwrap()
        ));
        fs::write(&output, b"cut").unwrap();
        assert!(!Record::proves(&output, made_from));
        Record::write(&output, made_from).unwrap();
        fs::write(path_of(&output), b"{}").unwrap();
        assert!(!Record::proves(&output, made_from));
        Record::write(&output, made_from).unwrap();
        Record::forget(&output);
        assert!(!Record::proves(&output, made_from));
    }
}
