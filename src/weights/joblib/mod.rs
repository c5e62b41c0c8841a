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
use super::pickle::{self, GlobalUse, Node, Pickle, PickleError};
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
    let (arrays, begin) = (host.raw, host.begin);
    audit.pickle(Kind::Estimator, None, &pickle);
    for array in &arrays {
        if let RawArray::Pickled(inner) = array {
            audit.pickle(Kind::Estimator, None, inner);
        }
    }
    if let (Some(first), Some(begin)) = (arrays.first(), begin) {
        plain(stream, &pickle, first, begin, audit)?;
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

/// Judges what `pickle.load` would do besides, with which some programs try again. It knows nothing of raw arrays, and
/// takes their bytes for opcodes. In what joblib writes they soon end its reading, though it may stumble over values that
/// happen to be opcodes before. A pickle in place of the first array has the memo of the one around it then, so that its
/// own references go astray; of the names that come of it, only the dangerous ones count.
fn plain(
    stream: &Blob,
    known: &Pickle,
    first: &RawArray,
    begin: u64,
    audit: &mut Audit,
) -> Result<(), WeightsError> {
    let (mut names, plain) = match pickle::read_alone(stream, known.start) {
        Ok(plain) => (plain.globals.clone(), plain),
        Err(PickleError {
            kind: pickle::PickleErrorKind::Io(error),
            ..
        }) => return Err(error.into()),
        Err(error) => {
            // A name from the result of a call is one that cannot be known. The wrapper itself, which the first
            // byte finds on the stack, is no text, nor is what an array's own pickle finds astray.
            let is_computed = matches!(error.kind, pickle::PickleErrorKind::ComputedGlobal { .. });
            let is_chance =
                is_computed && (error.offset == begin || matches!(first, RawArray::Pickled(_)));
            if !error.kind.stops_python() && !is_chance {
                let error = format!("{PLAIN}: {error}");
                audit.fault(None, begin, Fault::Unread { error });
                return Ok(());
            }
            let until = error.offset;
            match read_until(stream, known.start, until)? {
                Ok(plain) => (error.globals, plain),
                Err(error) => {
                    let error = format!("{PLAIN}: {error}");
                    audit.fault(None, begin, Fault::Unread { error });
                    return Ok(());
                }
            }
        }
    };
    // What goes astray in an array's own pickle names what no module has.
    let astray = match first {
        RawArray::Numbers { .. } => None,
        RawArray::Pickled(_) => names.iter().find(|used| {
            used.offset >= begin && judge(Kind::Estimator, &used.global) == Verdict::Unknown
        }),
    };
    let astray = astray.map(|used| used.offset);
    let plain = match stop(&plain, begin).into_iter().chain(astray).min() {
        None => Ok(plain),
        Some(until) => read_until(stream, known.start, until)?,
    };
    match plain {
        Ok(plain) => {
            let mut trial = Audit::default();
            trial.whole(Kind::Estimator, None, &plain);
            for finding in trial.findings {
                let is_name = matches!(
                    finding.fault,
                    Fault::Unknown { .. } | Fault::Dangerous { .. }
                );
                if !is_name && !audit.findings.contains(&finding) {
                    audit.findings.push(finding);
                }
            }
        }
        Err(error) => {
            let error = format!("{PLAIN}: {error}");
            audit.fault(None, begin, Fault::Unread { error });
        }
    }
    let is_dangerous = |used: &GlobalUse| {
        let verdict = judge(Kind::Estimator, &used.global);
        matches!(verdict, Verdict::Dangerous(_))
    };
    names.retain(|used| !known.globals.contains(used));
    match first {
        RawArray::Numbers { .. } => {}
        RawArray::Pickled(_) => names.retain(is_dangerous),
    }
    audit.named(Kind::Estimator, None, &names);
    Ok(())
}

const PLAIN: &str = "`pickle.load` takes the bytes of an array in it for opcodes";

/// Reads the opcodes before `until`, as if the pickle ended there.
fn read_until(
    stream: &Blob,
    start: u64,
    until: u64,
) -> Result<Result<Pickle, PickleError>, WeightsError> {
    const LIMIT: u64 = 1 << 30;
    let opcodes = stream.slice(start..until);
    let opcodes = opcodes.unwrap_or_else(|| Vec::new().into());
    // None, which leaves the stack as it was, and STOP.
    let bytes = [&*opcodes.read(LIMIT)?, b"N."].concat();
    Ok(pickle::read_alone(&bytes.into(), 0))
}

/// Where Python stops, though the machine does not, since it takes no account of types: at the first call of a plain
/// value, or change of one, at or after `begin`.
fn stop(plain: &Pickle, begin: u64) -> Option<u64> {
    let is_plain = |id: &pickle::NodeId| {
        matches!(
            plain.node(*id),
            Node::None
                | Node::Bool(_)
                | Node::Int(_)
                | Node::BigInt(_)
                | Node::Float(_)
                | Node::Str(_)
                | Node::Bytes(_)
                | Node::Tuple(_)
        )
    };
    let calls = plain.nodes.iter().zip(&plain.made_at);
    let calls = calls.filter_map(|(node, &offset)| match node {
        Node::Object { callable, .. } if is_plain(callable) => Some(offset),
        _ => None,
    });
    let odd = plain.oddities.iter();
    let changes = odd.filter_map(|odd| is_plain(&odd.target).then_some(odd.offset));
    calls.chain(changes).filter(|offset| *offset >= begin).min()
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
