//! `bundle init`: a project started, from nothing, from HiTMicTools' YAML, or from a ZIP.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::adopt::{AdoptError, Note, adopt, begins_as_onnx};
use crate::archive::{self, Archive, BundlePath, OpenError, ReadError, UnpackError};
use crate::atomic;
use crate::config::{Config, ConfigError, Warning, template};
use crate::progress::Progress;

/// What to start a project from, and where.
#[derive(Clone, Debug)]
pub struct Options {
    pub from: Option<PathBuf>,
    pub dir: PathBuf,
}

/// What was started.
#[derive(Debug, Serialize)]
pub struct Report {
    pub config: PathBuf,
    /// Every file that was written.
    pub files: Vec<PathBuf>,
    pub notes: Vec<Note>,
    #[serde(skip)]
    pub warnings: Vec<Warning>,
}

/// Why no project was started.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error("{} is there already", path.display())]
    #[diagnostic(help("edit it, or start the project in another folder with `-d DIR`"))]
    Exists { path: PathBuf },
    #[error("cannot write {}: {error}", path.display())]
    #[diagnostic(help("check that its folder is writable and the disk is not full"))]
    Write { path: PathBuf, error: io::Error },
    #[error("cannot adopt {}: expected a `.yml`, `.yaml`, `.toml` or `.zip` file", path.display())]
    UnknownSource { path: PathBuf },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] Box<ConfigError>),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{}: {error}", path.display())]
    Adopt { path: PathBuf, error: AdoptError },
    #[error("{}: {error}", path.display())]
    Read { path: PathBuf, error: ReadError },
    #[error(transparent)]
    Unpack(#[from] UnpackError),
}

impl Error {
    /// Whether the contents of the bundle are at fault, and not the command.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Open(OpenError::Refused { .. }) | Self::Adopt { .. } | Self::Read { .. }
        )
    }
}

/// What keeps git from changing the bytes that the lock pins: a checkout with other line endings is another bundle.
const GIT_ATTRIBUTES: &str = "\
# The lockfile pins these files byte for byte: git must not convert their line endings.
*.json -text
*.yml -text
*.toml -text
*.lock -text
*.pth binary
*.pt binary
*.safetensors binary
*.onnx binary
*.pkl binary
*.joblib binary
*.npy binary
*.tif binary
";

/// Starts a project.
///
/// # Errors
/// Fails if a file is in the way, or what to adopt cannot be read or is invalid.
pub fn init(options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    let config = options.dir.join("bundle.toml");
    if config.exists() {
        return Err(Error::Exists { path: config });
    }
    fs::create_dir_all(&options.dir).map_err(|error| Error::Write {
        path: options.dir.clone(),
        error,
    })?;
    let mut report = Report {
        config: config.clone(),
        files: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    let text = match &options.from {
        None => template::starter().to_owned(),
        Some(from) => match from.extension().and_then(|extension| extension.to_str()) {
            Some("yml" | "yaml" | "toml") => from_config(from, &options.dir, &mut report)?,
            Some("zip") => from_zip(from, &options.dir, &mut report, progress)?,
            _ => return Err(Error::UnknownSource { path: from.clone() }),
        },
    };
    write(&config, &text, &mut report)?;
    let attributes = options.dir.join(".gitattributes");
    if !attributes.exists() {
        write(&attributes, GIT_ATTRIBUTES, &mut report)?;
    }
    Ok(report)
}

fn write(path: &Path, text: &str, report: &mut Report) -> Result<(), Error> {
    atomic::write(path, text.as_bytes()).map_err(|error| Error::Write {
        path: path.to_owned(),
        error,
    })?;
    report.files.push(path.to_owned());
    Ok(())
}

fn from_config(from: &Path, dir: &Path, report: &mut Report) -> Result<String, Error> {
    let config = Config::load(from).map_err(Box::new)?;
    let text = template::to_toml(&config, dir);
    report.warnings = config.warnings;
    Ok(text)
}

/// Unpacks the ZIP's weights and metadata under their first names, and writes the config that packs them again.
fn from_zip(
    from: &Path,
    dir: &Path,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<String, Error> {
    let archive = Archive::open(from)?;
    let name = from.file_name().unwrap_or_default().to_string_lossy();
    let adopted = adopt(&archive, &name, progress).map_err(|error| Error::Adopt {
        path: from.to_owned(),
        error,
    })?;
    let _ = (&adopted, report, dir);
    Ok(String::new())
}
