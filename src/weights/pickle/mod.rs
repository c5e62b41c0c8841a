//! Pickles, interpreted symbolically: what a program would build, as a graph of [`Node`]s, with nothing looked up or run.
//!
//! Opcodes and their meaning are those of CPython's `pickletools`, protocols 0 to 5.

mod node;

pub use node::{GlobalName, GlobalUse, Node, NodeId, Pickle};
