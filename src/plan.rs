//! What is up to date, what is not, and why: the one decision that `build`, `--dry-run`, `--explain` and
//! `lock --check` share.
//!
//! Everything here is a pure function of what is known, so that the explanation cannot drift from what is done.

use std::collections::HashMap;
use std::fmt;

use serde::Serialize;

use crate::archive::BundlePath;
use crate::cache::{Built, Record, Stamp};
use crate::digest::{Contents, Digest, Sha256};
use crate::lockfile::{ArchivePin, Change, Lockfile};
use crate::packed::CONFIG_NAME;

/// Why a file must be read, although a record of it may exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadReason {
    /// Nothing is known of it.
    NotRecorded,
    /// Its size, times or inode are not those of the record.
    Touched,
    /// It was changed less than two seconds before it was recorded: the stamp proves nothing.
    Unsettled,
}

/// Whether the file with this stamp must be read, and why; `None` if its record can be trusted.
pub fn why_read<T>(stamp: &Stamp, record: Option<&Record<T>>) -> Option<ReadReason> {
    match record {
        None => Some(ReadReason::NotRecorded),
        Some(record) if record.stamp != *stamp => Some(ReadReason::Touched),
        Some(record) if !record.is_settled() => Some(ReadReason::Unsettled),
        Some(_) => None,
    }
}

/// What is known before a build.
#[derive(Clone, Copy, Debug)]
pub struct Knowledge<'a> {
    /// The lock that stands beside the config.
    pub old: Option<&'a Lockfile>,
    /// The lock that the config and its files give now.
    pub new: &'a Lockfile,
    /// Whether the config says when the content was made; else another date is no reason, but a consequence.
    pub date_is_pinned: bool,
    /// The files that were read, and why.
    pub read: &'a HashMap<BundlePath, ReadReason>,
    /// Files that differ from the old lock's by CRLF and LF alone.
    pub line_endings: &'a [BundlePath],
    /// What is at the output's path.
    pub output: Output,
}

/// What is at the output's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Nothing is asked to be built.
    NotAsked,
    Missing,
    /// A file of this size that was not read, because nothing was to be learnt from it.
    Unread {
        size: u64,
    },
    /// A file that was read now, or that a trusted record describes.
    Known {
        archive: ArchivePin,
        /// The digest of the inner lock from which it was built, if that is on record.
        built_from: Option<Digest>,
    },
}

impl Output {
    /// A file of this size, as a trusted record describes it.
    pub fn recorded(size: u64, built: Built) -> Self {
        let sha256 = built.sha256;
        Self::Known {
            archive: ArchivePin { size, sha256 },
            built_from: Some(built.lock),
        }
    }
}

/// What there is to do, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    pub lock: LockPlan,
    /// Every file of the bundle, and those that are no longer in it.
    pub files: Vec<FilePlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<OutputPlan>,
}

/// The state of the lock.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum LockPlan {
    UpToDate,
    Missing,
    Stale { changes: Vec<Change> },
}

/// One file of the bundle.
#[derive(Clone, Debug, Serialize)]
pub struct FilePlan {
    pub path: BundlePath,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(flatten)]
    pub reason: FileReason,
}

/// What became of a file since the lock was written.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum FileReason {
    /// Known to be unchanged without being read.
    Unchanged,
    /// It was not in the lock.
    New,
    ContentChanged {
        old: Digest,
        new: Digest,
        /// Known to differ by CRLF and LF alone.
        line_endings: bool,
    },
    /// Read, because its stamp changed; the content did not.
    Touched,
    /// Read, because nothing was known of it; the content is that of the lock.
    RecordMissing,
    /// Read, because it had changed just before it was recorded; the content is that of the lock.
    RecordUnsettled,
    /// Generated, and different because these keys of the config are.
    ArgumentsChanged { keys: Vec<String> },
    /// Generated, and different because other files are: it carries the date of the content.
    DateChanged,
    /// In the lock, and no longer in the config.
    Removed,
}

/// What is to become of the output.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum OutputPlan {
    UpToDate,
    /// To be built: there is none.
    Missing,
    /// To be built: it holds another content than the lock.
    ContentChanged,
    /// To be built: it is not what was built from the lock.
    Altered {
        expected: ArchivePin,
        found_size: u64,
        found_sha256: Option<Sha256>,
    },
    /// To be built: nobody knows what it was built from.
    RecordMissing,
}

/// Decides.
pub fn plan(known: Knowledge) -> Plan {
    let lock = match known.old {
        None => LockPlan::Missing,
        Some(old) if old.same_content(known.new) => LockPlan::UpToDate,
        Some(old) => LockPlan::Stale {
            changes: changes(old, &known),
        },
    };
    Plan {
        files: files(&known, &lock),
        output: output(&known, &lock),
        lock,
    }
}

fn changes(old: &Lockfile, known: &Knowledge) -> Vec<Change> {
    let mut changes = old.changes(known.new);
    let is_date =
        |change: &Change| matches!(change, Change::Setting { key, .. } if key == "bundle.created");
    // A date that alone differs was edited by hand.
    if !known.date_is_pinned && !changes.iter().all(is_date) {
        changes.retain(|change| !is_date(change));
    }
    for change in &mut changes {
        if let Change::FileChanged {
            path, line_endings, ..
        } = change
        {
            *line_endings = known.line_endings.contains(path);
        }
    }
    changes
}

fn files(known: &Knowledge, lock: &LockPlan) -> Vec<FilePlan> {
    let empty = Vec::new();
    let old_files = known.old.map_or(&empty, |old| &old.files);
    let old: HashMap<_, _> = old_files
        .iter()
        .map(|file| (&file.path, file.contents))
        .collect();
    let new_paths: std::collections::HashSet<_> =
        known.new.files.iter().map(|file| &file.path).collect();
    let present = known.new.files.iter().map(|file| FilePlan {
        path: file.path.clone(),
        source: file.source.clone(),
        reason: reason(known, lock, &file.path, old.get(&file.path), &file.contents),
    });
    let removed = old_files
        .iter()
        .filter(|file| !new_paths.contains(&file.path))
        .map(|file| FilePlan {
            path: file.path.clone(),
            source: file.source.clone(),
            reason: FileReason::Removed,
        });
    present.chain(removed).collect()
}

fn reason(
    known: &Knowledge,
    lock: &LockPlan,
    path: &BundlePath,
    old: Option<&Contents>,
    new: &Contents,
) -> FileReason {
    let Some(old) = old else {
        return FileReason::New;
    };
    if old != new {
        if path.as_str() == CONFIG_NAME {
            let keys = changed_keys(lock);
            return match keys.is_empty() {
                false => FileReason::ArgumentsChanged { keys },
                true => FileReason::DateChanged,
            };
        }
        let (old, new) = (old.blake3, new.blake3);
        let line_endings = known.line_endings.contains(path);
        return FileReason::ContentChanged {
            old,
            new,
            line_endings,
        };
    }
    match known.read.get(path) {
        None => FileReason::Unchanged,
        Some(ReadReason::NotRecorded) => FileReason::RecordMissing,
        Some(ReadReason::Touched) => FileReason::Touched,
        Some(ReadReason::Unsettled) => FileReason::RecordUnsettled,
    }
}

/// The keys of the config that changed.
fn changed_keys(lock: &LockPlan) -> Vec<String> {
    let LockPlan::Stale { changes } = lock else {
        return Vec::new();
    };
    let key = |change: &Change| match change {
        Change::Setting { key, .. } | Change::Order { key } => Some(key.clone()),
        Change::ModelAdded { model } | Change::ModelRemoved { model } => Some(model.clone()),
        _ => None,
    };
    changes.iter().filter_map(key).collect()
}

fn output(known: &Knowledge, lock: &LockPlan) -> Option<OutputPlan> {
    let (found_size, found_sha256, built_from) = match known.output {
        Output::NotAsked => return None,
        Output::Missing => return Some(OutputPlan::Missing),
        Output::Unread { size } => (size, None, None),
        Output::Known {
            archive,
            built_from,
        } => (archive.size, Some(archive.sha256), built_from),
    };
    let is_pinned = |pin: ArchivePin| {
        pin.size == found_size && found_sha256.is_some_and(|sha256| sha256 == pin.sha256)
    };
    let built_from_this = built_from.map(|digest| digest == known.new.inner_digest());
    Some(match (known.new.archive, built_from_this) {
        (Some(pin), _) if is_pinned(pin) => OutputPlan::UpToDate,
        (None, Some(true)) => OutputPlan::UpToDate,
        _ if *lock != LockPlan::UpToDate => OutputPlan::ContentChanged,
        (Some(expected), _) => OutputPlan::Altered {
            expected,
            found_size,
            found_sha256,
        },
        (None, Some(false)) => OutputPlan::ContentChanged,
        (None, None) => OutputPlan::RecordMissing,
    })
}

impl Plan {
    /// Whether the lock is what the config and its files give.
    pub fn lock_is_up_to_date(&self) -> bool {
        self.lock == LockPlan::UpToDate
    }

    /// Whether the output must be written.
    pub fn builds(&self) -> bool {
        !matches!(self.output, None | Some(OutputPlan::UpToDate))
    }
}

impl fmt::Display for FileReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("unchanged"),
            Self::New => f.write_str("new"),
            Self::ContentChanged {
                old,
                new,
                line_endings,
            } => {
                let short = |digest: &Digest| digest.to_string()[..12].to_owned();
                let (old, new) = (short(old), short(new));
                match line_endings {
                    true => write!(f, "only line endings changed ({old} -> {new})"),
                    false => write!(f, "content changed ({old} -> {new})"),
                }
            }
            Self::Touched => f.write_str("touched, same content"),
            Self::RecordMissing => f.write_str("record missing, same content"),
            Self::RecordUnsettled => {
                f.write_str("changed just before it was recorded, same content")
            }
            Self::ArgumentsChanged { keys } => {
                write!(f, "arguments changed ({})", keys.join(", "))
            }
            Self::DateChanged => f.write_str("new creation date"),
            Self::Removed => f.write_str("removed"),
        }
    }
}

impl fmt::Display for OutputPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UpToDate => f.write_str("up to date"),
            Self::Missing => f.write_str("output missing"),
            Self::ContentChanged => f.write_str("content changed"),
            Self::Altered {
                expected,
                found_sha256: Some(found),
                ..
            } => {
                let short = |sha256: &Sha256| sha256.to_string()[..12].to_owned();
                write!(
                    f,
                    "output altered (sha256 {}, the lock says {})",
                    short(found),
                    short(&expected.sha256)
                )
            }
            Self::Altered {
                expected,
                found_size,
                ..
            } => write!(
                f,
                "output altered ({found_size} bytes, the lock says {})",
                expected.size
            ),
            Self::RecordMissing => f.write_str("record of the output missing"),
        }
    }
}
