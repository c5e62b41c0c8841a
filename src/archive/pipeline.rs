//! SHA-256 beside other work: one thread hashes the buffers that another one fills.
//!
//! SHA-256 is serial and slower than a disk cache, so it gets a core of its own. A few buffers go round
//! between the two threads: that bounds the memory, and nothing is allocated on the way.

use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use sha2::Digest as _;

use crate::digest::{Sha256, open_regular, read_exact_at};
use crate::progress::{Progress, check_interrupt};

/// Bytes of a buffer: large enough that a hand-over costs nothing, small enough to stay in a core's cache.
pub const BUFFER: usize = 512 << 10;

/// Buffers that go round.
const BUFFERS: usize = 8;

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

    /// Hands a filled buffer over, cut to what is to be hashed.
    pub fn hash(&self, buffer: Vec<u8>) -> io::Result<()> {
        self.full.send(buffer).map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::Error::other("the hashing thread ended early")
}

/// Runs `fill` and, beside it, SHA-256 over what it hands over.
pub fn with_sha256<T, E: From<io::Error>>(
    fill: impl FnOnce(&Feed) -> Result<T, E>,
) -> Result<(T, Sha256), E> {
    let (to_hasher, full) = mpsc::sync_channel::<Vec<u8>>(BUFFERS);
    let (to_filler, empty) = mpsc::sync_channel(BUFFERS);
    for _ in 0..BUFFERS {
        to_filler.send(Vec::new()).map_err(|_| gone())?;
    }
    thread::scope(|scope| {
        let hasher =
            thread::Builder::new()
                .name("sha256".into())
                .spawn_scoped(scope, move || {
                    let mut sha256 = sha2::Sha256::new();
                    for buffer in full {
                        sha256.update(&buffer);
                        // The filler may have ended already; the digest is still wanted.
                        let _ = to_filler.send(buffer);
                    }
                    <[u8; 32]>::from(sha256.finalize())
                })?;
        let feed = Feed {
            empty,
            full: to_hasher,
        };
        let filled = fill(&feed);
        drop(feed);
        let digest = hasher.join().map_err(|_| gone())?;
        Ok((filled?, Sha256::from(digest)))
    })
}

/// The SHA-256 of a file, reading ahead of the hash.
///
/// # Errors
/// Fails if the file cannot be read, becomes shorter meanwhile, or the user asked to stop
/// ([`io::ErrorKind::Interrupted`]).
pub fn sha256_file(path: &Path, progress: &dyn Progress) -> io::Result<Sha256> {
    let file = open_regular(path)?;
    let size = file.metadata()?.len();
    let ((), digest) = with_sha256(|feed| {
        let mut position = 0;
        while position < size {
            check_interrupt(progress)?;
            let mut buffer = feed.buffer()?;
            buffer.truncate((size - position).min(BUFFER as u64) as usize);
            read_exact_at(&file, &mut buffer, position)?;
            position += buffer.len() as u64;
            progress.advance(path, buffer.len() as u64);
            feed.hash(buffer)?;
        }
        io::Result::Ok(())
    })?;
    Ok(digest)
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
