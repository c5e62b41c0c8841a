//! What models are for: images, label images or tables in, images or tables out.

mod args;
mod cause;
mod classify;
mod frames;
mod kind;
pub mod network;
pub mod pi;
pub mod picture;
pub mod table;

pub use args::{BadArgument, ClassifyArgs, FrameArgs};
pub use classify::{CellClassifier, ClassifyError, Object};
pub use frames::{FrameError, FrameInput, FrameOutput, Frames};
pub use kind::{NotRun, Task};
