//! Proves that a file is the archive that its entries imply, or says everything that differs.
//!
//! Headers and directory are compared byte for byte with the [`Layout`], every entry's bytes are hashed: if all
//! agree, the file is the canonical archive, bit for bit. If not, the strict reader walks it to say why.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::difference::{Difference, FieldDifference, attributes, compare_common, version};
use super::format::{Central, Cursor, local_header};
use super::layout::{Layout, LayoutError, Placed};
use super::problem::Record;
use super::read::{Archive, ArchiveEntry, Method, ReadError};
use super::scan::{Scan, Scanned, scan};
use super::{BundlePath, Entry};
use crate::digest::{Contents, Crc32, hash_range, read_exact_at};
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
    let file = File::open(path).map_err(unreadable)?;
    let scan = scan(&file).map_err(unreadable)?;
    let wanted: Vec<(&BundlePath, Contents)> = expected
        .iter()
        .map(|entry| (&entry.path, entry.contents))
        .collect();
    let mut diagnosis = Diagnosis::new(path, file, scan, None, progress);
    diagnosis.entries(&wanted).map_err(unreadable)?;
    Ok(diagnosis.differences)
}

/// Whether two texts differ, and only in LF and CRLF.
pub fn differs_only_by_line_endings(a: &[u8], b: &[u8]) -> bool {
    let unix = |text: &[u8]| {
        let mut out = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some((first, after)) = rest.split_first() {
            if !(*first == b'\r' && after.first() == Some(&b'\n')) {
                out.push(*first);
            }
            rest = after;
        }
        out
    };
    a != b && unix(a) == unix(b)
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
        let file = File::open(self.path)?;
        match self.first_foreign_byte(&file)? {
            None => self.contents(&file),
            Some(offset) => self.diagnose(file, offset),
        }
    }

    /// Where the file first differs from the layout, entries' own bytes apart.
    fn first_foreign_byte(&self, file: &File) -> io::Result<Option<u64>> {
        let size = file.metadata()?.len();
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
            read_exact_at(file, &mut found, offset)?;
            if found != bytes {
                let same = found.iter().zip(bytes).take_while(|(a, b)| a == b).count();
                return Ok(Some(offset + same as u64));
            }
        }
        Ok((size > self.layout.size()).then(|| self.layout.size()))
    }

    /// Hashes every entry where the layout says it is.
    fn contents(&self, file: &File) -> io::Result<Vec<Difference>> {
        let differences: Vec<Option<Difference>> = self
            .layout
            .entries()
            .par_iter()
            .map(|placed| {
                let found = hash_range(file, placed.data.clone(), self.path, self.progress)?;
                let Entry { path, contents } = &placed.entry;
                if found == *contents {
                    return Ok(None);
                }
                let bytes = || {
                    let known = self.known.get(path)?;
                    let mut bytes = vec![0; known.len()];
                    (found.size == known.len() as u64).then_some(())?;
                    read_exact_at(file, &mut bytes, placed.data.start).ok()?;
                    Some(differs_only_by_line_endings(known, &bytes))
                };
                Ok(Some(content_difference(path, contents, &found, bytes)))
            })
            .collect::<io::Result<_>>()?;
        Ok(differences.into_iter().flatten().collect())
    }

    /// Says why the file is not laid out as it should be.
    fn diagnose(&self, file: File, offset: u64) -> io::Result<Vec<Difference>> {
        let scan = scan(&file)?;
        let placed = self.layout.entries();
        let wanted: Vec<(&BundlePath, Contents)> = placed
            .iter()
            .map(|placed| (&placed.entry.path, placed.entry.contents))
            .collect();
        let mut diagnosis = Diagnosis::new(self.path, file, scan, Some(self.known), self.progress);
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

/// The CRC of an entry that is as expected but for what its archive's header says, or the content's difference.
fn content_difference(
    path: &BundlePath,
    expected: &Contents,
    found: &Contents,
    line_endings: impl FnOnce() -> Option<bool>,
) -> Difference {
    if expected.blake3 == found.blake3 {
        return wrong_crc(path, expected.crc32, found.crc32);
    }
    Difference::Content {
        path: path.clone(),
        expected: expected.blake3,
        found: found.blake3,
        line_endings: line_endings().unwrap_or(false),
    }
}

fn wrong_crc(path: &BundlePath, expected: Crc32, found: Crc32) -> Difference {
    let error = ReadError::Crc {
        entry: path.clone(),
        expected,
        found,
    };
    Difference::Unreadable {
        path: path.clone(),
        reason: error.to_string(),
    }
}

/// A scanned archive, on the way to the list of what is wrong with it.
struct Diagnosis<'a> {
    archive: Archive,
    scan: Scan,
    /// The first entry of each name.
    by_name: HashMap<BundlePath, usize>,
    known: Option<&'a HashMap<BundlePath, Vec<u8>>>,
    progress: &'a dyn Progress,
    /// Whether the archive should be canonical; if not, only names and contents count.
    canonical: bool,
    differences: Vec<Difference>,
}

impl<'a> Diagnosis<'a> {
    fn new(
        path: &Path,
        file: File,
        scan: Scan,
        known: Option<&'a HashMap<BundlePath, Vec<u8>>>,
        progress: &'a dyn Progress,
    ) -> Self {
        let mut by_name = HashMap::new();
        for (index, entry) in scan.entries.iter().enumerate() {
            if let Some(path) = entry.path.as_ref().filter(|_| !entry.is_directory) {
                by_name.entry(path.clone()).or_insert(index);
            }
        }
        let differences = scan
            .problems
            .iter()
            .map(|problem| Difference::Structure {
                problem: problem.clone(),
            })
            .collect();
        Self {
            archive: Archive::damaged(path, file, scan.size),
            scan,
            by_name,
            known,
            progress,
            canonical: known.is_some(),
            differences,
        }
    }

    /// The scanned entry of that name.
    fn scanned(&self, path: &BundlePath) -> Option<&Scanned> {
        self.scan.entries.get(*self.by_name.get(path)?)
    }

    /// Compares names and contents. Folders count as extra entries only in a canonical archive.
    fn entries(&mut self, wanted: &[(&BundlePath, Contents)]) -> io::Result<()> {
        if !self.scan.has_directory {
            return Ok(());
        }
        let names: HashSet<&BundlePath> = wanted.iter().map(|(path, _)| *path).collect();
        let extra = self.scan.entries.iter().filter(|entry| match &entry.path {
            _ if entry.is_directory => self.canonical,
            Some(path) => !names.contains(path),
            None => true,
        });
        let mut differences: Vec<Difference> = extra
            .map(|entry| Difference::Extra {
                path: entry.shown.clone(),
            })
            .collect();
        let contents: Vec<Option<Difference>> = wanted
            .par_iter()
            .map(|(path, contents)| match self.scanned(path) {
                None => Ok(Some(Difference::Missing {
                    path: (*path).clone(),
                })),
                Some(scanned) => self.content(path, contents, scanned),
            })
            .collect::<io::Result<_>>()?;
        differences.extend(contents.into_iter().flatten());
        self.differences.append(&mut differences);
        Ok(())
    }

    /// Compares what one entry holds.
    fn content(
        &self,
        path: &BundlePath,
        expected: &Contents,
        scanned: &Scanned,
    ) -> io::Result<Option<Difference>> {
        let Some(entry) = ArchiveEntry::of(scanned) else {
            // Where its bytes are is unknown, and the reason is among the problems.
            return Ok(None);
        };
        if entry.size != expected.size {
            return Ok(Some(Difference::Size {
                path: path.clone(),
                expected: expected.size,
                found: entry.size,
                line_endings: self.line_endings(path, &entry),
            }));
        }
        let found = match entry.method {
            Method::Stored => self.archive.hash(&entry, self.progress),
            Method::Deflated => self.archive.contents(&entry, self.progress),
        };
        match found {
            Ok(found) if found.blake3 != expected.blake3 => {
                Ok(Some(content_difference(path, expected, &found, || {
                    Some(self.line_endings(path, &entry))
                })))
            }
            // In a canonical archive this is a difference of headers.
            Ok(found) if found.crc32 != entry.crc32 && !self.canonical => {
                Ok(Some(wrong_crc(path, entry.crc32, found.crc32)))
            }
            Ok(_) => Ok(None),
            Err(ReadError::Io { source, .. }) => Err(source),
            Err(error) => Ok(Some(Difference::Unreadable {
                path: path.clone(),
                reason: error.to_string(),
            })),
        }
    }

    /// Whether an entry differs from the bytes at hand only by its line endings.
    fn line_endings(&self, path: &BundlePath, entry: &ArchiveEntry) -> bool {
        self.known
            .and_then(|known| known.get(path))
            .is_some_and(|known| {
                // CRLF makes a text at most twice as long.
                let limit = 2 * known.len() as u64;
                let found = self.archive.read(entry, limit);
                found.is_ok_and(|found| differs_only_by_line_endings(known, &found))
            })
    }

    /// Compares the order of the entries that should be there, in the file and in the central directory.
    fn order(&mut self, placed: &[Placed]) {
        let expected: Vec<&BundlePath> = placed
            .iter()
            .map(|placed| &placed.entry.path)
            .filter(|path| self.by_name.contains_key(path))
            .collect();
        let rank: HashMap<&BundlePath, usize> = expected
            .iter()
            .enumerate()
            .map(|(rank, path)| (*path, rank))
            .collect();
        let mut found: Vec<(usize, u64)> = Vec::with_capacity(expected.len());
        for (index, entry) in self.scan.entries.iter().enumerate() {
            let first = |path: &&BundlePath| self.by_name.get(path) == Some(&index);
            let path = entry.path.as_ref().filter(first);
            if let Some(rank) = path.and_then(|path| rank.get(path)) {
                found.push((*rank, entry.offset));
            }
        }
        let in_directory: Vec<usize> = found.iter().map(|(rank, _)| *rank).collect();
        found.sort_by_key(|(_, offset)| *offset);
        let mut in_file: Vec<usize> = found.iter().map(|(rank, _)| *rank).collect();
        if !self.scan.problems.is_empty() {
            // Then the offsets prove nothing, and why is among the problems.
            in_file.clear();
        }
        let wrong = [in_directory, in_file].into_iter().find_map(|order| {
            let at = order
                .iter()
                .enumerate()
                .position(|(nth, rank)| nth != *rank)?;
            Some((at, *expected.get(at)?, *expected.get(*order.get(at)?)?))
        });
        if let Some((at, expected, found)) = wrong {
            let difference = Difference::Order {
                position: at + 1,
                expected: expected.clone(),
                found: found.clone(),
            };
            self.differences.push(difference);
        }
    }

    /// Compares both headers of every entry, field by field.
    fn headers(&mut self, layout: &Layout) {
        let mut differences = Vec::new();
        // Where the contents differ, the CRC does too.
        let changed: HashSet<BundlePath> = self
            .differences
            .iter()
            .filter_map(|difference| match difference {
                Difference::Content { path, .. } | Difference::Size { path, .. } => {
                    Some(path.clone())
                }
                _ => None,
            })
            .collect();
        for placed in layout.entries() {
            let path = &placed.entry.path;
            let Some(scanned) = self.scanned(path) else {
                continue;
            };
            let mut push = |record, (field, expected, found): FieldDifference| {
                differences.push(Difference::Header {
                    path: path.clone(),
                    record,
                    field,
                    expected,
                    found,
                });
            };
            let local = local_header(&placed.header);
            if let (Some(expected), Some((found, extra))) = (&local, &scanned.local) {
                let fields = compare_common(expected, found);
                let extra = extra_difference(expected.extra_length.into(), extra.len());
                let all = fields.into_iter().chain(extra);
                all.for_each(|field| push(Record::LocalHeader, field));
            }
            if let Some(expected) = Central::take(&mut Cursor(layout.central_header(placed))) {
                let all = central_differences(&expected, scanned);
                all.into_iter()
                    .for_each(|field| push(Record::CentralHeader, field));
            }
            let crc = crc_difference(&placed.entry.contents, scanned);
            if let Some(field) = crc.filter(|_| !changed.contains(path)) {
                push(Record::CentralHeader, field);
            }
        }
        self.differences.append(&mut differences);
    }

    /// Compares what belongs to no entry.
    fn whole(&mut self, layout: &Layout) {
        let expected = layout.size();
        if !self.scan.comment.is_empty() {
            self.differences.push(Difference::Comment {
                bytes: self.scan.comment.len() as u64,
            });
        }
        if self.scan.has_directory && self.scan.has_zip64 != layout.has_zip64() {
            self.differences.push(Difference::Zip64End {
                expected: layout.has_zip64(),
            });
        }
        if self.scan.size != expected {
            self.differences.push(Difference::ArchiveSize {
                expected,
                found: self.scan.size,
            });
        }
    }
}

fn central_differences(expected: &Central<'_>, found: &Scanned) -> Vec<FieldDifference> {
    let mut fields = compare_common(&expected.common, &found.central);
    let system = |value: u16| format!("system {}, version {}", value >> 8, version(value));
    let mut check = |field, same: bool, expected: String, found: String| {
        if !same {
            fields.push((field, expected, found));
        }
    };
    check(
        "maker",
        expected.made_by == found.made_by,
        system(expected.made_by),
        system(found.made_by),
    );
    let hex = |value: u16| format!("{value:#06x}");
    check(
        "internal attributes",
        expected.internal == found.internal,
        hex(expected.internal),
        hex(found.internal),
    );
    check(
        "external attributes",
        expected.external == found.external,
        attributes(expected.external),
        attributes(found.external),
    );
    let bytes = |count: usize| super::Bytes(count as u64).to_string();
    check(
        "comment",
        found.comment_length == 0,
        bytes(0),
        bytes(found.comment_length),
    );
    fields.extend(extra_difference(
        expected.extra.len(),
        found.central_extra.len(),
    ));
    fields
}

/// Extra fields differ in length or are ZIP64's, whose values are checked as sizes and offsets.
fn extra_difference(expected: usize, found: usize) -> Option<FieldDifference> {
    let bytes = |count: usize| super::Bytes(count as u64).to_string();
    (expected != found).then(|| ("extra field", bytes(expected), bytes(found)))
}

/// The CRC that the directory has, if it is not the expected one.
fn crc_difference(expected: &Contents, found: &Scanned) -> Option<FieldDifference> {
    let crc = Crc32(found.central.crc32);
    (crc != expected.crc32).then(|| ("CRC-32", expected.crc32.to_string(), crc.to_string()))
}
