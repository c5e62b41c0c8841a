//! Pickles, interpreted symbolically: what a program would build, as a graph of [`Node`]s, with nothing looked up or run.
//!
//! Opcodes and their meaning are those of CPython's `pickletools`, protocols 0 to 5. Where CPython's two unpicklers
//! differ, what either would do is read. Both fetch a frame (`FRAME`) whole, and differ on frames that do not lie around
//! whole opcodes: no pickler writes these, and they are refused.

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
pub use machine::{Host, NoHost, read, read_alone};
pub use node::{GlobalName, GlobalUse, Node, NodeId, Oddity, Pickle};
