//! `bundle init`: a project started, from nothing, from HiTMicTools' YAML, or from a ZIP.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::adopt::{AdoptError, Note, has_json_tracker, lock_of};
use crate::archive::{self, Archive, BundlePath, OpenError, UnpackError};
use crate::atomic::{self, folder_of};
use crate::config::{
    Config, ConfigError, Metadata, Model, ModelKey, Source, SourceFile, Test, Tracker, Warning,
    template,
};
use crate::lockfile::{Layout, LockedTest, Lockfile};
use crate::packed::TRACKER_NAME;
use crate::progress::{Phase, Progress};
use crate::value::{Key, Value};

/// What to start a project from, and where.
#[derive(Clone, Debug)]
pub struct Options {
    pub from: Option<PathBuf>,
    /// By default the folder of the config that is adopted, else the working directory.
    pub dir: Option<PathBuf>,
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
    #[error(transparent)]
    #[diagnostic(transparent)]
    Adopt(#[from] AdoptError),
    #[error("the paths in {} are relative to its folder", path.display())]
    #[diagnostic(help("leave `-d` out: bundle.toml is written beside it"))]
    OtherFolder { path: PathBuf },
    #[error(transparent)]
    Unpack(#[from] UnpackError),
}

impl Error {
    /// Whether the contents of the bundle are at fault, and not the command.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Open(OpenError::Refused { .. }) | Self::Adopt(_))
    }
}

/// Where a tracker's JSON goes that HiTMicTools' bundler copied under the name of YAML.
const JSON_TRACKER_NAME: &str = "config_tracker.json";

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
    let dir = folder(options)?;
    let config = dir.join("bundle.toml");
    if is_taken(&config) {
        return Err(Error::Exists { path: config });
    }
    fs::create_dir_all(&dir).map_err(write_error(&dir))?;
    let mut report = Report {
        config: config.clone(),
        files: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
    };
    let text = match &options.from {
        None => template::starter().to_owned(),
        Some(from) if is_config(from) => from_config(from, &mut report)?,
        Some(from) => match from.extension().and_then(|extension| extension.to_str()) {
            Some("zip") => from_zip(from, &dir, &mut report, progress)?,
            _ => return Err(Error::UnknownSource { path: from.clone() }),
        },
    };
    write(&config, &text, &mut report)?;
    let attributes = dir.join(".gitattributes");
    if !is_taken(&attributes) {
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

/// Whether anything stands at `path`, a link that leads nowhere included.
fn is_taken(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn is_config(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("yml" | "yaml" | "toml"))
}

/// The project's folder. A config's paths are relative to its own, so it is adopted there.
fn folder(options: &Options) -> Result<PathBuf, Error> {
    let here = PathBuf::from(".");
    let Some(from) = options.from.as_ref().filter(|from| is_config(from)) else {
        return Ok(options.dir.clone().unwrap_or(here));
    };
    let own = folder_of(from).to_owned();
    let same = |dir: &PathBuf| match (dir.canonicalize(), own.canonicalize()) {
        (Ok(dir), Ok(own)) => dir == own,
        _ => false,
    };
    match &options.dir {
        Some(dir) if !same(dir) => Err(Error::OtherFolder { path: from.clone() }),
        _ => Ok(own),
    }
}

fn from_config(from: &Path, report: &mut Report) -> Result<String, Error> {
    let config = Config::load(from).map_err(Box::new)?;
    let text = template::to_toml(&config);
    report.warnings = config.warnings;
    Ok(text)
}

/// Unpacks a ZIP's files, the weights under the names they had before they were bundled, and returns the
/// config that packs them again.
fn from_zip(
    from: &Path,
    dir: &Path,
    report: &mut Report,
    progress: &dyn Progress,
) -> Result<String, Error> {
    let archive = Archive::open(from)?;
    let _phase = Phase::begin(progress, "Unpacking", archive.size());
    let adopted = lock_of(&archive, progress)?;
    report.notes = adopted.notes;
    let lock = &adopted.lock;
    let names = first_names(&archive, lock);
    let config = rebuilt_config(from, lock, &names, report);

    let targets: Vec<_> = lock
        .files
        .iter()
        .filter(|file| names.contains_key(&file.path))
        .map(|file| (&file.path, dir.join(&names[&file.path])))
        .collect();
    if let Some((_, path)) = targets.iter().find(|(_, path)| is_taken(path)) {
        let path = path.clone();
        return Err(Error::Exists { path });
    }
    for (_, target) in &targets {
        // Below `dir`, nothing is written through a link.
        let folders = target
            .ancestors()
            .skip(1)
            .take_while(|folder| *folder != dir);
        if let Some(link) = folders.into_iter().find(|folder| folder.is_symlink()) {
            let path = link.to_owned();
            return Err(UnpackError::Symlink { path }.into());
        }
    }
    let staging = tempfile::tempdir_in(dir).map_err(write_error(dir))?;
    let expected = lock.entries();
    let expected = (lock.layout == Layout::Canonical).then_some(expected.as_slice());
    let wanted = |path: &BundlePath| names.contains_key(path);
    archive::unpack(&archive, wanted, staging.path(), expected, progress)?;
    for (path, target) in targets {
        let moved = fs::create_dir_all(folder_of(&target))
            .and_then(|()| fs::rename(staging.path().join(path.as_str()), &target));
        if let Err(error) = moved {
            report
                .files
                .iter()
                .for_each(|file| drop(fs::remove_file(file)));
            return Err(write_error(&target)(error));
        }
        report.files.push(target);
    }
    Ok(template::to_toml(&config))
}

fn write_error(path: &Path) -> impl Fn(io::Error) -> Error {
    move |error| Error::Write {
        path: path.to_owned(),
        error,
    }
}

/// Where each file of a bundle goes in the project: weights under their `original_name` if their metadata tell it and
/// it is free, everything else under its own name. Strays, the config and the lock stay behind.
fn first_names(archive: &Archive, lock: &Lockfile) -> HashMap<BundlePath, String> {
    let mut names = HashMap::new();
    let mut taken = HashSet::new();
    for model in lock.models.values() {
        let test = model.test.iter();
        let vectors = test.flat_map(|test| {
            [
                Some(&test.input),
                Some(&test.expected),
                test.labels.as_ref(),
            ]
        });
        for path in vectors.chain([model.metadata.as_ref()]).flatten() {
            names.insert(path.clone(), path.to_string());
        }
        let Some(weights) = &model.weights else {
            continue;
        };
        let original = model
            .metadata
            .as_ref()
            .and_then(|path| original_name(archive, path));
        let original = original.map(|name| format!("models/{}", with_type(name, weights)));
        let original = original.filter(|name| BundlePath::new(name).is_ok());
        let name = original
            .filter(|name| taken.insert(name.to_lowercase()))
            .unwrap_or_else(|| weights.to_string());
        taken.insert(name.to_lowercase());
        names.insert(weights.clone(), name);
    }
    if let Some(tracker) = lock.file(TRACKER_NAME) {
        let json = lock.layout == Layout::Foreign && has_json_tracker(archive);
        let name = if json {
            JSON_TRACKER_NAME
        } else {
            TRACKER_NAME
        };
        names.insert(tracker.path.clone(), name.to_owned());
    }
    names
}

/// A file's name with the extension of the packed file if it has none: a build wants to know what weights are.
fn with_type(name: String, packed: &BundlePath) -> String {
    let extension = |name: &str| Some(Path::new(name).extension()?.to_str()?.to_owned());
    match (extension(&name), extension(packed.as_str())) {
        (None, Some(extension)) => format!("{name}.{extension}"),
        _ => name,
    }
}

fn original_name(archive: &Archive, metadata: &BundlePath) -> Option<String> {
    const LIMIT: u64 = 1 << 20;
    let bytes = archive
        .read(archive.entry(metadata.as_str())?, LIMIT)
        .ok()?;
    let json: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    let name = json.get("original_name")?.as_str()?;
    // A config would take `${` for a variable; and a name of nothing but an extension is no file's.
    let is_usable =
        !name.contains('/') && !name.contains("${") && !name.starts_with('.') && !name.is_empty();
    is_usable.then(|| name.to_owned())
}

/// The config whose bundle holds what `lock` does. Arguments are taken over as they are: a build says what is wrong with them.
fn rebuilt_config(
    from: &Path,
    lock: &Lockfile,
    names: &HashMap<BundlePath, String>,
    report: &mut Report,
) -> Config {
    let source = |path: &BundlePath| SourceFile {
        written: names[path].clone(),
        path: names[path].clone().into(),
        span: 0..0,
    };
    let mut models = Vec::new();
    for (key, model) in &lock.models {
        let (Ok(key), Some(weights)) = (key.parse::<ModelKey>(), &model.weights) else {
            let model = key.clone();
            report.notes.push(Note::LeftOut { model });
            continue;
        };
        let name = weights.as_str();
        let name = name.rsplit('/').next().unwrap_or(name);
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        models.push(Model {
            kind: key.kind(),
            key,
            key_span: 0..0,
            bundle_name: stem.to_owned(),
            weights: source(weights),
            extension: extension.to_owned(),
            metadata: model.metadata.as_ref().map(|path| Metadata {
                file: source(path),
                json: serde_json::Map::new(),
                source: Source::new("", std::sync::Arc::from("")),
            }),
            inferer_args: model.inferer_args.clone(),
            model_args: model.model_args.clone(),
            test: model.test.as_ref().map(|test| test_of(test, &source)),
            allow_globals: model.allow_globals.clone(),
        });
    }
    let tracker = lock.file(TRACKER_NAME).map(|file| Tracker {
        file: source(&file.path),
        yaml: Vec::new(),
    });
    let stem = from.file_stem().unwrap_or_default().to_string_lossy();
    Config {
        path: "bundle.toml".into(),
        source: Source::new("bundle.toml", "".into()),
        name: undated(&stem).to_owned(),
        auto_date: true,
        created: None,
        about: lock.about.clone(),
        models,
        tracker,
        warnings: Vec::new(),
    }
}

fn test_of(test: &LockedTest, source: &dyn Fn(&BundlePath) -> SourceFile) -> Test {
    let tolerance = |name: &str| match test.tolerances.get(&Key::from(name)) {
        Some(Value::Float(x)) => Some(*x),
        _ => None,
    };
    Test {
        input: source(&test.input),
        expected: source(&test.expected),
        labels: test.labels.as_ref().map(source),
        rtol: tolerance("rtol"),
        atol: tolerance("atol"),
        mismatch_ppm: tolerance("mismatch_ppm"),
    }
}

/// A stem without the `_YYYYMMDD` that a build puts into the ZIP's name.
fn undated(stem: &str) -> &str {
    match stem.rsplit_once('_') {
        Some((name, date)) if date.len() == 8 && date.bytes().all(|byte| byte.is_ascii_digit()) => {
            name
        }
        _ => stem,
    }
}
