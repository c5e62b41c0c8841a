//! Walks an archive's end records, central directory and local headers, and notes everything that two
//! readers could see differently. It believes no number before it has checked it against the file's size.

use std::io;
use std::marker::PhantomData;
use std::ops::Range;

use super::BundlePath;
use super::format::{Central, Common, Cursor};
use super::path::{EntryName, collisions};
use super::problem::{Problem, Problems};
use crate::blob::Blob;
use end::{Directory, EndOfDirectory};

mod central;
mod end;
mod local;

/// What a walk found, of an archive whose entries are called as `N` allows.
pub struct Scan<N = BundlePath> {
    pub entries: Vec<Scanned<N>>,
    pub problems: Vec<Problem>,
    /// Whether there was a central directory to take the entries from.
    pub has_directory: bool,
    /// Whether there is a ZIP64 end record.
    pub has_zip64: bool,
    pub comment: Vec<u8>,
    pub size: u64,
}

/// An entry as the central directory has it, in the directory's order.
#[derive(Clone, Debug)]
pub struct Scanned<N = BundlePath> {
    /// The name, if it is a good one.
    pub path: Option<N>,
    pub raw_name: Vec<u8>,
    /// The name for messages.
    pub shown: String,
    pub is_directory: bool,
    pub made_by: u16,
    pub internal: u16,
    pub external: u32,
    pub central: Common,
    pub central_extra: Vec<u8>,
    pub comment_length: usize,
    pub compressed: u64,
    pub size: u64,
    /// Where the local header is said to be.
    pub offset: u64,
    /// The local header with its extra field, if there is one.
    pub local: Option<(Common, Vec<u8>)>,
    /// Where the data is, if the local header is there and the data lies within the file.
    pub data: Option<Range<u64>>,
}

/// Walks the archive in `blob`.
///
/// # Errors
/// Fails only if the file cannot be read; whatever is in it is a matter of [`Scan::problems`].
pub fn scan<N: EntryName>(blob: &Blob) -> io::Result<Scan<N>> {
    let size = blob.size();
    let mut walk = Walk {
        blob,
        size,
        problems: Problems::default(),
        names: PhantomData,
    };
    let mut entries = Vec::new();
    let mut comment = Vec::new();
    let mut has_directory = false;
    let mut has_zip64 = false;
    if let Some(end) = walk.find_end()? {
        if let Some(directory) = walk.directory(&end)? {
            has_directory = true;
            entries = walk.entries(&directory, &end);
            walk.names(&entries);
            walk.locals(&mut entries, directory.offset)?;
        }
        has_zip64 = end.has_zip64;
        comment = end.comment;
    }
    Ok(Scan {
        entries,
        problems: walk.problems.into_vec(),
        has_directory,
        has_zip64,
        comment,
        size,
    })
}

struct Walk<'a, N> {
    blob: &'a Blob,
    size: u64,
    problems: Problems,
    names: PhantomData<N>,
}

impl<N: EntryName> Walk<'_, N> {
    fn problem(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.blob.read_exact_at(&mut bytes, range.start)?;
        Ok(bytes)
    }

    /// Takes the central directory apart.
    fn entries(&mut self, directory: &Directory, end: &EndOfDirectory) -> Vec<Scanned<N>> {
        let mut from = Cursor(&directory.bytes);
        let mut entries = Vec::new();
        while !from.0.is_empty() {
            let at = directory.offset + (directory.bytes.len() - from.0.len()) as u64;
            let Some(header) = Central::take(&mut from) else {
                self.problem(Problem::DirectoryDamaged {
                    offset: at,
                    entries: entries.len() as u64,
                });
                break;
            };
            entries.push(self.entry(&header));
        }
        if entries.len() as u64 != end.entries {
            self.problem(Problem::EntryCount {
                expected: end.entries,
                found: entries.len() as u64,
            });
        }
        entries
    }

    fn names(&mut self, entries: &[Scanned<N>]) {
        let names: Vec<String> = entries
            .iter()
            .filter_map(|entry| {
                let slash = if entry.is_directory { "/" } else { "" };
                Some(format!("{}{slash}", entry.path.as_ref()?))
            })
            .collect();
        for collision in collisions(names.iter().map(String::as_str)) {
            self.problem(Problem::Names(collision));
        }
    }
}
