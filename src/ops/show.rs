//! `bundle show`: what a ZIP or a lock holds.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::adopt::{AdoptError, Note, lock_of};
use crate::archive::{Archive, BundlePath, OpenError};
use crate::digest::{Contents, open_regular};
use crate::lockfile::{Layout, LockError, LockErrorKind, LockedModel, Lockfile};
use crate::packed::TRACKER_NAME;
use crate::progress::{Phase, Progress};
use crate::value::Map;

/// What a ZIP or a lock holds.
#[derive(Debug, Serialize)]
pub struct Report {
    pub path: PathBuf,
    pub kind: Kind,
    /// `canonical` or `foreign`.
    pub layout: &'static str,
    pub config: String,
    pub created: Option<String>,
    pub about: Map,
    /// Of the ZIP itself, or as the lock pins it.
    pub size: Option<u64>,
    pub sha256: Option<String>,
    pub models: Vec<Model>,
    pub tracker: Option<FileSummary>,
    pub files: Vec<FileSummary>,
    pub notes: Vec<Note>,
}

/// Where the facts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Bundle,
    Lock,
}

/// One model.
#[derive(Debug, Serialize)]
pub struct Model {
    pub key: String,
    pub weights: Option<FileSummary>,
    pub metadata: Option<BundlePath>,
    pub inferer_args: Option<Map>,
    pub model_args: Option<Map>,
    pub has_test: bool,
}

/// One file.
#[derive(Clone, Debug, Serialize)]
pub struct FileSummary {
    pub path: BundlePath,
    pub source: Option<String>,
    #[serde(flatten)]
    pub contents: Contents,
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error("cannot read {}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Adopt(#[from] AdoptError),
}

impl Error {
    /// Whether the contents of the file are at fault, and not its absence.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Read { .. } | Self::Open(OpenError::Io { .. }) => false,
            Self::Lock(error) => !matches!(error.kind, LockErrorKind::Io(_)),
            _ => true,
        }
    }
}

/// Shows the ZIP or the lock at `path`.
///
/// # Errors
/// Fails if the file cannot be read or is neither.
pub fn show(path: &Path, progress: &dyn Progress) -> Result<Report, Error> {
    let error = |error| Error::Read {
        path: path.to_owned(),
        error,
    };
    let mut file = open_regular(path).map_err(error)?;
    let mut magic = [0; 2];
    let is_zip = file.read(&mut magic).map_err(error)? == 2 && magic == *b"PK"
        || path.extension().is_some_and(|extension| extension == "zip");
    if !is_zip {
        let lock = Lockfile::load(path)?.ok_or_else(|| error(io::ErrorKind::NotFound.into()))?;
        return Ok(report(path, Kind::Lock, &lock, Vec::new()));
    }
    let size = file.metadata().map_err(error)?.len();
    let archive = Archive::open(path)?;
    let _phase = Phase::begin(progress, "Hashing", archive.size());
    let adopted = lock_of(&archive, progress)?;
    let mut report = report(path, Kind::Bundle, &adopted.lock, adopted.notes);
    report.size = Some(size);
    Ok(report)
}

fn report(path: &Path, kind: Kind, lock: &Lockfile, notes: Vec<Note>) -> Report {
    let models = lock.models.iter();
    Report {
        path: path.to_owned(),
        kind,
        layout: match lock.layout {
            Layout::Canonical => "canonical",
            Layout::Foreign => "foreign",
        },
        config: lock.config.clone(),
        created: lock.created.map(|created| created.to_string()),
        about: lock.about.clone(),
        size: lock.archive.map(|pin| pin.size),
        sha256: lock.archive.map(|pin| pin.sha256.to_string()),
        models: models
            .map(|(key, model)| summary(lock, key, model))
            .collect(),
        tracker: file(lock, TRACKER_NAME),
        files: lock.files.iter().map(FileSummary::from).collect(),
        notes,
    }
}

fn summary(lock: &Lockfile, key: &str, model: &LockedModel) -> Model {
    Model {
        key: key.to_owned(),
        weights: model
            .weights
            .as_ref()
            .and_then(|path| file(lock, path.as_str())),
        metadata: model.metadata.clone(),
        inferer_args: model.inferer_args.clone(),
        model_args: model.model_args.clone(),
        has_test: model.test.is_some(),
    }
}

fn file(lock: &Lockfile, path: &str) -> Option<FileSummary> {
    lock.file(path).map(FileSummary::from)
}

impl From<&crate::lockfile::LockedFile> for FileSummary {
    fn from(file: &crate::lockfile::LockedFile) -> Self {
        Self {
            path: file.path.clone(),
            source: file.source.clone(),
            contents: file.contents,
        }
    }
}
