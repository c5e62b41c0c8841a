//! A run of bytes that can be read at any position: a part of a file, or memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::digest::{Contents, Digest, digest_range, hash_range, open_regular, read_exact_at};
use crate::progress::Progress;

/// A run of bytes that does not change while it is held; cheap to clone and to slice.
#[derive(Clone, Debug)]
pub struct Blob {
    bytes: Bytes,
    start: u64,
    size: u64,
}

#[derive(Clone, Debug)]
enum Bytes {
    File(Arc<File>),
    Memory(Arc<[u8]>),
}

impl Blob {
    /// The regular file at `path`, as long as it is now.
    ///
    /// # Errors
    /// Fails if it cannot be opened or is something else.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = open_regular(path)?;
        let size = file.metadata()?.len();
        Ok(Self::of_file(Arc::new(file), 0..size))
    }

    /// The bytes `range` of a file.
    pub fn of_file(file: Arc<File>, range: Range<u64>) -> Self {
        Self {
            bytes: Bytes::File(file),
            start: range.start,
            size: range.end.saturating_sub(range.start),
        }
    }

    /// How many bytes it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// A part of it; `None` if it does not reach so far.
    pub fn slice(&self, range: Range<u64>) -> Option<Self> {
        let inside = range.start <= range.end && range.end <= self.size;
        inside.then(|| Self {
            bytes: self.bytes.clone(),
            start: self.start + range.start,
            size: range.end - range.start,
        })
    }

    /// Fills `buffer` with the bytes at `offset`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if it is shorter.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let offset = self.start + offset;
        match &self.bytes {
            Bytes::File(file) => read_exact_at(file, buffer, offset),
            Bytes::Memory(bytes) => {
                let offset = offset as usize;
                buffer.copy_from_slice(&bytes[offset..offset + buffer.len()]);
                Ok(())
            }
        }
    }

    /// All of it, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::FileTooLarge`] if it has more.
    pub fn read(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.size > limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.read_at(0, usize::try_from(self.size).unwrap_or(usize::MAX))
    }

    /// The `size` bytes at `offset`.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] if it is shorter, [`io::ErrorKind::OutOfMemory`] if there is no room: files
    /// without much in them can be of any size.
    pub fn read_at(&self, offset: u64, size: usize) -> io::Result<Vec<u8>> {
        let end = offset.checked_add(size as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = zeros(size)?;
        self.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }

    /// A reader from its first byte to its last.
    pub fn reader(&self) -> BlobReader {
        BlobReader {
            blob: self.clone(),
            position: 0,
        }
    }

    /// Hashes it, over all cores; `path` is only what `progress` is told.
    ///
    /// # Errors
    /// Fails if it cannot be read, or the user asked to stop.
    pub fn contents(&self, path: &Path, progress: &dyn Progress) -> io::Result<Contents> {
        match &self.bytes {
            Bytes::File(file) => {
                hash_range(file, self.start..self.start + self.size, path, progress)
            }
            Bytes::Memory(bytes) => {
                progress.advance(path, self.size);
                let start = self.start as usize;
                Ok(Contents::of(&bytes[start..start + self.size as usize]))
            }
        }
    }

    /// Its digest alone, over all cores; `path` is only what `progress` is told.
    ///
    /// # Errors
    /// Fails if it cannot be read, or the user asked to stop.
    pub fn digest(&self, path: &Path, progress: &dyn Progress) -> io::Result<Digest> {
        match &self.bytes {
            Bytes::File(file) => {
                digest_range(file, self.start..self.start + self.size, path, progress)
            }
            Bytes::Memory(bytes) => {
                progress.advance(path, self.size);
                let start = self.start as usize;
                Ok(Digest::of(&bytes[start..start + self.size as usize]))
            }
        }
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Arc::<[u8]>::from(bytes).into()
    }
}

impl From<Arc<[u8]>> for Blob {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self {
            size: bytes.len() as u64,
            start: 0,
            bytes: Bytes::Memory(bytes),
        }
    }
}

/// So many zeros, to be filled.
///
/// # Errors
/// [`io::ErrorKind::OutOfMemory`] if there is no room.
pub fn zeros<T: Clone + Default>(count: usize) -> io::Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(count)?;
    list.resize(count, T::default());
    Ok(list)
}

/// Collects a stream: a little in memory, more in a nameless temporary file.
#[derive(Debug, Default)]
pub struct Spill {
    head: Vec<u8>,
    file: Option<File>,
    size: u64,
}

/// What a spill keeps in memory.
const IN_MEMORY: usize = 1 << 20;

impl Spill {
    /// What was collected.
    pub fn finish(self) -> Blob {
        match self.file {
            Some(file) => Blob::of_file(Arc::new(file), 0..self.size),
            None => self.head.into(),
        }
    }

    /// How many bytes were collected.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Write for Spill {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write_all(bytes)?,
            None if self.head.len() + bytes.len() <= IN_MEMORY => self.head.extend(bytes),
            None => {
                let mut file = tempfile::tempfile()?;
                file.write_all(&std::mem::take(&mut self.head))?;
                file.write_all(bytes)?;
                self.file = Some(file);
            }
        }
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a blob from front to back.
#[derive(Clone, Debug)]
pub struct BlobReader {
    blob: Blob,
    position: u64,
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.blob.size - self.position;
        let count = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        self.blob
            .read_exact_at(&mut buffer[..count], self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_reads_the_same_from_memory_and_from_a_file() {
        let bytes: Vec<u8> = (0..IN_MEMORY as u64 + 3000)
            .map(|i| ((i * 7) >> 3) as u8)
            .collect();
        let memory = Blob::from(bytes.clone());
        let mut spill = Spill::default();
        spill.write_all(&bytes[..700]).unwrap();
        spill.write_all(&bytes[700..]).unwrap();
        assert_eq!(spill.size(), bytes.len() as u64);
        assert!(spill.file.is_some());
        let mut small = Spill::default();
        small.write_all(b"abc").unwrap();
        assert_eq!(small.finish().read(3).unwrap(), b"abc");
        for blob in [memory, spill.finish()] {
            let part = blob.slice(1000..IN_MEMORY as u64 + 2000).unwrap();
            let part = part.slice(5..part.size()).unwrap();
            let wanted = &bytes[1005..IN_MEMORY + 2000];
            assert_eq!(part.read(u64::MAX).unwrap(), wanted);
            let mut read = Vec::new();
            part.reader().read_to_end(&mut read).unwrap();
            assert_eq!(read, wanted);
            let found = part.contents(Path::new("x"), &crate::progress::Silent);
            assert_eq!(found.unwrap(), Contents::of(wanted));
            let digest = part.digest(Path::new("x"), &crate::progress::Silent);
            assert_eq!(digest.unwrap(), Contents::of(wanted).blake3);
            assert!(part.slice(0..part.size() + 1).is_none());
            let past = part.read_exact_at(&mut [0; 2], part.size() - 1);
            assert_eq!(past.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            assert!(part.read(part.size() - 1).is_err());
            assert_eq!(part.read_at(3, 4).unwrap(), wanted[3..7]);
            let past = part.read_at(part.size() - 1, 2);
            assert_eq!(past.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
