//! `bundle unpack`: a ZIP extracted, and nothing outside the folder that was named.

use std::path::PathBuf;

use serde::Serialize;

use crate::adopt::{AdoptError, adopt, inner_lock};
use crate::archive::{self, Archive, BundlePath, OpenError, ReadError, UnpackError};
use crate::lockfile::{LockedModel, Lockfile};
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
    #[error(transparent)]
    #[diagnostic(transparent)]
    Adopt(#[from] AdoptError),
    #[error("{} has no model `{model}`", path.display())]
    #[diagnostic(help("it has {}", known.join(", ").escape_debug()))]
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
                UnpackError::Read(ReadError::Io { .. } | ReadError::Write { .. })
                    | UnpackError::Write { .. }
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
    let inner = inner_lock(&archive)?;
    let lock = match &inner {
        Some(lock) => Some(lock.clone()),
        None if options.models.is_empty() => None,
        None => Some(adopt(&archive, progress)?.lock),
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
