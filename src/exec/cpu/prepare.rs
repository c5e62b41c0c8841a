//! Makes a program's chains ready: packs weights, and decides which buffer each step writes.

use std::ops::Range;

use pulp::Arch;

use super::convolution::Convolution;
use super::pointwise::{Elementwise, Regroup, Spread};
use super::reach::{Reach, pitch};
use super::reduce::Reduction;
use crate::exec::ExecError;
use crate::nn::{Chain, Node, Op, Program, Shape, ValueId};

/// Strips are about so many numbers of their widest step, which stay in the nearest caches,
const STRIP: usize = 8192;
/// but at least so many pixels, for which weights are read once,
const FEWEST: usize = 48;
/// and at most so many.
const MOST: usize = 512;

/// A chain that is ready to run.
///
/// Its result is cut into strips of neighbouring pixels, whole rows if one of its steps looks at several pixels. How it
/// is cut depends on shapes alone.
#[derive(Debug)]
pub(super) struct Prepared {
    /// The kept values whose channels it works on, and how many each has.
    pub(super) source: Vec<(Range<usize>, usize)>,
    /// Of the source's values together.
    pub(super) input: Shape,
    /// Run for the input rows that `spatial` needs; empty if there is no such step.
    pub(super) before: Vec<Step>,
    pub(super) spatial: Option<Spatial>,
    /// Run for each strip.
    pub(super) after: Vec<Step>,
    /// Where the last step's result is.
    pub(super) last: At,
    /// Of the last step's result.
    pub(super) output: Shape,
    /// Where the last step's result is kept.
    pub(super) result: Option<Range<usize>>,
    /// What its result is reduced to, and where that is kept.
    pub(super) reductions: Vec<(Reduction, Range<usize>)>,
    /// The pixels of a strip; the last may have less.
    pub(super) strip: usize,
    /// How many numbers each slot must have.
    pub(super) slots: Vec<usize>,
    /// How many numbers the rows that `spatial` needs take.
    pub(super) ring: usize,
}

/// Where a step's input is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// A kept value, of which the step's pixels are taken.
    Kept(Range<usize>),
    Slot(usize),
    /// Where its result is to be.
    Output,
}

/// Where a step's result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Slot(usize),
    /// Where the chain's result is kept.
    Result,
}

/// A pointwise step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) op: StepOp,
    pub(super) from: At,
    pub(super) to: To,
    /// The channels that go in.
    pub(super) inputs: usize,
    /// The channels that come out.
    pub(super) outputs: usize,
}

#[derive(Debug)]
pub(super) enum StepOp {
    /// A matrix product at each pixel.
    Product(Convolution),
    /// With a further input: where it is, and how many numbers of it belong to a pixel, or all if it is a vector.
    Elementwise(Elementwise, Option<(At, usize)>),
    Regroup(Regroup),
    /// The source's values, one after another.
    Concat,
}

/// The step that looks at several pixels.
#[derive(Debug)]
pub(super) struct Spatial {
    pub(super) op: SpatialOp,
    pub(super) input: Shape,
    pub(super) output: Shape,
    pub(super) reach: Reach,
    /// The input rows that are computed at once.
    pub(super) rows_at_once: usize,
    /// Where the input is: read in place, or copied into rows with zeros around them.
    pub(super) from: Option<At>,
    pub(super) in_place: bool,
    pub(super) to: To,
}

#[derive(Debug)]
pub(super) enum SpatialOp {
    Conv(Convolution),
    PixelShuffle(usize),
    /// Zero padding, or a crop.
    Copy,
}

impl Prepared {
    /// How many strips the result has.
    pub(super) fn strips(&self) -> usize {
        self.output.pixels().div_ceil(self.strip)
    }

    /// How many partial results of reductions a strip has.
    pub(super) fn partials(&self) -> usize {
        let channels = self.output.channels;
        let reductions = self.reductions.iter();
        reductions
            .map(|(reduction, _)| reduction.partials(channels))
            .sum()
    }
}

/// Makes a program's chains ready for these instructions.
///
/// # Errors
/// Fails if the program does not hold together, or for lack of memory.
pub(super) fn prepare(arch: Arch, program: &Program) -> Result<Vec<Prepared>, ExecError> {
    let input = program.graph.input_value();
    place(program, input)?;
    place(program, program.graph.output())?;
    let chains = program.chains.iter();
    chains
        .map(|chain| Planner::new(arch, program, chain)?.prepare())
        .collect()
}

/// Where a value is kept.
pub(super) fn place(program: &Program, value: ValueId) -> Result<Range<usize>, ExecError> {
    let place = program.places.get(value.index()).cloned().flatten();
    let elements = program.graph.shape(value).elements();
    place
        .filter(|place| place.end <= program.size && place.len() == elements)
        .ok_or_else(|| unfit(program, value, "a value that is kept", "none"))
}

fn unfit(program: &Program, value: ValueId, expected: &str, found: &str) -> ExecError {
    let op = program.graph.node(value).op.name();
    ExecError::Unfit {
        what: format!("value {} of the network, a {op}", value.index()),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

fn no_memory<T>(what: T) -> ExecError
where
    T: std::fmt::Display,
{
    ExecError::Device {
        device: "CPU".to_owned(),
        message: format!("no room for a network's weights: {what}"),
    }
}

/// What is known of a chain while it is made ready.
struct Planner<'a> {
    arch: Arch,
    program: &'a Program,
    chain: &'a Chain,
    /// The steps, without a concatenation at their beginning.
    steps: &'a [ValueId],
    /// The step that looks at several pixels.
    spatial: Option<usize>,
    /// The last step that reads each step's result; their number if none does.
    last_use: Vec<usize>,
    input: Shape,
    /// The pixels of a strip, and the input rows that are computed at once.
    strip: usize,
    rows_at_once: usize,
    slots: Vec<usize>,
    free: Vec<usize>,
    /// Where each step's result is.
    written: Vec<To>,
}

impl<'a> Planner<'a> {
    fn new(arch: Arch, program: &'a Program, chain: &'a Chain) -> Result<Self, ExecError> {
        let graph = &program.graph;
        let steps = match chain.steps.split_first() {
            Some((first, rest)) if graph.node(*first).op == Op::Concat => rest,
            _ => chain.steps.as_slice(),
        };
        let Some(first) = chain.source.first() else {
            return Err(ExecError::Unfit {
                what: "a chain of the network".to_owned(),
                expected: "a source".to_owned(),
                found: "none".to_owned(),
            });
        };
        let channels = chain
            .source
            .iter()
            .map(|value| graph.shape(*value).channels);
        let input = graph.shape(*first).with_channels(channels.sum());
        for value in &chain.source {
            let shape = graph.shape(*value);
            if (shape.height, shape.width) != (input.height, input.width) {
                let expected = format!("{} rows and {} columns", input.height, input.width);
                return Err(unfit(program, *value, &expected, &shape.to_string()));
            }
        }
        let is_spatial = |step: &ValueId| !graph.node(*step).op.is_pointwise();
        let spatial = steps.iter().position(is_spatial);
        if let Some(second) = steps
            .iter()
            .skip(spatial.map_or(0, |at| at + 1))
            .find(|step| is_spatial(step))
        {
            let expected = "one step of a chain that is not pointwise";
            return Err(unfit(program, *second, expected, "two"));
        }
        let last_use = |step: &ValueId| {
            let reads = |later: &ValueId| graph.node(*later).inputs.contains(step);
            steps.iter().rposition(reads).unwrap_or(steps.len())
        };
        let mut planner = Self {
            arch,
            program,
            chain,
            steps,
            spatial,
            last_use: steps.iter().map(last_use).collect(),
            input,
            strip: 0,
            rows_at_once: 1,
            slots: Vec::new(),
            free: Vec::new(),
            written: Vec::new(),
        };
        planner.cut();
        planner.assign();
        Ok(planner)
    }

    fn node(&self, step: usize) -> &'a Node {
        self.program.graph.node(self.steps[step])
    }

    /// Of a step's input, and its result.
    fn shapes(&self, step: usize) -> (Shape, Shape) {
        let input = match step.checked_sub(1) {
            Some(before) => self.node(before).shape,
            None => self.input,
        };
        (input, self.node(step).shape)
    }

    fn output(&self) -> Shape {
        match self.steps.len().checked_sub(1) {
            Some(last) => self.node(last).shape,
            None => self.input,
        }
    }

    /// Decides what a strip is.
    fn cut(&mut self) {
        let output = self.output();
        let Some(spatial) = self.spatial else {
            let steps = (0..self.steps.len()).map(|step| self.node(step).shape.channels);
            let widest = steps.fold(self.input.channels, usize::max);
            self.strip = (STRIP / widest).clamp(FEWEST, MOST);
            return;
        };
        let (input, _) = self.shapes(spatial);
        let rows = match self.node(spatial).op {
            Op::PixelShuffle { factor } => factor.max(FEWEST.div_ceil(output.width)),
            _ => FEWEST.div_ceil(output.width),
        };
        let rows = rows.min(output.height);
        self.strip = rows * output.width;
        let axis = super::reach::Axis::of(&self.node(spatial).op, 0);
        let fresh = rows.div_ceil(axis.every) * axis.step;
        self.rows_at_once = fresh.max(FEWEST.div_ceil(input.width)).min(input.height);
    }

    /// Whether a step writes its result over its input.
    fn is_in_place(&self, step: usize) -> bool {
        let Some(before) = step.checked_sub(1) else {
            return false;
        };
        let node = self.node(step);
        let shape_stays = matches!(
            node.op,
            Op::LayerNorm { .. }
                | Op::Normalise { .. }
                | Op::Affine { .. }
                | Op::Apply(_)
                | Op::Binary(_)
                | Op::Softmax
        );
        let again = node
            .inputs
            .iter()
            .skip(1)
            .any(|input| *input == self.steps[before]);
        shape_stays && !again && self.last_use[before] == step
    }

    /// Decides where each step's result is written.
    fn assign(&mut self) {
        // Slot 0 is that of a source that is copied together.
        if self.chain.source.len() > 1 {
            self.slots.push(self.input.channels * self.pixels(0));
        }
        for step in 0..self.steps.len() {
            let slot = match (self.is_in_place(step), self.written.last()) {
                (true, Some(To::Slot(slot))) => *slot,
                _ => self.free.pop().unwrap_or_else(|| {
                    self.slots.push(0);
                    self.slots.len() - 1
                }),
            };
            let size = self.node(step).shape.channels * self.pixels(step + 1);
            self.slots[slot] = self.slots[slot].max(size);
            self.written.push(To::Slot(slot));
            for before in 0..step {
                if self.last_use[before] == step
                    && let To::Slot(done) = self.written[before]
                    && done != slot
                {
                    self.free.push(done);
                }
            }
        }
        if self.chain.kept {
            for step in (0..self.steps.len()).rev() {
                self.written[step] = To::Result;
                if !self.is_in_place(step) {
                    break;
                }
            }
        }
    }

    /// How many pixels a buffer before a step must have room for.
    fn pixels(&self, step: usize) -> usize {
        match self.spatial {
            Some(spatial) if step <= spatial => self.rows_at_once * self.shapes(spatial).0.width,
            _ => self.strip,
        }
    }

    /// Where a step finds the result of the one before it, or the source.
    fn from(&self, step: usize) -> Result<At, ExecError> {
        if let Some(before) = step.checked_sub(1) {
            return Ok(match self.written[before] {
                To::Slot(slot) => At::Slot(slot),
                To::Result => At::Output,
            });
        }
        match self.chain.source.as_slice() {
            [only] => Ok(At::Kept(place(self.program, *only)?)),
            _ => Ok(At::Slot(0)),
        }
    }

    fn prepare(mut self) -> Result<Prepared, ExecError> {
        let source = self.chain.source.iter().map(|value| {
            let channels = self.program.graph.shape(*value).channels;
            Ok((place(self.program, *value)?, channels))
        });
        let source = source.collect::<Result<Vec<_>, ExecError>>()?;
        let spatial = self.spatial.map(|step| self.spatial(step)).transpose()?;
        let mut before = Vec::new();
        let mut after = Vec::new();
        // Where the step that looks at several pixels is first, its rows are copied together.
        let copied = self.steps.is_empty() && self.chain.kept;
        if copied || (source.len() > 1 && self.spatial != Some(0)) {
            let concat = Step {
                op: StepOp::Concat,
                from: At::Output,
                to: match copied {
                    true => To::Result,
                    false => To::Slot(0),
                },
                inputs: self.input.channels,
                outputs: self.input.channels,
            };
            let list = if self.spatial.is_some() {
                &mut before
            } else {
                &mut after
            };
            list.push(concat);
        }
        for step in 0..self.steps.len() {
            match self.spatial {
                Some(spatial) if step < spatial => before.push(self.step(step)?),
                Some(spatial) if step == spatial => {}
                _ => after.push(self.step(step)?),
            }
        }
        let output = self.output();
        let last = match (self.from(self.steps.len())?, self.chain.kept) {
            (_, true) => At::Output,
            (from, false) => from,
        };
        let result = self.chain.kept.then(|| self.kept()).transpose()?;
        let reductions = self.reductions()?;
        self.check(result.as_ref())?;
        let ring = spatial.as_ref().map_or(0, |spatial| {
            let held = spatial.reach.held + 1;
            if spatial.in_place {
                0
            } else {
                held * pitch(spatial.input, spatial.reach.margins)
            }
        });
        Ok(Prepared {
            source,
            input: self.input,
            before,
            spatial,
            after,
            last,
            output,
            result,
            reductions,
            strip: self.strip,
            slots: std::mem::take(&mut self.slots),
            ring,
        })
    }

    /// Where the last step's result is kept.
    fn kept(&self) -> Result<Range<usize>, ExecError> {
        match self.chain.steps.last() {
            Some(last) => place(self.program, *last),
            None => {
                let source = self.chain.source[0];
                Err(unfit(
                    self.program,
                    source,
                    "a step whose result is kept",
                    "none",
                ))
            }
        }
    }

    fn reductions(&self) -> Result<Vec<(Reduction, Range<usize>)>, ExecError> {
        let reductions = self.chain.reductions.iter().map(|value| {
            let reduction = match self.program.graph.node(*value).op {
                Op::Mean => Reduction::Mean,
                Op::Moments { groups, eps } => Reduction::Moments { groups, eps },
                _ => {
                    let expected = "a mean or moments";
                    return Err(unfit(self.program, *value, expected, "another op"));
                }
            };
            Ok((reduction, place(self.program, *value)?))
        });
        reductions.collect()
    }

    /// Whether what the chain writes leaves what it reads alone.
    fn check(&self, result: Option<&Range<usize>>) -> Result<(), ExecError> {
        let Some(result) = result else { return Ok(()) };
        for value in self.chain.reads(&self.program.graph) {
            let read = place(self.program, value)?;
            if read.start < result.end && result.start < read.end {
                let expected = "a place that the chain does not write";
                return Err(unfit(self.program, value, expected, "one that it writes"));
            }
        }
        Ok(())
    }

    fn spatial(&self, step: usize) -> Result<Spatial, ExecError> {
        let (input, output) = self.shapes(step);
        let op = &self.node(step).op;
        let reach = Reach::of(op, input, output, self.strip / output.width);
        let alone = step == 0 && self.chain.source.len() == 1;
        let op = match op {
            Op::Conv(conv) => SpatialOp::Conv(
                Convolution::pack(self.arch, conv, input, output).map_err(no_memory)?,
            ),
            Op::PixelShuffle { factor } => SpatialOp::PixelShuffle(*factor),
            Op::Pad { .. } | Op::Crop { .. } => SpatialOp::Copy,
            _ => {
                let step = self.steps[step];
                return Err(unfit(self.program, step, "a step of a chain", "none"));
            }
        };
        let needs_zeros = reach.outside && !matches!(op, SpatialOp::Copy);
        Ok(Spatial {
            in_place: alone && reach.margins == [0, 0] && !needs_zeros,
            // Several sources have not been copied together.
            from: match step == 0 && !alone {
                true => None,
                false => Some(self.from(step)?),
            },
            op,
            input,
            output,
            reach,
            rows_at_once: self.rows_at_once,
            to: self.written[step],
        })
    }

    fn step(&self, step: usize) -> Result<Step, ExecError> {
        let (input, output) = self.shapes(step);
        let node = self.node(step);
        let from = match self.is_in_place(step) {
            true => At::Output,
            false => self.from(step)?,
        };
        let op = match &node.op {
            Op::Conv(conv) => StepOp::Product(
                Convolution::pack(self.arch, conv, input, output).map_err(no_memory)?,
            ),
            Op::Gate => StepOp::Regroup(Regroup::Gate),
            Op::ChannelMean => StepOp::Regroup(Regroup::ChannelMean),
            Op::Channels { start, channels } => {
                StepOp::Regroup(Regroup::Channels(*start..start + channels))
            }
            op => self.elementwise(step, op, input)?,
        };
        Ok(Step {
            op,
            from,
            to: self.written[step],
            inputs: input.channels,
            outputs: output.channels,
        })
    }

    fn elementwise(&self, step: usize, op: &Op, input: Shape) -> Result<StepOp, ExecError> {
        let op = match op {
            Op::LayerNorm { weight, bias, eps } => Elementwise::LayerNorm {
                weight: weight.clone(),
                bias: bias.clone(),
                eps: *eps,
            },
            Op::Affine { scale, shift } => Elementwise::Affine {
                scale: scale.clone(),
                shift: shift.clone(),
            },
            Op::Apply(function) => Elementwise::Apply(function.clone()),
            Op::Softmax => Elementwise::Softmax,
            Op::Normalise { weight, bias } => {
                let op = Elementwise::Normalise {
                    weight: weight.clone(),
                    bias: bias.clone(),
                };
                let moments = self.operand(step)?;
                return Ok(StepOp::Elementwise(op, Some((moments, 0))));
            }
            Op::Binary(binary) => {
                let shape = self.program.graph.shape(self.node(step).inputs[1]);
                let (spread, numbers) = match shape {
                    shape if shape == input => (Spread::Image, input.channels),
                    shape if shape.pixels() == 1 && input.pixels() > 1 => (Spread::Vector, 0),
                    _ => (Spread::Plane, 1),
                };
                let op = Elementwise::Binary(*binary, spread);
                return Ok(StepOp::Elementwise(
                    op,
                    Some((self.operand(step)?, numbers)),
                ));
            }
            _ => {
                let step = self.steps[step];
                return Err(unfit(self.program, step, "a step of a chain", "none"));
            }
        };
        Ok(StepOp::Elementwise(op, None))
    }

    /// Where a step's second input is.
    fn operand(&self, step: usize) -> Result<At, ExecError> {
        let value = self.node(step).inputs[1];
        let Some(own) = self.steps[..step].iter().position(|own| *own == value) else {
            return Ok(At::Kept(place(self.program, value)?));
        };
        match (self.written[own], self.spatial) {
            (To::Slot(slot), spatial) if spatial.is_none_or(|at| own >= at || step < at) => {
                Ok(At::Slot(slot))
            }
            _ => {
                let expected = "only pointwise steps until it is read";
                Err(unfit(self.program, value, expected, "others"))
            }
        }
    }
}
