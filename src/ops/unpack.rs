//! `bundle unpack`: a ZIP extracted, and nothing outside the folder that was named.

use std::path::PathBuf;

use serde::Serialize;

use crate::adopt::{AdoptError, adopt};
use crate::archive::{self, Archive, BundlePath, OpenError, ReadError, UnpackError};
use crate::lockfile::{INNER_NAME, LockErrorKind, LockedModel, Lockfile, MAX_SIZE};
use crate::packed::TRACKER_NAME;
use crate::progress::{Phase, Progress};

/// What to extract, and where.
#[derive(Clone, Debug)]
pub struct Options {
    pub bundle: PathBuf,
    pub dir: PathBuf,
    /// Only these models' files; all files if it is empty.
    pub models: Vec<String>,
}

/// What was extracted.
#[derive(Debug, Serialize)]
pub struct Report {
    pub dir: PathBuf,
    pub files: Vec<PathBuf>,
    pub bytes: u64,
}

/// Why nothing was extracted.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{}: {error}", path.display())]
    Entry { path: PathBuf, error: ReadError },
    #[error("{}: {error}", path.display())]
    Adopt { path: PathBuf, error: AdoptError },
    #[error("{}: the `{INNER_NAME}` inside cannot be used: {kind}", path.display())]
    #[diagnostic(help("the bundle is damaged: fetch it again, or verify it against its lock"))]
    InnerLock { path: PathBuf, kind: LockErrorKind },
    #[error("{} has no model `{model}`", path.display())]
    #[diagnostic(help("it has {}", known.join(", ")))]
    NoModel {
        path: PathBuf,
        model: String,
        known: Vec<String>,
    },
    #[error(transparent)]
    Unpack(#[from] UnpackError),
}

impl Error {
    /// Whether the contents of the bundle are at fault, and not the command.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Open(OpenError::Io { .. }) => false,
            Self::Unpack(error) => !matches!(
                error,
                UnpackError::Write { .. }
                    | UnpackError::Exists { .. }
                    | UnpackError::Symlink { .. }
                    | UnpackError::NotAFolder { .. }
            ),
            _ => true,
        }
    }
}

/// Extracts a bundle. Where it carries a lock, every file must be what the lock says.
///
/// # Errors
/// Fails if the bundle is damaged or ambiguous, a file is in the way, or the disk fails; nothing of a failed
/// extraction is left.
pub fn unpack(options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    let archive = Archive::open(&options.bundle)?;
    let _phase = Phase::begin(progress, "Unpacking", archive.size());
    let inner = inner_lock(&archive, options)?;
    let lock = match (&inner, options.models.is_empty()) {
        (Some(lock), _) => Some(lock.clone()),
        (None, true) => None,
        (None, false) => {
            let adopted = adopt(&archive, "", progress).map_err(|error| Error::Adopt {
                path: options.bundle.clone(),
                error,
            })?;
            Some(adopted.lock)
        }
    };
    let wanted = lock
        .as_ref()
        .map(|lock| wanted(lock, options))
        .transpose()?
        .flatten();
    let selects = |path: &BundlePath| wanted.as_ref().is_none_or(|wanted| wanted.contains(path));
    let expected = inner.map(|lock| lock.entries());
    let files = archive::unpack(
        &archive,
        selects,
        &options.dir,
        expected.as_deref(),
        progress,
    )?;
    let entries = archive
        .entries()
        .iter()
        .filter(|entry| selects(&entry.path));
    Ok(Report {
        dir: options.dir.clone(),
        bytes: entries.map(|entry| entry.size).sum(),
        files,
    })
}

fn inner_lock(archive: &Archive, options: &Options) -> Result<Option<Lockfile>, Error> {
    let path = || options.bundle.clone();
    let Some(entry) = archive.entry(INNER_NAME) else {
        return Ok(None);
    };
    let bytes = archive.read(entry, MAX_SIZE).map_err(|error| {
        let path = path();
        Error::Entry { path, error }
    })?;
    let lock = Lockfile::parse(&bytes).map_err(|kind| {
        let path = path();
        Error::InnerLock { path, kind }
    })?;
    Ok(Some(lock))
}

/// The files of the models that were asked for; `None` for all files.
fn wanted(lock: &Lockfile, options: &Options) -> Result<Option<Vec<BundlePath>>, Error> {
    if options.models.is_empty() {
        return Ok(None);
    }
    let tracker = lock.file(TRACKER_NAME);
    let mut files = Vec::new();
    for key in &options.models {
        match (lock.models.get(key), tracker) {
            (Some(model), _) => files.extend(files_of(model)),
            (None, Some(tracker)) if key == "tracker" => files.push(tracker.path.clone()),
            _ => {
                let tracker = tracker.map(|_| "tracker".to_owned());
                return Err(Error::NoModel {
                    path: options.bundle.clone(),
                    model: key.clone(),
                    known: lock.models.keys().cloned().chain(tracker).collect(),
                });
            }
        }
    }
    Ok(Some(files))
}

fn files_of(model: &LockedModel) -> impl Iterator<Item = BundlePath> {
    let test = model.test.iter();
    let vectors = test.flat_map(|test| {
        [
            Some(&test.input),
            Some(&test.expected),
            test.labels.as_ref(),
        ]
    });
    let files = [model.weights.as_ref(), model.metadata.as_ref()].into_iter();
    files
        .chain(vectors)
        .flatten()
        .cloned()
        .collect::<Vec<_>>()
        .into_iter()
}
