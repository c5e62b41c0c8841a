//! NPY in and out: `[H, W]`, `[T, H, W]`, `[T, C, H, W]` or `[T, Z, C, H, W]`.

use std::io::{self, Write};

use super::error::Fault;
use super::info::{Axes, Calibration, Info, Named};
use super::pixels::{PixelType, Pixels};
use super::sample::{Sample, swap};
use crate::blob::{Blob, zeros};
use crate::npy::{Header, header};

/// What is kept of an array in Fortran order, at least one plane: such a file has no plane in one piece, so that each
/// pass over it had better bring several.
const BATCH: usize = 64 << 20;

/// An array whose planes are read one at a time.
#[derive(Debug)]
pub(super) struct Array {
    data: Blob,
    info: Info,
    sample: Sample,
    big_endian: bool,
    fortran_order: bool,
    /// In Fortran order: the first plane of the batch that is kept, and the bytes of its planes.
    batch: (usize, Vec<Vec<u8>>),
}

impl Array {
    /// Reads the header.
    pub fn open(blob: &Blob) -> Result<Self, Fault> {
        let header = Header::read(blob).map_err(|error| {
            Fault::damaged(
                format!("byte {}", error.offset),
                "the header of a NPY file",
                error.message,
            )
        })?;
        let (big_endian, sample) = sample(&header)?;
        let axes = axes(&header.shape)?;
        let expected = axes.planes().zip(axes.area());
        let expected = expected.and_then(|(planes, area)| {
            let size = (planes as u64).checked_mul(area as u64)?;
            size.checked_mul(sample.size() as u64)
        });
        let data = blob.slice(header.start..blob.size());
        let data = data.filter(|data| Some(data.size()) == expected);
        let data = data.ok_or_else(|| {
            let expected = match expected {
                Some(size) => format!("{size} bytes of pixels, as the shape says"),
                None => "a shape whose bytes can be counted".to_owned(),
            };
            let found = blob.size().saturating_sub(header.start);
            Fault::damaged("after the header", expected, format!("{found} bytes"))
        })?;
        Ok(Self {
            data,
            info: Info {
                axes,
                kind: sample.kind(),
                calibration: Calibration::default(),
            },
            sample,
            big_endian,
            fortran_order: header.fortran_order,
            batch: (0, Vec::new()),
        })
    }

    /// What it is.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// One plane.
    pub fn plane(
        &mut self,
        frame: usize,
        slice: usize,
        channel: usize,
    ) -> Result<Pixels<'static>, Fault> {
        let axes = &self.info.axes;
        let index = (frame * axes.slices + slice) * axes.channels + channel;
        let mut bytes = match self.fortran_order {
            false => {
                // The header's shape was held against the size of the file, so that no product overflows.
                let size = axes.height * axes.width * self.sample.size();
                self.data.read_at(index as u64 * size as u64, size)?
            }
            true => self.scattered(index)?,
        };
        if self.big_endian {
            swap(&mut bytes, self.sample.size());
        }
        self.sample.pixels(&bytes).map_err(|value| {
            Fault::damaged(
                format!("frame {frame}, channel {channel}"),
                "numbers of at most 32 bits",
                value,
            )
        })
    }

    /// The bytes of a plane of an array whose first index runs fastest.
    fn scattered(&mut self, index: usize) -> Result<Vec<u8>, Fault> {
        let (first, planes) = &self.batch;
        let kept = index.checked_sub(*first).and_then(|at| planes.get(at));
        if let Some(plane) = kept {
            return Ok(plane.clone());
        }
        self.batch = (index, Vec::new());
        self.batch.1 = self.gather(index)?;
        Ok(self.batch.1[0].clone())
    }

    /// The planes from `first` on, as many as are kept, in one pass over the file.
    fn gather(&self, first: usize) -> Result<Vec<Vec<u8>>, Fault> {
        let axes = &self.info.axes;
        let (size, area) = (self.sample.size(), axes.height * axes.width);
        let all = axes.frames * axes.slices * axes.channels;
        let count = (BATCH / (area * size)).clamp(1, all - first);
        // Where each plane's number stands among those of one pixel: T fastest, then Z, then C.
        let place = |plane: usize| {
            let (rest, channel) = (plane / axes.channels, plane % axes.channels);
            let (frame, slice) = (rest / axes.slices, rest % axes.slices);
            (frame + axes.frames * (slice + axes.slices * channel)) * size
        };
        let places: Vec<usize> = (first..first + count).map(place).collect();
        let room = (0..count).map(|_| zeros(area * size));
        let mut planes: Vec<Vec<u8>> = room.collect::<io::Result<_>>()?;
        let pixels = (BATCH / 8 / (all * size)).clamp(1, area);
        let mut bytes = Vec::new();
        for start in (0..area).step_by(pixels) {
            let here = pixels.min(area - start);
            bytes.resize(here * all * size, 0);
            let offset = start as u64 * (all * size) as u64;
            self.data.read_exact_at(&mut bytes, offset)?;
            for (pixel, numbers) in bytes.chunks_exact(all * size).enumerate() {
                // Rows run faster than columns.
                let (column, row) = ((start + pixel) / axes.height, (start + pixel) % axes.height);
                let at = (row * axes.width + column) * size;
                for (plane, place) in planes.iter_mut().zip(&places) {
                    plane[at..at + size].copy_from_slice(&numbers[*place..place + size]);
                }
            }
        }
        Ok(planes)
    }
}

/// The type of its numbers, and whether they have their highest byte first.
fn sample(header: &Header) -> Result<(bool, Sample), Fault> {
    let unsupported = || Fault::Unsupported {
        what: format!("elements of type `{}`", header.descr),
        around: "convert the array, for example with `array.astype(numpy.float32)`",
    };
    let (big_endian, kind) = header.element().ok_or_else(unsupported)?;
    let sample = match kind {
        "b1" => Sample::Bool,
        "u1" => Sample::U8,
        "i1" => Sample::I8,
        "u2" => Sample::U16,
        "i2" => Sample::I16,
        "u4" => Sample::U32,
        "i4" => Sample::I32,
        "u8" => Sample::U64,
        "i8" => Sample::I64,
        "f2" => Sample::F16,
        "f4" => Sample::F32,
        "f8" => Sample::F64,
        _ => return Err(unsupported()),
    };
    match header.descr.starts_with('|') && sample.size() > 1 {
        true => Err(unsupported()),
        false => Ok((big_endian, sample)),
    }
}

/// Shorter sides than this leave it open what a short last axis counts.
const LEAST_SIDE: usize = 16;

/// Whether an array of that shape has its channels last, as Python's readers put colours, and Keras all channels: no camera
/// makes frames that are so few pixels wide.
fn has_channels_last(lengths: &[usize]) -> bool {
    matches!(lengths, [.., height, width, 1..=8] if *height.min(width) >= LEAST_SIDE)
}

/// The axes of an array of that shape.
fn axes(shape: &[u64]) -> Result<Axes, Fault> {
    let unfit = |what: &str, around| {
        let shape: Vec<String> = shape.iter().map(u64::to_string).collect();
        let what = format!("{what} of shape [{}]", shape.join(", "));
        Fault::Unsupported { what, around }
    };
    let lengths = shape.iter().map(|length| usize::try_from(*length).ok());
    let lengths: Option<Vec<usize>> = lengths.map(|length| length.filter(|l| *l > 0)).collect();
    let lengths = lengths.ok_or_else(|| unfit("an array", "every axis must have a length"))?;
    if has_channels_last(&lengths) {
        return Err(match lengths.last() {
            Some(3 | 4) => unfit(
                "a colour image",
                "make it grey, for example with `array[..., :3].mean(axis=-1)`; if its last axis counts frames or channels, \
                 put it in front of the rows with `numpy.moveaxis(array, -1, -3)`",
            ),
            _ => unfit(
                "an image with its channels last",
                "put the last axis in front of the rows with `numpy.moveaxis(array, -1, -3)`",
            ),
        });
    }
    let (frames, slices, channels, height, width) = match lengths[..] {
        [height, width] => (1, 1, 1, height, width),
        [frames, height, width] => (frames, 1, 1, height, width),
        [frames, channels, height, width] => (frames, 1, channels, height, width),
        [frames, slices, channels, height, width] => (frames, slices, channels, height, width),
        _ => {
            let around = "an image has [H, W], [T, H, W], [T, C, H, W] or [T, Z, C, H, W]";
            return Err(unfit("an array", around));
        }
    };
    let mut axes = Axes::new(frames, slices, channels, height, width);
    axes.named = Named {
        frames: lengths.len() >= 3,
        slices: lengths.len() >= 5,
        channels: lengths.len() >= 4,
    };
    Ok(axes)
}

/// Writes the header of a stack, whose planes follow one after another.
pub(super) fn begin(out: &mut impl Write, info: &Info) -> io::Result<()> {
    let descr = match info.kind {
        PixelType::U8 => "|u1",
        PixelType::U16 => "<u2",
        PixelType::I16 => "<i2",
        PixelType::U32 => "<u4",
        PixelType::I32 => "<i4",
        PixelType::F32 => "<f4",
    };
    out.write_all(&header(descr, &shape(&info.axes)))
}

/// The shape in which the axes are read back. Slices without frames take the frames' place.
fn shape(axes: &Axes) -> Vec<usize> {
    let (frames, slices) = match axes.slices {
        1 => (axes.frames, None),
        slices if axes.frames == 1 => (slices, None),
        slices => (axes.frames, Some(slices)),
    };
    let channels =
        (axes.named.channels || axes.channels > 1 || slices.is_some()).then_some(axes.channels);
    let first = axes.named.frames || frames > 1 || channels.is_some();
    let lead = [first.then_some(frames), slices, channels];
    let lengths = lead.into_iter().flatten();
    lengths.chain([axes.height, axes.width]).collect()
}
