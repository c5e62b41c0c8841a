//! Unpacks an archive: all of what was asked for or nothing, and never outside the folder.
//!
//! Everything is first written to a private folder inside the target and checked there; only then are the
//! files moved to their places, without overwriting anything. What was moved is taken back if a move fails.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, TempPath};

use super::read::{Archive, ArchiveEntry, ReadError};
use super::{BundlePath, Entry};
use crate::digest::Contents;
use crate::progress::Progress;

/// Why nothing was unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot write {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("{path} exists already; move it away, or unpack into another folder", path = path.display())]
    Exists { path: PathBuf },
    #[error(
        "{path} is a symbolic link; nothing is unpacked through it: remove it, or unpack into another folder",
        path = path.display()
    )]
    Symlink { path: PathBuf },
    #[error("{path} should be a folder, but is not; move it away, or unpack into another folder", path = path.display())]
    NotAFolder { path: PathBuf },
    #[error("the archive holds {path}, which is not among the expected files")]
    Unexpected { path: BundlePath },
    #[error("the archive does not hold {path}, which is expected")]
    Missing { path: BundlePath },
    #[error(
        "{path} is not what is expected: expected {} bytes with BLAKE3 {}, found {} bytes with BLAKE3 {}",
        expected.size, expected.blake3, found.size, found.blake3
    )]
    Differs {
        path: BundlePath,
        expected: Box<Contents>,
        found: Box<Contents>,
    },
}

impl UnpackError {
    /// Whether the user asked to stop.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::Read(error) if error.is_interrupted())
    }
}

/// Unpacks the files that `selection` wants into `dir`, which is made if it is not there, and returns where
/// they are now.
///
/// CRCs are checked always, contents too where `expected` says what they are. Folders in the archive are made
/// only for the files in them; modes and dates are not taken over.
///
/// # Errors
/// Fails if a file is damaged, is not as expected, exists already, or would be written through a symbolic
/// link; also if the disk does. `dir` is then as it was.
pub fn unpack(
    archive: &Archive,
    selection: impl Fn(&BundlePath) -> bool,
    dir: &Path,
    expected: Option<&[Entry]>,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>, UnpackError> {
    let chosen: Vec<&ArchiveEntry> = archive
        .entries()
        .iter()
        .filter(|entry| !entry.is_directory && selection(&entry.path))
        .collect();
    let expected = match expected {
        None => None,
        Some(entries) => Some(expectations(entries, &chosen, &selection)?),
    };
    let mut undo = Undo::default();
    make_folders(dir, &mut undo)?;
    for entry in &chosen {
        check_target(dir, &entry.path)?;
    }
    let staging = stage(archive, &chosen, dir, expected.as_ref(), progress)?;
    let mut unpacked = Vec::with_capacity(chosen.len());
    for (index, entry) in chosen.iter().enumerate() {
        let target = make_parents(dir, &entry.path, &mut undo)?;
        move_into_place(&staging.path().join(index.to_string()), &target)?;
        undo.files.push(target.clone());
        unpacked.push(target);
    }
    undo.forget();
    Ok(unpacked)
}

/// What each chosen file should be, if the archive holds all that was expected and nothing else.
fn expectations<'a>(
    entries: &'a [Entry],
    chosen: &[&ArchiveEntry],
    selection: impl Fn(&BundlePath) -> bool,
) -> Result<HashMap<&'a BundlePath, &'a Contents>, UnpackError> {
    let expected: HashMap<_, _> = entries
        .iter()
        .map(|entry| (&entry.path, &entry.contents))
        .collect();
    let held: std::collections::HashSet<&BundlePath> =
        chosen.iter().map(|entry| &entry.path).collect();
    for entry in chosen {
        if !expected.contains_key(&entry.path) {
            return Err(UnpackError::Unexpected {
                path: entry.path.clone(),
            });
        }
    }
    for entry in entries {
        if selection(&entry.path) && !held.contains(&entry.path) {
            return Err(UnpackError::Missing {
                path: entry.path.clone(),
            });
        }
    }
    Ok(expected)
}

/// Writes the chosen files, checked, into a private folder inside `dir`, named by their index.
fn stage(
    archive: &Archive,
    chosen: &[&ArchiveEntry],
    dir: &Path,
    expected: Option<&HashMap<&BundlePath, &Contents>>,
    progress: &dyn Progress,
) -> Result<TempDir, UnpackError> {
    let staging = tempfile::Builder::new()
        .prefix(".unpack.")
        .suffix(".tmp")
        .tempdir_in(dir)
        .map_err(|source| write_error(dir, source))?;
    for (index, entry) in chosen.iter().enumerate() {
        let path = staging.path().join(index.to_string());
        let mut file = File::create_new(&path).map_err(|source| write_error(&path, source))?;
        let found = archive.copy_to(entry, &mut file, progress)?;
        let wanted = expected.and_then(|expected| expected.get(&entry.path));
        if let Some(wanted) = wanted.filter(|wanted| ***wanted != found) {
            return Err(UnpackError::Differs {
                path: entry.path.clone(),
                expected: Box::new(**wanted),
                found: Box::new(found),
            });
        }
    }
    Ok(staging)
}

/// Moves a file to where nothing is yet.
fn move_into_place(from: &Path, to: &Path) -> Result<(), UnpackError> {
    let staged = TempPath::try_from_path(from).map_err(|source| write_error(from, source))?;
    staged.persist_noclobber(to).map_err(|error| {
        let path = to.to_owned();
        match error.error.kind() {
            io::ErrorKind::AlreadyExists => UnpackError::Exists { path },
            _ => UnpackError::Write {
                path,
                source: error.error,
            },
        }
    })
}

fn write_error(path: &Path, source: io::Error) -> UnpackError {
    UnpackError::Write {
        path: path.to_owned(),
        source,
    }
}

/// Refuses a target that exists, or that lies behind a link or a file.
fn check_target(dir: &Path, path: &BundlePath) -> Result<(), UnpackError> {
    let mut at = dir.to_owned();
    let mut components = path.components().peekable();
    while let Some(component) = components.next() {
        at.push(component);
        let Some(kind) = kind_of(&at)? else {
            return Ok(());
        };
        if components.peek().is_none() {
            return Err(UnpackError::Exists { path: at });
        }
        must_be_folder(&at, kind)?;
    }
    Ok(())
}

/// What stands at `path` itself, if anything does; links are not followed.
fn kind_of(path: &Path) -> Result<Option<fs::FileType>, UnpackError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(write_error(path, error)),
    }
}

fn must_be_folder(path: &Path, kind: fs::FileType) -> Result<(), UnpackError> {
    let path = path.to_owned();
    match kind {
        kind if kind.is_symlink() => Err(UnpackError::Symlink { path }),
        kind if !kind.is_dir() => Err(UnpackError::NotAFolder { path }),
        _ => Ok(()),
    }
}

/// Makes the folders that a file lies in, one by one, and returns the file's own path.
fn make_parents(dir: &Path, path: &BundlePath, undo: &mut Undo) -> Result<PathBuf, UnpackError> {
    let mut at = dir.to_owned();
    let mut components = path.components().peekable();
    while let Some(component) = components.next() {
        at.push(component);
        if components.peek().is_none() {
            break;
        }
        match kind_of(&at)? {
            Some(kind) => must_be_folder(&at, kind)?,
            None => make_folder(&at, undo)?,
        }
    }
    Ok(at)
}

/// Makes `dir` and what it lies in. A link on the way there is the user's own word, and followed.
fn make_folders(dir: &Path, undo: &mut Undo) -> Result<(), UnpackError> {
    let absent: Vec<&Path> = dir
        .ancestors()
        .filter(|folder| !folder.as_os_str().is_empty())
        .take_while(|folder| !folder.exists())
        .collect();
    for folder in absent.into_iter().rev() {
        make_folder(folder, undo)?;
    }
    match dir.is_dir() {
        true => Ok(()),
        false => Err(UnpackError::NotAFolder {
            path: dir.to_owned(),
        }),
    }
}

fn make_folder(path: &Path, undo: &mut Undo) -> Result<(), UnpackError> {
    fs::create_dir(path).map_err(|source| write_error(path, source))?;
    undo.folders.push(path.to_owned());
    Ok(())
}

/// Takes back, when dropped, what was made.
#[derive(Default)]
struct Undo {
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Undo {
    fn forget(mut self) {
        self.folders.clear();
        self.files.clear();
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        // Best effort: a folder into which somebody else has put something stays.
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}
