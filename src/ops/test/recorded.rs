//! The note beside an expected file that was recorded: what made it, so that a reviewer can tell it from a result of
//! another program.

use std::path::{Path, PathBuf};

use super::Error;
use crate::atomic;
use crate::digest::Digest;

/// What made an expected file.
pub(super) struct Origin<'a> {
    pub model: &'a str,
    pub network: &'a str,
    pub device: &'a str,
    /// Of the file of weights.
    pub weights: Digest,
    /// Of the input.
    pub input: Digest,
}

/// Writes `EXPECTED.recorded.toml`. It holds no date and no path: the same recording gives the same bytes.
pub(super) fn write(expected: &Path, origin: &Origin) -> Result<(), Error> {
    let mut path = expected.as_os_str().to_owned();
    path.push(".recorded.toml");
    let path = PathBuf::from(path);
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let text = format!(
        "# What made the file beside this one, written by `bundle test --record`.\nprogram = {}\nmodel = {}\nnetwork = {}\ndevice = {}\nweights_blake3 = \"{}\"\ninput_blake3 = \"{}\"\n",
        quoted(concat!("bundle ", env!("CARGO_PKG_VERSION"))),
        quoted(origin.model),
        quoted(origin.network),
        quoted(origin.device),
        origin.weights,
        origin.input,
    );
    atomic::write(&path, text.as_bytes()).map_err(|error| Error::Write {
        path,
        message: error.to_string(),
    })
}
