//! A graph cut into chains, and where their results are kept: what executors run.

use std::ops::Range;

use super::graph::{Graph, ValueId};
use super::op::{Op, Shape};
use super::places::places;

/// A graph with the order in which it is run. Made by [`super::fuse()`].
#[derive(Clone, Debug)]
pub struct Program {
    pub graph: Graph,
    /// In the order in which they run. Together they have every node of the graph but the input and what is read in
    /// place (see [`Chain::source`]), each once.
    pub chains: Vec<Chain>,
    /// For each value of the graph, where it is kept, in numbers of one image; `None` if it is not kept. The places of
    /// two values overlap only if no chain needs both. The graph's input is kept, and so is its output.
    pub places: Vec<Option<Range<usize>>>,
    /// How many numbers all places take together, for one image.
    pub size: usize,
}

/// Ops that follow each other without their results being kept between: each works on the result of the one before it.
///
/// At most one of them is not pointwise ([`super::Op::is_pointwise`]), reductions apart. Where an op has further inputs,
/// these are kept values, or results of earlier steps of the same chain with only pointwise ops between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The kept values whose channels, one after another, the first step works on: more than one is a concatenation
    /// that is never written.
    pub source: Vec<ValueId>,
    /// The nodes, by their results. An [`super::Op::Concat`] stands first or not at all, and changes nothing: the source is
    /// what it concatenates. Empty if a chain only reduces its source.
    pub steps: Vec<ValueId>,
    /// Whether the last step's result is kept.
    pub kept: bool,
    /// Nodes ([`super::Op::Mean`], [`super::Op::Moments`]) that reduce the last step's result on the way; their results
    /// are kept.
    pub reductions: Vec<ValueId>,
}

impl Chain {
    /// The values that it keeps.
    pub fn results(&self) -> impl Iterator<Item = ValueId> {
        let last = self.steps.last().copied().filter(|_| self.kept);
        last.into_iter().chain(self.reductions.iter().copied())
    }

    /// The kept values that it reads: its source, and the further inputs of its steps that are not its own results.
    pub fn reads(&self, graph: &Graph) -> impl Iterator<Item = ValueId> {
        let further = self.steps.iter().flat_map(|step| {
            let node = graph.node(*step);
            let skipped = if node.op == Op::Concat {
                node.inputs.len()
            } else {
                1
            };
            node.inputs.iter().copied().skip(skipped)
        });
        let further = further.filter(|value| !self.steps.contains(value));
        self.source.iter().copied().chain(further)
    }
}

impl Program {
    /// The shape that goes in.
    pub fn input(&self) -> Shape {
        self.graph.input()
    }

    /// Where values are kept, as in [`Program::places`], if each takes so many units as `units` says; and how many units all
    /// take together.
    pub fn places_by(
        &self,
        units: impl Fn(ValueId) -> usize,
    ) -> (Vec<Option<Range<usize>>>, usize) {
        places(&self.graph, &self.chains, units)
    }

    /// The shape that comes out.
    pub fn output(&self) -> Shape {
        self.graph.shape(self.graph.output())
    }
}
