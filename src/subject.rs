//! A bundle or a project, whichever a path turns out to be: its config, and the bytes of its models' files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::adopt::{self, AdoptError, Fault};
use crate::archive::{self, Archive, ArchiveEntry, BundlePath, OpenError, ReadError};
use crate::blob::Blob;
use crate::config::{Config, ConfigError, FileKind, Files, Model, Surroundings};
use crate::digest::{Digest, Sha256};
use crate::facts::Facts;
use crate::fit::{self, Role};
use crate::inspect::{self, InspectError};
use crate::lockfile::{LockedFacts, Lockfile};
use crate::packed::{CONFIG_NAME, TRACKER_NAME};
use crate::progress::{Phase, Progress};
use crate::value::{Key, Map, Value};
use crate::yaml;

/// A config, and where its files are.
#[derive(Debug)]
pub struct Subject {
    /// The ZIP, or the config.
    pub path: PathBuf,
    pub config: Config,
    place: Place,
    /// The lock inside the bundle.
    pub lock: Option<Lockfile>,
}

/// Where the files of a config are.
#[derive(Debug)]
enum Place {
    Disk,
    Bundle(Arc<Archive>),
    Memory(Arc<Held>),
}

/// Why there are no models to work with.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum SubjectError {
    #[error("cannot read {}: {error}", path.display())]
    #[diagnostic(help("check that the file is there and readable"))]
    Read { path: PathBuf, error: io::Error },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    /// The config inside a bundle.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Packed(ConfigError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("{}: {error}", path.display())]
    #[diagnostic(help("the ZIP is damaged: copy or download it again, or build it anew"))]
    Entry { path: PathBuf, error: ReadError },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Adopt(#[from] AdoptError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Inspect(#[from] InspectError),
    #[error("{}: `{entry}` is not what the lock inside says", path.display())]
    #[diagnostic(help("`bundle verify` lists everything that is not as the lock says"))]
    NotAsLocked { path: PathBuf, entry: String },
    #[error("{}: the file's SHA-256 is {found}, expected {expected}", path.display())]
    #[diagnostic(help(
        "it is another file than the one whose digest was given: copy it again, or ask whoever made it"
    ))]
    Sha256 {
        path: PathBuf,
        expected: Sha256,
        found: Sha256,
    },
    #[error("{} has no model `{model}`", path.display())]
    NoModel {
        path: PathBuf,
        model: String,
        #[help]
        help: String,
    },
}

impl SubjectError {
    /// Whether the contents of the file are at fault, and not its absence.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Read { .. } | Self::Config(_) | Self::Open(OpenError::Io { .. }) => false,
            Self::Entry { error, .. } => !matches!(error, ReadError::Io { .. }),
            Self::Packed(error) => error.is_of_content(),
            Self::Inspect(error) => error.is_refusal(),
            Self::Open(_) | Self::Adopt(_) | Self::NotAsLocked { .. } | Self::Sha256 { .. } => true,
            Self::NoModel { .. } => false,
        }
    }
}

/// A model that is given without a config.
#[derive(Clone, Debug)]
pub struct Given {
    /// The model's key, which says what it is for: `bf_focus`.
    pub key: String,
    /// The name of its file of weights, for messages, and for the file's type.
    pub name: String,
    pub weights: Blob,
    /// The text of its JSON metadata.
    pub metadata: Option<String>,
    pub inferer_args: Option<Map>,
    pub model_args: Option<Map>,
}

/// A model's test vector: its files, and how near the answer must be.
#[derive(Clone, Debug)]
pub struct Vector {
    pub input: VectorFile,
    pub expected: VectorFile,
    pub labels: Option<VectorFile>,
    pub rtol: Option<f64>,
    pub atol: Option<f64>,
    pub mismatch_ppm: Option<f64>,
}

/// A file of a test vector.
#[derive(Clone, Debug)]
pub struct VectorFile {
    /// Its path on disk, or its name in the bundle.
    pub path: PathBuf,
}

impl Subject {
    /// Opens the ZIP or the config at `path`.
    ///
    /// # Errors
    /// Fails if it cannot be read, or is so wrong that there are no models in it.
    pub fn open(path: &Path) -> Result<Self, SubjectError> {
        match inspect::is_zip(path)? {
            true => Self::bundle(path),
            false => Ok(Self {
                path: path.to_owned(),
                config: Config::load(path)?,
                place: Place::Disk,
                lock: None,
            }),
        }
    }

    /// Opens the config at `path`, whose tests may expect files that are still to be recorded.
    ///
    /// # Errors
    /// As [`Subject::open`].
    pub fn open_to_record(path: &Path) -> Result<Self, SubjectError> {
        let surroundings = Surroundings {
            records_tests: true,
            ..Surroundings::of_process()
        };
        Ok(Self {
            path: path.to_owned(),
            config: Config::load_in(path, &surroundings)?,
            place: Place::Disk,
            lock: None,
        })
    }

    fn bundle(path: &Path) -> Result<Self, SubjectError> {
        Self::of_archive(path, Archive::open(path)?)
    }

    fn of_archive(path: &Path, archive: Archive) -> Result<Self, SubjectError> {
        let archive = Arc::new(archive);
        if archive.entry(CONFIG_NAME).is_none() {
            let (path, fault) = (path.to_owned(), Fault::NoConfig);
            return Err(AdoptError { path, fault }.into());
        }
        let lock = adopt::inner_lock(&archive)?;
        let files = Arc::new(Packed(archive.clone()));
        let config = Config::load_packed(&path.join(CONFIG_NAME), TRACKER_NAME, files)
            .map_err(SubjectError::Packed)?;
        Ok(Self {
            path: path.to_owned(),
            config,
            place: Place::Bundle(archive),
            lock,
        })
    }

    /// A bundle whose file must have this SHA-256: what is read later is read of the file that had it.
    ///
    /// # Errors
    /// As [`Subject::open`], and if the digest is another.
    pub fn open_anchored(
        path: &Path,
        expected: Sha256,
        progress: &dyn Progress,
    ) -> Result<Self, SubjectError> {
        let blob = Blob::open(path).map_err(|error| unreadable(path, error))?;
        let _phase = Phase::begin(progress, "Verifying", blob.size());
        let found = archive::sha256_blob(&blob, path, progress);
        let found = found.map_err(|error| unreadable(path, error))?;
        if found != expected {
            return Err(SubjectError::Sha256 {
                path: path.to_owned(),
                expected,
                found,
            });
        }
        Self::of_archive(path, Archive::of_blob(path, blob)?)
    }

    /// One model whose weights are in memory, with the arguments that a config would give it. `name` is what its file
    /// is called, whose extension counts.
    ///
    /// # Errors
    /// Fails if the arguments are none that such a model takes.
    pub fn of_model(model: Given) -> Result<Self, SubjectError> {
        let path = PathBuf::from(format!("{}.yml", model.key));
        let metadata = PathBuf::from(format!("{}.json", model.key));
        let mut entry = Map::new();
        entry.insert("model_path".into(), Value::String(model.name.clone()));
        if model.metadata.is_some() {
            let written = metadata.to_string_lossy().into_owned();
            entry.insert("model_metadata".into(), Value::String(written));
        }
        for (table, arguments) in [
            ("inferer_args", model.inferer_args),
            ("model_args", model.model_args),
        ] {
            if let Some(arguments) = arguments {
                entry.insert(table.into(), Value::Map(arguments));
            }
        }
        let config = Map::from_iter([(Key::from(model.key.as_str()), Value::Map(entry))]);
        let mut files = vec![
            (path.clone(), yaml::to_string(&config).into_bytes().into()),
            (PathBuf::from(&model.name), model.weights),
        ];
        if let Some(text) = model.metadata {
            files.push((metadata, text.into_bytes().into()));
        }
        let held = Arc::new(Held(files));
        let surroundings = Surroundings {
            files: held.clone(),
            ..Surroundings::of_process()
        };
        Ok(Self {
            config: Config::load_in(&path, &surroundings)?,
            path,
            place: Place::Memory(held),
            lock: None,
        })
    }

    /// Whether it is a bundle, and not a project.
    pub fn is_bundle(&self) -> bool {
        matches!(self.place, Place::Bundle(_))
    }

    /// The model of a key.
    ///
    /// # Errors
    /// Fails if there is none, and says which there are.
    pub fn model(&self, key: &str) -> Result<&Model, SubjectError> {
        self.config.model(key).ok_or_else(|| {
            let keys: Vec<&str> = self.config.models.iter().map(|x| x.key.as_str()).collect();
            let known = match keys.is_empty() {
                true => "it has no models".to_owned(),
                false => format!("it has {}", keys.join(", ")),
            };
            let near = crate::wording::nearest(key, keys.into_iter());
            let help = match (near, key) {
                (Some(near), _) => format!("did you mean `{near}`? {known}"),
                (None, "tracker") if self.config.tracker.is_some() => {
                    format!("the tracker's settings are for btrack, and not run here; {known}")
                }
                (None, _) => known,
            };
            SubjectError::NoModel {
                path: self.path.clone(),
                model: key.to_owned(),
                help,
            }
        })
    }

    /// The bytes of a model's weights where they lie; those in a bundle with their CRC checked.
    ///
    /// # Errors
    /// Fails if they are damaged or cannot be read.
    pub fn weights(&self, model: &Model, progress: &dyn Progress) -> Result<Blob, SubjectError> {
        let path = &model.weights.path;
        let archive = match &self.place {
            Place::Disk => return Blob::open(path).map_err(|error| unreadable(path, error)),
            Place::Memory(held) => return held.blob(path).map_err(|error| unreadable(path, error)),
            Place::Bundle(archive) => archive,
        };
        let entry = self.entry(archive, &model.weights.written)?;
        let error = |error| damaged(archive, error);
        archive.contents(entry, progress).map_err(error)?;
        archive.blob(entry, progress).map_err(error)
    }

    /// The bytes of a model's weights in memory, where nothing changes them any more; those in a bundle with their CRC
    /// checked, and their digest where the lock inside says it.
    ///
    /// # Errors
    /// Fails if they are damaged or cannot be read.
    pub fn loaded_weights(
        &self,
        model: &Model,
        progress: &dyn Progress,
    ) -> Result<Blob, SubjectError> {
        match &self.place {
            Place::Bundle(archive) => self.load_entry(archive, &model.weights.written, progress),
            Place::Disk | Place::Memory(_) => self.load_file(&model.weights.path, progress),
        }
    }

    /// The bytes of a file of a test vector, in memory, checked as weights are.
    ///
    /// # Errors
    /// Fails if they are damaged or cannot be read.
    pub fn vector_file(
        &self,
        file: &VectorFile,
        progress: &dyn Progress,
    ) -> Result<Blob, SubjectError> {
        match &self.place {
            Place::Bundle(archive) => {
                let name = file.path.to_string_lossy();
                self.load_entry(archive, &name, progress)
            }
            Place::Disk | Place::Memory(_) => self.load_file(&file.path, progress),
        }
    }

    /// What would be locked of a model whose weights are as `facts` say.
    pub fn locked_facts(&self, model: &Model, facts: &Facts) -> LockedFacts {
        let role = Role::Receiver { allowed: &[] };
        LockedFacts::from(&fit::check(&self.config, model, facts, role))
    }

    /// The test vector of a model: a project's config has it, a bundle's lock.
    pub fn vector(&self, model: &Model) -> Option<Vector> {
        if let Some(test) = &model.test {
            let file = |path: &Path| VectorFile {
                path: path.to_owned(),
            };
            return Some(Vector {
                input: file(&test.input.path),
                expected: file(&test.expected.path),
                labels: test.labels.as_ref().map(|labels| file(&labels.path)),
                rtol: test.rtol,
                atol: test.atol,
                mismatch_ppm: test.mismatch_ppm,
            });
        }
        let locked = self.lock.as_ref()?.models.get(model.key.as_str())?;
        let test = locked.test.as_ref()?;
        let file = |path: &BundlePath| VectorFile {
            path: PathBuf::from(path.as_str()),
        };
        let tolerance = |name: &str| match test.tolerances.get(&Key::from(name)) {
            Some(Value::Float(x)) => Some(*x),
            Some(Value::Int(x)) => Some(*x as f64),
            _ => None,
        };
        Some(Vector {
            input: file(&test.input),
            expected: file(&test.expected),
            labels: test.labels.as_ref().map(file),
            rtol: tolerance("rtol"),
            atol: tolerance("atol"),
            mismatch_ppm: tolerance("mismatch_ppm"),
        })
    }

    fn load_file(&self, path: &Path, progress: &dyn Progress) -> Result<Blob, SubjectError> {
        let error = |error| unreadable(path, error);
        if let Place::Memory(held) = &self.place {
            return held.blob(path).map_err(error);
        }
        let blob = Blob::open(path).map_err(error)?;
        let _phase = Phase::begin(progress, "Reading", blob.size());
        let bytes = blob.read(u64::MAX).map_err(error)?;
        progress.advance(path, blob.size());
        Ok(bytes.into())
    }

    fn load_entry(
        &self,
        archive: &Archive,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Blob, SubjectError> {
        let entry = self.entry(archive, name)?;
        let _phase = Phase::begin(progress, "Reading", entry.size);
        let bytes = archive.read(entry, u64::MAX);
        let bytes = bytes.map_err(|error| damaged(archive, error))?;
        let locked = self.lock.as_ref().and_then(|lock| lock.file(name));
        if locked.is_some_and(|file| file.contents.blake3 != Digest::of(&bytes)) {
            return Err(SubjectError::NotAsLocked {
                path: self.path.clone(),
                entry: name.to_owned(),
            });
        }
        Ok(bytes.into())
    }

    fn entry<'a>(
        &self,
        archive: &'a Archive,
        name: &str,
    ) -> Result<&'a ArchiveEntry, SubjectError> {
        archive.entry(name).ok_or_else(|| {
            let path = self.path.join(name);
            unreadable(&path, io::ErrorKind::NotFound.into())
        })
    }
}

fn unreadable(path: &Path, error: io::Error) -> SubjectError {
    SubjectError::Read {
        path: path.to_owned(),
        error,
    }
}

fn damaged(archive: &Archive, error: ReadError) -> SubjectError {
    SubjectError::Entry {
        path: archive.path().to_owned(),
        error,
    }
}

/// The files of a bundle, under the bundle's own path.
#[derive(Debug)]
struct Packed(Arc<Archive>);

impl Packed {
    fn name<'a>(&self, path: &'a Path) -> Option<&'a str> {
        path.strip_prefix(self.0.path()).ok()?.to_str()
    }
}

impl Files for Packed {
    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        let entry = self.name(path).and_then(|name| self.0.entry(name));
        match entry {
            Some(entry) => Ok(FileKind::File { size: entry.size }),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn read_at_most(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let entry = self.name(path).and_then(|name| self.0.entry(name));
        let entry = entry.ok_or(io::ErrorKind::NotFound)?;
        if entry.size > limit {
            return Ok(vec![
                0;
                usize::try_from(limit)
                    .map_or(usize::MAX, |limit| limit + 1)
            ]);
        }
        self.0.read(entry, limit).map_err(io::Error::other)
    }
}

/// Files in memory, under made-up paths.
#[derive(Debug)]
struct Held(Vec<(PathBuf, Blob)>);

impl Held {
    fn blob(&self, path: &Path) -> io::Result<Blob> {
        // A config looks for its files in its folder, which is the current one.
        let path = path.strip_prefix(".").unwrap_or(path);
        let found = self.0.iter().find(|(known, _)| known == path);
        found
            .map(|(_, blob)| blob.clone())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Files for Held {
    fn kind(&self, path: &Path) -> io::Result<FileKind> {
        let size = self.blob(path)?.size();
        Ok(FileKind::File { size })
    }

    fn read_at_most(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let blob = self.blob(path)?;
        let wanted = blob.size().min(limit.saturating_add(1));
        let part = blob.slice(0..wanted).unwrap_or(blob);
        part.read(wanted)
    }
}
