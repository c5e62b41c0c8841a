//! What earlier runs learnt of files, so that an unchanged file need not be read again.
//!
//! The cache is a folder of its user's alone (0700) and may be deleted or damaged at any time: what cannot
//! be read, or does not match its checksum, is as good as absent. `records/` holds one file a project with
//! the stamp and the digests of every file it reads or writes. `facts/` holds what was derived from content (tensor
//! tables, pickle globals), under the content's BLAKE3 and the version of the code that derived it.

mod records;
mod stamp;

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::atomic::{self, AtomicFile};
use crate::digest::{Digest, read_at_most};
use crate::progress::{Progress, check_interrupt};

pub use records::{Built, Records};
pub use stamp::{Clock, Record, Stamp};

/// The environment variable that names the cache folder.
pub const CACHE_DIR_VARIABLE: &str = "BUNDLE_CACHE_DIR";

/// The folders in it.
const PARTS: [&str; 2] = ["records", "facts"];

/// The cache folder.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// Why there is no cache to use. Nothing fails for it: work is done again.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("no cache folder: neither {CACHE_DIR_VARIABLE} nor a home folder is set")]
    NoHome,
    #[error("cannot use the cache folder {}: {error}", folder.display())]
    Io { folder: PathBuf, error: io::Error },
    #[error("the cache folder {} belongs to another user", folder.display())]
    Foreign { folder: PathBuf },
    #[error("the cache folder {} is open to everybody, as /tmp is; name a folder in it", folder.display())]
    Shared { folder: PathBuf },
}

impl Cache {
    /// Where the cache is: `$BUNDLE_CACHE_DIR`, else the platform's cache folder.
    ///
    /// # Errors
    /// [`CacheError::NoHome`] if the environment names neither.
    pub fn folder() -> Result<PathBuf, CacheError> {
        use etcetera::BaseStrategy;
        match std::env::var_os(CACHE_DIR_VARIABLE) {
            Some(folder) if !folder.is_empty() => Ok(folder.into()),
            _ => etcetera::choose_base_strategy()
                .map(|base| base.cache_dir().join("model-bundle"))
                .map_err(|_| CacheError::NoHome),
        }
    }

    /// Opens the cache at its usual place.
    ///
    /// # Errors
    /// Fails if there is no such place, or as [`Cache::open_at`] does.
    pub fn open() -> Result<Self, CacheError> {
        Self::open_at(Self::folder()?)
    }

    /// Opens the cache at `folder`, which is made if it is not there, private to this user.
    ///
    /// # Errors
    /// Fails if the folder cannot be made or is not ours.
    pub fn open_at(folder: PathBuf) -> Result<Self, CacheError> {
        let io = |error| CacheError::Io {
            folder: folder.clone(),
            error,
        };
        create_private(&folder).map_err(io)?;
        // Nothing is written into a folder that is not ours.
        claim(&folder)?;
        for part in PARTS {
            let part = folder.join(part);
            if !part.is_dir() {
                create_private(&part).map_err(io)?;
                fs::write(folder.join("CACHEDIR.TAG"), CACHEDIR_TAG).map_err(io)?;
            }
        }
        Ok(Self { folder })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// What is known of the files of the project whose config is at the absolute path `project`; empty
    /// where nothing is, or where the record is damaged.
    pub fn records(&self, project: &Path) -> Records {
        /// No project has so many files.
        const LIMIT: u64 = 64 << 20;
        read_at_most(&self.records_path(project), LIMIT)
            .ok()
            .and_then(|bytes| Records::parse(std::str::from_utf8(&bytes).ok()?))
            .unwrap_or_default()
    }

    /// Keeps what is known of the files of a project.
    ///
    /// # Errors
    /// Fails if the cache folder is not writable.
    pub fn store(&self, project: &Path, records: &Records) -> io::Result<()> {
        let mut file = AtomicFile::create(&self.records_path(project))?;
        file.file().write_all(records.render().as_bytes())?;
        file.commit_unsynced()
    }

    /// Waits until no other process works on `project`, and holds it until the file is dropped; `None` where
    /// the filesystem does not lock, and everyone works at once.
    ///
    /// # Errors
    /// [`io::ErrorKind::Interrupted`] if the user asked to stop while it waited.
    pub fn take_turn(
        &self,
        project: &Path,
        progress: &dyn Progress,
    ) -> io::Result<Option<fs::File>> {
        let path = self.records_path(project).with_extension("lock");
        let mut options = fs::File::options();
        options.create(true).truncate(false).write(true);
        let Ok(file) = options.open(path) else {
            return Ok(None);
        };
        let mut waited = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(fs::TryLockError::Error(_)) => return Ok(None),
                Err(fs::TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut waited, true) {
                        progress.waiting("for another build of this project");
                    }
                    check_interrupt(progress)?;
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
    }

    fn records_path(&self, project: &Path) -> PathBuf {
        let digest = Digest::of(project.as_os_str().as_encoded_bytes()).to_string();
        self.folder.join("records").join(&digest[..32])
    }

    /// The text that `version` of some code derived from the content with this digest; `None` if there is none, or it is damaged.
    pub fn facts(&self, content: Digest, version: u32) -> Option<String> {
        /// No facts are so large.
        const LIMIT: u64 = 64 << 20;
        let bytes = read_at_most(&self.facts_path(content, version), LIMIT).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (digest, facts) = text.split_once('\n')?;
        let whole = digest.parse::<Digest>().ok()? == Digest::of(facts.as_bytes());
        whole.then(|| facts.to_owned())
    }

    /// Keeps what `version` of some code derived from the content with this digest.
    ///
    /// # Errors
    /// Fails if the folder cannot be written.
    pub fn store_facts(&self, content: Digest, version: u32, facts: &str) -> io::Result<()> {
        let text = format!("{}\n{facts}", Digest::of(facts.as_bytes()));
        atomic::write(&self.facts_path(content, version), text.as_bytes())
    }

    fn facts_path(&self, content: Digest, version: u32) -> PathBuf {
        self.folder
            .join("facts")
            .join(format!("{content}.{version}"))
    }

    /// Removes the files that were used longest ago until at most `max_size` bytes are left, and returns
    /// what it removed.
    ///
    /// # Errors
    /// Fails if the folder cannot be read or a file cannot be removed.
    pub fn prune(&self, max_size: u64) -> io::Result<Pruned> {
        let mut files = Vec::new();
        for part in PARTS {
            collect_files(&self.folder.join(part), &mut files)?;
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, _, size)| size).sum();
        let mut pruned = Pruned::default();
        for (_, path, size) in files {
            if total <= max_size {
                break;
            }
            fs::remove_file(&path)?;
            total -= size;
            pruned.files += 1;
            pruned.bytes += size;
        }
        pruned.left = total;
        Ok(pruned)
    }
}

/// What [`Cache::prune`] removed and left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    pub files: u64,
    pub bytes: u64,
    pub left: u64,
}

/// <https://bford.info/cachedir/>: backup programs pass over a folder with this file.
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# The cache of `bundle`. It may be deleted at any time.\n";

fn create_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Makes sure that nobody else can have written the cache.
fn claim(folder: &Path) -> Result<(), CacheError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, PermissionsExt};
        let io = |error| CacheError::Io {
            folder: folder.to_owned(),
            error,
        };
        let metadata = fs::metadata(folder).map_err(io)?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(CacheError::Foreign {
                folder: folder.to_owned(),
            });
        }
        // A sticky folder is meant to be shared, and making it private would take it from the others.
        if metadata.mode() & 0o1000 != 0 {
            return Err(CacheError::Shared {
                folder: folder.to_owned(),
            });
        }
        if metadata.mode() & 0o077 != 0 {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(io)?;
        }
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn collect_files(folder: &Path, files: &mut Vec<(SystemTime, PathBuf, u64)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            collect_files(&entry.path(), files)?;
        } else {
            files.push((metadata.modified()?, entry.path(), metadata.len()));
        }
    }
    Ok(())
}

/// The absolute form of `path` under which it is recorded.
///
/// # Errors
/// Fails for an empty path, or where the working directory is gone.
pub fn record_key(path: &Path) -> io::Result<PathBuf> {
    // The folder is made canonical, so that a project is known by one name; the file itself may be a symlink
    // that changes, which its stamp shows.
    let absolute = std::path::absolute(path)?;
    let folder = fs::canonicalize(atomic::folder_of(&absolute));
    match (folder, absolute.file_name()) {
        (Ok(folder), Some(name)) => Ok(folder.join(name)),
        _ => Ok(absolute),
    }
}
