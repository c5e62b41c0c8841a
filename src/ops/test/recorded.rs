//! The note beside an expected file that was recorded: what made it, so that a reviewer can tell it from a result of
//! another program.

use std::path::{Path, PathBuf};

use super::Error;
use crate::atomic;
use crate::blob::Blob;
use crate::digest::Digest;
use crate::progress::Silent;

/// What made an expected file.
pub(super) struct Origin<'a> {
    pub model: &'a str,
    pub network: &'a str,
    /// As far as it decides the bits of an answer: the number of threads does not.
    pub device: &'a str,
    /// Of the file of weights.
    pub weights: Digest,
    /// Of the input.
    pub input: Digest,
}

fn note_path(expected: &Path) -> PathBuf {
    let mut path = expected.as_os_str().to_owned();
    path.push(".recorded.toml");
    path.into()
}

fn digest(expected: &Path) -> Option<Digest> {
    Blob::open(expected).ok()?.digest(expected, &Silent).ok()
}

/// Whether an expected file may be written over: it is not there, or is as it was recorded. Anything else may be the
/// only copy of another program's result.
pub(super) fn may_replace(expected: &Path) -> bool {
    if !expected.exists() {
        return true;
    }
    let note = std::fs::read_to_string(note_path(expected)).unwrap_or_default();
    digest(expected).is_some_and(|digest| note.contains(&expected_line(digest)))
}

fn expected_line(digest: Digest) -> String {
    format!("expected_blake3 = \"{digest}\"\n")
}

/// Writes `EXPECTED.recorded.toml`, after the expected file itself. It holds no date, no path and no number of threads: the same recording gives the
/// same bytes wherever the arithmetic is the same.
pub(super) fn write(expected: &Path, origin: &Origin) -> Result<(), Error> {
    let path = note_path(expected);
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let text = format!(
        "# What made the file beside this one, written by `bundle test --record`.\nprogram = {}\nmodel = {}\nnetwork = {}\ndevice = {}\nweights_blake3 = \"{}\"\ninput_blake3 = \"{}\"\n{}",
        quoted(concat!("bundle ", env!("CARGO_PKG_VERSION"))),
        quoted(origin.model),
        quoted(origin.network),
        quoted(origin.device),
        origin.weights,
        origin.input,
        digest(expected).map(expected_line).unwrap_or_default(),
    );
    atomic::write(&path, text.as_bytes()).map_err(|error| Error::Write {
        path,
        message: error.to_string(),
    })
}
