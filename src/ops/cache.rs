//! `bundle cache`: the local cache shown and cut back.

use std::io;
use std::path::PathBuf;

use crate::cache::{Cache, CacheError, Pruned};

/// Why the cache could not be looked after.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("cannot clean the cache folder {}: {error}", folder.display())]
    #[diagnostic(help("nothing depends on it: the folder may also be deleted by hand"))]
    Io { folder: PathBuf, error: io::Error },
}

/// Where the cache is, or would be.
///
/// # Errors
/// Fails if the environment names no place for it.
pub fn dir() -> Result<PathBuf, Error> {
    Ok(Cache::folder()?)
}

/// Removes what was used longest ago until at most `max_size` bytes are left.
///
/// # Errors
/// Fails if the folder cannot be read or written.
pub fn prune(max_size: u64) -> Result<Pruned, Error> {
    if !Cache::folder()?.is_dir() {
        return Ok(Pruned::default());
    }
    let cache = Cache::open()?;
    cache.prune(max_size).map_err(|error| Error::Io {
        folder: cache.path().to_owned(),
        error,
    })
}
