//! A file of an estimator, as labs keep them: read, audited, and made ready to run.

use std::path::Path;

use super::{Estimator, SklearnError, read};
use crate::blob::Blob;
use crate::progress::Progress;
use crate::weights::WeightsError;
use crate::weights::audit::Audit;
use crate::weights::joblib::{self, Compression};

/// What a `.pkl` or `.joblib` holds.
#[derive(Debug)]
pub struct EstimatorFile {
    pub compression: Compression,
    /// The protocol of its pickle, if that can be read to its end.
    pub protocol: Option<u8>,
    pub audit: Audit,
    /// The estimator, or why it is none that can be run: that is not for the audit to say.
    pub estimator: Result<Estimator, SklearnError>,
}

/// Reads a file. `path` is only what `progress` is told.
///
/// # Errors
/// Fails if it is a file that no loader would start to unpickle, or the user asked to stop.
pub fn read_file(
    blob: &Blob,
    path: &Path,
    progress: &dyn Progress,
) -> Result<EstimatorFile, WeightsError> {
    let file = joblib::read(blob, path, progress)?;
    let content = file.content.as_ref();
    Ok(EstimatorFile {
        compression: file.compression,
        protocol: content.map(|content| content.pickle.protocol),
        estimator: match content {
            Some(content) => read(&content.pickle, &content.arrays),
            None => Err(SklearnError::Unread),
        },
        audit: file.audit,
    })
}
