//! A project on disk: its config, the lock beside it, and what the cache knows of its files.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::cache::{Cache, CacheError, Clock, Records, record_key};
use crate::config::{Config, ConfigError, Surroundings};
use crate::lockfile::{LockError, Lockfile};
use crate::progress::Progress;
use crate::resolve::{Means, ResolveError, Resolved, resolve};

/// The configs that a folder is searched for, the first one that is there being taken.
pub const CONFIG_NAMES: [&str; 5] = [
    "bundle.toml",
    "bundle.yml",
    "bundle.yaml",
    "config_model_bundle.yml",
    "config_model_bundle.yaml",
];

/// A project.
#[derive(Debug)]
pub struct Project {
    pub config: Config,
    pub lock_path: PathBuf,
    /// The lock as it stands on disk.
    pub lock: Option<Lockfile>,
    /// What is known of its files.
    pub records: Records,
    /// Why nothing can be remembered, if so.
    pub cache: Result<Cache, CacheError>,
    key: PathBuf,
    stored: Records,
    /// Held while the project is open, so that two builds of it take turns.
    _turn: Option<File>,
}

/// Why a project cannot be opened.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ProjectError {
    #[error("there is no config here: no {} in {} or above it", CONFIG_NAMES[0], folder.display())]
    #[diagnostic(help(
        "name it with `-c CONFIG`, or start one with `bundle init` (`bundle init --from CONFIG.yml` adopts HiTMicTools' YAML)"
    ))]
    NoConfig { folder: PathBuf },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Lock(#[from] LockError),
    #[error("interrupted")]
    Interrupted,
}

/// The config of the nearest folder from `start` upwards that has one.
///
/// # Errors
/// [`ProjectError::NoConfig`].
pub fn find_config(start: &Path) -> Result<PathBuf, ProjectError> {
    let absolute = std::path::absolute(start).unwrap_or_else(|_| start.to_owned());
    for (depth, folder) in absolute.ancestors().enumerate() {
        for name in CONFIG_NAMES {
            if folder.join(name).is_file() {
                // Where it is in the working directory, messages show the bare name.
                let here = depth == 0 && start == Path::new(".");
                return Ok(if here { name.into() } else { folder.join(name) });
            }
        }
    }
    Err(ProjectError::NoConfig { folder: absolute })
}

impl Project {
    /// Opens the project of the config at `path`; without a cache everything is read anew. A lock that belongs to another config, or is no lock, is an error.
    ///
    /// # Errors
    /// Fails if the config or the lock cannot be read or is invalid.
    pub fn open(
        path: &Path,
        cache: Result<Cache, CacheError>,
        progress: &dyn Progress,
    ) -> Result<Self, ProjectError> {
        Self::open_in(path, &Surroundings::of_process(), cache, progress)
    }

    /// Opens the project of the config at `path`, as a process with these surroundings would.
    ///
    /// # Errors
    /// As [`Project::open`].
    pub fn open_in(
        path: &Path,
        surroundings: &Surroundings,
        cache: Result<Cache, CacheError>,
        progress: &dyn Progress,
    ) -> Result<Self, ProjectError> {
        let key = record_key(path).unwrap_or_else(|_| path.to_owned());
        // Everything is read when it is our turn: another build may be about to write the lock.
        let turn = match &cache {
            Ok(cache) => cache.take_turn(&key, progress),
            Err(_) => Ok(None),
        };
        let turn = turn.map_err(|_| ProjectError::Interrupted)?;
        let config = Config::load_in(path, surroundings)?;
        let lock_path = Lockfile::path_for(path);
        let lock = Lockfile::load(&lock_path)?;
        if let Some(lock) = &lock {
            lock.check_config(&lock_path, path)?;
        }
        let records = cache
            .as_ref()
            .map(|cache| cache.records(&key))
            .unwrap_or_default();
        Ok(Self {
            config,
            lock_path,
            lock,
            stored: records.clone(),
            records,
            cache,
            key,
            _turn: turn,
        })
    }

    /// Resolves the config, reading only files of which nothing is known.
    ///
    /// # Errors
    /// Fails if a file cannot be read or changes meanwhile, or if weights are refused; weights that do not fit their
    /// declared network are only if `check_architecture`.
    pub fn resolve(
        &mut self,
        check_architecture: bool,
        progress: &dyn Progress,
    ) -> Result<Resolved, ResolveError> {
        let mut records = std::mem::take(&mut self.records);
        let means = Means {
            old: self.lock.as_ref(),
            cache: self.cache.as_ref().ok(),
            check_architecture,
            clock: &|| self.clock(&[]),
        };
        let resolved = resolve(&self.config, &mut records, means, progress);
        self.records = records;
        // What was learnt is kept whatever becomes of the rest.
        self.remember();
        resolved
    }

    /// A clock for the filesystems of the project, of the cache, and of `others`.
    pub fn clock(&self, others: &[&Path]) -> Clock {
        let mut folders = vec![crate::atomic::folder_of(&self.config.path)];
        folders.extend(self.cache.as_ref().ok().map(Cache::path));
        folders.extend(others);
        Clock::of(&folders)
    }

    /// Stores the records if they changed. A cache that cannot be written costs time, not results.
    pub fn remember(&mut self) {
        if self.records == self.stored {
            return;
        }
        if let Ok(cache) = &self.cache {
            match cache.store(&self.key, &self.records) {
                Ok(()) => self.stored = self.records.clone(),
                Err(error) => {
                    let folder = cache.path().to_owned();
                    self.cache = Err(CacheError::Io { folder, error });
                }
            }
        }
    }
}
