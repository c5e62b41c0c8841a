//! Reading a lock: its version first, then its tables, then whether it is the text that we would write.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde::Deserialize;

use crate::archive::BundlePath;
use crate::digest::{Contents, Crc32, Digest, Sha256, read_at_most};
use crate::value::{Key, Map, Value};

use super::{
    ArchivePin, INNER_NAME, Layout, LockedFacts, LockedFile, LockedModel, LockedTest, Lockfile,
    VERSION,
};

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{}: {kind}", path.display())]
pub struct LockError {
    /// The lock, or the ZIP that holds it.
    pub path: PathBuf,
    pub kind: LockErrorKind,
}

/// What is wrong with a lock. Lines count from 1.
#[derive(Debug, thiserror::Error)]
pub enum LockErrorKind {
    #[error("cannot read the lockfile: {0}")]
    Io(#[from] std::io::Error),
    #[error("the lockfile is larger than 64 MiB, which no lock is")]
    TooLarge,
    #[error("the lockfile is not UTF-8 text (byte {offset})")]
    NotText { offset: usize },
    #[error("the lockfile has a merge conflict (`{marker}` in line {line})")]
    Conflict { line: usize, marker: &'static str },
    #[error("the lockfile is cut off after line {line}: {message}")]
    CutOff { line: usize, message: String },
    #[error("line {line} of the lockfile cannot be read: {message}")]
    Syntax { line: usize, message: String },
    #[error("the lockfile has no `version`: it is no lockfile of this program")]
    NoVersion,
    #[error("the lockfile has version {found}, this program reads version {VERSION}")]
    Newer { found: i64 },
    #[error("the lockfile contradicts itself: {0}")]
    Inconsistent(String),
    #[error(
        "line {line} of the lockfile was edited by hand: expected `{expected}`, found `{found}`"
    )]
    Edited {
        line: usize,
        expected: String,
        found: String,
    },
    #[error("the lockfile belongs to `{found}`, not to `{expected}`")]
    OtherConfig { expected: String, found: String },
}

impl LockErrorKind {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Io(_) => "check that the file is there and readable",
            Self::Conflict { .. } => {
                "resolve the conflict in the config, take either side of the lockfile, and run `bundle lock`"
            }
            Self::Newer { .. } => "use a newer `bundle`; the file is left as it is",
            Self::OtherConfig { .. } => {
                "rename one of the configs, so that each has a lockfile of its own; or delete the lockfile and run `bundle lock`"
            }
            _ => {
                "take the file from version control again; or delete it and run `bundle lock` to make it anew"
            }
        }
    }
}

impl miette::Diagnostic for LockError {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let is_named = self.path.extension().is_some_and(|end| end == "lock");
        let is_none = matches!(
            self.kind,
            LockErrorKind::NotText { .. } | LockErrorKind::NoVersion | LockErrorKind::Syntax { .. }
        );
        Some(Box::new(match is_none && !is_named {
            // It may be anything, and must not be deleted.
            true => {
                "it is no lockfile by its name either: name the `.lock` that `bundle lock` writes beside the config"
            }
            false => self.kind.help(),
        }))
    }
}

impl Lockfile {
    /// Reads the lock at `path`; `None` if there is none.
    ///
    /// # Errors
    /// Fails if it cannot be read or is not exactly what this program writes.
    pub fn load(path: &Path) -> Result<Option<Self>, LockError> {
        let error = |kind| LockError {
            path: path.to_owned(),
            kind,
        };
        let bytes = read_at_most(path, super::MAX_SIZE);
        match bytes {
            Ok(bytes) => Self::parse(&bytes).map(Some).map_err(error),
            Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(large) if large.kind() == std::io::ErrorKind::FileTooLarge => {
                Err(error(LockErrorKind::TooLarge))
            }
            Err(io) => Err(error(io.into())),
        }
    }

    /// Reads a lock from the bytes of its file. Line endings are not content: CRLF is taken for LF.
    ///
    /// # Errors
    /// Fails if the text is not exactly what [`Lockfile::render`] gives for what it says.
    pub fn parse(bytes: &[u8]) -> Result<Self, LockErrorKind> {
        let text = std::str::from_utf8(bytes).map_err(|error| LockErrorKind::NotText {
            offset: error.valid_up_to(),
        })?;
        let text = text.replace("\r\n", "\n");
        find_conflict(&text)?;
        check_version(&text)?;
        let raw: RawLock = toml::from_str(&text).map_err(|error| syntax(&text, &error))?;
        let lock = Self::try_from(raw).map_err(LockErrorKind::Inconsistent)?;
        check_canonical(&text, &lock.render())?;
        Ok(lock)
    }

    /// Refuses the lock at `path` if it was made for another config than `config`.
    ///
    /// # Errors
    /// [`LockErrorKind::OtherConfig`].
    pub fn check_config(&self, path: &Path, config: &Path) -> Result<(), LockError> {
        let expected = config.file_name().unwrap_or_default().to_string_lossy();
        if self.config == expected {
            return Ok(());
        }
        Err(LockError {
            path: path.to_owned(),
            kind: LockErrorKind::OtherConfig {
                expected: expected.into_owned(),
                found: self.config.clone(),
            },
        })
    }
}

fn find_conflict(text: &str) -> Result<(), LockErrorKind> {
    const MARKERS: [&str; 3] = ["<<<<<<<", "=======", ">>>>>>>"];
    for (index, line) in text.lines().enumerate() {
        if let Some(marker) = MARKERS.into_iter().find(|marker| line.starts_with(marker)) {
            let line = index + 1;
            return Err(LockErrorKind::Conflict { line, marker });
        }
    }
    Ok(())
}

/// Looks at the version alone, so that a later format is told to be later and not to be wrong.
fn check_version(text: &str) -> Result<(), LockErrorKind> {
    let version = text
        .lines()
        .find_map(|line| line.strip_prefix("version = "));
    match version.map(str::parse) {
        Some(Ok(VERSION)) => Ok(()),
        Some(Ok(found)) => Err(LockErrorKind::Newer { found }),
        Some(Err(_)) | None => Err(LockErrorKind::NoVersion),
    }
}

fn syntax(text: &str, error: &toml::de::Error) -> LockErrorKind {
    let offset = error.span().map_or(text.len(), |span| span.start);
    let before = text.get(..offset).unwrap_or(text);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let message = error.message().replace('\n', " ");
    // Every lock ends with a newline; where the last line is the broken one, the rest is missing.
    let lines = text.lines().count();
    if line >= lines && !text.ends_with('\n') {
        LockErrorKind::CutOff {
            line: lines,
            message,
        }
    } else {
        LockErrorKind::Syntax { line, message }
    }
}

fn check_canonical(text: &str, canonical: &str) -> Result<(), LockErrorKind> {
    if text == canonical {
        return Ok(());
    }
    if canonical.starts_with(text) {
        return Err(LockErrorKind::CutOff {
            line: text.lines().count(),
            message: "the last line has no end".to_owned(),
        });
    }
    let end = "the end of the file";
    let mut expected = canonical.lines();
    let mut found = text.lines();
    let mut line = 1;
    loop {
        match (expected.next(), found.next()) {
            (Some(a), Some(b)) if a == b => line += 1,
            (a, b) => {
                return Err(LockErrorKind::Edited {
                    line,
                    expected: a.unwrap_or(end).to_owned(),
                    found: b.unwrap_or(end).to_owned(),
                });
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    #[serde(rename = "version")]
    _version: i64,
    layout: toml::Value,
    config: String,
    created: Option<String>,
    order: Vec<String>,
    archive: Option<RawArchive>,
    #[serde(default)]
    about: toml::Table,
    #[serde(default)]
    model: IndexMap<String, RawModel>,
    #[serde(default)]
    file: Vec<RawFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawArchive {
    size: u64,
    sha256: Sha256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    weights: Option<BundlePath>,
    metadata: Option<BundlePath>,
    architecture: Option<String>,
    parameters: Option<u64>,
    dtype: Option<String>,
    tensors: Option<Digest>,
    #[serde(default)]
    globals: Vec<String>,
    #[serde(default)]
    allow_globals: Vec<String>,
    architecture_args: Option<toml::Table>,
    inferer_args: Option<toml::Table>,
    model_args: Option<toml::Table>,
    test: Option<RawTest>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTest {
    input: BundlePath,
    expected: BundlePath,
    labels: Option<BundlePath>,
    rtol: Option<f64>,
    atol: Option<f64>,
    mismatch_ppm: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    path: BundlePath,
    source: Option<String>,
    size: u64,
    crc32: Crc32,
    blake3: Digest,
}

impl TryFrom<RawLock> for Lockfile {
    type Error = String;

    fn try_from(raw: RawLock) -> Result<Self, String> {
        let layout = match &raw.layout {
            toml::Value::Integer(1) => Layout::Canonical,
            toml::Value::String(name) if name == "foreign" => Layout::Foreign,
            other => return Err(format!("`layout` is {other}, expected 1 or \"foreign\"")),
        };
        let created = raw.created.map(|text| text.parse()).transpose();
        let lock = Self {
            layout,
            config: raw.config,
            created: created.map_err(|error| format!("`created`: {error}"))?,
            archive: raw
                .archive
                .map(|RawArchive { size, sha256 }| ArchivePin { size, sha256 }),
            about: map(raw.about)?,
            models: models(raw.order, raw.model)?,
            files: raw.file.into_iter().map(LockedFile::from).collect(),
        };
        lock.check()?;
        Ok(lock)
    }
}

fn models(
    order: Vec<String>,
    mut raw: IndexMap<String, RawModel>,
) -> Result<IndexMap<String, LockedModel>, String> {
    let mut models = IndexMap::new();
    for key in order {
        let Some(model) = raw.shift_remove(&key) else {
            return Err(format!(
                "`order` names `{key}` twice, or `[model.{key}]` is missing"
            ));
        };
        models.insert(key, LockedModel::try_from(model)?);
    }
    match raw.keys().next() {
        Some(key) => Err(format!("`[model.{key}]` is missing from `order`")),
        None => Ok(models),
    }
}

impl TryFrom<RawModel> for LockedModel {
    type Error = String;

    fn try_from(raw: RawModel) -> Result<Self, String> {
        Ok(Self {
            weights: raw.weights,
            metadata: raw.metadata,
            facts: LockedFacts {
                architecture: raw.architecture,
                architecture_args: raw.architecture_args.map(map).transpose()?,
                parameters: raw.parameters,
                dtype: raw.dtype,
                tensors: raw.tensors,
                globals: raw.globals,
            },
            inferer_args: raw.inferer_args.map(map).transpose()?,
            model_args: raw.model_args.map(map).transpose()?,
            allow_globals: raw.allow_globals,
            test: raw.test.map(LockedTest::from),
        })
    }
}

impl From<RawTest> for LockedTest {
    fn from(raw: RawTest) -> Self {
        let tolerances = [
            ("rtol", raw.rtol),
            ("atol", raw.atol),
            ("mismatch_ppm", raw.mismatch_ppm),
        ];
        let tolerances = tolerances
            .into_iter()
            .filter_map(|(name, value)| Some((Key::from(name), Value::Float(value?))));
        Self {
            input: raw.input,
            expected: raw.expected,
            labels: raw.labels,
            tolerances: tolerances.collect(),
        }
    }
}

impl From<RawFile> for LockedFile {
    fn from(raw: RawFile) -> Self {
        Self {
            path: raw.path,
            source: raw.source,
            contents: Contents {
                size: raw.size,
                crc32: raw.crc32,
                blake3: raw.blake3,
            },
        }
    }
}

fn map(table: toml::Table) -> Result<Map, String> {
    table
        .into_iter()
        .map(|(key, item)| Ok((Key::from_toml(&key), value(item)?)))
        .collect()
}

fn value(item: toml::Value) -> Result<Value, String> {
    Ok(match item {
        toml::Value::Boolean(x) => Value::Bool(x),
        toml::Value::Integer(x) => Value::Int(x),
        toml::Value::Float(x) => Value::Float(x),
        toml::Value::String(x) => Value::String(x),
        toml::Value::Datetime(x) => return Err(format!("`{x}` is a date; arguments have none")),
        toml::Value::Array(items) => {
            Value::List(items.into_iter().map(value).collect::<Result<_, _>>()?)
        }
        toml::Value::Table(table) => Value::Map(map(table)?),
    })
}

impl Lockfile {
    /// Checks what the types cannot: that every name refers to a file, and that no file is there twice.
    fn check(&self) -> Result<(), String> {
        let paths: std::collections::HashSet<&str> =
            self.files.iter().map(|file| file.path.as_str()).collect();
        if paths.len() != self.files.len() {
            return Err("a file is listed twice".to_owned());
        }
        if self.layout == Layout::Foreign && self.archive.is_none() {
            return Err(
                "`[archive]` is missing; it alone pins the bytes of a foreign ZIP".to_owned(),
            );
        }
        if self.layout == Layout::Canonical {
            if self.created.is_none() {
                return Err("`created` is missing".to_owned());
            }
            if !paths.contains("config.yml") {
                return Err("`config.yml` is not among the files".to_owned());
            }
            if paths.contains(INNER_NAME) {
                return Err(format!(
                    "`{INNER_NAME}` is among the files; no lock can list itself"
                ));
            }
        }
        for (key, model) in &self.models {
            let test = model.test.as_ref();
            let named = [
                model.weights.as_ref(),
                model.metadata.as_ref(),
                test.map(|test| &test.input),
                test.map(|test| &test.expected),
                test.and_then(|test| test.labels.as_ref()),
            ];
            for path in named.into_iter().flatten() {
                if !paths.contains(path.as_str()) {
                    return Err(format!(
                        "`[model.{key}]` names `{path}`, which is no file of the bundle"
                    ));
                }
            }
        }
        Ok(())
    }
}
