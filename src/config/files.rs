//! Where the files are that a config names: on disk, or in a bundle that was packed from it.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of so many bytes.
    File {
        size: u64,
    },
    Folder,
    /// A device, a pipe, a socket.
    Other,
}

/// A place that has files.
pub trait Files: fmt::Debug + Send + Sync {
    /// What is at `path`, links followed.
    ///
    /// # Errors
    /// Fails if nothing is there, or it cannot be seen.
    fn kind(&self, path: &Path) -> io::Result<Kind>;

    /// Whether there is anything at `path`, a link that leads nowhere included.
    fn exists(&self, path: &Path) -> bool {
        self.kind(path).is_ok()
    }

    /// At most one byte more than `limit` of a file.
    ///
    /// # Errors
    /// Fails if it cannot be read.
    fn read_at_most(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
}

/// The file system.
#[derive(Debug)]
pub struct Disk;

impl Files for Disk {
    fn kind(&self, path: &Path) -> io::Result<Kind> {
        let metadata = fs::metadata(path)?;
        Ok(match () {
            () if metadata.is_dir() => Kind::Folder,
            () if metadata.is_file() => Kind::File {
                size: metadata.len(),
            },
            () => Kind::Other,
        })
    }

    fn exists(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok()
    }

    fn read_at_most(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        crate::digest::open_regular(path)?
            .take(limit + 1)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
