//! What a filesystem tells of a file without opening it, and when that can be trusted.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much older than its record a file must be for the record to be trusted: git's racy rule. A file
/// written in the same tick of the filesystem's clock as the record could have been written after it.
const RACY: i128 = 2_000_000_000;

/// Nanoseconds since 1970, by the clock of a file's filesystem.
pub(super) type Nanoseconds = i128;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_settled_two_seconds_after_the_last_change() {
        let mut record = Record {
            stamp: Stamp {
                size: 3,
                modified: 10_000_000_000,
                changed: 11_000_000_000,
                inode: 7,
                device: 8,
            },
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
