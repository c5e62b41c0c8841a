//! The bytes of a stream, read through a small buffer, with every claimed length held against what is left.

use std::sync::Arc;

use super::error::{PickleErrorKind, ceiling};
use crate::blob::Blob;

/// A buffer grows up to this; it begins small, since most runs of bytes that are tried as a pickle are none.
const BUFFER: usize = 1 << 16;
const FIRST_BUFFER: usize = 1 << 9;

type Result<T> = std::result::Result<T, PickleErrorKind>;

pub(super) struct Cursor<'a> {
    blob: &'a Blob,
    /// Where `buffer` begins in the blob.
    start: u64,
    buffer: Vec<u8>,
    /// How much of `buffer` was read.
    used: usize,
    /// Bytes given out as texts and byte strings.
    held: u64,
}

impl<'a> Cursor<'a> {
    pub fn new(blob: &'a Blob, start: u64) -> Self {
        Self {
            blob,
            start,
            buffer: Vec::new(),
            used: 0,
            held: 0,
        }
    }

    pub fn blob(&self) -> &'a Blob {
        self.blob
    }

    pub fn position(&self) -> u64 {
        self.start + self.used as u64
    }

    /// Goes on at another place of the blob.
    pub fn seek(&mut self, position: u64) {
        self.start = position;
        self.buffer.clear();
        self.used = 0;
    }

    fn left(&self) -> u64 {
        self.blob.size().saturating_sub(self.position())
    }

    /// Fills the buffer once it is used up; false at the end.
    fn refill(&mut self) -> Result<bool> {
        if self.used < self.buffer.len() {
            return Ok(true);
        }
        let position = self.position();
        let wanted = match self.buffer.len() {
            0 => FIRST_BUFFER,
            last => (last * 4).min(BUFFER),
        };
        let count = usize::try_from(self.left()).map_or(wanted, |left| left.min(wanted));
        self.buffer.resize(count, 0);
        self.blob.read_exact_at(&mut self.buffer, position)?;
        self.start = position;
        self.used = 0;
        Ok(count > 0)
    }

    pub fn byte(&mut self) -> Result<u8> {
        if !self.refill()? {
            return Err(PickleErrorKind::Truncated);
        }
        let byte = self.buffer[self.used];
        self.used += 1;
        Ok(byte)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        let buffered = &self.buffer[self.used..];
        if let Some(found) = buffered.get(..bytes.len()) {
            bytes.copy_from_slice(found);
            self.used += bytes.len();
            return Ok(());
        }
        if bytes.len() as u64 > self.left() {
            return Err(PickleErrorKind::Truncated);
        }
        let position = self.position();
        self.blob.read_exact_at(bytes, position)?;
        self.seek(position + bytes.len() as u64);
        Ok(())
    }

    /// The next `size` bytes; nothing is allocated before they are known to be there.
    pub fn bytes(&mut self, size: u64) -> Result<Arc<[u8]>> {
        if size > self.left() {
            return Err(PickleErrorKind::Truncated);
        }
        self.hold(size)?;
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, size as usize).collect();
        match Arc::get_mut(&mut bytes) {
            Some(bytes) => self.fill(bytes)?,
            None => unreachable!("nobody else has seen it yet"),
        }
        Ok(bytes)
    }

    /// The bytes up to the next line feed, which is taken too and not given. Python's C unpickler refuses a line
    /// without one.
    pub fn line(&mut self) -> Result<Vec<u8>> {
        match self.line_or_rest()? {
            (line, true) => Ok(line),
            (_, false) => Err(PickleErrorKind::Truncated),
        }
    }

    /// The same, or what is left, and whether there was a line feed.
    pub fn line_or_rest(&mut self) -> Result<(Vec<u8>, bool)> {
        let mut line = Vec::new();
        while self.refill()? {
            let rest = &self.buffer[self.used..];
            let end = rest.iter().position(|&byte| byte == b'\n');
            let part = &rest[..end.unwrap_or(rest.len())];
            line.extend_from_slice(part);
            let count = part.len();
            self.used += count;
            self.hold(count as u64)?;
            if end.is_some() {
                self.used += 1;
                return Ok((line, true));
            }
        }
        Ok((line, false))
    }

    fn hold(&mut self, count: u64) -> Result<()> {
        self.held += count;
        match self.held > ceiling::BYTES {
            true => Err(PickleErrorKind::Ceiling {
                what: "bytes of text and byte strings",
                ceiling: ceiling::BYTES,
            }),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_gives_every_byte_once_across_its_buffers() {
        let bytes: Vec<u8> = (0..200_000u32)
            .map(|i| ((i * 31) >> 4) as u8 | 0x10)
            .collect();
        let blob = Blob::from(bytes.clone());
        let mut cursor = Cursor::new(&blob, 7);
        let mut read = Vec::new();
        for size in [1, 500, 3, 70_000, 0, 11, 66_000] {
            read.push(cursor.byte().unwrap());
            read.extend(cursor.array::<3>().unwrap());
            read.extend(cursor.bytes(size).unwrap().iter());
            assert_eq!(cursor.position(), 7 + read.len() as u64);
        }
        assert_eq!(read, bytes[7..7 + read.len()]);
        assert!(matches!(
            cursor.bytes(1 << 40),
            Err(PickleErrorKind::Truncated)
        ));
    }

    #[test]
    fn a_line_ends_at_its_line_feed_and_nowhere_else() {
        let mut bytes = vec![b'x'; 1000];
        bytes.extend(b"\n\nlast");
        let blob = Blob::from(bytes);
        let mut cursor = Cursor::new(&blob, 0);
        assert_eq!(cursor.line().unwrap().len(), 1000);
        assert_eq!(cursor.line().unwrap(), b"");
        assert!(matches!(cursor.line(), Err(PickleErrorKind::Truncated)));
    }
}
