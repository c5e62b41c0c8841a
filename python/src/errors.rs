//! Errors of the library as exceptions, with the text that the command prints.

use std::io;

use miette::{Diagnostic, MietteDiagnostic};
use model_bundle::archive::{OpenError, ReadError, VerifyError};
use model_bundle::cli::plain_report;
use model_bundle::config::{ConfigError, Problem};
use model_bundle::exec::ExecError;
use model_bundle::inspect::InspectError;
use model_bundle::lockfile::{LockError, LockErrorKind};
use model_bundle::ops::{build, lock, verify};
use model_bundle::project::ProjectError;
use model_bundle::resolve::ResolveError;
use model_bundle::runner::{RunnerError, TaskError};
use model_bundle::subject::SubjectError;
use model_bundle::tasks::pi::PiError;
use model_bundle::tasks::table::TableError;
use pyo3::prelude::*;

/// The classes of `model_bundle.errors`.
#[derive(Clone, Copy)]
pub enum Kind {
    /// A config, or an option, that cannot be used.
    Config,
    /// The contents of a bundle are at fault.
    Refused,
    /// There is no such model.
    NoModel,
    /// An image or a table that the model does not take.
    Input,
    /// A file that is not there.
    MissingFile,
    /// A file that cannot be read or written.
    File,
    /// A device that is not there, or fails.
    Device,
}

impl Kind {
    fn class(self) -> &'static str {
        match self {
            Self::Config => "ConfigError",
            Self::Refused => "RefusedError",
            Self::NoModel => "NoModelError",
            Self::Input => "InputError",
            Self::MissingFile => "MissingFileError",
            Self::File => "FileError",
            Self::Device => "DeviceError",
        }
    }

    fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::MissingFile,
            _ => Self::File,
        }
    }

    fn of_config(error: &ConfigError) -> Self {
        match error {
            ConfigError::Read { source, .. } => Self::of_io(source),
            ConfigError::Invalid { problems, .. } => {
                match problems.iter().any(Problem::is_of_missing_file) {
                    true => Self::MissingFile,
                    false => Self::Config,
                }
            }
            _ => Self::Config,
        }
    }

    fn of_open(error: &OpenError) -> Self {
        match error {
            OpenError::Io { source, .. } => Self::of_io(source),
            OpenError::Refused { .. } => Self::Refused,
        }
    }

    fn of_entry(error: &ReadError) -> Self {
        match error {
            ReadError::Io { source, .. } => Self::of_io(source),
            _ => Self::Refused,
        }
    }

    fn of_lock(error: &LockError) -> Self {
        match &error.kind {
            LockErrorKind::Io(error) => Self::of_io(error),
            _ => Self::Refused,
        }
    }

    fn of_project(error: &ProjectError) -> Self {
        match error {
            ProjectError::NoConfig { .. } => Self::MissingFile,
            ProjectError::Config(error) => Self::of_config(error),
            ProjectError::Lock(error) => Self::of_lock(error),
            ProjectError::Interrupted => Self::File,
        }
    }

    fn of_resolve(error: &ResolveError) -> Self {
        match error {
            ResolveError::Read { error, .. } => Self::of_io(error),
            ResolveError::Weights { .. } => Self::Refused,
            ResolveError::Epoch { .. } | ResolveError::Name(_) => Self::Config,
            ResolveError::Changed { .. } | ResolveError::Interrupted => Self::File,
        }
    }

    fn of_subject(error: &SubjectError) -> Self {
        match error {
            SubjectError::Read { error, .. } => Self::of_io(error),
            SubjectError::Config(error) => Self::of_config(error),
            SubjectError::Open(error) => Self::of_open(error),
            SubjectError::Entry { error, .. } => Self::of_entry(error),
            SubjectError::Inspect(error) => Self::of_inspect(error),
            SubjectError::NoModel { .. } => Self::NoModel,
            SubjectError::Packed(_)
            | SubjectError::Adopt(_)
            | SubjectError::NotAsLocked { .. }
            | SubjectError::Sha256 { .. } => Self::Refused,
        }
    }

    fn of_inspect(error: &InspectError) -> Self {
        match error {
            InspectError::Read { error, .. } => Self::of_io(error),
            InspectError::Folder { .. } | InspectError::Neither { .. } => Self::File,
            InspectError::Open(error) => Self::of_open(error),
            InspectError::Lock(error) => Self::of_lock(error),
            InspectError::Entry { error, .. } => Self::of_entry(error),
            InspectError::Adopt(_) | InspectError::NotThere { .. } => Self::Refused,
        }
    }

    fn of_task(error: &TaskError) -> Self {
        match error {
            TaskError::Exec(ExecError::Device { .. }) => Self::Device,
            TaskError::Subject(error) => Self::of_subject(error),
            TaskError::File { error, .. } => Self::of_io(error),
            _ => Self::Input,
        }
    }

    fn of_runner(error: &RunnerError) -> Self {
        match error {
            RunnerError::Subject(error) => Self::of_subject(error),
            RunnerError::Device(_) => Self::Device,
            RunnerError::NotRun { .. } | RunnerError::Unfit { .. } | RunnerError::Task { .. } => {
                Self::Refused
            }
        }
    }
}

/// What becomes an exception.
pub trait Raised {
    /// The exception.
    fn raised(self, py: Python<'_>) -> PyErr;
}

/// An exception that says what the command would.
fn raise(py: Python<'_>, kind: Kind, diagnostic: &dyn Diagnostic) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let class = py.import("model_bundle.errors")?.getattr(kind.class())?;
        let report = plain_report(diagnostic);
        let error = class.call1((diagnostic.to_string(), report))?;
        Ok(PyErr::from_value(error))
    };
    make().unwrap_or_else(|error| error)
}

/// An exception with one line.
pub fn plain(py: Python<'_>, kind: Kind, message: impl ToString) -> PyErr {
    raise(py, kind, &MietteDiagnostic::new(message.to_string()))
}

macro_rules! raised {
    ($($error:ty, $of:path;)*) => {$(
        impl Raised for $error {
            fn raised(self, py: Python<'_>) -> PyErr {
                raise(py, $of(&self), &self)
            }
        }
    )*};
}

raised! {
    SubjectError, Kind::of_subject;
    RunnerError, Kind::of_runner;
    InspectError, Kind::of_inspect;
    build::Error, of_build;
    lock::Error, of_making_lock;
    verify::Error, of_verify;
}

impl Raised for TaskError {
    fn raised(self, py: Python<'_>) -> PyErr {
        plain(py, Kind::of_task(&self), self)
    }
}

impl Raised for TableError {
    fn raised(self, py: Python<'_>) -> PyErr {
        plain(py, Kind::Input, self)
    }
}

impl Raised for PiError {
    fn raised(self, py: Python<'_>) -> PyErr {
        plain(py, Kind::Input, self)
    }
}

fn of_build(error: &build::Error) -> Kind {
    match error {
        build::Error::Project(error) => Kind::of_project(error),
        build::Error::Resolve(error) => Kind::of_resolve(error),
        build::Error::NotZip { .. } => Kind::Config,
        build::Error::Read { error, .. } | build::Error::Write { error, .. } => Kind::of_io(error),
        build::Error::InTheWay { .. }
        | build::Error::Folder { .. }
        | build::Error::OwnSource { .. }
        | build::Error::Archive(_) => Kind::File,
    }
}

fn of_making_lock(error: &lock::Error) -> Kind {
    match error {
        lock::Error::Project(error) => Kind::of_project(error),
        lock::Error::Resolve(error) => Kind::of_resolve(error),
        lock::Error::Write { error, .. } => Kind::of_io(error),
    }
}

fn of_verify(error: &verify::Error) -> Kind {
    match error {
        verify::Error::NoLock { .. } => Kind::MissingFile,
        verify::Error::Lock(error) => Kind::of_lock(error),
        verify::Error::Read { error, .. } => Kind::of_io(error),
        verify::Error::Verify(VerifyError::Io { source, .. }) => Kind::of_io(source),
        verify::Error::Verify(VerifyError::Layout(_)) => Kind::Refused,
    }
}
