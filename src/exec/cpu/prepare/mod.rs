//! A program's chains made ready to run: what they are then, and where their values are kept.

mod planner;
mod steps;

use std::ops::Range;

use pulp::Arch;

use super::convolution::Convolution;
use super::pointwise::{Elementwise, Regroup};
use super::reach::Reach;
use super::reduce::Reduction;
use crate::exec::ExecError;
use crate::nn::{Program, Shape, ValueId};
use planner::Planner;

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
    /// Where its result is to be, or where it is read.
    Output,
}

/// Where a step's result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Slot(usize),
    /// Where the chain's result is kept; before a step that looks at several pixels, the row that it reads.
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
    /// The step before has done it.
    Done,
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
    /// Where the input is: read in place, copied into rows with zeros around them, or written there.
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

    /// How many steps it has that are run.
    pub(super) fn steps(&self) -> usize {
        self.before.len() + usize::from(self.spatial.is_some()) + self.after.len()
    }

    /// How many partial results of reductions a strip has.
    pub(super) fn partials(&self) -> usize {
        let channels = self.output.channels;
        let reductions = self.reductions.iter();
        reductions
            .map(|(reduction, _)| reduction.partials(channels))
            .sum()
    }

    /// How many partial results all strips have.
    pub(super) fn all_partials(&self) -> usize {
        self.strips() * self.partials()
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
