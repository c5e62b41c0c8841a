//! The directories (IFDs) of a TIFF or BigTIFF: their entries, and the values of these.
//!
//! Sources: TIFF 6.0, section 2; Adobe's technical note on BigTIFF as libtiff documents it.
//!
//! The `tiff` crate is not used for reading: it takes the first directory for an image or fails, does not say which page
//! and strip is damaged, and knows no ImageJ stacks of one directory.

use std::io;

use super::super::error::Fault;
use crate::blob::Blob;

/// The most entries that a directory has here; private ones of acquisition software included, there are a few dozen.
const MOST_ENTRIES: u64 = 1000;

/// What is read at a time while directories are looked at.
const WINDOW: u64 = 4096;

/// A file of directories.
#[derive(Debug)]
pub(super) struct Directories {
    pub blob: Blob,
    /// Whether numbers have their highest byte first.
    pub big_endian: bool,
    /// Whether positions have 64 bits.
    big: bool,
    /// The bytes that were read last, and where they begin.
    window: (u64, Vec<u8>),
}

/// One directory.
#[derive(Debug)]
pub(super) struct Directory {
    entries: Vec<Entry>,
    /// Where the next begins; 0 after the last.
    pub next: u64,
}

/// An entry, and where its values stand.
#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u16,
    kind: u16,
    count: u64,
    at: u64,
}

impl Entry {
    /// Bytes of one value; `None` for types that nobody knows, whose entries are passed over.
    fn size(&self) -> Option<u64> {
        match self.kind {
            1 | 2 | 6 | 7 => Some(1),
            3 | 8 => Some(2),
            4 | 9 | 11 | 13 => Some(4),
            5 | 10 | 12 | 16 | 17 | 18 => Some(8),
            _ => None,
        }
    }
}

impl Directories {
    /// Reads the header; returns where the first directory begins.
    pub fn open(blob: Blob) -> Result<(Self, u64), Fault> {
        let mut file = Self {
            big_endian: false,
            big: false,
            window: (0, Vec::new()),
            blob,
        };
        let short = |found: &[u8]| {
            Fault::damaged(
                "its header",
                "the header of a TIFF",
                format!("{found:02x?}"),
            )
        };
        let head = file.bytes(0, 8.min(file.blob.size()))?.to_vec();
        file.big_endian = head.starts_with(b"MM");
        let [_, _, version @ .., _, _, _, _] = &head[..] else {
            return Err(short(&head));
        };
        file.big = file.number(version) == 43;
        if !file.big {
            let first = file.number_at(4, 4)?;
            return Ok((file, first));
        }
        // The size of positions, and two bytes of 0.
        if [file.number_at(4, 2)?, file.number_at(6, 2)?] != [8, 0] || file.blob.size() < 16 {
            return Err(short(&head));
        }
        let first = file.number_at(8, 8)?;
        Ok((file, first))
    }

    /// The directory that begins at a position.
    pub fn directory(&mut self, at: u64, place: &str) -> Result<Directory, Fault> {
        self.entries(at).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                let found = format!("a file of {} bytes", self.blob.size());
                Fault::damaged(place, format!("its directory at byte {at}"), found)
            }
            io::ErrorKind::InvalidData => {
                let expected =
                    format!("a directory of at most {MOST_ENTRIES} entries at byte {at}");
                Fault::damaged(place, expected, error.to_string())
            }
            _ => Fault::Io(error),
        })
    }

    fn entries(&mut self, at: u64) -> io::Result<Directory> {
        let (head, width, inline) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let count = self.number_at(at, head)?;
        if count == 0 || count > MOST_ENTRIES {
            let found = format!("{count} entries");
            return Err(io::Error::new(io::ErrorKind::InvalidData, found));
        }
        let first = at + head;
        let bytes = self.bytes(first, count * width + inline)?.to_vec();
        let (list, next) = bytes.split_at((count * width) as usize);
        let mut entries = Vec::with_capacity(count as usize);
        for (index, bytes) in list.chunks_exact(width as usize).enumerate() {
            let (head, value) = bytes.split_at((width - inline) as usize);
            let mut entry = Entry {
                tag: self.number(&head[..2]) as u16,
                kind: self.number(&head[2..4]) as u16,
                count: self.number(&head[4..]),
                at: first + (index as u64 + 1) * width - inline,
            };
            let Some(size) = entry.size() else {
                continue;
            };
            if entry.count.saturating_mul(size) > inline {
                entry.at = self.number(value);
            }
            entries.push(entry);
        }
        Ok(Directory {
            entries,
            next: self.number(next),
        })
    }

    /// The bytes at a position.
    fn bytes(&mut self, at: u64, size: u64) -> io::Result<&[u8]> {
        let end = at.checked_add(size).filter(|end| *end <= self.blob.size());
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (start, bytes) = &self.window;
        if at < *start || end > start + bytes.len() as u64 {
            let size = size.max(WINDOW.min(self.blob.size() - at));
            let mut bytes = std::mem::take(&mut self.window.1);
            bytes.resize(size as usize, 0);
            self.blob.read_exact_at(&mut bytes, at)?;
            self.window = (at, bytes);
        }
        let from = (at - self.window.0) as usize;
        Ok(&self.window.1[from..from + size as usize])
    }

    /// An unsigned number of at most eight bytes.
    fn number(&self, bytes: &[u8]) -> u64 {
        let add = |number: u64, byte: &u8| (number << 8) | u64::from(*byte);
        match self.big_endian {
            true => bytes.iter().fold(0, add),
            false => bytes.iter().rev().fold(0, add),
        }
    }

    fn number_at(&mut self, at: u64, size: u64) -> io::Result<u64> {
        let bytes = self.bytes(at, size)?.to_vec();
        Ok(self.number(&bytes))
    }

    /// The bytes of an entry's values, and the size of each; `None` if there is no such entry.
    fn values(
        &mut self,
        directory: &Directory,
        tag: u16,
        place: &str,
    ) -> Result<Option<(Vec<u8>, Entry)>, Fault> {
        let entry = directory.entries.iter().find(|entry| entry.tag == tag);
        let Some((entry, size)) = entry.and_then(|entry| Some((*entry, entry.size()?))) else {
            return Ok(None);
        };
        let size = entry.count.saturating_mul(size);
        let bytes = match self.bytes(entry.at, size) {
            Ok(bytes) => bytes.to_vec(),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                let expected = format!("{size} bytes of tag {tag} at byte {}", entry.at);
                let found = format!("a file of {} bytes", self.blob.size());
                return Err(Fault::damaged(place, expected, found));
            }
            Err(error) => return Err(error.into()),
        };
        // A long list is not worth keeping: the next directory stands elsewhere.
        if self.window.1.len() as u64 > WINDOW {
            self.window = (0, Vec::new());
        }
        Ok(Some((bytes, entry)))
    }

    /// The unsigned numbers of an entry; none if it is not there.
    pub fn numbers(
        &mut self,
        directory: &Directory,
        tag: u16,
        place: &str,
    ) -> Result<Vec<u64>, Fault> {
        let Some((bytes, entry)) = self.values(directory, tag, place)? else {
            return Ok(Vec::new());
        };
        match entry.size() {
            Some(size) if matches!(entry.kind, 1 | 3 | 4 | 13 | 16 | 18) => {
                let each = bytes.chunks_exact(size as usize);
                Ok(each.map(|bytes| self.number(bytes)).collect())
            }
            _ => {
                let found = format!("values of type {}", entry.kind);
                Err(Fault::damaged(
                    place,
                    format!("whole numbers in tag {tag}"),
                    found,
                ))
            }
        }
    }

    /// The first unsigned number of an entry.
    pub fn first(
        &mut self,
        directory: &Directory,
        tag: u16,
        place: &str,
    ) -> Result<Option<u64>, Fault> {
        Ok(self.numbers(directory, tag, place)?.first().copied())
    }

    /// A fraction; `None` if there is none, or it is not positive.
    pub fn fraction(
        &mut self,
        directory: &Directory,
        tag: u16,
        place: &str,
    ) -> Result<Option<f64>, Fault> {
        let Some((bytes, Entry { kind: 5, .. })) = self.values(directory, tag, place)? else {
            return Ok(None);
        };
        let Some((above, below)) = bytes.split_at_checked(4) else {
            return Ok(None);
        };
        let (above, below) = (
            self.number(above),
            self.number(&below[..below.len().min(4)]),
        );
        Ok((above > 0 && below > 0).then(|| above as f64 / below as f64))
    }

    /// A text up to its NUL. Bytes that are no UTF-8 are taken for Latin-1, as ImageJ writes `µ`.
    pub fn text(
        &mut self,
        directory: &Directory,
        tag: u16,
        place: &str,
    ) -> Result<Option<String>, Fault> {
        let Some((mut bytes, _)) = self.values(directory, tag, place)? else {
            return Ok(None);
        };
        let end = bytes.iter().position(|byte| *byte == 0);
        bytes.truncate(end.unwrap_or(bytes.len()));
        Ok(Some(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => error
                .as_bytes()
                .iter()
                .map(|byte| char::from(*byte))
                .collect(),
        }))
    }
}

impl Directory {
    /// Whether there is such an entry.
    pub fn has(&self, tag: u16) -> bool {
        self.entries.iter().any(|entry| entry.tag == tag)
    }
}
