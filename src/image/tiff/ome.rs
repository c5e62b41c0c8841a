//! OME-XML in the first page's ImageDescription: which page is which plane.
//!
//! Source: the OME-TIFF specification (docs.openmicroscopy.org, ome-model), sections "The TiffData element" and
//! "Dimension order".

use std::collections::BTreeSet;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::super::error::{EXPORT, Fault};
use super::super::info::Calibration;
use super::description::{C, T, Z, micrometres};

/// Where in the file these errors are.
const PLACE: &str = "its OME-XML";

/// What OME-XML says of the one image of a file.
#[derive(Debug, Default)]
pub(super) struct Ome {
    /// The lengths of T, Z and C, the samples of a page not among the channels.
    pub lengths: [usize; 3],
    /// These axes, the slowest first.
    pub order: [usize; 3],
    blocks: Vec<Block>,
    pub calibration: Calibration,
}

/// A `TiffData` element: planes that follow each other in the order of the axes.
#[derive(Debug)]
struct Block {
    first: [usize; 3],
    page: Option<usize>,
    count: Option<usize>,
}

/// Whether a description is OME-XML.
pub(super) fn looks_like(text: &str) -> bool {
    let start = text.trim_start_matches('\u{feff}').trim_start();
    (start.starts_with("<?xml") || start.starts_with('<')) && text.contains("<OME")
}

fn damaged(expected: impl Into<String>, found: impl Into<String>) -> Fault {
    Fault::damaged(PLACE, expected, found)
}

fn unsupported(what: impl Into<String>) -> Fault {
    Fault::Unsupported {
        what: what.into(),
        around: EXPORT,
    }
}

impl Ome {
    /// Reads OME-XML of a file whose pages have so many samples.
    pub fn read(text: &str, samples: usize) -> Result<Self, Fault> {
        let mut reader = Reader::from_str(text);
        let mut found = Self::default();
        let (mut images, mut files, mut pixels) = (0, BTreeSet::new(), false);
        loop {
            let event = reader
                .read_event()
                .map_err(|error| damaged("XML", error.to_string()))?;
            let (Event::Start(element) | Event::Empty(element)) = event else {
                match event {
                    Event::Eof => break,
                    _ => continue,
                }
            };
            match element.local_name().as_ref() {
                b"Image" => images += 1,
                b"BinaryOnly" => {
                    let file = text_of(&element, "MetadataFile")?.unwrap_or_default();
                    return Err(unsupported(format!(
                        "OME-TIFF whose metadata is in another file ({file:?})"
                    )));
                }
                b"Pixels" if images < 2 => {
                    pixels = true;
                    found.pixels(&element, samples)?;
                }
                b"TiffData" if images < 2 => found.blocks.push(Block {
                    first: [
                        number(&element, "FirstT")?.unwrap_or(0),
                        number(&element, "FirstZ")?.unwrap_or(0),
                        number(&element, "FirstC")?.unwrap_or(0),
                    ],
                    page: number(&element, "IFD")?,
                    count: number(&element, "PlaneCount")?,
                }),
                b"UUID" => files.extend(text_of(&element, "FileName")?),
                _ => (),
            }
        }
        match images {
            2.. => Err(unsupported(format!(
                "an OME-TIFF with {images} images (series or positions)"
            ))),
            1 if files.len() > 1 => Err(unsupported(format!(
                "an OME-TIFF that is spread over {} files",
                files.len()
            ))),
            1 if pixels => Ok(found),
            _ => Err(damaged("an Image element with Pixels", "none")),
        }
    }

    fn pixels(&mut self, element: &BytesStart, samples: usize) -> Result<(), Fault> {
        let length = |name: &str| match number(element, name)? {
            Some(length) if length > 0 => Ok(length),
            other => Err(damaged(format!("a length in {name}"), format!("{other:?}"))),
        };
        let channels = length("SizeC")?;
        if channels % samples != 0 {
            let expected = format!("SizeC a multiple of the {samples} samples of a page");
            return Err(damaged(expected, channels.to_string()));
        }
        self.lengths = [length("SizeT")?, length("SizeZ")?, channels / samples];
        let order = text_of(element, "DimensionOrder")?.unwrap_or_default();
        self.order = match order.as_str() {
            "XYZCT" => [T, C, Z],
            "XYZTC" => [C, T, Z],
            "XYCTZ" => [Z, T, C],
            "XYCZT" => [T, Z, C],
            "XYTCZ" => [Z, C, T],
            "XYTZC" => [C, Z, T],
            _ => return Err(damaged("a DimensionOrder such as XYCZT", order)),
        };
        let step = |name: &str, or: &str, units: &dyn Fn(&str) -> Option<f64>| {
            let step = text_of(element, name)?.and_then(|text| text.parse::<f64>().ok());
            let unit = text_of(element, &format!("{name}Unit"))?;
            let step = step
                .zip(units(unit.as_deref().unwrap_or(or)))
                .map(|(step, unit)| step * unit);
            Ok::<_, Fault>(step.filter(|step| step.is_finite() && *step > 0.0))
        };
        let sides = [
            step("PhysicalSizeY", "µm", &micrometres)?,
            step("PhysicalSizeX", "µm", &micrometres)?,
        ];
        self.calibration = Calibration {
            pixel: sides[0].zip(sides[1]).map(|(y, x)| [y, x]),
            spacing: step("PhysicalSizeZ", "µm", &micrometres)?,
            interval: step("TimeIncrement", "s", &seconds)?,
        };
        Ok(())
    }

    /// The page of each plane, T slowest, C fastest, of a file with so many pages.
    pub fn pages(&self, pages: usize) -> Result<Vec<usize>, Fault> {
        let [frames, slices, channels] = self.lengths;
        let planes = frames
            .checked_mul(slices)
            .and_then(|planes| planes.checked_mul(channels));
        let planes = planes.filter(|planes| *planes <= pages).ok_or_else(|| {
            let expected = format!("{frames} frames of {slices} slices and {channels} channels");
            damaged(format!("pages for {expected}"), format!("{pages} pages"))
        })?;
        let mut map = vec![usize::MAX; planes];
        let whole = [Block {
            first: [0; 3],
            page: None,
            count: None,
        }];
        let blocks = if self.blocks.is_empty() {
            &whole
        } else {
            &self.blocks[..]
        };
        // Every plane is said once; blocks that say more are not followed.
        let mut left = planes;
        for block in blocks {
            let count = block
                .count
                .unwrap_or(if block.page.is_some() { 1 } else { planes });
            let outside = (0..3).any(|axis| block.first[axis] >= self.lengths[axis]);
            let start = position(
                self.order.map(|axis| block.first[axis]),
                self.order.map(|axis| self.lengths[axis]),
            );
            let (Some(start), false) = (start, outside) else {
                return Err(damaged(
                    "TiffData within the axes",
                    format!("{:?}", block.first),
                ));
            };
            for step in 0..count.min(planes - start) {
                let page = block.page.unwrap_or(0).saturating_add(step);
                let place = &mut map[self.plane(start + step)];
                if *place != usize::MAX || page >= pages {
                    let expected =
                        format!("TiffData that names {planes} planes on {pages} pages, each once");
                    return Err(damaged(
                        expected,
                        format!("page {page} for {:?}", block.first),
                    ));
                }
                *place = page;
                left -= 1;
            }
        }
        match left {
            0 => Ok(map),
            _ => Err(damaged(
                format!("TiffData for {planes} planes"),
                format!("{} of them", planes - left),
            )),
        }
    }

    /// Which plane, T slowest, C fastest, is the one at a place in the file's order.
    fn plane(&self, mut place: usize) -> usize {
        let mut at = [0; 3];
        for axis in self.order.into_iter().rev() {
            at[axis] = place % self.lengths[axis];
            place /= self.lengths[axis];
        }
        (at[T] * self.lengths[Z] + at[Z]) * self.lengths[C] + at[C]
    }
}

/// Where an index stands in row-major order.
fn position(index: [usize; 3], lengths: [usize; 3]) -> Option<usize> {
    let mut sum = 0usize;
    for (at, length) in index.into_iter().zip(lengths) {
        sum = sum.checked_mul(length)?.checked_add(at)?;
    }
    Some(sum)
}

fn seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "s" => 1.0,
        "ms" => 1e-3,
        "µs" | "μs" => 1e-6,
        "min" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    })
}

fn text_of(element: &BytesStart, name: &str) -> Result<Option<String>, Fault> {
    let attribute = element.try_get_attribute(name);
    let attribute = attribute.map_err(|error| damaged("XML", error.to_string()))?;
    let text = attribute.map(|attribute| {
        let text = attribute.normalized_value(XmlVersion::Implicit1_0);
        text.map(|text| text.into_owned())
    });
    text.transpose()
        .map_err(|error| damaged("XML", error.to_string()))
}

fn number(element: &BytesStart, name: &str) -> Result<Option<usize>, Fault> {
    let Some(text) = text_of(element, name)? else {
        return Ok(None);
    };
    let number = text.parse();
    number
        .map(Some)
        .map_err(|_| damaged(format!("a number in {name}"), text))
}
