//! Images: stacks in and out of files, and what happens to a frame around a network.

mod percentile;
mod pixels;
pub mod preview;
mod rois;
mod scaling;
mod windows;

pub use pixels::{PixelType, Pixels};
pub use rois::Roi;
pub use scaling::{Percentiles, Range, ScaleError, ScaleMethod, Scaling, Standard, check_finite};
pub use windows::{Blending, Windows};
