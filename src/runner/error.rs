//! Why a model is not run at all, and why it is not run on a file.

use std::io;
use std::path::PathBuf;

use miette::Diagnostic;

use super::SelectionError;
use crate::config::{Config, Model, Problem};
use crate::exec::ExecError;
use crate::fit;
use crate::image::ImageError;
use crate::subject::SubjectError;
use crate::tasks::network::NetworkError;
use crate::tasks::pi::PiError;
use crate::tasks::table::TableError;
use crate::tasks::{BadArgument, ClassifyError, FrameError, NotRun};
use crate::weights::WeightsError;

/// Why a model cannot be run on anything.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum RunnerError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Subject(#[from] SubjectError),
    #[error("`{model}` ({network}) is not run: {why}")]
    #[diagnostic(help(
        "`bundle check` says whether it is sound, and whether HiTMicTools can load it"
    ))]
    NotRun {
        model: String,
        /// Its network, in a word.
        network: String,
        why: NotRun,
    },
    /// Everything that `bundle check` would call an error.
    #[error("`{model}` is not run: its weights are not what they should be")]
    Unfit {
        model: String,
        #[related]
        problems: Vec<Problem>,
    },
    #[error("`{model}` cannot be run: {error}")]
    #[diagnostic(help("`bundle check` tells more of the model"))]
    Task {
        model: String,
        error: Box<TaskError>,
    },
    #[error("the device cannot be used: {0}")]
    #[diagnostic(help("`bundle devices` lists what there is, and what may be missing"))]
    Device(TaskError),
}

impl RunnerError {
    /// Whether the contents of the bundle are at fault, and not its absence.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Subject(error) => error.is_refusal(),
            Self::NotRun { .. } | Self::Unfit { .. } | Self::Task { .. } => true,
            Self::Device(_) => false,
        }
    }

    /// All of it in one line.
    pub fn in_one_line(&self) -> String {
        match self {
            Self::Unfit { problems, .. } => {
                let messages: Vec<&str> = problems.iter().map(Problem::message).collect();
                messages.join("; ")
            }
            other => other.to_string(),
        }
    }

    /// Of weights that cannot be read to their end.
    pub(super) fn unreadable(config: &Config, model: &Model, error: &WeightsError) -> Self {
        Self::Unfit {
            model: model.key.to_string(),
            problems: vec![fit::unreadable(config, model, error)],
        }
    }
}

/// Why a model is not run on a file.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Classify(#[from] ClassifyError),
    #[error("{}, frame {frame}, counted from 0: {error}", path.display())]
    Cells {
        path: PathBuf,
        frame: usize,
        error: ClassifyError,
    },
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Argument(#[from] BadArgument),
    #[error(transparent)]
    Pi(#[from] PiError),
    #[error(transparent)]
    Exec(#[from] ExecError),
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error(transparent)]
    Subject(Box<SubjectError>),
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("{} has no label image, which a classifier of cells needs", path.display())]
    NoLabels { path: PathBuf },
    #[error("{}, frame {frame}: {what}", path.display())]
    Labels {
        path: PathBuf,
        frame: usize,
        what: String,
    },
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        what: String,
        expected: String,
        found: String,
    },
    #[error("a frame has more than 65535 objects")]
    ManyObjects,
    /// The result holds what is no number.
    #[error("the network gave a number that is not finite")]
    NotFinite,
}

impl From<SubjectError> for TaskError {
    fn from(error: SubjectError) -> Self {
        Self::Subject(Box::new(error))
    }
}
