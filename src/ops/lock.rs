//! `bundle lock`: the config resolved into the lock beside it.

use std::path::PathBuf;

use serde::Serialize;

use crate::atomic;
use crate::cache::{Cache, CacheError};
use crate::config::Warning;
use crate::lockfile::Lockfile;
use crate::plan::{Knowledge, Output, Plan, plan};
use crate::progress::Progress;
use crate::project::{Project, ProjectError};
use crate::resolve::ResolveError;

/// What to lock.
#[derive(Clone, Debug)]
pub struct Options {
    pub config: PathBuf,
    /// Write nothing; only say whether the lock is up to date.
    pub check: bool,
    /// Whether weights that do not fit their declared network are an error.
    pub check_architecture: bool,
}

/// What became of the lock.
#[derive(Debug, Serialize)]
pub struct Report {
    pub lock: PathBuf,
    pub written: bool,
    pub models: usize,
    pub plan: Plan,
    #[serde(skip)]
    pub warnings: Vec<Warning>,
    /// Why nothing could be remembered, if so.
    pub cache_problem: Option<String>,
}

/// Why the lock could not be made.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Project(#[from] ProjectError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Resolve(#[from] ResolveError),
    #[error("cannot write {}: {error}", path.display())]
    #[diagnostic(help("check that its folder is writable and the disk is not full"))]
    Write {
        path: PathBuf,
        error: std::io::Error,
    },
}

impl Error {
    /// Whether the contents of weights are at fault.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Resolve(error) if error.is_refusal())
    }
}

/// Resolves the config and writes the lock if it changed.
///
/// # Errors
/// Fails if the project is invalid or a file cannot be read or written. A stale lock under `check` is no error:
/// the plan says so.
pub fn lock(
    options: &Options,
    cache: Result<Cache, CacheError>,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let mut project = Project::open(&options.config, cache, progress)?;
    let resolved = project.resolve(options.check_architecture, progress)?;
    let plan = plan(Knowledge {
        old: project.lock.as_ref(),
        new: &resolved.lock,
        date_is_pinned: project.config.created.is_some(),
        read: &resolved.read,
        line_endings: &resolved.line_endings,
        output: Output::NotAsked,
    });
    let written = !options.check && !plan.lock_is_up_to_date();
    if written {
        write(&project, &resolved.lock)?;
    }
    Ok(Report {
        lock: project.lock_path,
        written,
        models: resolved.lock.models.len(),
        plan,
        warnings: [project.config.warnings, resolved.warnings].concat(),
        cache_problem: project.cache.err().map(|error| error.to_string()),
    })
}

fn write(project: &Project, lock: &Lockfile) -> Result<(), Error> {
    let path = &project.lock_path;
    atomic::write(path, lock.render().as_bytes()).map_err(|error| Error::Write {
        path: path.clone(),
        error,
    })
}
