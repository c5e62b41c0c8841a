//! What `bundle test --json` said of a bundle.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::read_at_most;

/// No such report is larger: a line a model.
const MAX_SIZE: u64 = 16 << 20;

/// A report of `bundle test`, as far as a page shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tested {
    /// What ran the models.
    pub device: String,
    pub models: Vec<ModelTest>,
}

/// One model's result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModelTest {
    pub key: String,
    /// `passed`, `failed`, `smoke`, ...
    pub result: String,
    pub largest: Option<LargestError>,
}

/// The element that is furthest off.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LargestError {
    /// None where one of the elements is no number.
    pub error: Option<f64>,
}

/// What is read of the report besides.
#[derive(Deserialize)]
struct Head {
    version: u32,
    command: String,
    target: PathBuf,
}

/// Why a report is not taken.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum TestedError {
    #[error("cannot read {}: {error}", path.display())]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{} is no report of tests: {why}", path.display())]
    #[diagnostic(help("make one with `bundle test BUNDLE.zip --json > tested.json`"))]
    NoReport { path: PathBuf, why: String },
    #[error("{} is a report of {}, expected one of {}", path.display(), found.display(), expected.display())]
    #[diagnostic(help("test this bundle: `bundle test {} --json > tested.json`", expected.display()))]
    OtherBundle {
        path: PathBuf,
        expected: PathBuf,
        found: PathBuf,
    },
}

impl Tested {
    /// Reads the report at `path`, which must be of the bundle of that name.
    ///
    /// # Errors
    /// Fails if it cannot be read, is no report, or is one of another bundle.
    pub fn read(path: &Path, bundle: &Path) -> Result<Self, TestedError> {
        let bytes = read_at_most(path, MAX_SIZE).map_err(|error| TestedError::Read {
            path: path.to_owned(),
            error,
        })?;
        let no_report = |why: String| TestedError::NoReport {
            path: path.to_owned(),
            why,
        };
        let head: Head =
            serde_json::from_slice(&bytes).map_err(|error| no_report(error.to_string()))?;
        if (head.version, head.command.as_str()) != (1, "test") {
            let Head {
                version, command, ..
            } = head;
            return Err(no_report(format!(
                "it is of `{command}`, version {version}"
            )));
        }
        if head.target.file_name() != bundle.file_name() {
            return Err(TestedError::OtherBundle {
                path: path.to_owned(),
                expected: bundle.to_owned(),
                found: head.target,
            });
        }
        serde_json::from_slice(&bytes).map_err(|error| no_report(error.to_string()))
    }
}
