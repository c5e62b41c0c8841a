//! `bundle lock --from`: a ZIP that others made, pinned as it is.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::adopt::{AdoptError, Note, adopt};
use crate::archive::{self, Archive, OpenError};
use crate::atomic;
use crate::lockfile::{ArchivePin, INNER_NAME, LockError, Lockfile};
use crate::progress::{Phase, Progress};

/// What was pinned.
#[derive(Debug, Serialize)]
pub struct Report {
    pub lock: PathBuf,
    pub written: bool,
    pub models: usize,
    pub files: usize,
    pub notes: Vec<Note>,
}

/// Why nothing was pinned.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Adopt(#[from] AdoptError),
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("cannot write {}: {error}", path.display())]
    #[diagnostic(help("check that its folder is writable and the disk is not full"))]
    Write { path: PathBuf, error: io::Error },
    #[error("{} was made by this program and carries its lock", path.display())]
    #[diagnostic(help(
        "`bundle verify` checks it; `bundle unpack` takes `{INNER_NAME}` out of it"
    ))]
    HasLock { path: PathBuf },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lock(#[from] LockError),
    #[error("{} is the lock of `{found}`", path.display())]
    #[diagnostic(help("rename the ZIP, or move that lock away"))]
    InTheWay { path: PathBuf, found: String },
}

impl Error {
    /// Whether the contents of the bundle are at fault, and not the command.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Open(OpenError::Refused { .. }) | Self::Adopt(_) | Self::HasLock { .. }
        )
    }
}

/// Pins the ZIP at `bundle` in the lock beside it.
///
/// # Errors
/// Fails if it is damaged, ambiguous or no bundle, or the lock cannot be written.
pub fn pin(bundle: &Path, progress: &dyn Progress) -> Result<Report, Error> {
    let archive = Archive::open(bundle)?;
    // Every entry is read, then the whole file.
    let _phase = Phase::begin(progress, "Hashing", 2 * archive.size());
    if archive.entry(INNER_NAME).is_some() {
        let path = bundle.to_owned();
        return Err(Error::HasLock { path });
    }
    let adopted = adopt(&archive, progress)?;
    let mut lock = adopted.lock;
    lock.archive = Some(archive_pin(bundle, progress)?);
    let path = Lockfile::path_for(bundle);
    let written = write(&path, &lock)?;
    Ok(Report {
        lock: path,
        written,
        models: lock.models.len(),
        files: lock.files.len(),
        notes: adopted.notes,
    })
}

fn archive_pin(bundle: &Path, progress: &dyn Progress) -> Result<ArchivePin, Error> {
    let read = || {
        let size = std::fs::metadata(bundle)?.len();
        let sha256 = archive::sha256_file(bundle, progress)?;
        Ok(ArchivePin { size, sha256 })
    };
    read().map_err(|error| Error::Read {
        path: bundle.to_owned(),
        error,
    })
}

/// Writes the lock if it is not there already; the lock of something else is left alone.
fn write(path: &Path, lock: &Lockfile) -> Result<bool, Error> {
    if let Some(old) = Lockfile::load(path)? {
        if old.config != lock.config {
            let path = path.to_owned();
            let found = old.config;
            return Err(Error::InTheWay { path, found });
        }
        if old == *lock {
            return Ok(false);
        }
    }
    atomic::write(path, lock.render().as_bytes()).map_err(|error| Error::Write {
        path: path.to_owned(),
        error,
    })?;
    Ok(true)
}
