//! The canonical form, `layout = 1`: from entries to every byte of the archive that is not an entry's own.
//!
//! The form is fixed for good. Every entry is stored, dated 1980-01-01 00:00:00, made by Unix 2.0 with mode
//! 0100644; names that are not ASCII are marked as UTF-8; there are no data descriptors, no comments, and no
//! extra field but ZIP64's, exactly where a field overflows. Nothing here reads a file or a clock.

use std::ops::Range;

use super::format::{
    CENTRAL, END, END64, END64_SIZE, IN_ZIP64_16, IN_ZIP64_32, LOCAL, LOCATOR64, STORED, UTF8,
    ZIP64_FIELD,
};
use super::path::{Collision, collisions};
use super::{BundlePath, Entry, canonical_order};

/// The version of the form, as lockfiles record it.
pub const LAYOUT: u32 = 1;

/// 1980-01-01, the first day that ZIP's dates know (4.4.6).
const DATE: u16 = 0x0021;
/// 00:00:00.
const TIME: u16 = 0;
/// Unix (4.4.2.2), version 2.0.
const MADE_BY: u16 = 3 << 8 | 20;
/// A regular file that everybody reads and its owner writes, as Unix puts it into the attributes (4.4.15).
const ATTRIBUTES: u32 = 0o100_644 << 16;
/// Version 2.0 is what folders in names ask for, 4.5 what ZIP64 does (4.4.3.2).
const NEEDED: u16 = 20;
const NEEDED_ZIP64: u16 = 45;

/// Where everything stands in a canonical archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    entries: Vec<Placed>,
    directory_offset: u64,
    tail: Vec<u8>,
    has_zip64: bool,
    size: u64,
}

/// An entry with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub entry: Entry,
    /// Where the local header begins.
    pub offset: u64,
    /// The local header's bytes.
    pub header: Vec<u8>,
    /// Where the entry's bytes are.
    pub data: Range<u64>,
    /// Where the central header is, in [`Layout::tail`].
    pub(super) central: Range<usize>,
}

/// Entries of which no archive can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    #[error("{0}; rename one of them")]
    Names(Collision),
    #[error("with {path} the archive would be larger than 2^63 bytes")]
    TooLarge { path: BundlePath },
}

impl Layout {
    /// Lays `entries` out in canonical order, in whatever order they come.
    ///
    /// # Errors
    /// Fails if two names collide, or if no file could hold the sum of the sizes.
    pub fn new(entries: &[Entry]) -> Result<Self, LayoutError> {
        let names = entries.iter().map(|entry| entry.path.as_str());
        if let Some(collision) = collisions(names).into_iter().next() {
            return Err(LayoutError::Names(collision));
        }
        let mut entries = entries.to_vec();
        canonical_order(&mut entries);
        let mut position = 0;
        let mut placed = Vec::with_capacity(entries.len());
        let mut tail = Vec::new();
        for entry in entries {
            let one = place(entry, position, &mut tail)?;
            position = one.data.end;
            placed.push(one);
        }
        let directory_offset = position;
        let has_zip64 = push_end(&mut tail, placed.len() as u64, directory_offset);
        Ok(Self {
            entries: placed,
            directory_offset,
            size: directory_offset + tail.len() as u64,
            has_zip64,
            tail,
        })
    }

    /// The entries, in the order in which they stand.
    pub fn entries(&self) -> &[Placed] {
        &self.entries
    }

    /// Where the central directory begins.
    pub fn directory_offset(&self) -> u64 {
        self.directory_offset
    }

    /// The central directory and the end records: all that follows the last entry's bytes.
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// The size of the whole archive.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether there is a ZIP64 end record.
    pub(super) fn has_zip64(&self) -> bool {
        self.has_zip64
    }

    /// The bytes of an entry's central header.
    pub(super) fn central_header(&self, placed: &Placed) -> &[u8] {
        &self.tail[placed.central.clone()]
    }
}

/// Places `entry` at `offset` and appends its central header to `tail`.
fn place(entry: Entry, offset: u64, tail: &mut Vec<u8>) -> Result<Placed, LayoutError> {
    let header = local_header(&entry, offset);
    let start = offset + header.len() as u64;
    let end = start
        .checked_add(entry.contents.size)
        .filter(|end| *end <= i64::MAX as u64);
    let Some(end) = end else {
        return Err(LayoutError::TooLarge { path: entry.path });
    };
    let central_start = tail.len();
    push_central_header(tail, &entry, offset);
    Ok(Placed {
        offset,
        data: start..end,
        central: central_start..tail.len(),
        header,
        entry,
    })
}

/// A local header (4.3.7). A ZIP64 field in it holds both sizes (4.5.3).
fn local_header(entry: &Entry, offset: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(50 + entry.path.as_str().len());
    put32(&mut out, LOCAL);
    let size = entry.contents.size;
    let zip64: &[u64] = if overflows(size) { &[size, size] } else { &[] };
    push_common(&mut out, entry, offset, zip64);
    out.extend(entry.path.as_str().as_bytes());
    push_zip64(&mut out, zip64);
    out
}

/// A central header (4.3.12). A ZIP64 field in it holds what overflows and nothing else (4.5.3).
fn push_central_header(out: &mut Vec<u8>, entry: &Entry, offset: u64) {
    let size = entry.contents.size;
    let zip64: &[u64] = match (overflows(size), overflows(offset)) {
        (true, true) => &[size, size, offset],
        (true, false) => &[size, size],
        (false, true) => &[offset],
        (false, false) => &[],
    };
    put32(out, CENTRAL);
    put16(out, MADE_BY);
    push_common(out, entry, offset, zip64);
    put16(out, 0); // comment length
    put16(out, 0); // disk
    put16(out, 0); // internal attributes
    put32(out, ATTRIBUTES);
    put32(out, clamp32(offset));
    out.extend(entry.path.as_str().as_bytes());
    push_zip64(out, zip64);
}

/// The fields that both headers share. Both ask for version 4.5 if either has a ZIP64 field.
fn push_common(out: &mut Vec<u8>, entry: &Entry, offset: u64, zip64: &[u64]) {
    let name = entry.path.as_str();
    let contents = &entry.contents;
    let needs_zip64 = overflows(contents.size) || overflows(offset);
    let zip64_length = match zip64.len() {
        0 => 0,
        values => 4 + 8 * values as u16,
    };
    put16(out, if needs_zip64 { NEEDED_ZIP64 } else { NEEDED });
    put16(out, if name.is_ascii() { 0 } else { UTF8 });
    put16(out, STORED);
    put16(out, TIME);
    put16(out, DATE);
    put32(out, contents.crc32.0);
    put32(out, clamp32(contents.size));
    put32(out, clamp32(contents.size));
    put16(out, name.len() as u16); // a BundlePath is shorter than 64 KiB
    put16(out, zip64_length);
}

fn push_zip64(out: &mut Vec<u8>, values: &[u64]) {
    if values.is_empty() {
        return;
    }
    put16(out, ZIP64_FIELD);
    put16(out, 8 * values.len() as u16);
    values.iter().for_each(|value| put64(out, *value));
}

/// The end of central directory record (4.3.16), after ZIP64's and its locator where a field overflows: says
/// whether one does.
fn push_end(out: &mut Vec<u8>, entries: u64, offset: u64) -> bool {
    let size = out.len() as u64;
    let needs_zip64 = entries >= IN_ZIP64_16.into() || overflows(size) || overflows(offset);
    if needs_zip64 {
        put32(out, END64);
        put64(out, END64_SIZE - 12);
        put16(out, MADE_BY);
        put16(out, NEEDED_ZIP64);
        put32(out, 0); // this disk
        put32(out, 0); // the directory's disk
        put64(out, entries);
        put64(out, entries);
        put64(out, size);
        put64(out, offset);
        put32(out, LOCATOR64);
        put32(out, 0); // the disk of the record above
        put64(out, offset + size);
        put32(out, 1); // disks
    }
    let count = u16::try_from(entries).unwrap_or(IN_ZIP64_16);
    put32(out, END);
    put16(out, 0); // this disk
    put16(out, 0); // the directory's disk
    put16(out, count);
    put16(out, count);
    put32(out, clamp32(size));
    put32(out, clamp32(offset));
    put16(out, 0); // comment length
    needs_zip64
}

/// Whether a value does not fit a 32-bit field, whose largest value means "see ZIP64".
fn overflows(value: u64) -> bool {
    value >= IN_ZIP64_32.into()
}

fn clamp32(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(IN_ZIP64_32)
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend(value.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend(value.to_le_bytes());
}

fn put64(out: &mut Vec<u8>, value: u64) {
    out.extend(value.to_le_bytes());
}
