//! Files that appear whole or not at all: written beside their destination, synced, renamed.
//!
//! A temporary file is named `.NAME.XXXXXX.tmp` and locked while its writer lives. A killed writer leaves it
//! behind unlocked, so whoever writes NAME next can tell its leftovers from a neighbour's work and removes them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::{Builder, NamedTempFile};

/// A file on its way to `destination`. Dropped without [`AtomicFile::commit`], it vanishes.
#[derive(Debug)]
pub struct AtomicFile {
    temporary: NamedTempFile,
    destination: PathBuf,
}

impl AtomicFile {
    /// Opens a temporary file beside `destination` and removes what killed writers of it left there.
    ///
    /// # Errors
    /// Fails if the folder of `destination` is not there or not writable.
    pub fn create(destination: &Path) -> io::Result<Self> {
        let folder = folder_of(destination);
        let prefix = temporary_prefix(destination);
        remove_leftovers(folder, &prefix);
        let mut builder = Builder::new();
        builder.prefix(&prefix).suffix(SUFFIX);
        // What a plain `File::create` would ask for; the umask takes its share.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let temporary = builder.tempfile_in(folder)?;
        // Not every filesystem locks; there a neighbour's unlocked file is told by its age (see below).
        let _ = temporary.as_file().try_lock();
        Ok(Self {
            temporary,
            destination: destination.to_owned(),
        })
    }

    /// The open temporary file.
    pub fn file(&mut self) -> &mut File {
        self.temporary.as_file_mut()
    }

    /// Syncs the file, puts it in the place of `destination`, and syncs the folder.
    ///
    /// # Errors
    /// Fails if the disk does; the destination is then what it was.
    pub fn commit(self) -> io::Result<()> {
        self.temporary.as_file().sync_all()?;
        let folder = folder_of(&self.destination).to_owned();
        self.commit_unsynced()?;
        sync_folder(&folder)
    }

    /// Puts the file in the place of `destination` without waiting for the disk: for what may be lost, as
    /// long as it is not taken for whole when it is not.
    ///
    /// # Errors
    /// Fails if the file cannot be renamed; the destination is then what it was.
    pub fn commit_unsynced(self) -> io::Result<()> {
        self.temporary
            .persist(&self.destination)
            .map_err(|error| error.error)?;
        Ok(())
    }
}

/// Writes `bytes` to `path`, whole or not at all.
///
/// # Errors
/// Fails if the disk does; `path` is then what it was.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.file().write_all(bytes)?;
    file.commit()
}

const SUFFIX: &str = ".tmp";

/// How old an unlocked temporary file must be before it counts as left behind.
const LEFTOVER_AGE: std::time::Duration = std::time::Duration::from_secs(5);

/// File systems take names of 255 bytes; this much of a destination's leaves room for what is put around it.
const LONGEST_STEM: usize = 200;

fn temporary_prefix(destination: &Path) -> String {
    let name = destination.file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    let mut stem = String::new();
    for character in name.chars() {
        if stem.len() + character.len_utf8() > LONGEST_STEM {
            break;
        }
        stem.push(character);
    }
    format!(".{stem}.")
}

/// The folder that holds `path`.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Removes the temporary files of writers that are gone. Best effort: a leftover is litter, not an error.
fn remove_leftovers(folder: &Path, prefix: &str) {
    let Ok(names) = fs::read_dir(folder) else {
        return;
    };
    for entry in names.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let random = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(SUFFIX));
        let is_temporary = random.is_some_and(|random| {
            random.len() == 6 && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        if is_temporary && is_abandoned(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether no living process holds the temporary file. The moment between a file's creation and its lock
/// is covered by its age.
fn is_abandoned(path: &Path) -> bool {
    let Ok(file) = File::options().read(true).write(true).open(path) else {
        return false;
    };
    let age = file
        .metadata()
        .and_then(|metadata| metadata.modified())
        .ok()
        .and_then(|modified| modified.elapsed().ok());
    age.is_some_and(|age| age >= LEFTOVER_AGE) && file.try_lock().is_ok()
}

/// Makes a rename in `folder` survive a power cut. Windows has no such call.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    match File::open(folder)?.sync_all() {
        // Some network filesystems cannot sync a folder; the file itself is safe.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
        result => return result,
    }
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_as_long_as_the_file_system_takes() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a".repeat(255), "µ".repeat(127)] {
            let path = folder.path().join(name);
            write(&path, b"whole").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"whole");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_dropped_file_leaves_nothing_and_the_old_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        write(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.file().write_all(b"new").unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        drop(file);
        assert_eq!(names(folder.path()), ["a.zip"]);
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn only_abandoned_files_of_the_same_name_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zip");
        let old = std::time::SystemTime::now() - 10 * LEFTOVER_AGE;
        for name in [
            ".a.zip.abcdef.tmp",
            ".b.zip.abcdef.tmp",
            ".a.zip.x.tmp",
            ".a.zip.fresh1.tmp",
        ] {
            let file = File::create(folder.path().join(name)).unwrap();
            if !name.contains("fresh") {
                file.set_modified(old).unwrap();
            }
        }
        let mut alive = AtomicFile::create(&folder.path().join("a.zip")).unwrap();
        alive.file().set_modified(old).unwrap();
        write(&path, b"new").unwrap();
        let left = names(folder.path());
        assert!(!left.contains(&".a.zip.abcdef.tmp".to_owned()), "{left:?}");
        assert_eq!(left.len(), 5, "{left:?}");
    }
}
