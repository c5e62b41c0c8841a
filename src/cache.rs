//! What earlier runs learnt of files, so that an unchanged file need not be read again.
//!
//! The cache is a folder of its user's alone (0700) and may be deleted or damaged at any time: what cannot
//! be read, or does not match its checksum, is as good as absent. `records/` holds one file a project with
//! the stamp and the digests of every file it reads or writes. Facts derived from content (tensor tables,
//! pickle globals) belong beside it in a folder of their own, under the content's BLAKE3 and the version of the
//! code that derived them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, Metadata};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::atomic::{self, AtomicFile};
use crate::digest::{Contents, Digest, Sha256};
use crate::progress::{Progress, check_interrupt};

/// The environment variable that names the cache folder.
pub const CACHE_DIR_VARIABLE: &str = "BUNDLE_CACHE_DIR";

/// How much older than its record a file must be for the record to be trusted: git's racy rule. A file
/// written in the same tick of the filesystem's clock as the record could have been written after it.
const RACY: i128 = 2_000_000_000;

/// Format of the record files.
const HEADER: &str = "model-bundle records 1";

/// Nanoseconds since 1970, by the clock of a file's filesystem.
type Nanoseconds = i128;

/// What a filesystem tells of a file without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub size: u64,
    pub modified: Nanoseconds,
    pub changed: Nanoseconds,
    pub inode: u64,
    pub device: u64,
}

impl Stamp {
    /// The stamp of the file at `path`, symlinks followed.
    ///
    /// # Errors
    /// Fails if there is no such file.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self::from_metadata(&fs::metadata(path)?))
    }

    /// The stamp that `metadata` holds.
    pub fn from_metadata(metadata: &Metadata) -> Self {
        let modified = metadata.modified().map_or(0, nanoseconds);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Self {
                size: metadata.len(),
                modified,
                changed: i128::from(metadata.ctime()) * 1_000_000_000
                    + i128::from(metadata.ctime_nsec()),
                inode: metadata.ino(),
                device: metadata.dev(),
            }
        }
        #[cfg(not(unix))]
        Self {
            size: metadata.len(),
            modified,
            changed: metadata.created().map_or(0, nanoseconds),
            inode: 0,
            device: 0,
        }
    }
}

fn nanoseconds(time: SystemTime) -> Nanoseconds {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => after.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

/// What was found of a file, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<T> {
    /// The file as it was just before it was read.
    pub stamp: Stamp,
    /// The filesystem's time just before the file was read.
    pub seen: Nanoseconds,
    /// What it held.
    pub found: T,
}

impl<T> Record<T> {
    /// Whether the record was made long enough after the file's last change that no later change can
    /// carry the same stamp.
    pub fn is_settled(&self) -> bool {
        self.stamp.modified.max(self.stamp.changed) + RACY <= self.seen
    }
}

/// A ZIP that a build wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    pub sha256: Sha256,
    /// The digest of the lock inside it, which determines every other byte.
    pub lock: Digest,
}

/// What is known of one project's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Records {
    /// Files that go into the bundle, by absolute path.
    pub sources: BTreeMap<PathBuf, Record<Contents>>,
    /// Bundles, by absolute path.
    pub outputs: BTreeMap<PathBuf, Record<Built>>,
}

/// Tells the time of filesystems: servers' clocks differ from ours, and a record is compared with a file's times.
#[derive(Debug, Default)]
pub struct Clock {
    by_device: BTreeMap<u64, Nanoseconds>,
}

impl Clock {
    /// Without a fresh file on a filesystem, its clock is taken to be at most this far behind ours.
    const MISTRUST: Duration = Duration::from_secs(24 * 60 * 60);

    /// A clock that knows the filesystems of those `folders` in which a nameless file can be made.
    pub fn of(folders: &[&Path]) -> Self {
        let mut clock = Self::default();
        for folder in folders {
            let fresh = tempfile::tempfile_in(folder).and_then(|file| file.metadata());
            if let Ok(metadata) = fresh {
                let stamp = Stamp::from_metadata(&metadata);
                clock.by_device.insert(stamp.device, stamp.modified);
            }
        }
        clock
    }

    /// A time that the filesystem of a file with this `stamp` had certainly reached when the clock was made.
    pub fn now(&self, stamp: &Stamp) -> Nanoseconds {
        self.by_device
            .get(&stamp.device)
            .copied()
            .unwrap_or_else(|| nanoseconds(SystemTime::now() - Self::MISTRUST))
    }
}

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
        let records = folder.join("records");
        if !records.is_dir() {
            create_private(&records).map_err(io)?;
            fs::write(folder.join("CACHEDIR.TAG"), CACHEDIR_TAG).map_err(io)?;
        }
        claim(&folder)?;
        Ok(Self { folder })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// What is known of the files of the project whose config is at the absolute path `project`; empty
    /// where nothing is, or where the record is damaged.
    pub fn records(&self, project: &Path) -> Records {
        fs::read_to_string(self.records_path(project))
            .ok()
            .and_then(|text| Records::parse(&text))
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

    /// Removes the files that were used longest ago until at most `max_size` bytes are left, and returns
    /// what it removed.
    ///
    /// # Errors
    /// Fails if the folder cannot be read or a file cannot be removed.
    pub fn prune(&self, max_size: u64) -> io::Result<Pruned> {
        let mut files = Vec::new();
        collect_files(&self.folder.join("records"), &mut files)?;
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

impl Records {
    /// One line a record, under a header that carries the digest of the lines.
    fn render(&self) -> String {
        let mut lines = String::new();
        for (path, record) in &self.sources {
            let Contents {
                size,
                crc32,
                blake3,
            } = record.found;
            push_record(
                &mut lines,
                path,
                record,
                &format!("source {size} {crc32} {blake3}"),
            );
        }
        for (path, record) in &self.outputs {
            let Built { sha256, lock } = record.found;
            push_record(&mut lines, path, record, &format!("output {sha256} {lock}"));
        }
        format!("{HEADER} {}\n{lines}", Digest::of(lines.as_bytes()))
    }

    /// The records in `text`; `None` if it is damaged or of another version.
    fn parse(text: &str) -> Option<Self> {
        let (header, lines) = text.split_once('\n')?;
        let digest = header.strip_prefix(HEADER)?.trim().parse::<Digest>().ok()?;
        if digest != Digest::of(lines.as_bytes()) {
            return None;
        }
        let mut records = Self::default();
        for line in lines.lines() {
            records.insert(line)?;
        }
        Some(records)
    }

    fn insert(&mut self, line: &str) -> Option<()> {
        let (fields, path) = line.split_once('\t')?;
        let mut fields = fields.split(' ');
        let kind = fields.next()?;
        match kind {
            "source" => {
                let found = Contents {
                    size: parse(&mut fields)?,
                    crc32: parse(&mut fields)?,
                    blake3: parse(&mut fields)?,
                };
                let record = parse_record(&mut fields, found)?;
                self.sources.insert(path.into(), record);
            }
            "output" => {
                let found = Built {
                    sha256: parse(&mut fields)?,
                    lock: parse(&mut fields)?,
                };
                let record = parse_record(&mut fields, found)?;
                self.outputs.insert(path.into(), record);
            }
            _ => return None,
        }
        Some(())
    }
}

fn push_record<T>(lines: &mut String, path: &Path, record: &Record<T>, found: &str) {
    // A path that is no text, or has more than one line, is not worth a format of its own: it is read each time.
    let Some(path) = path.to_str().filter(|path| !path.contains(['\n', '\r'])) else {
        return;
    };
    let Stamp {
        size,
        modified,
        changed,
        inode,
        device,
    } = record.stamp;
    let seen = record.seen;
    let _ = writeln!(
        lines,
        "{found} {size} {modified} {changed} {inode} {device} {seen}\t{path}"
    );
}

fn parse_record<'a, T>(fields: &mut impl Iterator<Item = &'a str>, found: T) -> Option<Record<T>> {
    let stamp = Stamp {
        size: parse(fields)?,
        modified: parse(fields)?,
        changed: parse(fields)?,
        inode: parse(fields)?,
        device: parse(fields)?,
    };
    let seen = parse(fields)?;
    fields
        .next()
        .is_none()
        .then_some(Record { stamp, seen, found })
}

fn parse<'a, T: std::str::FromStr>(fields: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    fields.next()?.parse().ok()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp() -> Stamp {
        Stamp {
            size: 3,
            modified: 10_000_000_000,
            changed: 11_000_000_000,
            inode: 7,
            device: 8,
        }
    }

    fn records() -> Records {
        let mut records = Records::default();
        records.sources.insert(
            "/a b/models/é.pth".into(),
            Record {
                stamp: stamp(),
                seen: -5,
                found: Contents::of(b"abc"),
            },
        );
        records.outputs.insert(
            "/a b/x.zip".into(),
            Record {
                stamp: stamp(),
                seen: 5,
                found: Built {
                    sha256: [7; 32].into(),
                    lock: Digest::of(b"lock"),
                },
            },
        );
        records
    }

    #[test]
    fn records_come_back() {
        let text = records().render();
        assert_eq!(Records::parse(&text), Some(records()));
    }

    #[test]
    fn any_damage_to_records_is_noticed() {
        let text = records().render().into_bytes();
        for index in 0..text.len() {
            let mut damaged = text.clone();
            damaged[index] ^= 1;
            let parsed = std::str::from_utf8(&damaged).ok().and_then(Records::parse);
            assert_eq!(parsed, None, "byte {index}");
            let cut = std::str::from_utf8(&text[..index])
                .ok()
                .and_then(Records::parse);
            assert_eq!(cut, None, "cut at {index}");
        }
    }

    #[test]
    fn a_record_is_settled_two_seconds_after_the_last_change() {
        let mut record = Record {
            stamp: stamp(),
            seen: 13_000_000_000,
            found: (),
        };
        assert!(record.is_settled());
        record.seen -= 1;
        assert!(!record.is_settled());
    }

    #[test]
    fn an_unknown_filesystem_is_given_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let fresh = Stamp::of(folder.path()).unwrap();
        assert!(Clock::of(&[folder.path()]).now(&fresh) >= fresh.modified);
        assert!(Clock::default().now(&fresh) < fresh.modified - 86_000_000_000_000);
    }
}
