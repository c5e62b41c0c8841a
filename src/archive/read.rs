//! Reads archives of ours and of other people, if they mean the same to every reader.

use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use flate2::{Decompress, FlushDecompress, Status};

use super::format::{DEFLATED, STORED};
use super::path::{EntryName, MemberName};
use super::problem::Problem;
use super::proof::Hashes;
use super::scan::{Scanned, scan};
use super::{BundlePath, Bytes};
use crate::blob::{Blob, Spill};
use crate::digest::{Contents, Crc32};
use crate::progress::{Progress, check_interrupt};

/// An open archive in unambiguous form, whose entries are called as `N` allows.
#[derive(Debug)]
pub struct Archive<N = BundlePath> {
    path: PathBuf,
    blob: Blob,
    entries: Vec<ArchiveEntry<N>>,
}

/// What the central directory says of an entry, checked against its local header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchiveEntry<N = BundlePath> {
    /// The name; a folder's stands here without its slash.
    pub path: N,
    pub is_directory: bool,
    pub method: Method,
    /// The size of the data in the archive.
    pub compressed_size: u64,
    /// The size of the bytes it stands for.
    pub size: u64,
    pub crc32: Crc32,
    /// The general purpose flags (4.4.4).
    pub flags: u16,
    /// Where the local header begins.
    pub offset: u64,
    /// Where the data is.
    pub data: Range<u64>,
    /// The modification time and date as MS-DOS counts them (4.4.6).
    pub time: u16,
    pub date: u16,
    /// The external attributes; the upper half is Unix's mode, or nothing (4.4.15).
    pub attributes: u32,
}

/// How an entry's bytes are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Stored,
    Deflated,
}

/// Why an archive was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot read {path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{path} is refused: {list}", path = path.display(), list = sentences(problems))]
    Refused {
        path: PathBuf,
        /// All of them; never empty.
        problems: Vec<Problem>,
    },
}

/// The first problems, and how many more there are.
fn sentences(problems: &[Problem]) -> String {
    const SHOWN: usize = 5;
    let texts: Vec<String> = problems
        .iter()
        .take(SHOWN)
        .map(Problem::to_string)
        .collect();
    match problems.len().saturating_sub(SHOWN) {
        0 => texts.join("; "),
        more => format!("{}; and {more} more", texts.join("; ")),
    }
}

/// Why an entry could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read {path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot write what {entry} holds: {source}")]
    Write { entry: String, source: io::Error },
    #[error("{entry} has {}; at most {} are taken here", Bytes(*found), Bytes(*limit))]
    TooLarge {
        entry: String,
        limit: u64,
        found: u64,
    },
    #[error(
        "{entry} is damaged: its CRC-32 should be {expected}, its bytes give {found}; copy or download the archive again"
    )]
    Crc {
        entry: String,
        expected: Crc32,
        found: Crc32,
    },
    #[error("{entry} is damaged: it should inflate to {}, but inflates to {found}", Bytes(*expected))]
    Size {
        entry: String,
        expected: u64,
        found: Inflated,
    },
    #[error("{entry} is damaged: its deflated data {reason}")]
    Deflate { entry: String, reason: &'static str },
}

/// How much data turned out to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inflated {
    Exactly(u64),
    /// It was not inflated to its end.
    More,
}

impl std::fmt::Display for Inflated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(size) => Bytes(*size).fmt(f),
            Self::More => f.write_str("more than that"),
        }
    }
}

impl ReadError {
    /// Whether the user asked to stop.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::Interrupted)
    }
}

impl Archive {
    /// Opens a bundle's archive and checks its form: everything but the entries' own bytes.
    ///
    /// # Errors
    /// Fails if the file cannot be read, or with every reason to refuse it.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let unreadable = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let blob = Blob::open(path).map_err(unreadable)?;
        Self::of_blob(path, blob)
    }

    /// Opens an archive that is part of a file, or in memory; `path` is what messages call it.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn of_blob(path: &Path, blob: Blob) -> Result<Self, OpenError> {
        Self::scanned(path, blob)
    }

    /// A reader of single entries of an archive that was not taken as a whole, for a diagnosis.
    pub(super) fn damaged(path: &Path, blob: Blob) -> Self {
        Self {
            path: path.to_owned(),
            blob,
            entries: Vec::new(),
        }
    }
}

impl Archive<MemberName> {
    /// Opens an archive that is read in place and never unpacked, whose entries may be called anything; they must differ
    /// by more than case all the same (PyTorch's reader finds them whatever their case).
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub fn in_place(path: &Path, blob: Blob) -> Result<Self, OpenError> {
        Self::scanned(path, blob)
    }
}

impl<N: EntryName> Archive<N> {
    fn scanned(path: &Path, blob: Blob) -> Result<Self, OpenError> {
        let scan = scan(&blob).map_err(|source| OpenError::Io {
            path: path.to_owned(),
            source,
        })?;
        let entries: Option<Vec<ArchiveEntry<N>>> =
            scan.entries.iter().map(ArchiveEntry::of).collect();
        match entries {
            Some(entries) if scan.problems.is_empty() => Ok(Self {
                path: path.to_owned(),
                blob,
                entries,
            }),
            _ => Err(OpenError::Refused {
                path: path.to_owned(),
                problems: scan.problems,
            }),
        }
    }

    /// Where the archive is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file.
    pub fn size(&self) -> u64 {
        self.blob.size()
    }

    /// The entries, in the order of the central directory.
    pub fn entries(&self) -> &[ArchiveEntry<N>] {
        &self.entries
    }

    /// The file of that name.
    pub fn entry(&self, name: &str) -> Option<&ArchiveEntry<N>> {
        self.entries
            .iter()
            .find(|entry| !entry.is_directory && entry.path.as_str() == name)
    }

    /// Reads an entry of at most `limit` bytes into memory, and checks its CRC.
    ///
    /// # Errors
    /// Fails if the entry is larger, damaged, or cannot be read.
    pub fn read(&self, entry: &ArchiveEntry<N>, limit: u64) -> Result<Vec<u8>, ReadError> {
        if entry.size > limit {
            return Err(ReadError::TooLarge {
                entry: entry.path.to_string(),
                limit,
                found: entry.size,
            });
        }
        let mut bytes = Vec::new();
        // A stored entry has its bytes in the file; what a deflated one claims is believed as it comes true.
        let claim = entry.size.min(entry.compressed_size);
        let room = usize::try_from(claim).unwrap_or(usize::MAX);
        bytes
            .try_reserve_exact(room)
            .map_err(|_| self.unreadable(io::ErrorKind::OutOfMemory.into()))?;
        self.copy_to(entry, &mut bytes, &crate::progress::Silent)?;
        Ok(bytes)
    }

    /// Copies what an entry holds to `out`, in little memory, and checks its size and CRC.
    ///
    /// # Errors
    /// Fails if the entry is damaged, `out` takes no more, or the user asked to stop. `out` has then part of it.
    pub fn copy_to(
        &self,
        entry: &ArchiveEntry<N>,
        out: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<Contents, ReadError> {
        let mut hashes = Hashes::default();
        let mut sink = |bytes: &[u8]| {
            hashes.update(bytes);
            out.write_all(bytes).map_err(|source| ReadError::Write {
                entry: entry.path.to_string(),
                source,
            })
        };
        match entry.method {
            Method::Stored => self.pieces(entry, progress, &mut sink)?,
            Method::Deflated => self.inflate(entry, progress, &mut sink)?,
        }
        check_crc(entry, hashes.finish(entry.size))
    }

    /// Hashes what an entry holds, over all cores where it is stored, and checks its CRC.
    ///
    /// # Errors
    /// Fails if the entry is damaged or cannot be read, or the user asked to stop.
    pub fn contents(
        &self,
        entry: &ArchiveEntry<N>,
        progress: &dyn Progress,
    ) -> Result<Contents, ReadError> {
        match entry.method {
            Method::Deflated => self.copy_to(entry, &mut io::sink(), progress),
            Method::Stored => check_crc(entry, self.hash(entry, progress)?),
        }
    }

    /// Hashes an entry's data as it lies in the file.
    pub(super) fn hash(
        &self,
        entry: &ArchiveEntry<N>,
        progress: &dyn Progress,
    ) -> Result<Contents, ReadError> {
        self.data(entry)
            .and_then(|data| data.contents(&self.path, progress))
            .map_err(|source| self.unreadable(source))
    }

    /// An entry's data as it lies in the file.
    fn data(&self, entry: &ArchiveEntry<N>) -> io::Result<Blob> {
        let data = self.blob.slice(entry.data.clone());
        data.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// What an entry holds, to be read at any position: a stored entry where it lies, its CRC unchecked (see
    /// [`Archive::contents`]), a deflated one inflated and checked.
    ///
    /// # Errors
    /// Fails if the entry is damaged or cannot be read, or the user asked to stop.
    pub fn blob(
        &self,
        entry: &ArchiveEntry<N>,
        progress: &dyn Progress,
    ) -> Result<Blob, ReadError> {
        if entry.method == Method::Stored {
            return self.data(entry).map_err(|source| self.unreadable(source));
        }
        let mut spill = Spill::default();
        self.copy_to(entry, &mut spill, progress)?;
        Ok(spill.finish())
    }

    /// Reads an entry's data piece by piece.
    fn pieces(
        &self,
        entry: &ArchiveEntry<N>,
        progress: &dyn Progress,
        take: &mut dyn FnMut(&[u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let Range { mut start, end } = entry.data;
        let mut buffer = vec![0; PIECE.min(usize::try_from(end - start).unwrap_or(PIECE))];
        while start < end {
            check_interrupt(progress).map_err(|source| self.unreadable(source))?;
            let count = usize::try_from(end - start).map_or(PIECE, |left| left.min(PIECE));
            let piece = buffer.get_mut(..count).unwrap_or_default();
            self.blob
                .read_exact_at(piece, start)
                .map_err(|source| self.unreadable(source))?;
            progress.advance(&self.path, count as u64);
            take(piece)?;
            start += count as u64;
        }
        Ok(())
    }

    /// Inflates an entry's data, which must be one deflate stream of the claimed size and nothing else.
    fn inflate(
        &self,
        entry: &ArchiveEntry<N>,
        progress: &dyn Progress,
        take: &mut dyn FnMut(&[u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let damaged = |reason| ReadError::Deflate {
            entry: entry.path.to_string(),
            reason,
        };
        let wrong_size = |found| ReadError::Size {
            entry: entry.path.to_string(),
            expected: entry.size,
            found,
        };
        let mut inflater = Decompress::new(false);
        let mut output = vec![0; PIECE];
        let mut ended = false;
        self.pieces(entry, progress, &mut |mut input| {
            while !input.is_empty() {
                if ended {
                    return Err(damaged("is followed by other bytes"));
                }
                let (taken, made) = (inflater.total_in(), inflater.total_out());
                let status = inflater
                    .decompress(input, &mut output, FlushDecompress::None)
                    .map_err(|_| damaged("is no deflate stream"))?;
                let taken = (inflater.total_in() - taken) as usize;
                let made = (inflater.total_out() - made) as usize;
                if inflater.total_out() > entry.size {
                    return Err(wrong_size(Inflated::More));
                }
                take(output.get(..made).unwrap_or_default())?;
                input = input.get(taken..).unwrap_or_default();
                ended = status == Status::StreamEnd;
                if taken == 0 && made == 0 && !ended {
                    return Err(damaged("makes no progress"));
                }
            }
            Ok(())
        })?;
        while !ended {
            // All input is in; what the window still holds comes out now, or the stream was cut short.
            let made = inflater.total_out();
            let status = inflater
                .decompress(&[], &mut output, FlushDecompress::Finish)
                .map_err(|_| damaged("is no deflate stream"))?;
            let made = (inflater.total_out() - made) as usize;
            if inflater.total_out() > entry.size {
                return Err(wrong_size(Inflated::More));
            }
            take(output.get(..made).unwrap_or_default())?;
            ended = status == Status::StreamEnd;
            if made == 0 && !ended {
                return Err(damaged("has no end"));
            }
        }
        match inflater.total_out() {
            size if size == entry.size => Ok(()),
            size => Err(wrong_size(Inflated::Exactly(size))),
        }
    }

    fn unreadable(&self, source: io::Error) -> ReadError {
        ReadError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

/// Bytes read, and inflated, at a time.
const PIECE: usize = 256 << 10;

fn check_crc<N: EntryName>(
    entry: &ArchiveEntry<N>,
    found: Contents,
) -> Result<Contents, ReadError> {
    if found.crc32 == entry.crc32 {
        return Ok(found);
    }
    Err(ReadError::Crc {
        entry: entry.path.to_string(),
        expected: entry.crc32,
        found: found.crc32,
    })
}

impl<N: EntryName> ArchiveEntry<N> {
    /// `None` for what a scan found problems with.
    pub(super) fn of(scanned: &Scanned<N>) -> Option<Self> {
        Some(Self {
            path: scanned.path.clone()?,
            is_directory: scanned.is_directory,
            method: match scanned.central.method {
                STORED => Method::Stored,
                DEFLATED => Method::Deflated,
                _ => return None,
            },
            compressed_size: scanned.compressed,
            size: scanned.size,
            crc32: Crc32(scanned.central.crc32),
            flags: scanned.central.flags,
            offset: scanned.offset,
            data: scanned.data.clone()?,
            time: scanned.central.time,
            date: scanned.central.date,
            attributes: scanned.external,
        })
    }
}
