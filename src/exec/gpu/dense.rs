//! Dispatches of dense convolutions, phase by phase where they are transposed.

use super::lower::{Lowering, THREADS, conv_of};
use super::pack::{Norm, Outputs, pack};
use super::pass::{Core, Pass};
use super::place::{Place, Source};
use super::record::{Dispatch, folded};
use super::shader::{Constant, Kernel, Shader};
use super::tuning::{Block, Tuning};
use crate::nn::{Conv, Shape, ValueId};

/// Up to so many output pixels, threads share out what is summed in place of pixels.
const FEW_PIXELS: usize = 4;

/// How many threads of a workgroup are along x and along y, for so many things along y.
pub(super) fn workgroup(things: usize, most_rows: usize) -> (usize, usize) {
    let rows = things.next_power_of_two().min(most_rows);
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

/// Which kernel computes it, and how many pixels and vectors of outputs each of its threads has.
struct Form {
    kernel: Kernel,
    block: Block,
    slots: usize,
    rows: usize,
}

impl Form {
    /// For so many output pixels and vectors of results.
    fn of(tuning: &Tuning, pixels: usize, results: usize, gate: bool) -> Self {
        if pixels <= FEW_PIXELS {
            return Self {
                kernel: Kernel::Linear,
                block: Block::SINGLE,
                slots: THREADS,
                rows: 1,
            };
        }
        if let Some(tile) = tuning.tile {
            let block = tile.block.gated(gate);
            let blocks = results.div_ceil(block.vectors);
            if blocks >= tile.fewest_rows {
                let (slots, rows) = workgroup(blocks, tile.most_rows);
                let kernel = Kernel::Tiled;
                return Self {
                    kernel,
                    block,
                    slots,
                    rows,
                };
            }
        }
        let block = tuning.registers.fitting(results).gated(gate);
        let (slots, rows) = workgroup(results.div_ceil(block.vectors), tuning.most_rows);
        let slots = tuning.exchange.unwrap_or(slots);
        Self {
            kernel: Kernel::Conv,
            block,
            slots,
            rows,
        }
    }

    /// How many workgroups share out rows and columns of pixels.
    fn tiles(&self, [rows, columns]: [usize; 2]) -> usize {
        let pixels = self.block.pixels;
        match self.kernel {
            Kernel::Conv => (rows * columns.div_ceil(pixels)).div_ceil(self.slots),
            Kernel::Tiled => (rows * columns).div_ceil(self.slots * pixels),
            _ => rows * columns,
        }
    }

    fn constants(&self) -> Vec<(&'static str, Constant)> {
        let mut constants = workgroup_constants(self.slots, self.rows);
        constants.extend([
            ("PIXELS", Constant::Count(self.block.pixels as u32)),
            ("VECTORS", Constant::Count(self.block.vectors as u32)),
        ]);
        constants
    }
}

impl Dense<'_> {
    /// Its dispatches; gives the number of tiles of pixels that they have together.
    pub(super) fn record(self, lowering: &mut Lowering<'_>) -> usize {
        let phases = self.phases();
        let pixels = self.output.pixels();
        let form = Form::of(&lowering.tuning, pixels, self.results(), self.gate);
        let tiles: Vec<usize> = phases
            .iter()
            .map(|phase| form.tiles(self.flattened(phase.size)))
            .collect();
        let all = tiles.iter().sum();
        if self.reduced {
            lowering.reserve_partials(all, self.result.shape);
        }
        let mut first_tile = 0;
        for (phase, tiles) in phases.iter().zip(tiles) {
            let dispatch = self.dispatch(lowering, &form, phase, [first_tile, tiles]);
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
        form: &Form,
        phase: &Phase,
        [first_tile, tiles]: [usize; 2],
    ) -> Dispatch {
        let input = self.source.shape;
        let packed = pack(
            &mut lowering.constants,
            self.conv,
            input.channels,
            [&phase.taps[0], &phase.taps[1]],
            self.outputs(),
            form.block.vectors,
            self.norm,
        );
        let mut constants = form.constants();
        let mut blocks = 1;
        if form.kernel == Kernel::Conv {
            let tuning = &lowering.tuning;
            if self.norm.is_some() {
                blocks = packed.blocks.min(tuning.normed_blocks);
            }
            constants.extend([
                ("BLOCKS", Constant::Count(blocks as u32)),
                ("EXCHANGES", Constant::Bool(tuning.exchange.is_some())),
            ]);
        }
        let groups = packed.blocks.div_ceil(form.rows * blocks);
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
            ("outputs", count(self.results())),
            ("blocks", count(packed.blocks)),
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
            ("groups", count(groups)),
            ("scratch_pitch", 0),
            ("first_tile", count(first_tile)),
        ]);
        constants.extend([
            ("GATED", Constant::Bool(self.gate)),
            ("SCALED", Constant::Bool(self.norm.is_some())),
            ("REDUCED", Constant::Bool(self.reduced)),
            ("SHUFFLED", Constant::Bool(self.factor.is_some())),
            ("SLIDES", Constant::Bool(step[1] == 1)),
            ("SPLIT_RESULT", Constant::Bool(self.result.split)),
        ]);
        constants.extend(self.source.constants());
        let taps = phase.taps[0].len() * phase.taps[1].len();
        Dispatch {
            what: self.what.clone(),
            shader: Shader {
                kernel: form.kernel,
                constants,
                before: self.before.clone(),
                after: self.after.clone(),
            },
            numbers,
            steps: self.steps.clone(),
            workgroups: folded(tiles * groups),
            flops: (2 * taps * input.channels * self.conv.outputs * phase.size[0] * phase.size[1])
                as u64,
        }
    }
}

impl Lowering<'_> {
    pub(super) fn conv(
        &mut self,
        pass: &Pass,
        source: Source,
        result: Place,
        own: &[(ValueId, Place)],
        reduced: bool,
    ) -> Option<usize> {
        let Core::Conv {
            norm,
            conv: value,
            gate,
            shuffle,
        } = pass.core
        else {
            return None;
        };
        let graph = self.graph;
        let conv = conv_of(graph, value)?;
        let norm_op = norm.map(|norm| &graph.node(norm).op);
        let (before, mut steps) = self.steps(&pass.before, own);
        let (after, numbers) = self.steps(&pass.after, own);
        steps.extend(numbers);
        let named = pass.before.iter().copied().chain(norm).chain([value]);
        let mut what = self.words(named.chain(pass.after.iter().copied()));
        if gate {
            what += ", gate";
        }
        if shuffle.is_some() {
            what += ", pixel shuffle";
        }
        let dense = Dense {
            conv,
            output: graph.shape(value),
            norm: norm_op.and_then(Norm::of),
            gate,
            factor: shuffle,
            source,
            result,
            // A shuffled vector's tile is not that of its channels.
            reduced: reduced && shuffle.is_none(),
            before,
            after,
            steps,
            what,
        };
        let tiles = dense.record(self);
        (reduced && shuffle.is_none()).then_some(tiles)
    }
}
