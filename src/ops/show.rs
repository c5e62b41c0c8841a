//! `bundle show`: what a ZIP or a lock holds.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::adopt::Note;
use crate::archive::{Archive, BundlePath, ReadError};
use crate::digest::Contents;
use crate::facts::{Facts, TensorFact};
use crate::inspect::{InspectError, Inspected, inspect};
use crate::lockfile::{Layout, LockedFacts, LockedModel, Lockfile};
use crate::packed::TRACKER_NAME;
use crate::progress::Progress;
use crate::subject::Subject;
use crate::value::Map;
use crate::weights::WeightsError;

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
    /// What the weights were found to be.
    #[serde(flatten)]
    pub facts: LockedFacts,
    /// Name, type and shape of every tensor, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tensors: Option<Vec<TensorFact>>,
    pub allow_globals: Vec<String>,
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

/// What to show.
#[derive(Clone, Debug)]
pub struct Options {
    /// A ZIP or a lock.
    pub path: PathBuf,
    /// Show this model alone.
    pub model: Option<String>,
    /// List the tensors of a ZIP's models.
    pub tensors: bool,
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Inspect(#[from] InspectError),
    #[error("{} has no model `{model}`", path.display())]
    #[diagnostic(help("it has {}", known.join(", ")))]
    NoModel {
        path: PathBuf,
        model: String,
        known: Vec<String>,
    },
    #[error("{} is a lock, which has no tensors", path.display())]
    #[diagnostic(help("name the ZIP"))]
    NoTensors { path: PathBuf },
    #[error("cannot read {path} in {}: {error}", bundle.display())]
    Entry {
        bundle: PathBuf,
        path: BundlePath,
        error: ReadError,
    },
    #[error("{path} in {}: {error}", bundle.display())]
    Weights {
        bundle: PathBuf,
        path: BundlePath,
        error: Box<WeightsError>,
    },
}

impl Error {
    /// Whether the contents of the file are at fault, and not its absence.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Inspect(error) => error.is_refusal(),
            Self::Entry { error, .. } => !matches!(error, ReadError::Io { .. }),
            Self::Weights { error, .. } => !matches!(**error, WeightsError::Io(_)),
            Self::NoModel { .. } | Self::NoTensors { .. } => false,
        }
    }
}

/// Shows a ZIP or a lock.
///
/// # Errors
/// Fails if the file cannot be read or is neither, or has not what is asked for.
pub fn show(options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    let path = &options.path;
    let Inspected {
        archive,
        lock,
        notes,
    } = inspect(path, progress)?;
    let kind = match archive {
        Some(_) => Kind::Bundle,
        None => Kind::Lock,
    };
    let mut report = report(path, kind, &lock, notes);
    if let Some(archive) = &archive {
        report.size = Some(archive.size());
        report.notes.extend(not_as_locked(archive, &lock));
    }
    if let Some(wanted) = &options.model {
        let known = report
            .models
            .iter()
            .map(|model| model.key.clone())
            .collect();
        report.models.retain(|model| model.key == *wanted);
        report.tracker = None;
        if report.models.is_empty() {
            let (path, model) = (path.clone(), wanted.clone());
            return Err(Error::NoModel { path, model, known });
        }
    }
    match &archive {
        Some(archive) => {
            let foreign = lock.layout == Layout::Foreign;
            let looks = options.tensors || foreign || !report.notes.is_empty();
            let subject = looks.then(|| Subject::open(path).ok()).flatten();
            for model in &mut report.models {
                let weights = model.weights.as_ref().map(|weights| &weights.path);
                let is_other = |note: &Note| matches!(note, Note::NotAsLocked { path } if Some(path) == weights);
                if options.tensors || foreign || report.notes.iter().any(is_other) {
                    look_inside(model, archive, subject.as_ref(), options.tensors, progress)?;
                }
            }
        }
        None if options.tensors => return Err(Error::NoTensors { path: path.clone() }),
        None => {}
    }
    Ok(report)
}

/// The entries whose headers are not what the lock inside says; reading them all is `verify`'s work.
fn not_as_locked(archive: &Archive, lock: &Lockfile) -> Vec<Note> {
    let differs = |file: &&crate::lockfile::LockedFile| {
        archive.entry(file.path.as_str()).is_none_or(|entry| {
            (entry.size, entry.crc32) != (file.contents.size, file.contents.crc32)
        })
    };
    let files = lock.files.iter().filter(differs);
    files
        .map(|file| Note::NotAsLocked {
            path: file.path.clone(),
        })
        .collect()
}

/// Reads a model's weights: for what no lock says of a foreign bundle, and for the list of tensors.
fn look_inside(
    model: &mut Model,
    archive: &Archive,
    subject: Option<&Subject>,
    tensors: bool,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let Some(weights) = &model.weights else {
        return Ok(());
    };
    let (bundle, path) = (archive.path().to_owned(), weights.path.clone());
    let Some(entry) = archive.entry(path.as_str()) else {
        return Ok(());
    };
    let blob = archive.blob(entry, progress);
    let blob = match blob {
        Ok(blob) => blob,
        Err(error) => {
            return Err(Error::Entry {
                bundle,
                path,
                error,
            });
        }
    };
    match Facts::derive(&blob, archive.path(), progress) {
        Ok(facts) => {
            let configured = subject.and_then(|subject| subject.config.model(&model.key));
            match (subject, configured) {
                (Some(subject), Some(own)) => model.facts = subject.locked_facts(own, &facts),
                // Its config cannot be read, or has no such model.
                _ => {
                    model.facts = LockedFacts {
                        parameters: facts.parameters,
                        dtype: facts.dtype(),
                        tensors: facts.tensor_digest,
                        globals: facts.globals.clone(),
                        ..LockedFacts::default()
                    }
                }
            }
            model.tensors = tensors.then_some(facts.tensors);
            Ok(())
        }
        Err(error) if tensors => Err(Error::Weights {
            bundle,
            path,
            error: Box::new(error),
        }),
        // A foreign bundle is shown with what can be known of it.
        Err(_) => Ok(()),
    }
}

fn report(path: &Path, kind: Kind, lock: &Lockfile, notes: Vec<Note>) -> Report {
    let models = lock.models.iter();
    Report {
        path: path.to_owned(),
        kind,
        layout: lock.layout.name(),
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
        facts: model.facts.clone(),
        tensors: None,
        allow_globals: model.allow_globals.clone(),
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
