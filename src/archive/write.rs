//! Writes a canonical archive: copies the sources in one pass, and beside it proves and hashes what was written.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::layout::{Layout, LayoutError, Placed};
use super::pipeline::{self, BUFFER, Feed, Sha256Stage, Stage};
use super::{BundlePath, Bytes, Entry};
use crate::digest::{Contents, Crc32, Digest, Sha256};
use crate::progress::{Progress, check_interrupt};

/// Where an entry's bytes come from.
#[derive(Clone, Debug)]
pub enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    pub size: u64,
    pub sha256: Sha256,
}

/// Why an archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error("cannot read {path}, the source of {entry}: {source}", path = path.display())]
    Read {
        path: PathBuf,
        entry: BundlePath,
        source: io::Error,
    },
    #[error("cannot write the archive: {0}")]
    Write(#[from] io::Error),
    #[error(transparent)]
    Changed(Box<Changed>),
}

/// A source was not what its entry says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{path} changed while {entry} was written from it: expected {expected}, found {found}; \
     let whatever writes the file finish, then build again",
    path = path.display(), expected = describe(expected), found = found_text(self)
)]
pub struct Changed {
    /// The source; for bytes in memory, the entry's own name.
    pub path: PathBuf,
    pub entry: BundlePath,
    pub expected: Contents,
    pub found: Found,
}

/// What a changed source turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It ended after this many bytes.
    Shorter(u64),
    /// It goes on after the expected bytes.
    Longer,
    /// It has the expected size and other bytes.
    Other(Contents),
}

fn describe(contents: &Contents) -> String {
    format!(
        "{} with BLAKE3 {} and CRC-32 {}",
        Bytes(contents.size),
        contents.blake3,
        contents.crc32
    )
}

fn found_text(changed: &Changed) -> String {
    match &changed.found {
        Found::Shorter(size) => format!("only {}", Bytes(*size)),
        Found::Longer => "more bytes than that".to_owned(),
        Found::Other(contents) => describe(contents),
    }
}

impl WriteError {
    /// Whether the user asked to stop.
    pub fn is_interrupted(&self) -> bool {
        match self {
            Self::Read { source, .. } | Self::Write(source) => {
                source.kind() == io::ErrorKind::Interrupted
            }
            Self::Layout(_) | Self::Changed(_) => false,
        }
    }
}

/// Writes the canonical archive of `sources`, in whatever order they come, to the empty file `out`.
///
/// Every source is hashed as it is copied and must be what its entry says. Nothing is synced or renamed:
/// `out` belongs to a [`crate::atomic::AtomicFile`], which does both, and drops it if this fails.
///
/// # Errors
/// Fails if the entries cannot be laid out, a source cannot be read or is not what its entry says, the disk
/// is full, or the user asked to stop (see [`WriteError::is_interrupted`]).
pub fn write(
    out: &mut File,
    sources: &[(Entry, Source)],
    progress: &dyn Progress,
) -> Result<Written, WriteError> {
    let entries: Vec<Entry> = sources.iter().map(|(entry, _)| entry.clone()).collect();
    let layout = Layout::new(&entries)?;
    let source_of: std::collections::HashMap<&BundlePath, &Source> = sources
        .iter()
        .map(|(entry, source)| (&entry.path, source))
        .collect();
    reserve(out, layout.size())?;
    let mut proof = Proof::new(&layout);
    let mut sha256 = Sha256Stage::default();
    pipeline::run(&mut [&mut proof, &mut sha256], |feed| {
        let mut sink = Sink::new(out, feed);
        for placed in layout.entries() {
            sink.put(&placed.header)?;
            match source_of[&placed.entry.path] {
                Source::Bytes(bytes) => copy_bytes(&mut sink, placed, bytes)?,
                Source::File(path) => copy_file(&mut sink, placed, path, progress)?,
            }
        }
        sink.put(layout.tail())?;
        sink.finish()?;
        Ok::<_, WriteError>(())
    })?;
    if let Some((placed, found)) = proof.contradiction {
        let path = match source_of[&placed.entry.path] {
            Source::Bytes(_) => Path::new(placed.entry.path.as_str()),
            Source::File(path) => path,
        };
        return Err(changed(placed, path, Found::Other(found)));
    }
    Ok(Written {
        size: layout.size(),
        sha256: sha256.finish(),
    })
}

fn copy_bytes(sink: &mut Sink<'_>, placed: &Placed, bytes: &[u8]) -> Result<(), WriteError> {
    let name = Path::new(placed.entry.path.as_str());
    let size = bytes.len() as u64;
    match size.cmp(&placed.entry.contents.size) {
        Ordering::Less => Err(changed(placed, name, Found::Shorter(size))),
        Ordering::Greater => Err(changed(placed, name, Found::Longer)),
        Ordering::Equal => Ok(sink.put(bytes)?),
    }
}

/// Copies a file of the expected size, and looks whether it goes on after that.
fn copy_file(
    sink: &mut Sink<'_>,
    placed: &Placed,
    path: &Path,
    progress: &dyn Progress,
) -> Result<(), WriteError> {
    let unreadable = |source| WriteError::Read {
        path: path.to_owned(),
        entry: placed.entry.path.clone(),
        source,
    };
    let file = File::open(path).map_err(unreadable)?;
    let size = placed.entry.contents.size;
    let mut position = 0;
    while position < size {
        check_interrupt(progress)?;
        let room = sink.room()?;
        let want = room
            .len()
            .min(usize::try_from(size - position).unwrap_or(usize::MAX));
        let bytes = &mut room[..want];
        let count = read_at(&file, bytes, position).map_err(unreadable)?;
        if count == 0 {
            return Err(changed(placed, path, Found::Shorter(position)));
        }
        sink.filled(count)?;
        position += count as u64;
        progress.advance(path, count as u64);
    }
    if read_at(&file, &mut [0], size).map_err(unreadable)? != 0 {
        return Err(changed(placed, path, Found::Longer));
    }
    Ok(())
}

fn changed(placed: &Placed, path: &Path, found: Found) -> WriteError {
    WriteError::Changed(Box::new(Changed {
        path: path.to_owned(),
        entry: placed.entry.path.clone(),
        expected: placed.entry.contents,
        found,
    }))
}

/// Hashes what is written, and compares each entry with what it should be.
struct Proof<'a> {
    /// The entries that are not yet at their end.
    entries: std::slice::Iter<'a, Placed>,
    current: Option<(&'a Placed, Hashes)>,
    position: u64,
    /// The first entry that turned out to be something else.
    contradiction: Option<(&'a Placed, Contents)>,
}

impl<'a> Proof<'a> {
    fn new(layout: &'a Layout) -> Self {
        let mut proof = Self {
            entries: layout.entries().iter(),
            current: None,
            position: 0,
            contradiction: None,
        };
        proof.next();
        proof
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
pub(super) struct Hashes {
    blake3: blake3::Hasher,
    crc: crc32fast::Hasher,
}

impl Hashes {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        self.crc.update(bytes);
    }

    pub(super) fn finish(self, size: u64) -> Contents {
        Contents {
            size,
            crc32: Crc32(self.crc.finalize()),
            blake3: Digest::finish(&self.blake3),
        }
    }
}

/// The output: buffers are filled one after another, written to the file, and handed on to be proved and hashed.
struct Sink<'a> {
    out: &'a File,
    feed: &'a Feed,
    buffer: Vec<u8>,
    used: usize,
    written: u64,
    pushed: u64,
}

/// How much is written before the kernel is asked to begin with it.
const WRITEBACK: u64 = 8 << 20;

impl<'a> Sink<'a> {
    fn new(out: &'a File, feed: &'a Feed) -> Self {
        Self {
            out,
            feed,
            buffer: Vec::new(),
            used: 0,
            written: 0,
            pushed: 0,
        }
    }

    /// Room for at least one byte, to be filled from its front.
    fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.used == BUFFER {
            self.flush()?;
        }
        if self.buffer.is_empty() {
            self.buffer = self.feed.buffer()?;
        }
        Ok(&mut self.buffer[self.used..])
    }

    /// Takes the first `count` bytes of the room.
    fn filled(&mut self, count: usize) -> io::Result<()> {
        self.used += count;
        if self.used == BUFFER {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let count = room.len().min(bytes.len());
            let (now, later) = bytes.split_at(count);
            room[..count].copy_from_slice(now);
            bytes = later;
            self.filled(count)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.truncate(self.used);
        self.used = 0;
        self.out.write_all(&buffer)?;
        self.written += buffer.len() as u64;
        self.feed.push(buffer)?;
        if self.written - self.pushed >= WRITEBACK {
            begin_writeback(self.out, self.pushed, self.written - self.pushed);
            self.pushed = self.written;
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        self.flush()
    }
}

/// Reads once at `offset`, again if a signal cut in.
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        #[cfg(unix)]
        let result = std::os::unix::fs::FileExt::read_at(file, buffer, offset);
        #[cfg(windows)]
        let result = std::os::windows::fs::FileExt::seek_read(file, buffer, offset);
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Takes the disk space at once where the system can, so that a full disk is known before the copy begins.
fn reserve(out: &File, size: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::{fs::FallocateFlags, io::Errno};
        let reserved = rustix::fs::fallocate(out, FallocateFlags::KEEP_SIZE, 0, size);
        // Not every filesystem can; there the copy finds out.
        if let Err(error @ (Errno::NOSPC | Errno::FBIG | Errno::DQUOT)) = reserved {
            return Err(error.into());
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (out, size);
    Ok(())
}

/// Asks the kernel to begin writing a range to the disk, so that the sync at the end finds little left to do.
/// Of what Linux does on this advice, dropping clean pages from its cache does not happen here: the range was
/// just written, and its pages are dirty.
fn begin_writeback(out: &File, offset: u64, length: u64) {
    #[cfg(target_os = "linux")]
    if let Some(length) = std::num::NonZeroU64::new(length) {
        // Advice only: nothing is wrong where it is not taken.
        let _ = rustix::fs::fadvise(out, offset, Some(length), rustix::fs::Advice::DontNeed);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (out, offset, length);
}
