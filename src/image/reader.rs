//! Reading a stack plane by plane, whatever its format.

use std::path::{Path, PathBuf};

use super::error::{Fault, ImageError};
use super::format::{self, Format, HEAD};
use super::info::Info;
use super::npy::Array;
use super::pixels::Pixels;
use super::png::Picture;
use super::tiff::Stack;
use crate::blob::Blob;

/// A stack of images. Opening it reads no pixels; a plane is read when it is asked for, and none is kept but a PNG's.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Tiff(Box<Stack>),
    Npy(Array),
    Png(Picture),
}

impl Reader {
    /// Opens a file.
    ///
    /// # Errors
    /// Fails if it cannot be read, is of another format, or is damaged.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        if path.is_dir() {
            return Err(format::folder(path));
        }
        match Blob::open(path) {
            Ok(blob) => Self::of_blob(path, blob),
            Err(error) => Err(Fault::Io(error).of(path)),
        }
    }

    /// Opens what was read from elsewhere; `path` is its name in messages.
    ///
    /// # Errors
    /// Fails if it cannot be read, is of another format, or is damaged.
    pub fn of_blob(path: &Path, blob: Blob) -> Result<Self, ImageError> {
        let mut head = vec![0; blob.size().min(HEAD as u64) as usize];
        let of = |fault: Fault| fault.of(path);
        blob.read_exact_at(&mut head, 0)
            .map_err(|error| of(error.into()))?;
        let source = match Format::of(path, &head)? {
            Format::Tiff => Source::Tiff(Box::new(Stack::open(blob).map_err(of)?)),
            Format::Npy => Source::Npy(Array::open(&blob).map_err(of)?),
            Format::Png => Source::Png(Picture::open(&blob).map_err(of)?),
        };
        Ok(Self {
            path: path.to_owned(),
            source,
        })
    }

    /// What it is.
    pub fn info(&self) -> &Info {
        match &self.source {
            Source::Tiff(stack) => stack.info(),
            Source::Npy(array) => array.info(),
            Source::Png(picture) => picture.info(),
        }
    }

    /// One plane, `[height, width]`, of the type that [`Info::kind`] says.
    ///
    /// # Errors
    /// Fails if there is none at that place, it cannot be read, or is damaged.
    pub fn plane(
        &mut self,
        frame: usize,
        slice: usize,
        channel: usize,
    ) -> Result<Pixels<'static>, ImageError> {
        let axes = self.info().axes;
        if frame >= axes.frames || slice >= axes.slices || channel >= axes.channels {
            return Err(ImageError::Unfit {
                path: self.path.clone(),
                expected: format!(
                    "frame {frame}, slice {slice}, channel {channel} (counted from 0)"
                ),
                found: format!(
                    "{} frames, {} slices, {} channels",
                    axes.frames, axes.slices, axes.channels
                ),
            });
        }
        let plane = match &mut self.source {
            Source::Tiff(stack) => stack.plane(frame, slice, channel),
            Source::Npy(array) => array.plane(frame, slice, channel),
            Source::Png(picture) => picture.plane(channel),
        };
        plane.map_err(|fault| fault.of(&self.path))
    }
}
