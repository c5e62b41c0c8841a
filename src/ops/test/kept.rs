//! The folder where what models gave is kept: nothing of anybody else's is written over in it.

use std::fs;
use std::io::Read;
use std::path::Path;

use super::Error;

/// By this file a folder is known for one that a test has made. It also keeps results out of version control.
const MARK: &str = ".gitignore";
const MARK_TEXT: &str = "# Written by `bundle test`, which keeps here what models gave.\n*\n";

/// Makes the folder ready to be written into: it is new, empty, or of an earlier test.
///
/// # Errors
/// Fails if it holds something else, such as the test vectors themselves, or cannot be made.
pub(super) fn claim(folder: &Path) -> Result<(), Error> {
    let mark = folder.join(MARK);
    let failed = |error: std::io::Error| Error::Write {
        path: folder.to_owned(),
        message: error.to_string(),
    };
    if is_marked(&mark) {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(Error::Occupied {
            path: folder.to_owned(),
        });
    }
    crate::atomic::write(&mark, MARK_TEXT.as_bytes()).map_err(failed)
}

fn is_marked(mark: &Path) -> bool {
    let mut start = Vec::new();
    let length = MARK_TEXT.len() as u64;
    fs::metadata(mark).is_ok_and(|found| found.is_file())
        && fs::File::open(mark)
            .and_then(|file| file.take(length).read_to_end(&mut start))
            .is_ok()
        && start == MARK_TEXT.as_bytes()
}
