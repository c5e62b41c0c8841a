//! Why an archive is not what it should be: everything that differs, from what the strict reader saw.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use rayon::prelude::*;

use super::BundlePath;
use super::difference::{Difference, FieldDifference, attributes, compare_common, version};
use super::format::{Central, Cursor, local_header};
use super::layout::{Layout, Placed};
use super::problem::Record;
use super::read::{Archive, ArchiveEntry, Method, ReadError};
use super::scan::{Scan, Scanned};
use super::verify::differs_only_by_line_endings;
use crate::blob::Blob;
use crate::digest::{Contents, Crc32};
use crate::progress::Progress;

/// The CRC of an entry that is as expected but for what its archive's header says, or the content's difference.
pub fn content_difference(
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
        entry: path.to_string(),
        expected,
        found,
    };
    Difference::Unreadable {
        path: path.clone(),
        reason: error.to_string(),
    }
}

/// A scanned archive, on the way to the list of what is wrong with it.
pub struct Diagnosis<'a> {
    archive: Archive,
    scan: Scan,
    /// The first entry of each name.
    by_name: HashMap<BundlePath, usize>,
    known: Option<&'a HashMap<BundlePath, Vec<u8>>>,
    progress: &'a dyn Progress,
    /// Whether the archive should be canonical; if not, only names and contents count.
    canonical: bool,
    pub differences: Vec<Difference>,
}

impl<'a> Diagnosis<'a> {
    pub fn new(
        path: &Path,
        blob: Blob,
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
            archive: Archive::damaged(path, blob),
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
    pub fn entries(&mut self, wanted: &[(&BundlePath, Contents)]) -> io::Result<()> {
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
    pub fn order(&mut self, placed: &[Placed]) {
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
    pub fn headers(&mut self, layout: &Layout) {
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
    pub fn whole(&mut self, layout: &Layout) {
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
