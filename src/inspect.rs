//! A ZIP or a lock, whichever a path turns out to be, as a lock.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::adopt::{AdoptError, Note, lock_of};
use crate::archive::{Archive, BundlePath, OpenError, ReadError};
use crate::digest::open_regular;
use crate::lockfile::{Layout, LockError, LockErrorKind, LockedFacts, Lockfile};
use crate::progress::{Phase, Progress};

/// A ZIP with what it would be locked as, or a lock.
#[derive(Debug)]
pub struct Inspected {
    /// The ZIP, if it is one.
    pub archive: Option<Archive>,
    pub lock: Lockfile,
    /// What is odd about a foreign ZIP.
    pub notes: Vec<Note>,
}

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum InspectError {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("{} is a folder", path.display())]
    #[diagnostic(help("name the config or the ZIP in it"))]
    Folder { path: PathBuf },
    #[error("{} is neither a bundle (ZIP) nor a lockfile", path.display())]
    #[diagnostic(help("name the ZIP, or the `.lock` that `bundle lock` writes beside the config"))]
    Neither { path: PathBuf },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Adopt(#[from] AdoptError),
    #[error("{}: {error}", path.display())]
    #[diagnostic(help("the ZIP is damaged: copy or download it again, or build it anew"))]
    Entry { path: PathBuf, error: ReadError },
    #[error("{} has no `{entry}`, which the lock inside it names", path.display())]
    #[diagnostic(help("`bundle verify` lists everything that is not as the lock says"))]
    NotThere { path: PathBuf, entry: BundlePath },
}

impl InspectError {
    /// Whether the contents of the file are at fault, and not its absence.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Read { .. }
            | Self::Folder { .. }
            | Self::Neither { .. }
            | Self::Open(OpenError::Io { .. }) => false,
            Self::Entry { error, .. } => !matches!(error, ReadError::Io { .. }),
            Self::Lock(error) => !matches!(error.kind, LockErrorKind::Io(_)),
            _ => true,
        }
    }
}

impl Inspected {
    /// Reads every entry of a ZIP, and puts what it holds in the place of what the lock inside says; of weights that turn out
    /// to be others, the lock then knows nothing.
    ///
    /// # Errors
    /// Fails if an entry is damaged, is not there, or cannot be read.
    pub fn prove(&mut self, progress: &dyn Progress) -> Result<(), InspectError> {
        let Some(archive) = &self.archive else {
            return Ok(());
        };
        if self.lock.layout == Layout::Foreign {
            // That lock was made from what was read.
            return Ok(());
        }
        let _phase = Phase::begin(progress, "Hashing", archive.size());
        let error = |error| InspectError::Entry {
            path: archive.path().to_owned(),
            error,
        };
        for file in &mut self.lock.files {
            let Some(entry) = archive.entry(file.path.as_str()) else {
                return Err(InspectError::NotThere {
                    path: archive.path().to_owned(),
                    entry: file.path.clone(),
                });
            };
            let found = archive.contents(entry, progress).map_err(error)?;
            if found == file.contents {
                continue;
            }
            file.contents = found;
            for model in self.lock.models.values_mut() {
                if model.weights.as_ref() == Some(&file.path) {
                    model.facts = LockedFacts::default();
                }
            }
        }
        Ok(())
    }
}

/// Opens the ZIP or the lock at `path`.
///
/// # Errors
/// Fails if the file cannot be read or is neither.
pub fn inspect(path: &Path, progress: &dyn Progress) -> Result<Inspected, InspectError> {
    if !is_zip(path)? {
        let lock = Lockfile::load(path).map_err(|error| of_no_zip(path, error))?;
        let lock = lock.ok_or_else(|| InspectError::Read {
            path: path.to_owned(),
            error: io::ErrorKind::NotFound.into(),
        })?;
        return Ok(Inspected {
            archive: None,
            lock,
            notes: Vec::new(),
        });
    }
    let archive = Archive::open(path)?;
    let _phase = Phase::begin(progress, "Hashing", archive.size());
    let adopted = lock_of(&archive, progress)?;
    Ok(Inspected {
        archive: Some(archive),
        lock: adopted.lock,
        notes: adopted.notes,
    })
}

/// What is said of a file that is no ZIP: only what is named as a lock, or begins as one, is called a damaged lock.
fn of_no_zip(path: &Path, error: LockError) -> InspectError {
    let is_named = path
        .extension()
        .is_some_and(|extension| extension == "lock");
    let is_other = matches!(
        error.kind,
        LockErrorKind::NotText { .. }
            | LockErrorKind::NoVersion
            | LockErrorKind::Syntax { .. }
            | LockErrorKind::TooLarge
    );
    match is_other && !is_named {
        true => InspectError::Neither {
            path: path.to_owned(),
        },
        false => error.into(),
    }
}

/// Whether the file is a ZIP, by its first bytes, or by its name if it is too damaged to have them.
///
/// # Errors
/// Fails if it cannot be read.
pub fn is_zip(path: &Path) -> Result<bool, InspectError> {
    let error = |error| InspectError::Read {
        path: path.to_owned(),
        error,
    };
    if path.is_dir() {
        return Err(InspectError::Folder {
            path: path.to_owned(),
        });
    }
    let mut magic = [0; 2];
    let mut file = open_regular(path).map_err(error)?;
    let begins = file.read(&mut magic).map_err(error)? == 2 && magic == *b"PK";
    Ok(begins || path.extension().is_some_and(|extension| extension == "zip"))
}
