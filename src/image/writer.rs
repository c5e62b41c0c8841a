//! Writing a stack plane by plane; the file appears whole or not at all.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::ImageError;
use super::format::Format;
use super::info::Info;
use super::pixels::Pixels;
use super::{npy, png, tiff};
use crate::atomic::AtomicFile;

/// A stack that is being written. Its bytes are a function of [`Info`] and pixels alone. Dropped before
/// [`Writer::finish`], it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    info: Info,
    format: Format,
    file: AtomicFile,
    planes: usize,
    written: usize,
    /// The last plane's bytes; of a PNG, those of all channels.
    bytes: Vec<Vec<u8>>,
}

impl Writer {
    /// Begins a file whose format is that of its name's ending. TIFF is written as ImageJ's, whatever the input was: axes,
    /// pixel size, slice spacing and frame interval are kept; it is a BigTIFF where its size asks for it.
    ///
    /// # Errors
    /// Fails if the format is none that is written or cannot hold such a stack, or the file cannot be made.
    pub fn create(path: &Path, info: &Info) -> Result<Self, ImageError> {
        let format = Format::of_output(path)?;
        let unfit = |expected: &str, found: String| ImageError::Unfit {
            path: path.to_owned(),
            expected: expected.to_owned(),
            found,
        };
        let shape = info.axes.shape();
        let planes = info.axes.planes().filter(|planes| *planes > 0);
        let area = info.axes.area().filter(|area| *area > 0);
        let limit = u32::MAX as usize;
        let small = info.axes.height <= limit && info.axes.width <= limit;
        let bytes = planes.zip(area).and_then(|(planes, area)| {
            let bytes = (planes as u64).checked_mul(area as u64)?;
            bytes
                .checked_mul(info.kind.size() as u64)
                .filter(|bytes| *bytes < 1 << 62)
        });
        let (Some(planes), Some(_), true) = (planes, bytes, small) else {
            return Err(unfit("a stack that a file can hold", format!("{shape:?}")));
        };
        if format == Format::Png
            && let Some((expected, found)) = png::refused(info)
        {
            return Err(unfit(expected, found));
        }
        let failed = |source| ImageError::Write {
            path: path.to_owned(),
            source,
        };
        let mut writer = Self {
            path: path.to_owned(),
            info: *info,
            format,
            file: AtomicFile::create(path).map_err(failed)?,
            planes,
            written: 0,
            bytes: Vec::new(),
        };
        writer.begin().map_err(failed)?;
        Ok(writer)
    }

    fn begin(&mut self) -> io::Result<()> {
        let mut out = BufWriter::new(self.file.file());
        match self.format {
            Format::Tiff => out.write_all(&tiff::Layout::new(&self.info).head())?,
            Format::Npy => npy::begin(&mut out, &self.info)?,
            Format::Png => (),
        }
        out.flush()
    }

    /// Writes the next plane, `[height, width]` of [`Info::kind`]: channels run fastest, then slices, then frames.
    ///
    /// # Errors
    /// Fails if the plane is of another size or type or one too many, or the disk fails.
    pub fn write(&mut self, plane: &Pixels) -> Result<(), ImageError> {
        let area = self.info.axes.height * self.info.axes.width;
        if self.written == self.planes {
            return Err(self.unfit(format!("{} planes", self.planes), "one more"));
        }
        if plane.len() != area || plane.kind() != self.info.kind {
            let expected = format!("a plane of {area} pixels of {}", self.info.kind);
            let found = format!("{} of {}", plane.len(), plane.kind());
            return Err(self.unfit(expected, found));
        }
        if self.format == Format::Png || self.bytes.is_empty() {
            self.bytes.push(Vec::new());
        }
        if let Some(bytes) = self.bytes.last_mut() {
            bytes.clear();
            plane.put_bytes(bytes);
            if self.format != Format::Png {
                let written = self.file.file().write_all(bytes);
                written.map_err(|source| self.failed(source))?;
            }
        }
        self.written += 1;
        Ok(())
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// Fails if planes are missing, or the disk does; what stood at its place before is then still there.
    pub fn finish(mut self) -> Result<(), ImageError> {
        if self.written != self.planes {
            return Err(self.unfit(format!("{} planes", self.planes), self.written.to_string()));
        }
        self.end().map_err(|source| self.failed(source))?;
        let path = self.path;
        let committed = self.file.commit();
        committed.map_err(|source| ImageError::Write { path, source })
    }

    fn end(&mut self) -> io::Result<()> {
        let file: &mut File = self.file.file();
        match self.format {
            Format::Tiff => {
                let mut out = BufWriter::new(file);
                tiff::Layout::new(&self.info).write_tail(&mut out)?;
                out.flush()
            }
            Format::Npy => Ok(()),
            Format::Png => {
                let mut out = BufWriter::new(file);
                png::write(&mut out, &self.info, &self.bytes).map_err(io::Error::other)?;
                out.flush()
            }
        }
    }

    fn failed(&self, source: io::Error) -> ImageError {
        ImageError::Write {
            path: self.path.clone(),
            source,
        }
    }

    fn unfit(&self, expected: String, found: impl Into<String>) -> ImageError {
        ImageError::Unfit {
            path: self.path.clone(),
            expected,
            found: found.into(),
        }
    }
}
