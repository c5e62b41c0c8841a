//! The pixels of one sample of a page, put together from its chunks.

use super::super::error::Fault;
use super::super::sample::swap;
use super::directory::Directories;
use super::page::{Page, Predictor};
use crate::blob::zeros;

impl Page {
    /// The numbers of one sample, row by row, each with its lowest byte first.
    pub fn plane(&self, file: &Directories, sample: usize) -> Result<Vec<u8>, Fault> {
        self.check_size(file)?;
        // A whole page is at most as large as its chunks can become: that was just checked.
        let size = self.sample.size();
        let mut plane = zeros(self.height * self.width * size)?;
        let [down, across] = self.grid();
        let (first, within) = match self.planar {
            true => (sample * down * across, 0),
            false => (0, sample),
        };
        let pixel = self.together() * size;
        for index in 0..down * across {
            let bytes = self.chunk(file, first + index, index)?;
            let (top, left) = (
                index / across * self.chunk[0],
                index % across * self.chunk[1],
            );
            let columns = self.chunk[1].min(self.width - left);
            let rows = bytes.chunks_exact(self.chunk[1] * pixel);
            for (row, bytes) in (top..self.height).zip(rows) {
                let at = (row * self.width + left) * size;
                let line = &mut plane[at..at + columns * size];
                if pixel == size {
                    line.copy_from_slice(&bytes[..columns * size]);
                    continue;
                }
                let pixels = line.chunks_exact_mut(size).zip(bytes.chunks_exact(pixel));
                for (to, from) in pixels {
                    to.copy_from_slice(&from[within * size..(within + 1) * size]);
                }
            }
        }
        Ok(plane)
    }

    /// Whether the chunks can hold the page at all, so that memory is taken for what is there and not for a claim.
    fn check_size(&self, file: &Directories) -> Result<(), Fault> {
        let stored = self
            .chunks
            .iter()
            .fold(0u64, |sum, (_, size)| sum.saturating_add(*size));
        if stored > file.blob.size() {
            let expected = format!("{}s that do not overlap", self.chunk_name());
            let found = format!("{stored} bytes of them in a file of {}", file.blob.size());
            return Err(Fault::damaged(&self.place, expected, found));
        }
        let most = stored.saturating_mul(self.compression.most());
        if self.bytes().is_none_or(|bytes| bytes > most) {
            let found = format!("{}s of {stored} bytes in all", self.chunk_name());
            return Err(Fault::damaged(&self.place, self.form(), found));
        }
        Ok(())
    }

    /// A chunk, decompressed, its differences summed up, the lowest byte of each number first. `index` counts it in its
    /// plane, `at` in the page.
    fn chunk(&self, file: &Directories, at: usize, index: usize) -> Result<Vec<u8>, Fault> {
        let (offset, stored) = self.chunks[at];
        let place = || format!("{}, {} {}", self.place, self.chunk_name(), at + 1);
        let end = offset
            .checked_add(stored)
            .filter(|end| *end <= file.blob.size());
        if end.is_none() {
            let expected = format!("{stored} bytes at byte {offset}");
            let found = format!("a file of {} bytes", file.blob.size());
            return Err(Fault::damaged(place(), expected, found));
        }
        let size = self.chunk_bytes(index);
        let most = stored.saturating_mul(self.compression.most());
        let Some(size) = size.filter(|size| *size as u64 <= most) else {
            let size = size.map_or_else(|| "countless".to_owned(), |size| size.to_string());
            let expected = format!("{size} bytes of pixels");
            return Err(Fault::damaged(place(), expected, format!("{stored} bytes")));
        };
        let raw = file.blob.read_at(offset, stored as usize)?;
        let mut bytes = self
            .compression
            .expand(raw, size)
            .map_err(|found| Fault::damaged(place(), format!("{size} bytes of pixels"), found))?;
        self.undo(&mut bytes, file.big_endian);
        Ok(bytes)
    }

    /// Undoes the predictor (TIFF 6.0, section 14; Adobe Photoshop TIFF technical note 3) and the byte order.
    fn undo(&self, bytes: &mut [u8], big_endian: bool) {
        let (size, together) = (self.sample.size(), self.together());
        let row = self.chunk[1] * together * size;
        if self.predictor == Predictor::Float {
            let mut sorted = vec![0; row];
            for row in bytes.chunks_exact_mut(row) {
                sum(row, together, add_1);
                sorted.copy_from_slice(row);
                gather(&sorted, row, size);
            }
            return;
        }
        if big_endian {
            swap(bytes, size);
        }
        if self.predictor == Predictor::Horizontal {
            for row in bytes.chunks_exact_mut(row) {
                match size {
                    1 => sum(row, together, add_1),
                    2 => sum(row, together, add_2),
                    4 => sum(row, together, add_4),
                    _ => sum(row, together, add_8),
                }
            }
        }
    }
}

/// Adds to each number that of the pixel before it.
fn sum<const N: usize>(row: &mut [u8], together: usize, add: impl Fn([u8; N], [u8; N]) -> [u8; N]) {
    let (numbers, _) = row.as_chunks_mut::<N>();
    for at in together..numbers.len() {
        numbers[at] = add(numbers[at], numbers[at - together]);
    }
}

fn add_1([a]: [u8; 1], [b]: [u8; 1]) -> [u8; 1] {
    [a.wrapping_add(b)]
}

fn add_2(a: [u8; 2], b: [u8; 2]) -> [u8; 2] {
    let sum = u16::from_le_bytes(a).wrapping_add(u16::from_le_bytes(b));
    sum.to_le_bytes()
}

fn add_4(a: [u8; 4], b: [u8; 4]) -> [u8; 4] {
    let sum = u32::from_le_bytes(a).wrapping_add(u32::from_le_bytes(b));
    sum.to_le_bytes()
}

fn add_8(a: [u8; 8], b: [u8; 8]) -> [u8; 8] {
    let sum = u64::from_le_bytes(a).wrapping_add(u64::from_le_bytes(b));
    sum.to_le_bytes()
}

/// Puts numbers together whose highest bytes come first, all of them, then their second, and so on.
fn gather(sorted: &[u8], row: &mut [u8], size: usize) {
    let count = row.len() / size;
    for (at, number) in row.chunks_exact_mut(size).enumerate() {
        for (byte, to) in number.iter_mut().rev().enumerate() {
            *to = sorted[byte * count + at];
        }
    }
}
