//! Work on a stream of bytes beside its reading and writing: each stage is a thread that sees every buffer in turn.
//!
//! SHA-256 is serial and slower than a disk cache, so it gets a core of its own. A few buffers go round
//! between the threads: that bounds the memory, and nothing is allocated on the way.

use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use sha2::Digest as _;

use crate::blob::Blob;
use crate::digest::Sha256;
use crate::progress::{Progress, check_interrupt};

/// Bytes of a buffer: large enough that a hand-over costs nothing, small enough to stay in a core's cache.
pub const BUFFER: usize = 512 << 10;

/// Buffers that go round.
const BUFFERS: usize = 8;

/// What a thread of its own does with the stream.
pub trait Stage: Send {
    /// Takes the next bytes.
    fn take(&mut self, bytes: &[u8]);
}

/// The SHA-256 of the stream.
#[derive(Default)]
pub struct Sha256Stage(sha2::Sha256);

impl Sha256Stage {
    /// The digest of what was taken.
    pub fn finish(self) -> Sha256 {
        <[u8; 32]>::from(self.0.finalize()).into()
    }
}

impl Stage for Sha256Stage {
    fn take(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

/// The filling end.
pub struct Feed {
    empty: Receiver<Vec<u8>>,
    full: SyncSender<Vec<u8>>,
}

impl Feed {
    /// A buffer to fill, of [`BUFFER`] bytes, with whatever it held before.
    pub fn buffer(&self) -> io::Result<Vec<u8>> {
        let mut buffer = self.empty.recv().map_err(|_| gone())?;
        buffer.resize(BUFFER, 0);
        Ok(buffer)
    }

    /// Hands a filled buffer over, cut to what is in the stream.
    pub fn push(&self, buffer: Vec<u8>) -> io::Result<()> {
        self.full.send(buffer).map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::Error::other("a thread of the pipeline ended early")
}

/// Runs `fill` and, beside it, the stages over what it hands over, each behind the one before it.
pub fn run<T, E: From<io::Error>>(
    stages: &mut [&mut dyn Stage],
    fill: impl FnOnce(&Feed) -> Result<T, E>,
) -> Result<T, E> {
    let (to_filler, empty) = mpsc::sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        to_filler.send(Vec::new()).map_err(|_| gone())?;
    }
    thread::scope(|scope| {
        let mut threads = Vec::new();
        let mut next = to_filler;
        for (index, stage) in stages.iter_mut().enumerate().rev() {
            let (to_stage, buffers) = mpsc::sync_channel::<Vec<u8>>(BUFFERS);
            let onward = std::mem::replace(&mut next, to_stage);
            let work = move || {
                for buffer in buffers {
                    stage.take(&buffer);
                    // What comes next may have ended already; this stage's own result is still wanted.
                    let _ = onward.send(buffer);
                }
            };
            let name = format!("stage {index}");
            threads.push(
                thread::Builder::new()
                    .name(name)
                    .spawn_scoped(scope, work)?,
            );
        }
        let feed = Feed { empty, full: next };
        let filled = fill(&feed);
        drop(feed);
        // All of them, whatever became of the first: the scope panics for one that panicked unseen.
        let mut all_ended = true;
        for thread in threads {
            all_ended &= thread.join().is_ok();
        }
        if !all_ended {
            return Err(gone().into());
        }
        filled
    })
}

/// The SHA-256 of a file, reading ahead of the hash.
///
/// # Errors
/// Fails if the file cannot be read, becomes shorter meanwhile, or the user asked to stop
/// ([`io::ErrorKind::Interrupted`]).
pub fn sha256_file(path: &Path, progress: &dyn Progress) -> io::Result<Sha256> {
    sha256_blob(&Blob::open(path)?, path, progress)
}

/// The SHA-256 of a run of bytes, reading ahead of the hash; `path` is only what `progress` is told.
///
/// # Errors
/// As [`sha256_file`].
pub fn sha256_blob(blob: &Blob, path: &Path, progress: &dyn Progress) -> io::Result<Sha256> {
    let size = blob.size();
    let mut sha256 = Sha256Stage::default();
    run(&mut [&mut sha256], |feed| {
        let mut position = 0;
        while position < size {
            check_interrupt(progress)?;
            let mut buffer = feed.buffer()?;
            buffer.truncate((size - position).min(BUFFER as u64) as usize);
            blob.read_exact_at(&mut buffer, position)?;
            position += buffer.len() as u64;
            progress.advance(path, buffer.len() as u64);
            feed.push(buffer)?;
        }
        io::Result::Ok(())
    })?;
    Ok(sha256.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[test]
    fn the_digest_is_what_sha256sum_prints() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(
            sha256_file(&path, &Silent).unwrap().to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let bytes = vec![7; 3 * BUFFER + 5];
        std::fs::write(&path, &bytes).unwrap();
        let plain: [u8; 32] = sha2::Sha256::digest(&bytes).into();
        assert_eq!(sha256_file(&path, &Silent).unwrap(), Sha256::from(plain));
    }
}
