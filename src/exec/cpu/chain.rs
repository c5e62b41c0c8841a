//! Runs a band of a chain: strip after strip, what is between its steps staying in buffers of its thread.

use std::mem;
use std::ops::Range;

use pulp::Arch;

use super::aligned::Aligned;
use super::pointwise::{Pixels, Regrouping};
use super::prepare::{At, Prepared, Spatial, SpatialOp, Step, StepOp, To};
use super::profile::Laps;
use super::reach::{Rows, pitch};
use super::reduce;

/// The kept values of an image that a chain reads: all but its result.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image<'a> {
    before: &'a [f32],
    after: &'a [f32],
    /// Where `after` begins.
    rest: usize,
}

impl<'a> Image<'a> {
    /// An image's values and, apart, its place for a chain's result.
    pub(super) fn split(
        values: &'a mut [f32],
        result: Option<&Range<usize>>,
    ) -> (Self, &'a mut [f32]) {
        let end = values.len();
        let result = result.cloned().unwrap_or(end..end);
        let (before, rest) = values.split_at_mut(result.start);
        let (own, after) = rest.split_at_mut(result.len());
        let image = Self {
            before,
            after,
            rest: result.end,
        };
        (image, own)
    }

    fn get(&self, place: &Range<usize>) -> &'a [f32] {
        match place.start.checked_sub(self.rest) {
            Some(start) => &self.after[start..][..place.len()],
            None => &self.before[place.clone()],
        }
    }
}

/// The buffers of a thread.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) slots: Vec<Aligned>,
    pub(super) ring: Aligned,
    pub(super) starts: Vec<usize>,
    pub(super) work: Vec<f32>,
    /// The thread's clock, if a profile is made.
    pub(super) laps: Option<Laps>,
}

impl Scratch {
    /// Notes that a step of a strip is done: the chain's steps count from 0, its reductions follow.
    fn lap(&mut self, step: usize) {
        if let Some(laps) = &mut self.laps {
            laps.lap(step);
        }
    }
}

/// Some neighbouring strips of one image.
pub(super) struct Band<'a> {
    pub(super) arch: Arch,
    pub(super) chain: &'a Prepared,
    pub(super) image: Image<'a>,
    pub(super) strips: Range<usize>,
    /// Where the strips' result is kept; empty if it is not.
    pub(super) result: &'a mut [f32],
    /// The partial results of reductions, strip by strip.
    pub(super) partials: &'a mut [f64],
}

impl Band<'_> {
    /// Computes it.
    pub(super) fn run(self, scratch: &mut Scratch) {
        let Self {
            arch,
            chain,
            image,
            strips,
            mut result,
            mut partials,
        } = self;
        let worker = Worker { arch, chain, image };
        if let Some(laps) = &mut scratch.laps {
            laps.begin();
        }
        let mut next_row = worker.begin(&strips, scratch);
        let first_after = chain.steps() - chain.after.len();
        for strip in strips {
            let first = strip * chain.strip;
            let pixels = first..(first + chain.strip).min(chain.output.pixels());
            let numbers = match chain.result {
                Some(_) => pixels.len() * chain.output.channels,
                None => 0,
            };
            let (own, rest) = mem::take(&mut result).split_at_mut(numbers);
            result = rest;
            if let Some(spatial) = &chain.spatial {
                let rows = pixels.start / chain.output.width..pixels.end / chain.output.width;
                worker.spatial(spatial, rows, &mut next_row, own, scratch);
                scratch.lap(chain.before.len());
            }
            for (index, step) in chain.after.iter().enumerate() {
                worker.step(step, pixels.clone(), own, scratch);
                scratch.lap(first_after + index);
            }
            let (partial, rest) = mem::take(&mut partials).split_at_mut(chain.partials());
            partials = rest;
            worker.reduce(pixels, own, partial, scratch);
            scratch.lap(chain.steps());
        }
    }
}

/// What is the same for all strips of an image.
struct Worker<'a> {
    arch: Arch,
    chain: &'a Prepared,
    image: Image<'a>,
}

/// Takes the buffer that a step writes out of the scratch.
fn take(to: To, scratch: &mut Scratch) -> Aligned {
    match to {
        To::Slot(slot) => mem::take(&mut scratch.slots[slot]),
        To::Result => Aligned::default(),
    }
}

/// Puts it back.
fn put(to: To, buffer: Aligned, scratch: &mut Scratch) {
    if let To::Slot(slot) = to {
        scratch.slots[slot] = buffer;
    }
}

impl Worker<'_> {
    /// Readies the rows for a band; the first row that it needs.
    fn begin(&self, strips: &Range<usize>, scratch: &mut Scratch) -> usize {
        let Some(spatial) = &self.chain.spatial else {
            return 0;
        };
        let first = strips.start * self.chain.strip / self.chain.output.width;
        let [first, _] = spatial.reach.rows.needs(first, first + 1);
        if !spatial.in_place {
            let (channels, margins) = (spatial.input.channels, spatial.reach.margins);
            let width = spatial.input.width;
            let rows =
                scratch.ring[..self.chain.ring].chunks_exact_mut(pitch(spatial.input, margins));
            for (slot, row) in rows.enumerate() {
                if slot == spatial.reach.held {
                    row.fill(0.0);
                } else {
                    row[..margins[0] * channels].fill(0.0);
                    row[(margins[0] + width) * channels..].fill(0.0);
                }
            }
        }
        usize::try_from(first).unwrap_or(0)
    }

    /// The numbers of some pixels that a step reads.
    fn numbers<'b>(
        &'b self,
        from: &At,
        pixels: &Range<usize>,
        channels: usize,
        scratch: &'b Scratch,
    ) -> &'b [f32] {
        match from {
            At::Kept(place) => {
                &self.image.get(place)[pixels.start * channels..pixels.end * channels]
            }
            At::Slot(slot) => &scratch.slots[*slot][..pixels.len() * channels],
            At::Output => &[],
        }
    }

    fn step(&self, step: &Step, pixels: Range<usize>, result: &mut [f32], scratch: &mut Scratch) {
        let mut buffer = take(step.to, scratch);
        let output = match step.to {
            To::Slot(_) => &mut buffer[..pixels.len() * step.outputs],
            To::Result => result,
        };
        match &step.op {
            StepOp::Product(product) => {
                let input = self.numbers(&step.from, &pixels, step.inputs, scratch);
                product.run_pixels(self.arch, input, output);
            }
            StepOp::Regroup(op) => self.arch.dispatch(Regrouping {
                op,
                channels: step.inputs,
                input: self.numbers(&step.from, &pixels, step.inputs, scratch),
                output,
            }),
            StepOp::Concat => self.gather(&pixels, output),
            StepOp::Done => {}
            StepOp::Elementwise(op, operand) => {
                if step.from != At::Output {
                    let input = self.numbers(&step.from, &pixels, step.inputs, scratch);
                    output.copy_from_slice(input);
                }
                let mut work = mem::take(&mut scratch.work);
                let operand = match operand {
                    Some((At::Kept(place), 0)) => self.image.get(place),
                    Some((from, channels)) => self.numbers(from, &pixels, *channels, scratch),
                    None => &[],
                };
                self.arch.dispatch(Pixels {
                    op,
                    channels: step.outputs,
                    operand,
                    data: output,
                    work: &mut work,
                });
                scratch.work = work;
            }
        }
        put(step.to, buffer, scratch);
    }

    /// Copies the channels of all sources together.
    fn gather(&self, pixels: &Range<usize>, output: &mut [f32]) {
        let channels = self.chain.input.channels;
        let mut first = 0;
        for (place, count) in &self.chain.source {
            let numbers = &self.image.get(place)[pixels.start * count..pixels.end * count];
            if *count == channels {
                output.copy_from_slice(numbers);
                return;
            }
            let pixels = output.chunks_exact_mut(channels);
            for (output, numbers) in pixels.zip(numbers.chunks_exact(*count)) {
                output[first..first + count].copy_from_slice(numbers);
            }
            first += count;
        }
    }

    /// Computes rows of the step that looks at several pixels, after the input rows that it needs.
    fn spatial(
        &self,
        spatial: &Spatial,
        rows: Range<usize>,
        next_row: &mut usize,
        result: &mut [f32],
        scratch: &mut Scratch,
    ) {
        let held = match (&spatial.from, spatial.in_place) {
            (Some(At::Kept(place)), true) => Rows {
                data: self.image.get(place),
                shape: spatial.input,
                held: spatial.input.height,
                margins: [0, 0],
            },
            _ => {
                self.fill(spatial, &rows, next_row, scratch);
                Rows {
                    data: &[],
                    shape: spatial.input,
                    held: spatial.reach.held,
                    margins: spatial.reach.margins,
                }
            }
        };
        let mut buffer = take(spatial.to, scratch);
        let output = match spatial.to {
            To::Slot(_) => {
                &mut buffer[..rows.len() * spatial.output.width * spatial.output.channels]
            }
            To::Result => result,
        };
        let input = Rows {
            data: match spatial.in_place {
                true => held.data,
                false => &scratch.ring,
            },
            ..held
        };
        match &spatial.op {
            SpatialOp::Conv(conv) => conv.run(self.arch, input, rows, output, &mut scratch.starts),
            SpatialOp::PixelShuffle(factor) => shuffle(*factor, input, rows, output),
            SpatialOp::Copy => copy(input, rows, spatial.output.width, output),
        }
        put(spatial.to, buffer, scratch);
    }

    /// Computes the input rows that output rows need and that are not held yet.
    fn fill(
        &self,
        spatial: &Spatial,
        rows: &Range<usize>,
        next_row: &mut usize,
        scratch: &mut Scratch,
    ) {
        let [first, end] = spatial.reach.rows.needs(rows.start, rows.end);
        let end = end.clamp(0, spatial.input.height as isize) as usize;
        *next_row = (*next_row).max(first.max(0) as usize);
        let (width, channels) = (spatial.input.width, spatial.input.channels);
        while *next_row < end {
            let count = spatial.rows_at_once.min(end - *next_row);
            let pixels = *next_row * width..(*next_row + count) * width;
            let mut ring = mem::take(&mut scratch.ring);
            let place = |row: usize| {
                let slot = row % spatial.reach.held * pitch(spatial.input, spatial.reach.margins);
                let start = slot + spatial.reach.margins[0] * channels;
                start..start + width * channels
            };
            for (index, step) in self.chain.before.iter().enumerate() {
                self.step(step, pixels.clone(), &mut ring[place(*next_row)], scratch);
                scratch.lap(index);
            }
            for row in *next_row..*next_row + count {
                let own = &mut ring[place(row)];
                match &spatial.from {
                    Some(At::Output) => {}
                    Some(At::Slot(from)) => {
                        let at = (row - *next_row) * width * channels;
                        own.copy_from_slice(&scratch.slots[*from][at..at + width * channels]);
                    }
                    _ => self.gather(&(row * width..(row + 1) * width), own),
                }
            }
            scratch.ring = ring;
            scratch.lap(self.chain.before.len());
            *next_row += count;
        }
    }

    /// Reduces a strip of the last step's result.
    fn reduce(&self, pixels: Range<usize>, result: &[f32], partial: &mut [f64], scratch: &Scratch) {
        let channels = self.chain.output.channels;
        let data = match &self.chain.last {
            At::Output => result,
            from => self.numbers(from, &pixels, channels, scratch),
        };
        let mut rest = partial;
        for (reduction, _) in &self.chain.reductions {
            let (partial, after) = rest.split_at_mut(reduction.partials(channels));
            rest = after;
            self.arch.dispatch(reduce::Strip {
                reduction: *reduction,
                channels,
                data,
                partial,
            });
        }
    }
}

/// Rows of a pixel shuffle.
fn shuffle(factor: usize, input: Rows<'_>, rows: Range<usize>, output: &mut [f32]) {
    let inputs = input.shape.channels;
    let channels = inputs / (factor * factor);
    let width = input.shape.width;
    let lines = output.chunks_exact_mut(width * factor * channels);
    for (row, line) in rows.zip(lines) {
        let start = input.start_or_zeros((row / factor) as isize);
        let pixels = input.data[start..start + width * inputs].chunks_exact(inputs);
        let blocks = line.chunks_exact_mut(factor * channels);
        for (pixel, block) in pixels.zip(blocks) {
            for (j, output) in block.chunks_exact_mut(channels).enumerate() {
                let from = row % factor * factor + j;
                let numbers = pixel[from..].iter().step_by(factor * factor);
                output.iter_mut().zip(numbers).for_each(|(o, v)| *o = *v);
            }
        }
    }
}

/// Rows of a zero padding or a crop, at the bottom and at the right.
fn copy(input: Rows<'_>, rows: Range<usize>, width: usize, output: &mut [f32]) {
    let channels = input.shape.channels;
    let kept = width.min(input.shape.width) * channels;
    for (row, line) in rows.zip(output.chunks_exact_mut(width * channels)) {
        let (own, added) = line.split_at_mut(kept);
        match input.start(row as isize) {
            Some(start) => own.copy_from_slice(&input.data[start..start + kept]),
            None => own.fill(0.0),
        }
        added.fill(0.0);
    }
}
