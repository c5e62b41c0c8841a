//! Images: stacks in and out of files, and what happens to a frame around a network.
//!
//! [`Reader`] takes TIFF (ImageJ, OME, BigTIFF), NPY and PNG; [`Writer`] writes the same, TIFF always in ImageJ's form.

mod error;
mod format;
mod info;
mod labels;
mod npy;
mod percentile;
mod pixels;
mod png;
pub mod preview;
mod reader;
mod rois;
mod sample;
mod scaling;
mod tiff;
mod windows;
mod writer;

pub use error::ImageError;
pub use info::{Axes, Calibration, Info, Named};
pub use labels::connected_components;
pub use pixels::{NoLabel, PixelType, Pixels};
pub use reader::Reader;
pub use rois::Roi;
pub use scaling::{Percentiles, Range, ScaleError, ScaleMethod, Scaling, Standard, check_finite};
pub use windows::{Blending, Windows};
pub use writer::Writer;
