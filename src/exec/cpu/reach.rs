//! Which input pixels an output pixel of a convolution (or another spatial op) needs, and the rows they are held in.

use crate::nn::{Op, Shape};

/// Along one axis: output positions `phase + j * every` need the input positions `j * step + low ..= j * step + high`,
/// for every phase below `every`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis {
    pub(super) every: usize,
    pub(super) step: usize,
    pub(super) low: isize,
    pub(super) high: isize,
}

impl Axis {
    /// Of an op that is not pointwise, for the axis 0 (rows) or 1 (columns).
    pub(super) fn of(op: &Op, axis: usize) -> Self {
        let plain = Self {
            every: 1,
            step: 1,
            low: 0,
            high: 0,
        };
        match op {
            Op::Conv(conv) => {
                let before = conv.padding[axis][0];
                let (kernel, stride) = (conv.kernel[axis], conv.stride[axis]);
                let last = kernel as isize - 1;
                if conv.transposed {
                    let every = stride as isize;
                    // Of the phases, the first reaches back furthest, and the last the other way.
                    let low = (before - last + every - 1).div_euclid(every);
                    let high = (every - 1 + before).div_euclid(every);
                    Self {
                        every: stride,
                        step: 1,
                        low: low.min(high),
                        high,
                    }
                } else {
                    Self {
                        every: 1,
                        step: stride,
                        low: -before,
                        high: last - before,
                    }
                }
            }
            Op::PixelShuffle { factor } => Self {
                every: *factor,
                ..plain
            },
            _ => plain,
        }
    }

    /// The input positions that the output positions `first..end` need. They may lie outside of the input.
    pub(super) fn needs(self, first: usize, end: usize) -> [isize; 2] {
        let from = (first / self.every * self.step) as isize + self.low;
        let last = ((end - 1) / self.every * self.step) as isize + self.high;
        [from, last + 1]
    }
}

/// The rows and columns that an op needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) rows: Axis,
    /// How many zero pixels stand before and after each row.
    pub(super) margins: [usize; 2],
    /// How many rows are held at once.
    pub(super) held: usize,
    /// Whether rows before the first or after the last are needed.
    pub(super) outside: bool,
}

impl Reach {
    /// Of an op that is not pointwise, which is computed so many output rows at a time.
    pub(super) fn of(op: &Op, input: Shape, output: Shape, rows_at_once: usize) -> Self {
        let (rows, columns) = (Axis::of(op, 0), Axis::of(op, 1));
        let margins = match op {
            // What it adds is written, not read.
            Op::Pad { .. } => [0, 0],
            _ => {
                let [first, end] = columns.needs(0, output.width);
                let after = end - input.width as isize;
                [(-first).max(0) as usize, after.max(0) as usize]
            }
        };
        let [first, end] = rows.needs(0, output.height);
        let apart = (rows_at_once - 1).div_ceil(rows.every) * rows.step;
        let span = apart + (rows.high - rows.low) as usize + 1;
        Self {
            rows,
            margins,
            held: span.min(input.height),
            outside: first < 0 || end > input.height as isize,
        }
    }
}

/// Rows of an image, `[row][column][channel]`, of which the last few may be held only.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows<'a> {
    pub(super) data: &'a [f32],
    /// The shape of the whole image.
    pub(super) shape: Shape,
    /// Row `y` is the slot `y % held`; behind the slots is one of zeros, if there are margins or rows outside.
    pub(super) held: usize,
    /// The zero pixels before and after each row.
    pub(super) margins: [usize; 2],
}

impl Rows<'_> {
    /// From one slot to the next.
    pub(super) fn pitch(&self) -> usize {
        pitch(self.shape, self.margins)
    }

    /// Where a row's first pixel lies, its margin left out; `None` if the image has no such row.
    pub(super) fn start(&self, row: isize) -> Option<usize> {
        let row = usize::try_from(row)
            .ok()
            .filter(|row| *row < self.shape.height)?;
        Some((row % self.held) * self.pitch() + self.margins[0] * self.shape.channels)
    }

    /// The same, in the slot of zeros if the image has no such row.
    pub(super) fn start_or_zeros(&self, row: isize) -> usize {
        let zeros = self.held * self.pitch() + self.margins[0] * self.shape.channels;
        self.start(row).unwrap_or(zeros)
    }
}

/// The numbers of a row with its margins.
pub(super) fn pitch(shape: Shape, margins: [usize; 2]) -> usize {
    (margins[0] + shape.width + margins[1]) * shape.channels
}
