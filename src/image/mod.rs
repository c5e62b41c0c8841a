//! Images: stacks in and out of files, and what happens to a frame around a network.

mod pixels;
pub mod preview;
mod scaling;
mod windows;

pub use pixels::{PixelType, Pixels};
pub use scaling::{Range, Scaling, Standard};
pub use windows::{Blending, Windows};
