//! PyTorch's checkpoints: what `torch.save` wrote, in all of its layouts, and TorchScript as far as recognising it.
//!
//! What `torch.load` would do with a file is taken from `torch/serialization.py` of PyTorch 2.6, and from
//! `caffe2/serialize/inline_container.cc` for its ZIPs. Everything that it would unpickle is audited to its end, and
//! so is everything beside it that could be unpickled.

use std::io;
use std::path::Path;

use rayon::prelude::*;

use super::WeightsError;
use super::audit::{self, Audit, Kind, Verdict, judge};
use super::pickle::{self, GlobalName, NoHost, Pickle, PickleError, PickleErrorKind};
use super::tensor::{Tensor, combine, data_digest};
use crate::blob::Blob;
use crate::digest::{Crc32, Digest};
use crate::progress::Progress;

mod content;
mod graph;
mod legacy;
mod rebuild;
mod tar;
#[cfg(test)]
mod tests;
mod zip;

/// A checkpoint that was read, and audited to its end.
#[derive(Debug)]
pub struct Checkpoint {
    pub layout: Layout,
    pub content: Content,
    pub audit: Audit,
    /// What a reader may want to know: entries that are no tensors, wrappers that were passed over.
    pub notes: Vec<String>,
    /// The plain values of `args`, where a training program put them beside the weights, as RF-DETR does.
    pub arguments: Vec<(String, Argument)>,
    stored: Vec<Stored>,
}

/// How the file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A ZIP, since PyTorch 1.6.
    Zip,
    /// Pickles in a row and then the storages, before that, or with `_use_new_zipfile_serialization=False`.
    Legacy,
    /// A tar, before 0.1.10.
    Tar,
}

/// What a checkpoint holds.
#[derive(Debug)]
pub enum Content {
    /// A state dict, which may have been in a dict of other things.
    Tensors {
        /// The key under which it was.
        wrapper: Option<String>,
        /// In the order of the file; no two have one name.
        tensors: Vec<Tensor>,
    },
    /// A program and its weights: `torch.jit.save`.
    TorchScript,
    /// A whole pickled module: `torch.save(model)`.
    Module { class: GlobalName },
    /// Anything else.
    Other {
        /// With its article: `a list`.
        what: String,
    },
}

/// A plain value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    Int(i64),
    Text(String),
    Texts(Vec<String>),
}

/// A run of bytes in the file that holds the elements of tensors.
#[derive(Debug)]
struct Stored {
    member: String,
    bytes: Blob,
    /// What the file says of it; nothing where that was compared, or the file says nothing.
    crc32: Option<Crc32>,
    /// The tensors that have elements in it, as indices.
    tensors: Vec<usize>,
}

/// What a file that begins like this would be to `torch.load`; `None` if it would find nothing of its own in it.
///
/// # Errors
/// Fails if the file cannot be read.
pub fn layout(blob: &Blob) -> io::Result<Option<Layout>> {
    let mut head = [0; tar::HEADER];
    let size = blob.size().min(head.len() as u64) as usize;
    let head = head.get_mut(..size).unwrap_or_default();
    blob.read_exact_at(head, 0)?;
    Ok(if head.starts_with(zip::MAGIC) {
        Some(Layout::Zip)
    } else if tar::is_header(head) {
        Some(Layout::Tar)
    } else if legacy::begins(head) {
        Some(Layout::Legacy)
    } else {
        None
    })
}

/// Reads a checkpoint; `path` is only what messages and `progress` are told.
///
/// # Errors
/// Fails if the file cannot be read, is damaged, or cannot be audited to its end, or the user asked to stop.
pub fn read(blob: &Blob, path: &Path, progress: &dyn Progress) -> Result<Checkpoint, WeightsError> {
    match layout(blob)? {
        Some(Layout::Zip) => zip::read(blob, path, progress),
        Some(Layout::Tar) => tar::read(blob),
        // Whatever else it is, this is how PyTorch would read it.
        Some(Layout::Legacy) | None => legacy::read(blob),
    }
}

impl Checkpoint {
    /// The tensor digest, if it holds tensors. On the way every storage that holds one is compared with its CRC.
    /// `path` is only what `progress` is told.
    ///
    /// # Errors
    /// Fails if the file is damaged or cannot be read, or the user asked to stop.
    pub fn digest(
        &self,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<Option<Digest>, WeightsError> {
        let Content::Tensors { tensors, .. } = &self.content else {
            return Ok(None);
        };
        let digests: Vec<Vec<(usize, Digest)>> = self
            .stored
            .par_iter()
            .map(|stored| stored.digests(tensors, path, progress))
            .collect::<Result<_, WeightsError>>()?;
        let mut data: Vec<Option<Digest>> = vec![None; tensors.len()];
        for (index, digest) in digests.into_iter().flatten() {
            if let Some(slot) = data.get_mut(index) {
                *slot = Some(digest);
            }
        }
        let nothing = Digest::of(b"");
        let data: Vec<Digest> = data
            .into_iter()
            .map(|digest| digest.unwrap_or(nothing))
            .collect();
        Ok(Some(combine(tensors, &data)))
    }

    /// A checkpoint of a layout, with nothing in it yet.
    fn empty(layout: Layout, audit: Audit) -> Self {
        Self {
            layout,
            content: Content::Other {
                what: String::new(),
            },
            audit,
            notes: Vec::new(),
            arguments: Vec::new(),
            stored: Vec::new(),
        }
    }
}

impl Stored {
    /// The digests of its tensors; on the way it is compared with its CRC.
    fn digests(
        &self,
        tensors: &[Tensor],
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<Vec<(usize, Digest)>, WeightsError> {
        let mine = || {
            self.tensors
                .iter()
                .filter_map(|index| Some((*index, tensors.get(*index)?)))
        };
        if let Some(expected) = self.crc32 {
            let found = self.bytes.contents(path, progress)?;
            if found.crc32 != expected {
                return Err(malformed(
                    Some(&self.member),
                    None,
                    format!(
                        "its CRC-32 should be {expected}, its bytes give {}",
                        found.crc32
                    ),
                ));
            }
            // The usual case: a storage that is one tensor and nothing else is read once, for both sums.
            if let [index] = self.tensors[..]
                && mine().all(|(_, tensor)| covers(tensor, self.bytes.size()))
            {
                return Ok(vec![(index, found.blake3)]);
            }
        }
        mine()
            .map(|(index, tensor)| Ok((index, data_digest(tensor, path, progress)?)))
            .collect()
    }
}

/// Whether the tensor's bytes are a whole storage of this size, as it lies there.
fn covers(tensor: &Tensor, size: u64) -> bool {
    tensor.little_endian() && tensor.contiguous() == Some(0..size)
}

fn malformed(
    member: Option<&str>,
    offset: Option<u64>,
    message: impl Into<String>,
) -> WeightsError {
    WeightsError::Malformed {
        format: "a PyTorch checkpoint",
        member: member.map(str::to_owned),
        offset,
        message: message.into(),
    }
}

/// Reads a pickle that a loader would read, and audits it.
fn audited(
    audit: &mut Audit,
    member: Option<&str>,
    blob: &Blob,
    start: u64,
) -> Result<Pickle, WeightsError> {
    let pickle =
        pickle::read(blob, start, &mut NoHost).map_err(|error| unreadable(member, error))?;
    audit.pickle(Kind::Torch, member, &pickle);
    if let Some(found) = rebuild::misbuilt(&pickle) {
        let error = found.message;
        audit.fault(member, found.offset, audit::Fault::Unsound { error });
    }
    Ok(pickle)
}

/// Audits the elements of a storage, which no loader unpickles, as far as they name a global. Without one it is chance: 3
/// bytes of numbers make a pickle of an extension code, in one of 65,000 storages.
fn audit_elements(audit: &mut Audit, member: &str, bytes: &Blob) -> io::Result<()> {
    let mut trial = Audit::default();
    trial.hidden(Kind::Torch, Some(member), bytes)?;
    if !trial.globals.is_empty() {
        audit.hidden(Kind::Torch, Some(member), bytes)?;
    }
    Ok(())
}

/// What a pickle that breaks off is reported as: a loader would have run what it names before that.
fn unreadable(member: Option<&str>, error: PickleError) -> WeightsError {
    let PickleError {
        offset,
        kind,
        globals,
    } = error;
    let kind = match kind {
        PickleErrorKind::Io(error) => return WeightsError::Io(error),
        kind => kind,
    };
    let dangerous = globals
        .iter()
        .find_map(|found| match judge(Kind::Torch, &found.global) {
            Verdict::Dangerous(why) => Some((found, why)),
            _ => None,
        });
    let message = match dangerous {
        None => kind.to_string(),
        Some((found, why)) => format!(
            "{kind}; before that, at byte {}, it names `{}`: {why}",
            found.offset, found.global
        ),
    };
    malformed(member, Some(offset), message)
}
