//! Dispatches of convolutions: dense ones, phase by phase where they are transposed, and depthwise ones.

use super::lower::{Lowering, Place, Source, THREADS, conv_of, vectors};
use super::pack::{Norm, Outputs, pack};
use super::pass::{Core, Pass};
use super::record::{Dispatch, LANES, folded};
use super::shader::{Constant, Kernel, Shader};
use crate::nn::{Conv, Shape, ValueId};

/// The most rows of threads of a workgroup.
const MOST_ROWS: usize = 4;

/// A thread computes so many neighbouring pixels of a dense, or a depthwise, convolution.
const PIXELS: usize = 8;
const DEPTHWISE_PIXELS: usize = 4;

/// How many threads of a workgroup are along x and along y, for so many things along y.
pub(super) fn workgroup(things: usize) -> (usize, usize) {
    let rows = things.next_power_of_two().min(MOST_ROWS);
    (THREADS / rows, rows)
}

pub(super) fn workgroup_constants(slots: usize, rows: usize) -> Vec<(&'static str, Constant)> {
    vec![
        ("SLOTS", Constant::Count(slots as u32)),
        ("ROWS", Constant::Count(rows as u32)),
    ]
}

/// A dense convolution, and what is done with it in one kernel.
pub(super) struct Dense<'a> {
    pub(super) conv: &'a Conv,
    /// What comes out of the convolution itself.
    pub(super) output: Shape,
    pub(super) norm: Option<Norm<'a>>,
    pub(super) gate: bool,
    /// Of a pixel shuffle.
    pub(super) factor: Option<usize>,
    pub(super) source: Source,
    pub(super) result: Place,
    pub(super) reduced: bool,
    pub(super) before: Vec<&'static str>,
    pub(super) after: Vec<&'static str>,
    pub(super) steps: Vec<[u32; 4]>,
    pub(super) what: String,
}

/// Every so many rows and columns of the output, which the same taps give.
struct Phase {
    /// The first output row and column.
    start: [usize; 2],
    /// Rows and columns of output pixels.
    size: [usize; 2],
    /// The taps' kernel rows and columns.
    taps: [Vec<usize>; 2],
    /// The input row (column) of the first tap, for the first output row.
    first: [isize; 2],
}

impl Dense<'_> {
    /// Its dispatches; gives the number of tiles of pixels that they have together.
    pub(super) fn record(self, lowering: &mut Lowering<'_>) -> usize {
        let phases = self.phases();
        let (slots, _) = self.workgroup();
        let tiles: Vec<usize> = phases
            .iter()
            .map(|phase| {
                let [rows, columns] = self.flattened(phase.size);
                (rows * columns.div_ceil(PIXELS)).div_ceil(slots)
            })
            .collect();
        let all = tiles.iter().sum();
        if self.reduced {
            lowering.reserve_partials(all, self.result.shape);
        }
        let mut first_tile = 0;
        for (phase, tiles) in phases.iter().zip(tiles) {
            let dispatch = self.dispatch(lowering, phase, tiles, first_tile);
            lowering.push(dispatch);
            first_tile += tiles;
        }
        all
    }

    /// Whether it can run over the pixels as if they were one row.
    fn is_flat(&self) -> bool {
        self.conv.is_pointwise() && self.factor.is_none() && !self.conv.transposed
    }

    fn flattened(&self, size: [usize; 2]) -> [usize; 2] {
        match self.is_flat() {
            true => [1, size[0] * size[1]],
            false => size,
        }
    }

    fn outputs(&self) -> Outputs {
        match self.factor {
            _ if self.gate => Outputs::Gated,
            Some(factor) => Outputs::Shuffled { factor },
            None => Outputs::Plain,
        }
    }

    /// Vectors of results, those of each pixel of a shuffled block counted apart.
    fn results(&self) -> usize {
        let square = self.factor.map_or(1, |factor| factor * factor);
        self.result.width() as usize * square
    }

    fn workgroup(&self) -> (usize, usize) {
        workgroup(match self.gate {
            true => self.results(),
            false => self.results().div_ceil(2),
        })
    }

    fn phases(&self) -> Vec<Phase> {
        let every = self.every();
        let sides = [self.output.height, self.output.width];
        let mut phases = Vec::new();
        // Phases beyond the output have no pixels.
        for row in 0..every[0].min(sides[0]) {
            for column in 0..every[1].min(sides[1]) {
                let start = [row, column];
                let found = [0, 1].map(|axis| self.conv.taps(axis, start[axis]));
                let first = [0, 1].map(|axis| found[axis].first().map_or(0, |(_, at)| *at));
                let size = [0, 1].map(|axis| (sides[axis] - start[axis]).div_ceil(every[axis]));
                phases.push(Phase {
                    start,
                    size,
                    taps: found.map(|taps| taps.into_iter().map(|(k, _)| k).collect()),
                    first,
                });
            }
        }
        phases
    }

    /// From an output row (column) of a phase to its next.
    fn every(&self) -> [usize; 2] {
        match self.conv.transposed {
            true => self.conv.stride,
            false => [1, 1],
        }
    }

    fn dispatch(
        &self,
        lowering: &mut Lowering<'_>,
        phase: &Phase,
        tiles: usize,
        first_tile: usize,
    ) -> Dispatch {
        let input = self.source.shape;
        let packed = pack(
            &mut lowering.constants,
            self.conv,
            input.channels,
            [&phase.taps[0], &phase.taps[1]],
            self.outputs(),
            self.norm,
        );
        let (slots, thread_rows) = self.workgroup();
        let blocks = packed.pairs.div_ceil(thread_rows);
        let [height, width] = self.flattened([input.height, input.width]);
        let [rows, columns] = self.flattened(phase.size);
        let result_columns = match self.is_flat() {
            true => columns,
            false => self.result.shape.width,
        };
        let factor = self.factor.unwrap_or(1);
        let step = match self.conv.transposed {
            true => [1, 1],
            false => self.conv.stride,
        };
        let mut numbers = vec![("pitch", 0)];
        numbers.extend(self.source.numbers());
        let eps = self.norm.map_or(0.0, |norm| norm.eps);
        let count = |number: usize| number as u32;
        numbers.extend([
            ("height", count(height)),
            ("width", count(width)),
            ("channels", count(input.channels)),
            ("eps", eps.to_bits()),
            ("taps_y", count(phase.taps[0].len())),
            ("taps_x", count(phase.taps[1].len())),
            ("step_y", count(step[0])),
            ("step_x", count(step[1])),
            // Two's complement, which the kernel reads it as.
            ("first_y", phase.first[0] as u32),
            ("first_x", phase.first[1] as u32),
            ("weights", packed.weights),
            ("bias", packed.bias),
            ("rows", count(rows)),
            ("columns", count(columns)),
            ("pairs", count(packed.pairs)),
            ("outputs", count(self.results())),
            ("result", self.result.offset),
            ("result_width", self.result.width()),
            ("result_columns", count(result_columns)),
            ("result_channels", count(self.result.shape.channels)),
            ("every_y", count(self.every()[0] * factor)),
            ("every_x", count(self.every()[1] * factor)),
            ("start_y", count(phase.start[0] * factor)),
            ("start_x", count(phase.start[1] * factor)),
            ("factor", count(factor)),
            ("tiles", count(tiles)),
            ("blocks", count(blocks)),
            ("scratch_pitch", 0),
            ("first_tile", count(first_tile)),
        ]);
        let mut constants = workgroup_constants(slots, thread_rows);
        constants.extend([
            ("PAIRED", Constant::Bool(packed.paired)),
            ("GATED", Constant::Bool(self.gate)),
            ("SCALED", Constant::Bool(self.norm.is_some())),
            ("REDUCED", Constant::Bool(self.reduced)),
        ]);
        let taps = phase.taps[0].len() * phase.taps[1].len();
        Dispatch {
            what: self.what.clone(),
            shader: Shader {
                kernel: Kernel::Conv,
                constants,
                before: self.before.clone(),
                after: self.after.clone(),
            },
            numbers,
            steps: self.steps.clone(),
            workgroups: folded(tiles * blocks),
            flops: (2 * taps * input.channels * self.conv.outputs * phase.size[0] * phase.size[1])
                as u64,
        }
    }
}

impl Lowering<'_> {
    pub(super) fn depthwise(
        &mut self,
        pass: &Pass,
        source: Source,
        result: Place,
        own: &[(ValueId, Place)],
    ) {
        let Core::Depthwise { conv: value, gate } = pass.core else {
            return;
        };
        let Some(conv) = conv_of(self.graph, value) else {
            return;
        };
        let (before, mut steps) = self.steps(&pass.before, own);
        let (after, numbers_after) = self.steps(&pass.after, own);
        steps.extend(numbers_after);
        let channels = conv.outputs;
        let weights = self.constants.position();
        // Channels are filled up for each tap.
        for tap in conv.weight.chunks(channels) {
            self.constants.push(tap);
        }
        let bias = match &conv.bias {
            Some(bias) => self.constants.push(bias),
            None => self.constants.push(&vec![0.0; channels]),
        };
        let (input, output) = (source.shape, self.graph.shape(value));
        let first = [0, 1].map(|axis| -conv.padding[axis][0]);
        let groups = output.height * output.width.div_ceil(DEPTHWISE_PIXELS);
        let mut numbers = vec![("pitch", 0)];
        numbers.extend(source.numbers());
        numbers.extend([
            ("height", input.height as u32),
            ("width", input.width as u32),
            ("taps_y", conv.kernel[0] as u32),
            ("taps_x", conv.kernel[1] as u32),
            ("step_y", conv.stride[0] as u32),
            ("step_x", conv.stride[1] as u32),
            // Two's complement, which the kernel reads it as.
            ("first_y", first[0] as u32),
            ("first_x", first[1] as u32),
            ("weights", weights),
            ("bias", bias),
            ("rows", output.height as u32),
            ("columns", output.width as u32),
            ("outputs", result.width()),
            ("result", result.offset),
            ("result_channels", result.shape.channels as u32),
        ]);
        let named = pass.before.iter().copied().chain([value]);
        let mut what = self.words(named.chain(pass.after.iter().copied()));
        if gate {
            what += ", gate";
        }
        self.push(Dispatch {
            what,
            shader: Shader {
                kernel: Kernel::Depthwise,
                constants: vec![("GATED", Constant::Bool(gate))],
                before,
                after,
            },
            numbers,
            steps,
            workgroups: folded((groups * result.width() as usize).div_ceil(THREADS)),
            flops: (2 * conv.kernel[0] * conv.kernel[1] * vectors(output) * LANES) as u64,
        });
    }
}
