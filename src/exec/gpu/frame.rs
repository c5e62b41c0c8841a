//! Frames around a network on the GPU: the tables that kernels need of them, and their dispatches.

use std::ops::Range;

use super::lower::THREADS;
use super::place::{Place, vectors};
use super::record::{Dispatch, folded};
use super::shader::{Constant, Kernel, Shader};
use crate::exec::{Finish, Frame, frame::sources};
use crate::image::{PixelType, Windows};

/// The tables of a frame, in words, and where each begins.
pub(super) struct Tables {
    pub(super) words: Vec<u32>,
    rows: u32,
    columns: u32,
    tops: u32,
    lefts: u32,
    /// What is done to numbers on their way in, and out.
    scalings: u32,
    backs: u32,
    over_rows: u32,
    over_columns: u32,
    weights: u32,
}

impl Tables {
    /// The tables of a frame that fits its network.
    pub(super) fn new(frame: &Frame) -> Self {
        let windows = &frame.windows;
        let mut words: Vec<u32> = Vec::new();
        let mut put = |list: Vec<u32>| {
            let at = words.len() as u32;
            words.extend(list);
            at
        };
        let counted = |list: &[usize]| list.iter().map(|v| *v as u32).collect::<Vec<u32>>();
        let [from_rows, from_columns] = sources(windows);
        let [over_rows, over_columns] = [0, 1].map(|axis| {
            let covering = (0..windows.frame[axis]).flat_map(|position| {
                let position = position + windows.before[axis];
                let starts = &windows.starts[axis];
                // The windows whose last row or column is not before it, up to those that begin behind it.
                let first = starts.partition_point(|start| start + windows.side <= position);
                let end = starts.partition_point(|start| *start <= position);
                [first as u32, end as u32]
            });
            covering.collect::<Vec<u32>>()
        });
        let scalings = frame.scaling.iter().flat_map(|scaling| {
            let (range, standard) = (scaling.range.as_ref(), scaling.standard.as_ref());
            let bits = |number: Option<f32>| number.unwrap_or(0.0).to_bits();
            [
                u32::from(range.is_some()),
                bits(range.map(|range| range.low)),
                bits(range.map(|range| range.span + range.eps)),
                u32::from(range.is_some_and(|range| range.clip)),
                u32::from(standard.is_some()),
                bits(standard.map(|standard| standard.mean)),
                bits(standard.map(|standard| standard.deviation + 1e-6)),
            ]
        });
        let backs = frame.scaling.iter().flat_map(|scaling| {
            let (range, standard) = (scaling.range.as_ref(), scaling.standard.as_ref());
            let bits = |number: Option<f32>| number.unwrap_or(0.0).to_bits();
            [
                u32::from(standard.is_some()),
                bits(standard.map(|standard| standard.mean)),
                bits(standard.map(|standard| standard.deviation)),
                u32::from(range.is_some()),
                bits(range.map(|range| range.low)),
                bits(range.map(|range| range.span)),
            ]
        });
        let weights = windows.weights.iter().map(|weight| weight.to_bits());
        Self {
            rows: put(counted(&from_rows)),
            columns: put(counted(&from_columns)),
            tops: put(counted(&windows.starts[0])),
            lefts: put(counted(&windows.starts[1])),
            scalings: put(scalings.collect()),
            backs: put(backs.collect()),
            over_rows: put(over_rows),
            over_columns: put(over_columns),
            weights: put(weights.collect()),
            words,
        }
    }

    /// Cuts windows out of the frame, from `first` on.
    pub(super) fn gather(
        &self,
        frame: &Frame,
        input: Place,
        pitch: usize,
        first: usize,
    ) -> Dispatch {
        let windows = &frame.windows;
        let kind = match frame.pixels.kind() {
            PixelType::U8 => 0,
            PixelType::U16 => 1,
            PixelType::I16 => 2,
            PixelType::F32 => 3,
            PixelType::U32 => 4,
            PixelType::I32 => 5,
        };
        let numbers = vec![
            ("pitch", pitch as u32),
            ("result", input.offset),
            ("vectors", input.width()),
            ("channels", input.shape.channels as u32),
            ("side", windows.side as u32),
            ("height", windows.frame[0] as u32),
            ("width", windows.frame[1] as u32),
            ("kind", kind),
            ("rows", self.rows),
            ("columns", self.columns),
            ("tops", self.tops),
            ("lefts", self.lefts),
            ("across", windows.starts[1].len() as u32),
            ("scalings", self.scalings),
            ("first", first as u32),
        ];
        around(Kernel::Gather, Some(input), numbers, vectors(input.shape))
    }

    /// Adds the results of `count` windows from `first` on to the frame's sums.
    pub(super) fn blend(
        &self,
        frame: &Frame,
        output: Place,
        pitch: usize,
        [first, count]: [usize; 2],
    ) -> Dispatch {
        let windows = &frame.windows;
        let [height, width] = windows.frame;
        let channels = output.shape.channels;
        let rows = covered(windows, first, count);
        let numbers = vec![
            ("pitch", pitch as u32),
            ("source", output.offset),
            ("vectors", output.width()),
            ("channels", channels as u32),
            ("side", windows.side as u32),
            ("height", height as u32),
            ("width", width as u32),
            ("before_y", windows.before[0] as u32),
            ("before_x", windows.before[1] as u32),
            ("over_rows", self.over_rows),
            ("over_columns", self.over_columns),
            ("tops", self.tops),
            ("lefts", self.lefts),
            ("across", windows.starts[1].len() as u32),
            ("weights", self.weights),
            ("first", first as u32),
            ("count", count as u32),
            ("top", rows.start as u32),
            ("rows", rows.len() as u32),
        ];
        let items = (channels + 1) * rows.len() * width;
        around(Kernel::Blend, Some(output), numbers, items)
    }

    /// Makes the frame's sums its result.
    pub(super) fn finish(&self, frame: &Frame, channels: usize) -> Dispatch {
        let pixels = frame.windows.frame[0] * frame.windows.frame[1];
        let finish = match frame.finish {
            Finish::Keep => 0,
            Finish::ScaleBack => 1,
            Finish::Sigmoid => 2,
        };
        let numbers = vec![
            ("channels", channels as u32),
            ("pixels", pixels as u32),
            ("scalings", self.backs),
            ("finish", finish),
        ];
        around(Kernel::Finish, None, numbers, channels * pixels)
    }
}

/// The rows of a frame that `count` windows from `first` on lie over.
fn covered(windows: &Windows, first: usize, count: usize) -> Range<usize> {
    let across = windows.starts[1].len();
    let within = |row: usize| row.saturating_sub(windows.before[0]).min(windows.frame[0]);
    let top = windows.starts[0][first / across];
    let last = windows.starts[0][(first + count - 1) / across];
    within(top)..within(last + windows.side)
}

/// Planar images to the layout of the arena.
pub(super) fn enter(input: Place, pitch: usize) -> Dispatch {
    let numbers = vec![
        ("pitch", pitch as u32),
        ("result", input.offset),
        ("vectors", input.width()),
        ("channels", input.shape.channels as u32),
        ("pixels", input.shape.pixels() as u32),
    ];
    around(Kernel::Enter, Some(input), numbers, vectors(input.shape))
}

/// Results to planar images.
pub(super) fn leave(output: Place, pitch: usize) -> Dispatch {
    let numbers = vec![
        ("pitch", pitch as u32),
        ("source", output.offset),
        ("vectors", output.width()),
        ("channels", output.shape.channels as u32),
        ("pixels", output.shape.pixels() as u32),
    ];
    around(
        Kernel::Leave,
        Some(output),
        numbers,
        output.shape.elements(),
    )
}

/// A dispatch that reads or writes that value of the network.
fn around(
    kernel: Kernel,
    value: Option<Place>,
    numbers: Vec<(&'static str, u32)>,
    items: usize,
) -> Dispatch {
    let split = value.map(|place| ("SPLIT", Constant::Bool(place.split)));
    Dispatch {
        what: kernel.name().to_owned(),
        shader: Shader {
            constants: split.into_iter().collect(),
            ..Shader::plain(kernel)
        },
        numbers,
        steps: Vec::new(),
        workgroups: folded(items.div_ceil(THREADS)),
        flops: items as u64,
    }
}

/// One dispatch of every kind, for tests; the network's input and output are split, or are not.
#[cfg(test)]
pub(super) fn examples(split: bool) -> Vec<Dispatch> {
    use std::sync::Arc;

    use crate::image::{Blending, Pixels, Scaling};
    use crate::nn::Shape;

    let frame = Frame {
        pixels: Pixels::U8(vec![0; 20].into()),
        scaling: vec![Scaling::default()],
        windows: Arc::new(Windows::new([4, 5], 8, 0.5, Blending::Constant)),
        finish: Finish::Keep,
    };
    let place = Place {
        offset: 0,
        shape: Shape::new(1, 8, 8),
        split,
    };
    let tables = Tables::new(&frame);
    vec![
        tables.gather(&frame, place, 64, 0),
        tables.blend(&frame, place, 64, [0, 1]),
        tables.finish(&frame, 1),
        enter(place, 64),
        leave(place, 64),
    ]
}
