//! What a file of weights holds, read without running a byte of it: tensors, estimators, and what its pickles name.
//!
//! [`read`] recognises the container by its bytes, never by its extension, since that is what loaders do. Pickles are
//! interpreted symbolically ([`pickle`]): a global is a name, a call is a node, nothing is looked up or executed.
//! What they name is judged by [`audit`]. Tensor data stays where it is, and is streamed when it is hashed or used.

pub mod audit;
pub mod joblib;
pub mod npy;
pub mod numpy;
pub mod onnx;
pub mod pickle;
pub mod safetensors;
pub mod sklearn;
pub mod tensor;
pub mod torch;

use std::fmt;
use std::io;
use std::path::Path;

use audit::{Audit, Kind};
use joblib::Compression;
use tensor::Tensor;

use crate::blob::Blob;
use crate::digest::Digest;
use crate::progress::Progress;

/// What a file of weights holds, audited to its end.
#[derive(Debug)]
pub struct Weights {
    pub format: Format,
    pub content: Content,
    /// What its pickles name, and what is wrong with them.
    pub audit: Audit,
}

/// The container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Torch(torch::Layout),
    Safetensors,
    Onnx,
    Npy,
    Pickle(Compression),
    /// None that any loader would open.
    Unknown,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Torch(torch::Layout::Zip) => "PyTorch checkpoint",
            Self::Torch(torch::Layout::Legacy) => "PyTorch checkpoint of before 1.6",
            Self::Torch(torch::Layout::Tar) => "PyTorch checkpoint of before 0.1.10",
            Self::Safetensors => "safetensors",
            Self::Onnx => "ONNX model",
            Self::Npy => "NPY array",
            Self::Pickle(Compression::None) => "pickle",
            Self::Pickle(_) => "compressed pickle",
            Self::Unknown => "unknown",
        })
    }
}

/// What is in the container.
#[derive(Debug)]
pub enum Content {
    /// A PyTorch checkpoint with a state dict.
    Checkpoint(Box<torch::Checkpoint>),
    /// A state dict in safetensors.
    Tensors(Vec<Tensor>),
    Onnx(Box<onnx::Model>),
    Estimator(Box<sklearn::Estimator>),
    /// A network with its code, which cannot be run here, with its article: `a TorchScript program`.
    Program {
        what: String,
    },
    /// Something else that is recognised, with its article: `a list`.
    Other {
        what: String,
    },
    /// Nothing that a loader would begin to unpickle.
    None {
        /// What it looks like, with its article: `an HTML page`.
        found: &'static str,
    },
}

impl Weights {
    /// The tensors of a state dict, or the initialisers of an ONNX model.
    pub fn tensors(&self) -> &[Tensor] {
        match &self.content {
            Content::Checkpoint(checkpoint) => match &checkpoint.content {
                torch::Content::Tensors { tensors, .. } => tensors,
                _ => &[],
            },
            Content::Tensors(tensors) => tensors,
            Content::Onnx(model) => &model.graph.initialisers,
            _ => &[],
        }
    }

    /// The key of the dict in which a checkpoint's state dict is wrapped.
    pub fn wrapper(&self) -> Option<&str> {
        match &self.content {
            Content::Checkpoint(checkpoint) => match &checkpoint.content {
                torch::Content::Tensors { wrapper, .. } => wrapper.as_deref(),
                _ => None,
            },
            _ => None,
        }
    }

    /// The tensor digest, where there are tensors; on the way, what the file says of their bytes is proven.
    ///
    /// # Errors
    /// Fails if the file is damaged or cannot be read, or the user asked to stop.
    pub fn tensor_digest(
        &self,
        path: &Path,
        progress: &dyn Progress,
    ) -> Result<Option<Digest>, WeightsError> {
        match (&self.content, self.tensors()) {
            (Content::Checkpoint(checkpoint), _) => checkpoint.digest(path, progress),
            (_, []) => Ok(None),
            (_, tensors) => Ok(Some(tensor::tensor_digest(tensors, path, progress)?)),
        }
    }

    /// How many numbers were learnt: of a state dict, the elements of its floating-point tensors without the running
    /// statistics of batch norms; of others, as their own modules count.
    pub fn parameters(&self) -> Option<u64> {
        const STATISTICS: [&str; 2] = ["running_mean", "running_var"];
        match &self.content {
            Content::Checkpoint(_) | Content::Tensors(_) => {
                let is_learnt = |tensor: &&Tensor| {
                    let name = tensor.name.rsplit('.').next().unwrap_or_default();
                    tensor.dtype.is_float() && !STATISTICS.contains(&name)
                };
                let learnt = self
                    .tensors()
                    .iter()
                    .filter(is_learnt)
                    .map(Tensor::elements);
                Some(learnt.fold(0, u64::saturating_add))
            }
            Content::Onnx(model) => Some(model.parameters()),
            Content::Estimator(estimator) => Some(estimator.parameters()),
            Content::Program { .. } | Content::Other { .. } | Content::None { .. } => None,
        }
    }
}

/// Reads a file of weights; `path` is only what messages and `progress` are told.
///
/// # Errors
/// Fails if it cannot be read, is damaged, or cannot be audited to its end, or the user asked to stop.
pub fn read(blob: &Blob, path: &Path, progress: &dyn Progress) -> Result<Weights, WeightsError> {
    if torch::layout(blob)?.is_some() {
        return checkpoint(blob, path, progress);
    }
    let mut head = [0; 64];
    let size = blob.size().min(head.len() as u64) as usize;
    let head = head.get_mut(..size).unwrap_or_default();
    blob.read_exact_at(head, 0)?;
    let mut audit = Audit::default();
    let (format, content) = if onnx::looks_like(head) {
        (Format::Onnx, Content::Onnx(Box::new(onnx::read(blob)?)))
    } else if safetensors::looks_like(head, blob.size()) {
        (
            Format::Safetensors,
            Content::Tensors(safetensors::read(blob)?.tensors),
        )
    } else if npy::looks_like(head) {
        let what = match npy::read(blob)? {
            npy::Npy::Tensor(_) => "a single array".to_owned(),
            npy::Npy::Objects(found) => {
                audit = found;
                "an array of Python objects".to_owned()
            }
        };
        (Format::Npy, Content::Other { what })
    } else {
        return unpickled(blob, path, progress);
    };
    // A loader that goes by the extension would take these bytes for a pickle.
    audit.hidden(Kind::Torch, None, blob)?;
    Ok(Weights {
        format,
        content,
        audit,
    })
}

fn checkpoint(blob: &Blob, path: &Path, progress: &dyn Progress) -> Result<Weights, WeightsError> {
    let mut checkpoint = torch::read(blob, path, progress)?;
    if checkpoint.layout == torch::Layout::Tar {
        // Its first bytes are a name that anyone may choose, and joblib would take them for a pickle.
        checkpoint.audit.hidden(Kind::Torch, None, blob)?;
    }
    let (layout, audit) = (checkpoint.layout, std::mem::take(&mut checkpoint.audit));
    let content = match &checkpoint.content {
        torch::Content::Tensors { .. } => Content::Checkpoint(Box::new(checkpoint)),
        torch::Content::TorchScript => Content::Program {
            what: "a TorchScript program".to_owned(),
        },
        torch::Content::Module { class } => Content::Program {
            what: format!("a whole pickled module, a `{class}`"),
        },
        torch::Content::Other { what } => Content::Other { what: what.clone() },
    };
    Ok(Weights {
        format: Format::Torch(layout),
        content,
        audit,
    })
}

fn unpickled(blob: &Blob, path: &Path, progress: &dyn Progress) -> Result<Weights, WeightsError> {
    let file = match joblib::read(blob, path, progress) {
        Ok(file) => file,
        // Nothing would begin to unpickle it.
        Err(WeightsError::Malformed { .. }) => {
            return Ok(Weights {
                format: Format::Unknown,
                content: Content::None {
                    found: appearance(blob)?,
                },
                audit: Audit::default(),
            });
        }
        Err(error) => return Err(error),
    };
    let other = |what| Content::Other { what };
    let content = match file.content {
        Some(content) => match sklearn::read(&content.pickle, &content.arrays) {
            Ok(estimator) => Content::Estimator(Box::new(estimator)),
            Err(sklearn::SklearnError::Unknown { found, path }) if path.is_empty() => other(found),
            Err(error) => other(format!("an estimator that cannot be run ({error})")),
        },
        None => other("a pickle that cannot be read to its end".to_owned()),
    };
    Ok(Weights {
        format: Format::Pickle(file.compression),
        content,
        audit: file.audit,
    })
}

/// What a file that holds no weights looks like, by how it begins.
fn appearance(blob: &Blob) -> io::Result<&'static str> {
    const LOOKED_AT: u64 = 4096;
    let mut head = vec![0; blob.size().min(LOOKED_AT) as usize];
    blob.read_exact_at(&mut head, 0)?;
    let text = std::str::from_utf8(&head);
    let is_text = match text {
        Ok(_) => true,
        // The last character may be cut in two.
        Err(error) => error.error_len().is_none(),
    };
    let begins = |start: &[u8]| {
        head.trim_ascii_start()
            .to_ascii_lowercase()
            .starts_with(start)
    };
    Ok(match () {
        () if head.is_empty() => "it is empty",
        () if begins(b"<!doctype html") || begins(b"<html") => {
            "it is an HTML page: a download that failed, perhaps"
        }
        () if head.starts_with(b"\x89HDF\r\n") => "it is an HDF5 file, as Keras writes them",
        () if head.iter().all(|byte| *byte == 0) => {
            "it begins with zeros: a copy that failed, perhaps"
        }
        () if is_text => "it is text",
        () => "it is no checkpoint, no safetensors or ONNX file, and no pickle",
    })
}

/// Why a file of weights cannot be read. What cannot be read to its end cannot be audited to its end either.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{}", malformed(format, member.as_deref(), *offset, message))]
    Malformed {
        /// What the file is taken for, with its article: `a PyTorch checkpoint`.
        format: &'static str,
        /// The member of the file, where it has members.
        member: Option<String>,
        /// In bytes from the beginning of the member, or of the file.
        offset: Option<u64>,
        /// What was expected, and what was found.
        message: String,
    },
    /// It is what it seems, but holds something that cannot be read or run here.
    #[error("{message}")]
    Unsupported {
        /// What the file is, with its article: `an ONNX model`.
        format: &'static str,
        /// What it holds, and what to do about it.
        message: String,
    },
}

fn malformed(format: &str, member: Option<&str>, offset: Option<u64>, message: &str) -> String {
    let member = member.map_or(String::new(), |member| format!(", in `{member}`"));
    let offset = offset.map_or(String::new(), |offset| format!(", at byte {offset}"));
    format!(
        "it is damaged, or no {}{member}{offset}: {message}",
        format.split_once(' ').map_or(format, |(_, format)| format)
    )
}
