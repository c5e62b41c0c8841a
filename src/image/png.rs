//! PNG: a single frame of 8 or 16 bits, grey or RGB.

use std::io::{Cursor, Write};

use png::{BitDepth, ColorType, DecodeOptions, Decoder, Encoder, Limits};

use super::error::Fault;
use super::info::{Axes, Calibration, Info};
use super::pixels::{PixelType, Pixels};
use super::sample::{Sample, swap};
use crate::blob::{Blob, zeros};

/// Deflate makes at most so many bytes of one (258 bytes of two bits).
const DEFLATE: u64 = 1032;

/// What a decoder may need beside the pixels.
const SPARE: usize = 1 << 20;

/// A picture, decoded when it is first asked for.
#[derive(Debug)]
pub(super) struct Picture {
    blob: Blob,
    info: Info,
    sample: Sample,
    /// Numbers of a pixel, an alpha that is left out included.
    samples: usize,
    /// Pixel by pixel, the highest byte of each number first.
    decoded: Option<Vec<u8>>,
}

impl Picture {
    /// Reads the header.
    pub fn open(blob: &Blob) -> Result<Self, Fault> {
        let mut decoder = Decoder::new(Cursor::new(blob.read(u64::MAX)?));
        let header = decoder.read_header_info().map_err(damaged)?;
        let (samples, channels) = match header.color_type {
            ColorType::Grayscale => (1, 1),
            ColorType::GrayscaleAlpha => (2, 1),
            ColorType::Rgb => (3, 3),
            ColorType::Rgba => (4, 3),
            ColorType::Indexed => return Err(Fault::unsupported("PNG with a palette")),
        };
        let sample = match header.bit_depth {
            BitDepth::Eight => Sample::U8,
            BitDepth::Sixteen => Sample::U16,
            depth => {
                let what = format!("PNG of {} bits a number", depth as u8);
                return Err(Fault::unsupported(what));
            }
        };
        let (width, height) = (header.width as usize, header.height as usize);
        let size = (width as u64 * height as u64).checked_mul((samples * sample.size()) as u64);
        if size.is_none_or(|size| size / DEFLATE > blob.size()) {
            let expected = format!("pixels of {height} rows and {width} columns");
            let found = format!("a file of {} bytes", blob.size());
            return Err(Fault::damaged("its header", expected, found));
        }
        Ok(Self {
            blob: blob.clone(),
            info: Info {
                axes: Axes::new(1, 1, channels, height, width),
                kind: sample.kind(),
                calibration: Calibration::default(),
            },
            sample,
            samples,
            decoded: None,
        })
    }

    /// What it is.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// One channel.
    pub fn plane(&mut self, channel: usize) -> Result<Pixels<'static>, Fault> {
        if self.decoded.is_none() {
            self.decoded = Some(self.decode()?);
        }
        let all = self.decoded.as_deref().unwrap_or_default();
        let size = self.sample.size();
        let pixels = all.chunks_exact(size * self.samples);
        let mut bytes = Vec::with_capacity(all.len() / self.samples);
        for pixel in pixels {
            bytes.extend(&pixel[channel * size..(channel + 1) * size]);
        }
        swap(&mut bytes, size);
        let beyond = |value| Fault::damaged("its pixels", "numbers of at most 16 bits", value);
        self.sample.pixels(&bytes).map_err(beyond)
    }

    fn decode(&self) -> Result<Vec<u8>, Fault> {
        // Its size was held against that of the file.
        let Axes { height, width, .. } = self.info.axes;
        let size = height * width * self.samples * self.sample.size();
        let bytes = Cursor::new(self.blob.read(u64::MAX)?);
        let mut options = DecodeOptions::default();
        options.set_ignore_text_chunk(true);
        options.set_ignore_iccp_chunk(true);
        let mut decoder = Decoder::new_with_options(bytes, options);
        decoder.set_limits(Limits {
            bytes: size.saturating_mul(2).saturating_add(SPARE),
        });
        let mut reader = decoder.read_info().map_err(damaged)?;
        let mut pixels = zeros(size)?;
        if reader.output_buffer_size() != Some(size) {
            let found = "a header that changes";
            return Err(Fault::damaged(
                "its header",
                format!("{size} bytes of pixels"),
                found,
            ));
        }
        reader.next_frame(&mut pixels).map_err(damaged)?;
        Ok(pixels)
    }
}

fn damaged(error: png::DecodingError) -> Fault {
    Fault::damaged("its PNG data", "a whole PNG", error.to_string())
}

/// Why such a stack is no PNG: what is expected, and what was found.
pub(super) fn refused(info: &Info) -> Option<(&'static str, String)> {
    let axes = &info.axes;
    let one = axes.frames == 1 && axes.slices == 1;
    if !one || !matches!(axes.channels, 1 | 3) {
        let found = format!(
            "{} frames, {} slices, {} channels",
            axes.frames, axes.slices, axes.channels
        );
        return Some((
            "a single frame of one or three channels for a PNG; name the output `.tif` or `.npy`",
            found,
        ));
    }
    if !matches!(info.kind, PixelType::U8 | PixelType::U16) {
        let expected = "uint8 or uint16 for a PNG; name the output `.tif` or `.npy`";
        return Some((expected, info.kind.to_string()));
    }
    None
}

/// Writes one or three channels; their bytes have the lowest first.
pub(super) fn write(
    out: impl Write,
    info: &Info,
    channels: &[Vec<u8>],
) -> Result<(), png::EncodingError> {
    let Axes { height, width, .. } = info.axes;
    let size = info.kind.size();
    let mut encoder = Encoder::new(out, width as u32, height as u32);
    encoder.set_color(match channels.len() {
        1 => ColorType::Grayscale,
        _ => ColorType::Rgb,
    });
    encoder.set_depth(match size {
        1 => BitDepth::Eight,
        _ => BitDepth::Sixteen,
    });
    let mut pixels = Vec::with_capacity(height * width * size * channels.len());
    for pixel in (0..height * width * size).step_by(size) {
        for channel in channels {
            pixels.extend(channel[pixel..pixel + size].iter().rev());
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()
}
