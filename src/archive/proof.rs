//! Proves what is written while it is written: every entry's bytes are hashed and compared with what they should be.

use super::layout::{Layout, Placed};
use super::pipeline::Stage;
use crate::digest::{Contents, Crc32, Digest};

/// Hashes what is written, and compares each entry with what it should be.
pub struct Proof<'a> {
    /// The entries that are not yet at their end.
    entries: std::slice::Iter<'a, Placed>,
    current: Option<(&'a Placed, Hashes)>,
    position: u64,
    /// The first entry that turned out to be something else.
    pub contradiction: Option<(&'a Placed, Contents)>,
}

impl<'a> Proof<'a> {
    /// A proof of nothing yet.
    pub fn new(layout: &'a Layout) -> Self {
        let mut proof = Self {
            entries: layout.entries().iter(),
            current: None,
            position: 0,
            contradiction: None,
        };
        proof.next();
        proof
    }

    /// Whether every entry has been seen to its end.
    #[cfg(test)]
    pub fn is_done(&self) -> bool {
        self.current.is_none() && self.entries.as_slice().is_empty()
    }

    fn next(&mut self) {
        let next = self.entries.next();
        self.current = next.map(|placed| (placed, Hashes::default()));
    }
}

impl Stage for Proof<'_> {
    fn take(&mut self, bytes: &[u8]) {
        let end = self.position + bytes.len() as u64;
        // Headers and directory are in no entry's range; they are ours, and the archive's digest covers them.
        while let Some((placed, hashes)) = &mut self.current
            && placed.data.start <= end
        {
            let first = placed.data.start.max(self.position) - self.position;
            let last = placed.data.end.min(end) - self.position;
            hashes.update(&bytes[first as usize..last as usize]);
            if placed.data.end > end {
                break;
            }
            let (placed, found) = (*placed, std::mem::take(hashes));
            let found = found.finish(placed.entry.contents.size);
            if found != placed.entry.contents && self.contradiction.is_none() {
                self.contradiction = Some((placed, found));
            }
            self.next();
        }
        self.position = end;
    }
}

/// Both checksums of bytes that come in pieces.
#[derive(Default)]
pub struct Hashes {
    blake3: blake3::Hasher,
    crc: crc32fast::Hasher,
}

impl Hashes {
    pub fn update(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        self.crc.update(bytes);
    }

    pub fn finish(self, size: u64) -> Contents {
        Contents {
            size,
            crc32: Crc32(self.crc.finalize()),
            blake3: Digest::finish(&self.blake3),
        }
    }
}
