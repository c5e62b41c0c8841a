//! TIFF in and out: pages, and which plane of a stack each of them is.

mod compression;
mod description;
mod directory;
mod layout;
mod ome;
mod page;
mod plane;

use std::collections::HashSet;

use super::error::Fault;
use super::info::{Axes, Calibration, Info};
use super::pixels::Pixels;
use crate::blob::Blob;
use compression::Compression;
use description::{Declared, T};
use directory::{Directories, Directory};
pub(super) use layout::Layout;
use ome::Ome;
use page::{
    DESCRIPTION, HEIGHT, Page, RESOLUTION_UNIT, SUBFILE, WIDTH, X_RESOLUTION, Y_RESOLUTION,
};

/// Private tags of formats whose axes no directory tells: without them, planes would be missing or misnamed.
const PRIVATE: [(u16, &str); 2] = [
    (33629, "a MetaMorph STK stack"),
    (34412, "a Zeiss LSM stack"),
];

/// A stack in a TIFF, of which one plane is read at a time.
#[derive(Debug)]
pub(super) struct Stack {
    file: Directories,
    first: Page,
    planes: Planes,
    info: Info,
}

/// Where planes are, counted with T slowest and C fastest.
#[derive(Debug)]
enum Planes {
    /// Each on a page of its own, whose directory begins there.
    Pages(Vec<u64>),
    /// One after another from a position on, with a directory for the first only, as ImageJ writes more than 4 GiB.
    /// They are counted in the file's own order, the slowest axis first.
    Contiguous {
        start: u64,
        size: u64,
        order: [usize; 3],
    },
}

impl Stack {
    /// Reads all directories, and no pixels.
    pub fn open(blob: Blob) -> Result<Self, Fault> {
        let (mut file, at) = Directories::open(blob)?;
        if at == 0 {
            return Err(Fault::damaged("its header", "a first directory", "none"));
        }
        let place = "page 1";
        let directory = file.directory(at, place)?;
        if let Some((_, what)) = PRIVATE.iter().find(|(tag, _)| directory.has(*tag)) {
            return Err(Fault::unsupported(*what));
        }
        let first = Page::read(&mut file, &directory, place)?;
        let pages = walk(&mut file, at, &first)?;
        let text = file
            .text(&directory, DESCRIPTION, place)?
            .unwrap_or_default();
        let (lengths, planes, calibration) = if ome::looks_like(&text) {
            let ome = Ome::read(&text, first.channels)?;
            let map = ome.pages(pages.len())?;
            let pages = map.into_iter().map(|page| pages[page]).collect();
            (ome.lengths, Planes::Pages(pages), ome.calibration)
        } else {
            let declared = Declared::read(&text);
            let (lengths, planes) = arrange(&file, &first, pages, declared.as_ref())?;
            let declared = declared.unwrap_or_default();
            let calibration = calibration(&mut file, &directory, &declared)?;
            (lengths, planes, calibration)
        };
        let [frames, slices, channels] = lengths;
        let channels = channels.checked_mul(first.channels);
        let channels = channels.ok_or_else(|| {
            Fault::damaged(
                place,
                "channels that can be counted",
                format!("{lengths:?}"),
            )
        })?;
        Ok(Self {
            info: Info {
                axes: Axes::new(frames, slices, channels, first.height, first.width),
                kind: first.sample.kind(),
                calibration,
            },
            file,
            first,
            planes,
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
        let pages = axes.channels / self.first.channels;
        let (at, sample) = (channel / self.first.channels, channel % self.first.channels);
        let page = match &self.planes {
            Planes::Pages(places) => {
                let index = (frame * axes.slices + slice) * pages + at;
                let place = format!("the page of frame {frame}, slice {slice}, channel {channel}");
                let directory = self.file.directory(places[index], &place)?;
                let page = Page::read(&mut self.file, &directory, &place)?;
                if !page.like(&self.first) {
                    let expected = format!("{}, as on page 1", self.first.form());
                    return Err(Fault::damaged(place, expected, page.form()));
                }
                page
            }
            Planes::Contiguous { start, size, order } => {
                let lengths = [axes.frames, axes.slices, pages];
                let index = [frame, slice, at];
                let index = order
                    .iter()
                    .fold(0, |sum, axis| sum * lengths[*axis] + index[*axis]);
                Page {
                    place: format!(
                        "plane {} of {}",
                        index + 1,
                        lengths.iter().product::<usize>()
                    ),
                    chunk: [self.first.height, self.first.width],
                    chunks: chunks(&self.first, start + index as u64 * size, *size),
                    ..self.first.clone()
                }
            }
        };
        let bytes = page.plane(&self.file, sample)?;
        let pixels = page.sample.pixels(&bytes);
        pixels.map_err(|value| Fault::damaged(page.place, "numbers of at most 32 bits", value))
    }
}

/// The chunks of a page whose samples lie in one piece.
fn chunks(page: &Page, start: u64, size: u64) -> Vec<(u64, u64)> {
    match page.planar {
        false => vec![(start, size)],
        true => {
            let size = size / page.samples as u64;
            (0..page.samples as u64)
                .map(|sample| (start + sample * size, size))
                .collect()
        }
    }
}

/// Where the directories begin. Smaller versions of other pages are passed over.
fn walk(file: &mut Directories, start: u64, first: &Page) -> Result<Vec<u64>, Fault> {
    let (mut places, mut seen) = (Vec::new(), HashSet::new());
    let mut at = start;
    while at != 0 {
        let place = format!("page {}", seen.len() + 1);
        if !seen.insert(at) {
            let found = format!("the directory at byte {at} again");
            return Err(Fault::damaged(place, "another directory", found));
        }
        let directory = file.directory(at, &place)?;
        let reduced = file.first(&directory, SUBFILE, &place)?.unwrap_or(0) & 1 == 1;
        if !reduced || at == start {
            let height = file.first(&directory, HEIGHT, &place)?.unwrap_or(0);
            let width = file.first(&directory, WIDTH, &place)?.unwrap_or(0);
            if (height, width) != (first.height as u64, first.width as u64) {
                let expected = format!(
                    "{} rows and {} columns, as on page 1",
                    first.height, first.width
                );
                let found = format!("{height} rows and {width} columns");
                return Err(Fault::damaged(place, expected, found));
            }
            places.push(at);
        }
        at = directory.next;
    }
    Ok(places)
}

/// The lengths of T, Z and C (in pages), and where the planes are.
fn arrange(
    file: &Directories,
    first: &Page,
    pages: Vec<u64>,
    declared: Option<&Declared>,
) -> Result<([usize; 3], Planes), Fault> {
    let plain = |pages: Vec<u64>| ([pages.len(), 1, 1], Planes::Pages(pages));
    let Some(declared) = declared else {
        return Ok(plain(pages));
    };
    let mut declared = declared.clone();
    let bundled = declared.lengths[2] == first.channels && first.channels > 1;
    if bundled
        && (declared.images.is_none() || declared.product() != declared.images || pages.len() == 1)
    {
        // Bio-Formats counts the samples of a page as channels.
        declared.lengths[2] = 1;
    }
    if declared.product() == Some(1) {
        declared.lengths[T] = declared.images.unwrap_or(1).max(pages.len());
    }
    let product = declared.product();
    if product == Some(pages.len()) {
        return Ok((declared.lengths, Planes::Pages(sorted(pages, &declared))));
    }
    if pages.len() == 1
        && let Some(planes) = contiguous(file, first, &declared)?
    {
        return Ok((declared.lengths, planes));
    }
    if !declared.binding {
        return Ok(plain(pages));
    }
    let [frames, slices, channels] = declared.lengths;
    let expected = format!("{frames} frames of {slices} slices and {channels} channels");
    let found = format!("{} pages", pages.len());
    Err(Fault::damaged(
        "its ImageDescription",
        format!("pages for {expected}"),
        found,
    ))
}

/// Pages in the order T, Z, C of a stack that has them in another.
fn sorted(pages: Vec<u64>, declared: &Declared) -> Vec<u64> {
    let lengths = declared.lengths;
    let mut sorted = Vec::with_capacity(pages.len());
    for index in 0..pages.len() {
        let at = [
            index / (lengths[1] * lengths[2]),
            index / lengths[2] % lengths[1],
            index % lengths[2],
        ];
        let place = declared
            .order
            .iter()
            .fold(0, |sum, axis| sum * lengths[*axis] + at[*axis]);
        sorted.push(pages[place]);
    }
    sorted
}

/// The planes of a stack with a single directory, if the file is long enough for them.
fn contiguous(
    file: &Directories,
    first: &Page,
    declared: &Declared,
) -> Result<Option<Planes>, Fault> {
    let (Some(planes), Some(size)) = (declared.product(), first.bytes()) else {
        return Ok(None);
    };
    let mut end = first.chunks.first().map_or(0, |(start, _)| *start);
    let start = end;
    let together = first.compression == Compression::None && !first.tiled;
    let together = together
        && first.chunks.iter().all(|(start, size)| {
            let follows = *start == end;
            end = start.saturating_add(*size);
            follows
        });
    if !together || end - start != size {
        return Ok(None);
    }
    let needed = (planes as u64)
        .checked_mul(size)
        .and_then(|all| all.checked_add(start));
    if needed.is_some_and(|needed| needed <= file.blob.size()) {
        let order = declared.order;
        return Ok(Some(Planes::Contiguous { start, size, order }));
    }
    if !declared.binding {
        return Ok(None);
    }
    let expected = format!(
        "{planes} planes of {size} bytes from byte {start} on, as its ImageDescription says"
    );
    let found = format!("a file of {} bytes", file.blob.size());
    Err(Fault::damaged("its pixels", expected, found))
}

/// Pixel size from the resolutions, in the description's unit; TIFF's own unit counts where it is the centimetre.
fn calibration(
    file: &mut Directories,
    directory: &Directory,
    declared: &Declared,
) -> Result<Calibration, Fault> {
    let place = "page 1";
    let resolution = [
        file.fraction(directory, Y_RESOLUTION, place)?,
        file.fraction(directory, X_RESOLUTION, place)?,
    ];
    let centimetres = file.first(directory, RESOLUTION_UNIT, place)? == Some(3);
    let unit = declared.unit.or(centimetres.then_some(1e4));
    let pixel = resolution[0].zip(resolution[1]).zip(unit);
    Ok(Calibration {
        pixel: pixel.map(|((down, across), unit)| [unit / down, unit / across]),
        spacing: declared
            .spacing
            .zip(declared.unit)
            .map(|(spacing, unit)| spacing * unit),
        interval: declared.interval,
    })
}
