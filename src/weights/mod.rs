//! What a file of weights holds, read without running a byte of it: tensors, estimators, and what its pickles name.
//!
//! [`read`] recognises the container by its bytes, never by its extension, since that is what loaders do. Pickles are
//! interpreted symbolically ([`pickle`]): a global is a name, a call is a node, nothing is looked up or executed.
//! What they name is judged by [`audit`]. Tensor data stays where it is, and is streamed when it is hashed or used.

pub mod audit;
pub mod npy;
pub mod pickle;
pub mod safetensors;
pub mod tensor;
pub mod torch;

use std::io;

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
}

fn malformed(format: &str, member: Option<&str>, offset: Option<u64>, message: &str) -> String {
    let member = member.map_or(String::new(), |member| format!(", in `{member}`"));
    let offset = offset.map_or(String::new(), |offset| format!(", at byte {offset}"));
    format!(
        "it is damaged, or no {}{member}{offset}: {message}",
        format.trim_start_matches("a ")
    )
}
