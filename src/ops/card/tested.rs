//! What `bundle test --json` said of a bundle.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::{Sha256, read_at_most};

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
    sha256: Option<String>,
    /// Of several devices.
    devices: Option<serde::de::IgnoredAny>,
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
    #[error("{} is a report of all devices, and a page shows one", path.display())]
    #[diagnostic(help("test without `--all-devices`: `bundle test {} --json > tested.json`", bundle.display()))]
    AllDevices { path: PathBuf, bundle: PathBuf },
    #[error("{} is a report of another bundle than {}: expected the SHA-256 {expected}, found {found}", path.display(), bundle.display())]
    #[diagnostic(help("test this bundle: `bundle test {} --json > tested.json`", bundle.display()))]
    OtherBundle {
        path: PathBuf,
        bundle: PathBuf,
        expected: String,
        found: String,
    },
}

impl Tested {
    /// Reads the report at `path`, which must be of the bundle with that digest, and of its models alone, each once.
    ///
    /// # Errors
    /// Fails if it cannot be read, is no report, or is one of another bundle.
    pub fn read(
        path: &Path,
        bundle: &Path,
        sha256: Sha256,
        keys: &[&str],
    ) -> Result<Self, TestedError> {
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
        let expected = sha256.to_string();
        if head.sha256.as_ref() != Some(&expected) {
            return Err(TestedError::OtherBundle {
                path: path.to_owned(),
                bundle: bundle.to_owned(),
                expected,
                found: head.sha256.unwrap_or_else(|| "none".to_owned()),
            });
        }
        if head.devices.is_some() {
            return Err(TestedError::AllDevices {
                path: path.to_owned(),
                bundle: bundle.to_owned(),
            });
        }
        let tested: Self =
            serde_json::from_slice(&bytes).map_err(|error| no_report(error.to_string()))?;
        for (index, model) in tested.models.iter().enumerate() {
            let key = model.key.as_str();
            if !keys.contains(&key) {
                return Err(no_report(format!("the bundle has no model `{key}`")));
            }
            if tested.models[..index].iter().any(|other| other.key == key) {
                return Err(no_report(format!("it has `{key}` twice")));
            }
        }
        Ok(tested)
    }
}
