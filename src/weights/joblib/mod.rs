//! Files that `joblib.load` and `pickle.load` open: one pickle, perhaps compressed, perhaps with raw arrays inside.

mod compression;
#[cfg(test)]
mod tests;
mod wrapper;

pub use compression::{Compression, Unpacked, unpack};

use std::path::Path;

use super::WeightsError;
use super::audit::{self, Audit, Fault, Kind, Verdict, judge};
use super::numpy::{self, Nodes, RawArray};
use super::pickle::{self, GlobalUse, NoHost, Pickle, PickleError};
use super::sklearn;
use crate::blob::Blob;
use crate::progress::Progress;
use wrapper::Arrays;

/// A file that some loader would start to unpickle, audited.
#[derive(Debug)]
pub struct Opened {
    pub compression: Compression,
    pub audit: Audit,
    /// What it holds. `None` if that cannot be told to its end: then the audit has findings that say why.
    pub content: Option<Content>,
}

/// One pickle, and what joblib put between its opcodes.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Content {
    pub pickle: Pickle,
    pub arrays: Vec<RawArray>,
}

/// Reads and audits a file, and checks whatever in it numpy's and scikit-learn's compiled code would believe.
///
/// # Errors
/// Fails if it is a file that no loader would start to unpickle, or the user asked to stop.
pub fn read(blob: &Blob, path: &Path, progress: &dyn Progress) -> Result<Opened, WeightsError> {
    let Unpacked {
        compression,
        stream,
        failure,
    } = unpack(blob, path, progress)?;
    let mut audit = Audit::default();
    // Another loader may take the compressed bytes themselves for a pickle.
    let is_pickle_too =
        compression != Compression::None && audit.hidden(Kind::Estimator, None, blob)?;
    let content = match failure {
        None => uncompressed(&stream, &mut audit),
        Some(failure) if failure.is_begun => {
            audit.hidden(Kind::Estimator, None, &stream)?;
            let error = failure.message;
            audit.fault(None, 0, Fault::Unread { error });
            Ok(None)
        }
        Some(failure) => Err(malformed(compression.format(), None, failure.message)),
    };
    match content {
        Ok(content) => Ok(Opened {
            compression,
            audit,
            content,
        }),
        Err(WeightsError::Malformed { .. }) if is_pickle_too => Ok(Opened {
            compression,
            audit,
            content: None,
        }),
        Err(error) => Err(error),
    }
}

fn malformed(format: &'static str, offset: Option<u64>, message: String) -> WeightsError {
    WeightsError::Malformed {
        format,
        member: None,
        offset,
        message,
    }
}

/// Reads the one pickle of a stream as joblib would.
fn uncompressed(stream: &Blob, audit: &mut Audit) -> Result<Option<Content>, WeightsError> {
    let mut host = Arrays::default();
    let pickle = match pickle::read(stream, 0, &mut host) {
        Ok(pickle) => pickle,
        Err(PickleError {
            kind: pickle::PickleErrorKind::Io(error),
            ..
        }) => return Err(error.into()),
        Err(error) if !audit::is_begun(&error) => {
            let message = error.to_string();
            return Err(malformed("a pickle", Some(error.offset), message));
        }
        Err(error) => {
            audit.broken(Kind::Estimator, None, &error);
            return Ok(None);
        }
    };
    let arrays = host.raw;
    audit.pickle(Kind::Estimator, None, &pickle);
    for array in &arrays {
        if let RawArray::Pickled(inner) = array {
            audit.pickle(Kind::Estimator, None, inner);
        }
    }
    if let Some(first) = arrays.first() {
        let named = plain_names(stream, &pickle, first);
        audit.named(Kind::Estimator, None, &named);
    }
    if pickle.end != stream.size() {
        let rest = stream.slice(pickle.end..stream.size());
        if let Some(rest) = &rest {
            audit.hidden(Kind::Estimator, None, rest)?;
        }
        let bytes = stream.size() - pickle.end;
        audit.fault(None, pickle.end, Fault::Trailing { bytes });
        return Ok(None);
    }
    if let Err(error) = check(&pickle, &arrays) {
        audit.fault(None, 0, Fault::Unsound { error });
        return Ok(None);
    }
    Ok(Some(Content { pickle, arrays }))
}

/// What `pickle.load` would name besides. It knows nothing of raw arrays, and takes their bytes for opcodes. In what
/// joblib writes they soon end its reading, though it may stumble over values that happen to be opcodes before; only
/// names are harm. A pickle in place of the first array has the memo of the one around it then, so that its own
/// references go astray; of the names that come of it, only the dangerous ones count.
fn plain_names(stream: &Blob, known: &Pickle, first: &RawArray) -> Vec<GlobalUse> {
    let mut names = match pickle::read(stream, known.start, &mut NoHost) {
        Ok(plain) => plain.globals,
        Err(error) => error.globals,
    };
    let is_dangerous = |used: &GlobalUse| {
        let verdict = judge(Kind::Estimator, &used.global);
        matches!(verdict, Verdict::Dangerous(_))
    };
    names.retain(|used| !known.globals.contains(used));
    match first {
        RawArray::Numbers { .. } => {}
        RawArray::Pickled(_) => names.retain(is_dangerous),
    }
    names
}

/// Checks all arrays and trees, reachable or not.
fn check(pickle: &Pickle, arrays: &[RawArray]) -> Result<(), String> {
    let inner = arrays.iter().filter_map(|array| match array {
        RawArray::Pickled(inner) => Some(Nodes::new(&inner.nodes, &[])),
        RawArray::Numbers { .. } => None,
    });
    for nodes in inner.chain([Nodes::new(&pickle.nodes, arrays)]) {
        numpy::check(nodes).map_err(|error| error.to_string())?;
        sklearn::check_trees(nodes).map_err(|error| error.to_string())?;
    }
    Ok(())
}
