//! Writes a canonical archive: copies the sources in one pass, and beside it proves and hashes what was written.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::layout::{Layout, LayoutError, Placed};
use super::pipeline::{self, BUFFER, Feed, Sha256Stage};
use super::proof::Proof;
use super::{BundlePath, Bytes, Entry};
use crate::digest::{Contents, Sha256, open_regular};
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
    let file = open_regular(path).map_err(unreadable)?;
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

#[cfg(test)]
mod tests {
    use super::super::pipeline::Stage;
    use super::*;
    use crate::progress::Silent;
    use proptest::prelude::*;
    use std::io::Read;

    fn sources(sizes: &[u64]) -> Vec<(Entry, Source)> {
        let mut sources = Vec::new();
        for (index, size) in (0_u64..).zip(sizes) {
            let bytes: Vec<u8> = (0..*size)
                .map(|i| (((i + index) * 40_503) >> 9) as u8)
                .collect();
            let entry = Entry {
                path: BundlePath::new(&format!("models/{index}.pth")).unwrap(),
                contents: Contents::of(&bytes),
            };
            sources.push((entry, Source::Bytes(bytes)));
        }
        sources
    }

    fn written(sources: &[(Entry, Source)]) -> (Vec<u8>, Result<Written, WriteError>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let written = write(file.as_file_mut(), sources, &Silent);
        let mut bytes = Vec::new();
        let mut reread = file.reopen().unwrap();
        reread.read_to_end(&mut bytes).unwrap();
        (bytes, written)
    }

    /// Sizes with which entries begin and end at the borders of buffers, and a little beside them.
    fn sizes() -> impl Strategy<Value = Vec<u64>> {
        const BUFFER: u64 = super::BUFFER as u64;
        let at_border = (1..=3_u64, -2..=2_i64).prop_map(|(buffers, off)| Err((buffers, off)));
        let size = prop_oneof![
            Just(Ok(0)),
            (0..300_u64).prop_map(Ok),
            (BUFFER - 300..BUFFER + 300).prop_map(Ok),
            at_border.clone(),
            at_border,
        ];
        prop::collection::vec(size, 1..7).prop_map(|wanted| {
            let mut sizes: Vec<u64> = Vec::new();
            for size in wanted {
                sizes.push(0);
                let start = {
                    let entries: Vec<Entry> = sources(&sizes).into_iter().map(|(x, _)| x).collect();
                    let layout = Layout::new(&entries).unwrap();
                    layout.entries().last().unwrap().data.start
                };
                // So that the data ends at the end of that buffer after this one, or so many bytes from there.
                let to_border = |(buffers, off): (u64, i64)| {
                    ((start / BUFFER + buffers) * BUFFER - start).saturating_add_signed(off)
                };
                let size = size.unwrap_or_else(to_border);
                *sizes.last_mut().unwrap() = size;
            }
            sizes
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whatever the sizes, what is right is proved, and a wrong byte is found in its entry.
        #[test]
        fn every_entry_is_proved_wherever_buffers_end(
            sizes in sizes(),
            wrong in any::<prop::sample::Index>(),
            byte in any::<prop::sample::Index>(),
        ) {
            let mut sources = sources(&sizes);
            let (bytes, right) = written(&sources);
            let right = right.unwrap();
            prop_assert_eq!(right.size, bytes.len() as u64);
            let mut sha256 = Sha256Stage::default();
            sha256.take(&bytes);
            prop_assert_eq!(right.sha256, sha256.finish());

            let (entry, source) = wrong.get_mut(&mut sources);
            let Source::Bytes(bytes) = source else { unreachable!() };
            if bytes.is_empty() {
                return Ok(());
            }
            *byte.get_mut(bytes) ^= 1;
            let (path, found) = (entry.path.clone(), Contents::of(bytes));
            match written(&sources).1 {
                Err(WriteError::Changed(changed)) => {
                    prop_assert_eq!(&changed.entry, &path);
                    prop_assert_eq!(changed.found, Found::Other(found));
                }
                other => prop_assert!(false, "{:?}", other),
            }
        }

        /// However the stream is cut, the same is found: a wrong byte in the first entry that has one, nothing elsewhere.
        #[test]
        fn a_proof_does_not_depend_on_the_pieces(
            sizes in prop::collection::vec(prop_oneof![Just(0_u64), 0..5_u64, 0..200_u64], 1..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
            wrong in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        ) {
            let sources = sources(&sizes);
            let (mut bytes, _) = written(&sources);
            let mut flipped = std::collections::BTreeSet::new();
            for at in wrong {
                let at = at.index(bytes.len());
                if flipped.insert(at as u64) {
                    bytes[at] ^= 1;
                }
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let entries: Vec<Entry> = sources.iter().map(|(entry, _)| entry.clone()).collect();
            let layout = Layout::new(&entries).unwrap();
            let mut proof = Proof::new(&layout);
            for pair in cuts.windows(2) {
                proof.take(&bytes[pair[0]..pair[1]]);
            }
            prop_assert!(proof.is_done());
            let holds_wrong = |placed: &&Placed| flipped.range(placed.data.clone()).next().is_some();
            let first = layout.entries().iter().find(holds_wrong);
            let found = proof.contradiction.map(|(placed, found)| (&placed.entry.path, found));
            let expected = first.map(|placed| {
                let range = placed.data.start as usize..placed.data.end as usize;
                (&placed.entry.path, Contents::of(&bytes[range]))
            });
            prop_assert_eq!(found, expected);
        }
    }
}
