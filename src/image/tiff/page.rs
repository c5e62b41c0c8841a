//! One page of a TIFF: what its directory says of its pixels, checked.

use super::super::error::Fault;
use super::super::sample::Sample;
use super::compression::Compression;
use super::directory::{Directories, Directory};

pub(super) const SUBFILE: u16 = 254;
pub(super) const WIDTH: u16 = 256;
pub(super) const HEIGHT: u16 = 257;
pub(super) const BITS: u16 = 258;
pub(super) const COMPRESSION: u16 = 259;
pub(super) const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
pub(super) const DESCRIPTION: u16 = 270;
pub(super) const STRIP_OFFSETS: u16 = 273;
pub(super) const SAMPLES: u16 = 277;
pub(super) const ROWS_PER_STRIP: u16 = 278;
pub(super) const STRIP_SIZES: u16 = 279;
pub(super) const X_RESOLUTION: u16 = 282;
pub(super) const Y_RESOLUTION: u16 = 283;
const PLANAR: u16 = 284;
pub(super) const RESOLUTION_UNIT: u16 = 296;
const PREDICTOR: u16 = 317;
const TILE_WIDTH: u16 = 322;
const TILE_HEIGHT: u16 = 323;
const TILE_OFFSETS: u16 = 324;
const TILE_SIZES: u16 = 325;
const EXTRA_SAMPLES: u16 = 338;
pub(super) const SAMPLE_FORMAT: u16 = 339;

/// How the pixels of a page are stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Page {
    /// Its name in messages: `page 3`.
    pub place: String,
    pub width: usize,
    pub height: usize,
    pub sample: Sample,
    /// Numbers of a pixel.
    pub samples: usize,
    /// Those of them that are channels: alpha, which comes last, is none.
    pub channels: usize,
    /// Whether the samples are stored one after another, each with its own chunks.
    pub planar: bool,
    pub compression: Compression,
    pub predictor: Predictor,
    pub tiled: bool,
    /// The height and width of a chunk: a tile, or a strip.
    pub chunk: [usize; 2],
    /// Where chunks begin, and how many bytes they have.
    pub chunks: Vec<(u64, u64)>,
}

/// What was done to numbers before they were compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predictor {
    None,
    /// Each is stored as the difference to the one before it.
    Horizontal,
    /// Each row's bytes are sorted by significance, and stored as differences.
    Float,
}

impl Page {
    /// Reads what a directory says.
    pub fn read(file: &mut Directories, directory: &Directory, place: &str) -> Result<Self, Fault> {
        let mut from = From {
            file,
            directory,
            place,
        };
        let [width, height] = from.sides()?;
        let samples = from.length(SAMPLES, Some(1))?;
        let sample = from.sample(samples)?;
        let alphas = from.numbers(EXTRA_SAMPLES)?;
        let alphas = alphas.iter().filter(|kind| matches!(kind, 1 | 2)).count();
        match from.first(PHOTOMETRIC)? {
            None | Some(0..=3) => (),
            Some(5) => return Err(from.unsupported("CMYK")),
            Some(6) => return Err(from.unsupported("YCbCr")),
            Some(32803) => return Err(from.unsupported("a colour filter array")),
            Some(other) => {
                return Err(from.unsupported(format!("photometric interpretation {other}")));
            }
        }
        if from.first(FILL_ORDER)?.unwrap_or(1) != 1 {
            return Err(from.unsupported("reversed bits (FillOrder 2)"));
        }
        let compression = from.first(COMPRESSION)?.unwrap_or(1);
        let compression = Compression::of(compression).map_err(|what| from.unsupported(what))?;
        let predictor = match from.first(PREDICTOR)?.unwrap_or(1) {
            _ if compression == Compression::None => Predictor::None,
            1 => Predictor::None,
            2 => Predictor::Horizontal,
            3 if matches!(sample, Sample::F16 | Sample::F32 | Sample::F64) => Predictor::Float,
            other => return Err(from.unsupported(format!("predictor {other} of {sample:?}"))),
        };
        let tiled = directory.has(TILE_OFFSETS);
        let mut page = Self {
            place: place.to_owned(),
            width,
            height,
            sample,
            samples,
            channels: samples.saturating_sub(alphas).max(1),
            planar: samples > 1 && from.first(PLANAR)? == Some(2),
            compression,
            predictor,
            tiled,
            chunk: match tiled {
                true => [
                    from.length(TILE_HEIGHT, None)?,
                    from.length(TILE_WIDTH, None)?,
                ],
                false => [
                    from.length(ROWS_PER_STRIP, Some(height as u64))?
                        .min(height),
                    width,
                ],
            },
            chunks: Vec::new(),
        };
        page.chunks = page.places(&mut from)?;
        Ok(page)
    }

    /// Where the chunks are. Their list is as long as the grid of chunks asks for.
    fn places(&self, from: &mut From) -> Result<Vec<(u64, u64)>, Fault> {
        let (offsets, sizes) = match self.tiled {
            true => (from.numbers(TILE_OFFSETS)?, from.numbers(TILE_SIZES)?),
            false => (from.numbers(STRIP_OFFSETS)?, from.numbers(STRIP_SIZES)?),
        };
        let [down, across] = self.grid();
        let planes = if self.planar { self.samples } else { 1 };
        let count = down
            .checked_mul(across)
            .and_then(|count| count.checked_mul(planes));
        let what = self.chunk_name();
        let expected = match count {
            Some(count) if count <= offsets.len() => count,
            Some(count) => {
                return Err(from.damaged(format!("{count} {what}s"), offsets.len().to_string()));
            }
            None => return Err(from.damaged(format!("{what}s that can be counted"), "more")),
        };
        let plain = self.compression == Compression::None;
        if sizes.len() < expected && !(plain && sizes.is_empty()) {
            let found = format!("sizes of {}", sizes.len());
            return Err(from.damaged(format!("{expected} {what}s"), found));
        }
        let needed = |index: usize| {
            self.chunk_bytes(index % (down * across))
                .map(|size| size as u64)
        };
        let place = |index: usize| {
            let needed = needed(index).unwrap_or(u64::MAX);
            match sizes.get(index) {
                // Some writers give the size of the whole stack.
                Some(size) if plain => (offsets[index], needed.min(*size)),
                Some(size) => (offsets[index], *size),
                None => (offsets[index], needed),
            }
        };
        Ok((0..expected).map(place).collect())
    }

    /// How many chunks there are, down and across.
    pub fn grid(&self) -> [usize; 2] {
        [
            self.height.div_ceil(self.chunk[0]),
            self.width.div_ceil(self.chunk[1]),
        ]
    }

    /// Numbers of a pixel in one chunk.
    pub fn together(&self) -> usize {
        if self.planar { 1 } else { self.samples }
    }

    /// The rows that the chunk stores that is counted so in its plane: the last strip is cut, tiles never are.
    pub fn chunk_rows(&self, index: usize) -> usize {
        let [_, across] = self.grid();
        match self.tiled {
            true => self.chunk[0],
            false => self.chunk[0].min(self.height - index / across * self.chunk[0]),
        }
    }

    /// The bytes that a chunk has when it is decompressed; `None` if no number holds them.
    pub fn chunk_bytes(&self, index: usize) -> Option<usize> {
        let pixels = self.chunk_rows(index).checked_mul(self.chunk[1])?;
        pixels
            .checked_mul(self.together())?
            .checked_mul(self.sample.size())
    }

    /// The bytes of all samples; `None` if no number holds them.
    pub fn bytes(&self) -> Option<u64> {
        let pixels = (self.width as u64).checked_mul(self.height as u64)?;
        pixels
            .checked_mul(self.samples as u64)?
            .checked_mul(self.sample.size() as u64)
    }

    /// `strip` or `tile`.
    pub fn chunk_name(&self) -> &'static str {
        if self.tiled { "tile" } else { "strip" }
    }

    /// What of it must be the same in every page of a stack.
    pub fn like(&self, other: &Self) -> bool {
        let form = |page: &Self| (page.height, page.width, page.sample, page.channels);
        form(self) == form(other)
    }

    /// What of it must be the same in every page, in words.
    pub fn form(&self) -> String {
        let Self {
            height,
            width,
            channels,
            ..
        } = self;
        format!(
            "{height} rows, {width} columns, {channels} samples of {:?}",
            self.sample
        )
    }
}

/// Reads the entries of one directory.
struct From<'a> {
    file: &'a mut Directories,
    directory: &'a Directory,
    place: &'a str,
}

impl From<'_> {
    fn first(&mut self, tag: u16) -> Result<Option<u64>, Fault> {
        self.file.first(self.directory, tag, self.place)
    }

    fn numbers(&mut self, tag: u16) -> Result<Vec<u64>, Fault> {
        self.file.numbers(self.directory, tag, self.place)
    }

    fn damaged(&self, expected: impl Into<String>, found: impl Into<String>) -> Fault {
        Fault::damaged(self.place, expected, found)
    }

    fn unsupported(&self, what: impl std::fmt::Display) -> Fault {
        Fault::unsupported(format!("{what} ({})", self.place))
    }

    fn sides(&mut self) -> Result<[usize; 2], Fault> {
        Ok([self.length(WIDTH, None)?, self.length(HEIGHT, None)?])
    }

    /// A length of at least 1 and of 32 bits; `or` stands where there is none.
    fn length(&mut self, tag: u16, or: Option<u64>) -> Result<usize, Fault> {
        let found = self.first(tag)?.or(or);
        match found {
            Some(length @ 1..=0xffff_ffff) => Ok(length as usize),
            Some(length) => Err(self.damaged(format!("a length in tag {tag}"), length.to_string())),
            None => Err(self.damaged(format!("a length in tag {tag}"), "no such tag")),
        }
    }

    /// The type of the numbers, which is the same in all samples of a pixel.
    fn sample(&mut self, samples: usize) -> Result<Sample, Fault> {
        let mut common = |tag, default| {
            let all = self.numbers(tag)?;
            let first = all.first().copied().unwrap_or(default);
            match all.iter().take(samples).all(|value| *value == first) {
                true => Ok(first),
                false => Err(self.unsupported("samples of different types")),
            }
        };
        let (bits, format) = (common(BITS, 1)?, common(SAMPLE_FORMAT, 1)?);
        // Format 4 is "undefined", which libtiff and tifffile take for unsigned.
        Ok(match (format, bits) {
            (1 | 4, 8) => Sample::U8,
            (1 | 4, 16) => Sample::U16,
            (1 | 4, 32) => Sample::U32,
            (1, 64) => Sample::U64,
            (2, 8) => Sample::I8,
            (2, 16) => Sample::I16,
            (2, 32) => Sample::I32,
            (2, 64) => Sample::I64,
            (3, 16) => Sample::F16,
            (3, 32) => Sample::F32,
            (3, 64) => Sample::F64,
            (5 | 6, _) => return Err(self.unsupported("complex numbers")),
            _ => {
                return Err(
                    self.unsupported(format!("numbers of {bits} bits (SampleFormat {format})"))
                );
            }
        })
    }
}
