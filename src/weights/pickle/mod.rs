//! Pickles, interpreted symbolically: what a program would build, as a graph of [`Node`]s, with nothing looked up or run.
//!
//! Opcodes and their meaning are those of CPython's `pickletools`, protocols 0 to 5. Where CPython's two unpicklers
//! differ (the C one ignores frames, the Python one that joblib uses does not), what either would do is read.

mod cursor;
mod effects;
mod error;
mod machine;
mod node;
mod opcode;
mod text;
mod values;

#[cfg(test)]
mod tests;

pub use error::{PickleError, PickleErrorKind};
pub use machine::{Host, NoHost, read};
pub use node::{GlobalName, GlobalUse, Node, NodeId, Oddity, Pickle};
