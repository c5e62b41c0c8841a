//! Where everything lies in a TIFF that is written: known before the first plane, so that it is written front to back.
//!
//! ```text
//! header, first directory, its description and resolutions, zeros up to a multiple of 16
//! all planes, one after another, in ImageJ's order XYCZT
//! the directories of the second plane, the third, ...
//! ```
//!
//! ImageJ reads the first directory and takes the other planes from behind the first, whatever their directories say;
//! others follow the directories. Numbers have their lowest byte first. Beyond 4 GiB the file is a BigTIFF.

use std::io::{self, Write};

use super::super::info::Info;
use super::super::pixels::PixelType;
use super::description;
use super::page::{
    BITS, COMPRESSION, DESCRIPTION, HEIGHT, PHOTOMETRIC, RESOLUTION_UNIT, ROWS_PER_STRIP,
    SAMPLE_FORMAT, SAMPLES, STRIP_OFFSETS, STRIP_SIZES, SUBFILE, WIDTH, X_RESOLUTION, Y_RESOLUTION,
};

const SHORT: u16 = 3;
const LONG: u16 = 4;
const FRACTION: u16 = 5;
const ASCII: u16 = 2;
const LONG_8: u16 = 16;

/// A TIFF that is written.
#[derive(Debug)]
pub struct Layout {
    info: Info,
    description: String,
    /// Pixels a micrometre, down and across.
    resolution: Option<[[u32; 2]; 2]>,
    /// Bytes of a plane.
    plane: u64,
    planes: u64,
    /// Whether it is a BigTIFF.
    big: bool,
}

impl Layout {
    /// The layout of a stack that has at least one plane, and at most 2^62 bytes of pixels.
    pub fn new(info: &Info) -> Self {
        let axes = &info.axes;
        let mut layout = Self {
            info: *info,
            description: description::of_output(info),
            resolution: info.calibration.pixel.and_then(|[height, width]| {
                Some([fraction(1.0 / height)?, fraction(1.0 / width)?])
            }),
            plane: axes.height as u64 * axes.width as u64 * info.kind.size() as u64,
            planes: (axes.frames * axes.slices * axes.channels) as u64,
            big: false,
        };
        let end = layout.tail() + (layout.planes - 1) * layout.directory_size(false);
        layout.big = end > u64::from(u32::MAX);
        layout
    }

    fn header_size(&self) -> u64 {
        if self.big { 16 } else { 8 }
    }

    /// Bytes of a directory, of the first plane's or of another's.
    fn directory_size(&self, first: bool) -> u64 {
        let entries = 12 + u64::from(first) + if self.resolution.is_some() { 2 } else { 0 };
        match self.big {
            true => 8 + entries * 20 + 8,
            false => 2 + entries * 12 + 4,
        }
    }

    /// Where the description lies, with its NUL; resolutions follow it.
    fn description_at(&self) -> u64 {
        self.header_size() + self.directory_size(true)
    }

    fn resolutions_at(&self) -> u64 {
        (self.description_at() + self.description.len() as u64 + 1).next_multiple_of(8)
    }

    /// Where the first plane lies.
    fn pixels(&self) -> u64 {
        (self.resolutions_at() + 16).next_multiple_of(16)
    }

    /// Where the second plane's directory lies; directories begin at even positions.
    fn tail(&self) -> u64 {
        (self.pixels() + self.planes * self.plane).next_multiple_of(2)
    }

    /// Everything before the first plane.
    pub fn head(&self) -> Vec<u8> {
        let mut bytes = b"II".to_vec();
        match self.big {
            true => {
                bytes.extend([43, 0, 8, 0, 0, 0]);
                bytes.extend(16u64.to_le_bytes());
            }
            false => {
                bytes.extend([42, 0]);
                bytes.extend(8u32.to_le_bytes());
            }
        }
        self.put_directory(&mut bytes, 0);
        bytes.extend(self.description.bytes());
        bytes.resize(self.resolutions_at() as usize, 0);
        for number in self.resolution.iter().flatten().flatten() {
            bytes.extend(number.to_le_bytes());
        }
        bytes.resize(self.pixels() as usize, 0);
        bytes
    }

    /// Writes everything behind the last plane.
    pub fn write_tail(&self, out: &mut impl Write) -> io::Result<()> {
        let end = self.pixels() + self.planes * self.plane;
        if self.planes > 1 && self.tail() > end {
            out.write_all(&[0])?;
        }
        let mut bytes = Vec::new();
        for plane in 1..self.planes {
            bytes.clear();
            self.put_directory(&mut bytes, plane);
            out.write_all(&bytes)?;
        }
        Ok(())
    }

    fn put_directory(&self, bytes: &mut Vec<u8>, plane: u64) {
        let size = self.directory_size(false);
        let next = match plane + 1 < self.planes {
            true => self.tail() + plane * size,
            false => 0,
        };
        let entries = self.entries(plane);
        match self.big {
            true => bytes.extend((entries.len() as u64).to_le_bytes()),
            false => bytes.extend((entries.len() as u16).to_le_bytes()),
        }
        for (tag, kind, count, value) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            self.put(bytes, count);
            self.put(bytes, value);
        }
        self.put(bytes, next);
    }

    /// A number as wide as positions are. Shorter ones stand at its beginning, as they should, since the lowest byte
    /// comes first.
    fn put(&self, bytes: &mut Vec<u8>, number: u64) {
        match self.big {
            true => bytes.extend(number.to_le_bytes()),
            false => bytes.extend((number as u32).to_le_bytes()),
        }
    }

    /// Tag, type, count and value of each entry of a plane's directory, by tag.
    fn entries(&self, plane: u64) -> Vec<(u16, u16, u64, u64)> {
        let (height, width) = (self.info.axes.height as u64, self.info.axes.width as u64);
        let format = match self.info.kind {
            PixelType::U8 | PixelType::U16 | PixelType::U32 => 1,
            PixelType::I16 | PixelType::I32 => 2,
            PixelType::F32 => 3,
        };
        let place = if self.big { LONG_8 } else { LONG };
        let mut entries = vec![
            (SUBFILE, LONG, 1, 0),
            (WIDTH, LONG, 1, width),
            (HEIGHT, LONG, 1, height),
            (BITS, SHORT, 1, 8 * self.info.kind.size() as u64),
            (COMPRESSION, SHORT, 1, 1),
            // 0 is black.
            (PHOTOMETRIC, SHORT, 1, 1),
            (STRIP_OFFSETS, place, 1, self.pixels() + plane * self.plane),
            (SAMPLES, SHORT, 1, 1),
            (ROWS_PER_STRIP, LONG, 1, height),
            (STRIP_SIZES, place, 1, self.plane),
            (SAMPLE_FORMAT, SHORT, 1, format),
        ];
        if plane == 0 {
            let length = self.description.len() as u64 + 1;
            entries.push((DESCRIPTION, ASCII, length, self.description_at()));
        }
        if self.resolution.is_some() {
            entries.push((Y_RESOLUTION, FRACTION, 1, self.resolutions_at()));
            entries.push((X_RESOLUTION, FRACTION, 1, self.resolutions_at() + 8));
        }
        // None of TIFF's own: the description names the unit.
        entries.push((RESOLUTION_UNIT, SHORT, 1, 1));
        entries.sort_unstable();
        entries
    }
}

/// The best fraction of 32-bit numbers for a positive number, by its continued fraction; `None` if none is near.
fn fraction(number: f64) -> Option<[u32; 2]> {
    let (mut before, mut last) = ([0u64, 1], [1u64, 0]);
    let mut rest = number;
    for _ in 0..64 {
        let whole = rest.floor();
        if !(0.0..=f64::from(u32::MAX)).contains(&whole) {
            break;
        }
        let next = [0, 1].map(|at| {
            (whole as u64)
                .saturating_mul(last[at])
                .saturating_add(before[at])
        });
        if next.iter().any(|part| *part > u64::from(u32::MAX)) {
            break;
        }
        (before, last) = (last, next);
        if rest == whole {
            break;
        }
        rest = 1.0 / (rest - whole);
    }
    let [above, below] = last.map(|part| part as u32);
    (above > 0 && below > 0).then_some([above, below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_near() {
        assert_eq!(fraction(0.5), Some([1, 2]));
        assert_eq!(fraction(1.0 / 0.065), Some([200, 13]));
        for number in [
            15.384_615_384_615_385,
            1e-6,
            3.0e9,
            0.1 + 0.2,
            std::f64::consts::PI,
        ] {
            let [above, below] = fraction(number).unwrap();
            let found = f64::from(above) / f64::from(below);
            assert!((found / number - 1.0).abs() < 1e-9, "{number}: {found}");
        }
        for number in [0.0, 1e12, f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(fraction(number), None, "{number}");
        }
    }
}
