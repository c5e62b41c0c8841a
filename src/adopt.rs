//! Bundles that others made, HiTMicTools' own among them, read as what they would have been locked as.

use std::path::PathBuf;

use indexmap::IndexMap;
use serde::Serialize;

use crate::archive::{Archive, ArchiveEntry, BundlePath, ReadError};
use crate::config::read_bundle_config;
use crate::lockfile::{
    INNER_NAME, Layout, LockErrorKind, LockedFile, LockedModel, Lockfile, MAX_SIZE,
};
use crate::packed::{CONFIG_NAME, TRACKER_NAME};
use crate::progress::{Progress, Silent};
use crate::value::{Key, Map, Value, with_toml_keys};

/// No `config.yml` is larger than this.
const MAX_CONFIG: u64 = 16 << 20;

/// A bundle as its lock describes it.
#[derive(Debug)]
pub struct Adopted {
    /// Its entries, pinned; for a foreign bundle without `[archive]`.
    pub lock: Lockfile,
    /// What its reader should know.
    pub notes: Vec<Note>,
}

/// Something odd about a foreign bundle that hinders nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Note {
    #[error("`{path}` belongs to no model: a stray file, perhaps from another run of the bundler")]
    Stray { path: BundlePath },
    #[error("`{path}` is an ONNX file under the name of a PyTorch checkpoint")]
    OnnxNamedPth { path: BundlePath },
    #[error(
        "`{TRACKER_NAME}` is JSON under the name of YAML: HiTMicTools takes numbers such as `1e-10` in it for text"
    )]
    JsonTracker,
    #[error("`{model}` names `{path}`, which is not in the ZIP")]
    NotThere { model: String, path: String },
    #[error("`{model}` in {CONFIG_NAME} is no table of settings")]
    NoTable { model: String },
    #[error(
        "`{model}` is left out: it has no weights in the ZIP, or a key that no config may have"
    )]
    LeftOut { model: String },
    #[error("`{path}` is not what the lock inside says; `bundle verify` tells more")]
    NotAsLocked { path: BundlePath },
    #[error("the creation date in {CONFIG_NAME} is `{found}`, not `YYYY-MM-DD HH:MM:SS`")]
    Date { found: String },
}

/// Why a ZIP is no bundle.
#[derive(Debug, thiserror::Error)]
#[error("{}: {fault}", path.display())]
pub struct AdoptError {
    /// The ZIP.
    pub path: PathBuf,
    pub fault: Fault,
}

/// What is wrong with a ZIP that should be a bundle.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("there is no `{CONFIG_NAME}` inside: it is no model bundle")]
    NoConfig,
    #[error("`{CONFIG_NAME}` cannot be read: {message}")]
    Config { message: String },
    #[error("the `{INNER_NAME}` inside cannot be used: {0}")]
    InnerLock(#[from] LockErrorKind),
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl miette::Diagnostic for AdoptError {
    fn help<'a>(&'a self) -> Option<Box<dyn std::fmt::Display + 'a>> {
        let help = match self.fault {
            Fault::Config { .. } => return None,
            Fault::NoConfig => {
                "name the ZIP of a bundle; a file of weights is checked through a config that names it (`bundle init`)"
            }
            Fault::InnerLock(_) | Fault::Read(_) => {
                "the ZIP is damaged: copy or download it again, or build it anew"
            }
        };
        Some(Box::new(help))
    }
}

/// The lock of any bundle: the one inside, or else the one that [`adopt`] makes.
///
/// # Errors
/// Fails if the ZIP is no bundle, or is damaged.
pub fn lock_of(archive: &Archive, progress: &dyn Progress) -> Result<Adopted, AdoptError> {
    match inner_lock(archive)? {
        Some(lock) => {
            let notes = Vec::new();
            Ok(Adopted { lock, notes })
        }
        None => adopt(archive, progress),
    }
}

/// The lock inside a bundle of ours; `None` in other people's.
///
/// # Errors
/// Fails if it is damaged.
pub fn inner_lock(archive: &Archive) -> Result<Option<Lockfile>, AdoptError> {
    let read = |entry| Ok(Lockfile::parse(&archive.read(entry, MAX_SIZE)?)?);
    let lock = archive.entry(INNER_NAME).map(read).transpose();
    lock.map_err(|fault| at(archive, fault))
}

fn at(archive: &Archive, fault: Fault) -> AdoptError {
    let path = archive.path().to_owned();
    AdoptError { path, fault }
}

/// Reads a foreign bundle, every byte of it.
///
/// # Errors
/// Fails if it holds no readable `config.yml`, or an entry is damaged.
pub fn adopt(archive: &Archive, progress: &dyn Progress) -> Result<Adopted, AdoptError> {
    read(archive, progress).map_err(|fault| at(archive, fault))
}

fn read(archive: &Archive, progress: &dyn Progress) -> Result<Adopted, Fault> {
    let config = archive.entry(CONFIG_NAME).ok_or(Fault::NoConfig)?;
    let config = archive.read(config, MAX_CONFIG)?;
    let config = read_bundle_config(&config).map_err(|message| Fault::Config { message })?;

    let mut notes = Vec::new();
    let mut models = IndexMap::new();
    for (key, item) in &config {
        let Key::String(key) = key else { continue };
        match item {
            _ if key == "_bundle_metadata" => {}
            Value::Map(settings) => {
                models.insert(key.clone(), model(archive, key, settings, &mut notes));
            }
            _ => notes.push(Note::NoTable { model: key.clone() }),
        }
    }
    let files = files(archive, progress)?;
    if has_json_tracker(archive) {
        notes.push(Note::JsonTracker);
    }
    note_files(archive, &files, &models, &mut notes);
    let metadata = config.get(&Key::from("_bundle_metadata"));
    let name = archive.path().file_name().unwrap_or_default();
    let lock = Lockfile {
        layout: Layout::Foreign,
        config: name.to_string_lossy().into_owned(),
        created: created(metadata, &mut notes),
        archive: None,
        about: Map::new(),
        models,
        files,
    };
    Ok(Adopted { lock, notes })
}

fn created(metadata: Option<&Value>, notes: &mut Vec<Note>) -> Option<crate::created::Created> {
    let Some(Value::Map(metadata)) = metadata else {
        return None;
    };
    let Some(Value::String(text)) = metadata.get(&Key::from("creation_date")) else {
        return None;
    };
    let created = text.parse().ok();
    if created.is_none() {
        notes.push(Note::Date {
            found: text.clone(),
        });
    }
    created
}

fn model(archive: &Archive, key: &str, settings: &Map, notes: &mut Vec<Note>) -> LockedModel {
    let mut path = |name: &str| match settings.get(&Key::from(name)) {
        Some(Value::String(path)) => match archive.entry(path) {
            Some(entry) => Some(entry.path.clone()),
            None => {
                let (model, path) = (key.to_owned(), path.clone());
                notes.push(Note::NotThere { model, path });
                None
            }
        },
        _ => None,
    };
    let arguments = |name: &str| match settings.get(&Key::from(name)) {
        Some(Value::Map(map)) => Some(with_toml_keys(map)),
        _ => None,
    };
    LockedModel {
        weights: path("model_path"),
        metadata: path("model_metadata"),
        inferer_args: arguments("inferer_args"),
        model_args: arguments("model_args"),
        ..LockedModel::default()
    }
}

fn files(archive: &Archive, progress: &dyn Progress) -> Result<Vec<LockedFile>, ReadError> {
    let entries = archive.entries().iter().filter(|entry| !entry.is_directory);
    entries
        .map(|entry| {
            Ok(LockedFile {
                path: entry.path.clone(),
                source: None,
                contents: archive.contents(entry, progress)?,
            })
        })
        .collect()
}

fn note_files(
    archive: &Archive,
    files: &[LockedFile],
    models: &IndexMap<String, LockedModel>,
    notes: &mut Vec<Note>,
) {
    let mut known: Vec<&str> = vec![CONFIG_NAME, TRACKER_NAME, INNER_NAME];
    for model in models.values() {
        known.extend(
            model
                .weights
                .iter()
                .chain(&model.metadata)
                .map(BundlePath::as_str),
        );
    }
    for file in files {
        let path = file.path.clone();
        if !known.contains(&path.as_str()) {
            notes.push(Note::Stray { path });
        } else if let Some(entry) = archive.entry(path.as_str())
            && path.as_str().ends_with(".pth")
            && begins_as_onnx(&head(archive, entry))
        {
            notes.push(Note::OnnxNamedPth { path });
        }
    }
}

/// Whether the tracker's settings are JSON, which HiTMicTools' bundler copies under the name of YAML.
pub fn has_json_tracker(archive: &Archive) -> bool {
    let tracker = archive.entry(TRACKER_NAME);
    let bytes = tracker.and_then(|entry| archive.read(entry, MAX_CONFIG).ok());
    bytes.is_some_and(|bytes| {
        serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes).is_ok()
    })
}

/// The first bytes of an entry; fewer if it is shorter or damaged.
fn head(archive: &Archive, entry: &ArchiveEntry) -> Vec<u8> {
    /// Takes a few bytes and refuses the rest, so that no more is read.
    struct Head(Vec<u8>);
    impl std::io::Write for Head {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let room = 16 - self.0.len();
            self.0.extend(bytes.iter().take(room));
            Ok(bytes.len().min(room))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut head = Head(Vec::new());
    let _ = archive.copy_to(entry, &mut head, &Silent);
    head.0
}

/// Whether bytes begin as an ONNX model does: a protobuf `ModelProto` whose first field is `ir_version` (field 1, a small
/// varint) and whose next is one of its strings, messages or numbers (fields 2 to 8). No PyTorch file begins so: they are
/// ZIPs (`PK`), tars, or pickles (0x80).
fn begins_as_onnx(head: &[u8]) -> bool {
    matches!(head, [0x08, 1..=0x7f, next, ..] if matches!(next, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42))
}
