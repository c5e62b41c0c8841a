//! Dispatches that move single numbers: concatenations, gates, pixel shuffles, padding and cropping.

use super::lower::{Lowering, THREADS};
use super::place::{Place, Source, vectors};
use super::record::{Dispatch, folded};
use super::shader::{Constant, Kernel, Shader};
use crate::nn::{Op, ValueId};

/// A run of the kernel that moves single numbers.
struct Moved {
    source: Place,
    result: Place,
    channels: usize,
    factor: usize,
    start: usize,
    to: usize,
    gated: bool,
}

impl Moved {
    /// All channels of `source`, as they are.
    fn plain(source: Place, result: Place) -> Self {
        Self {
            source,
            result,
            channels: source.shape.channels,
            factor: 1,
            start: 0,
            to: 0,
            gated: false,
        }
    }
}

impl Lowering<'_> {
    pub(super) fn concatenate(&mut self, values: &[ValueId], result: Place) {
        let mut to = 0;
        for value in values {
            let source = self.place(*value);
            let mut moved = Moved::plain(source, result);
            moved.to = to;
            to += source.shape.channels;
            self.rearrange("concatenation", moved);
        }
    }

    /// A source as one value: what is two is copied together, for kernels that read one only.
    pub(super) fn together(&mut self, source: Source) -> Place {
        let Some(second) = source.second else {
            return source.first;
        };
        let room = self.room(source.shape, false);
        for (place, to) in [(source.first, 0), (second, source.first.shape.channels)] {
            let mut part = Moved::plain(place, room);
            part.to = to;
            self.rearrange("concatenation", part);
        }
        room
    }

    /// An op that moves single numbers.
    pub(super) fn moved(&mut self, value: ValueId, source: Source, result: Place) {
        let source = self.together(source);
        let mut moved = Moved::plain(source, result);
        moved.channels = result.shape.channels;
        match self.graph.node(value).op {
            Op::Channels { start, .. } => moved.start = start,
            Op::PixelShuffle { factor } => moved.factor = factor,
            Op::Gate => moved.gated = true,
            // Zero padding and cropping: rows and columns are simply more or fewer.
            _ => {}
        }
        self.rearrange(&self.words([value]), moved);
    }

    fn rearrange(&mut self, what: &str, moved: Moved) {
        let (from, to) = (moved.source, moved.result);
        self.push(Dispatch {
            what: what.to_owned(),
            shader: Shader {
                constants: vec![
                    ("GATED", Constant::Bool(moved.gated)),
                    ("SPLIT_SOURCE", Constant::Bool(from.split)),
                    ("SPLIT_RESULT", Constant::Bool(to.split)),
                ],
                ..Shader::plain(Kernel::Rearrange)
            },
            numbers: vec![
                ("pitch", 0),
                ("source", from.offset),
                ("source_width", from.width()),
                ("height", from.shape.height as u32),
                ("width", from.shape.width as u32),
                ("result", to.offset),
                ("result_width", to.width()),
                ("rows", to.shape.height as u32),
                ("columns", to.shape.width as u32),
                ("channels", moved.channels as u32),
                ("factor", moved.factor as u32),
                ("start", moved.start as u32),
                ("to", moved.to as u32),
            ],
            steps: Vec::new(),
            workgroups: folded(vectors(to.shape).div_ceil(THREADS)),
            flops: to.shape.elements() as u64,
        });
    }
}
