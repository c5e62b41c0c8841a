//! Proves that a file is the archive that its entries imply, or says everything that differs.
//!
//! Headers and directory are compared byte for byte with the [`Layout`], every entry's bytes are hashed: if all
//! agree, the file is the canonical archive, bit for bit. If not, the strict reader walks it to say why.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::diagnose::{Diagnosis, content_difference};
use super::difference::Difference;
use super::layout::{Layout, LayoutError};
use super::scan::scan;
use super::{BundlePath, Entry};
use crate::blob::Blob;
use crate::digest::Contents;
use crate::progress::Progress;

/// Why nothing can be said of an archive.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("the entries to compare with make no archive: {0}")]
    Layout(#[from] LayoutError),
    #[error("cannot read {path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
}

impl VerifyError {
    /// Whether the user asked to stop.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::Interrupted)
    }
}

/// Compares the file with the canonical archive of `expected`, reading it once, over all cores.
///
/// `known` holds the bytes of entries that the caller has at hand: with them a difference of line endings alone
/// is told apart. An empty result is a proof; otherwise every difference is listed.
///
/// # Errors
/// Fails if the file cannot be read, if no archive of `expected` exists, or if the user asked to stop.
pub fn verify(
    path: &Path,
    expected: &[Entry],
    known: &HashMap<BundlePath, Vec<u8>>,
    progress: &dyn Progress,
) -> Result<Vec<Difference>, VerifyError> {
    let layout = Layout::new(expected)?;
    let canonical = Canonical {
        path,
        layout: &layout,
        known,
        progress,
    };
    canonical.compare().map_err(|source| VerifyError::Io {
        path: path.to_owned(),
        source,
    })
}

/// Compares an archive that others made with the entries it should hold: their names and what they hold.
///
/// How they are packed is not compared: that the file is the same is its SHA-256's to say (see
/// [`super::sha256_file`]).
///
/// # Errors
/// Fails if the file cannot be read, or if the user asked to stop.
pub fn verify_foreign(
    path: &Path,
    expected: &[Entry],
    progress: &dyn Progress,
) -> Result<Vec<Difference>, VerifyError> {
    let unreadable = |source| VerifyError::Io {
        path: path.to_owned(),
        source,
    };
    let blob = Blob::open(path).map_err(unreadable)?;
    let scan = scan(&blob).map_err(unreadable)?;
    let wanted: Vec<(&BundlePath, Contents)> = expected
        .iter()
        .map(|entry| (&entry.path, entry.contents))
        .collect();
    let mut diagnosis = Diagnosis::new(path, blob, scan, None, progress);
    diagnosis.entries(&wanted).map_err(unreadable)?;
    Ok(diagnosis.differences)
}

/// Whether two texts differ, and only in LF and CRLF.
pub fn differs_only_by_line_endings(a: &[u8], b: &[u8]) -> bool {
    a != b && to_lf(a) == to_lf(b)
}

/// The text with every CRLF as LF.
pub fn to_lf(text: &[u8]) -> Vec<u8> {
    let mut lf = Vec::with_capacity(text.len());
    for (index, byte) in text.iter().enumerate() {
        if !(*byte == b'\r' && text.get(index + 1) == Some(&b'\n')) {
            lf.push(*byte);
        }
    }
    lf
}

/// A file, and the layout it should have.
struct Canonical<'a> {
    path: &'a Path,
    layout: &'a Layout,
    known: &'a HashMap<BundlePath, Vec<u8>>,
    progress: &'a dyn Progress,
}

impl Canonical<'_> {
    fn compare(&self) -> io::Result<Vec<Difference>> {
        let blob = Blob::open(self.path)?;
        match self.first_foreign_byte(&blob)? {
            None => self.contents(&blob),
            Some(offset) => self.diagnose(blob, offset),
        }
    }

    /// Where the file first differs from the layout, entries' own bytes apart.
    fn first_foreign_byte(&self, blob: &Blob) -> io::Result<Option<u64>> {
        let size = blob.size();
        let headers = self
            .layout
            .entries()
            .iter()
            .map(|placed| (placed.offset, placed.header.as_slice()));
        let tail = (self.layout.directory_offset(), self.layout.tail());
        let mut found = Vec::new();
        for (offset, bytes) in headers.chain([tail]) {
            let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
            found.resize(bytes.len().min(left), 0);
            blob.read_exact_at(&mut found, offset)?;
            if found != bytes {
                let same = found.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                return Ok(Some(offset + same as u64));
            }
        }
        Ok((size > self.layout.size()).then(|| self.layout.size()))
    }

    /// Hashes every entry where the layout says it is.
    fn contents(&self, blob: &Blob) -> io::Result<Vec<Difference>> {
        let differences: Vec<Option<Difference>> = self
            .layout
            .entries()
            .par_iter()
            .map(|placed| {
                let data = blob.slice(placed.data.clone());
                let data = data.ok_or(io::ErrorKind::UnexpectedEof)?;
                let found = data.contents(self.path, self.progress)?;
                let Entry { path, contents } = &placed.entry;
                if found == *contents {
                    return Ok(None);
                }
                let bytes = || {
                    let known = self.known.get(path)?;
                    let mut bytes = vec![0; known.len()];
                    (found.size == known.len() as u64).then_some(())?;
                    data.read_exact_at(&mut bytes, 0).ok()?;
                    Some(differs_only_by_line_endings(known, &bytes))
                };
                Ok(Some(content_difference(path, contents, &found, bytes)))
            })
            .collect::<io::Result<_>>()?;
        Ok(differences.into_iter().flatten().collect())
    }

    /// Says why the file is not laid out as it should be.
    fn diagnose(&self, blob: Blob, offset: u64) -> io::Result<Vec<Difference>> {
        let scan = scan(&blob)?;
        let placed = self.layout.entries();
        let wanted: Vec<(&BundlePath, Contents)> = placed
            .iter()
            .map(|placed| (&placed.entry.path, placed.entry.contents))
            .collect();
        let mut diagnosis = Diagnosis::new(self.path, blob, scan, Some(self.known), self.progress);
        diagnosis.entries(&wanted)?;
        diagnosis.order(placed);
        diagnosis.headers(self.layout);
        diagnosis.whole(self.layout);
        if diagnosis.differences.is_empty() {
            diagnosis.differences.push(Difference::Bytes { offset });
        }
        Ok(diagnosis.differences)
    }
}
