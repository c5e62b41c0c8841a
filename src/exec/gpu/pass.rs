//! Chains cut into passes: what one kernel computes.
//!
//! A pass is a run of a chain's steps: steps that are made as its source is loaded, at most one op that is more than
//! that, and steps that are made before its result is stored. Every op has a pass of its own at the least, so that every
//! chain can be run.

use super::block::{Mix, Spread};
use super::step::{is_cheap, is_step};
use super::tuning::Tuning;
use crate::nn::{Graph, Op, Shape, ValueId};

/// The most steps of a pass: so many have room in `Args` of `shaders/shared/values.wgsl`.
pub(super) const MOST_STEPS: usize = 16;

/// How often a convolution may make a step again for the same number of its input, so that it takes no longer than to
/// write and read the step's result.
const MOST_REPEATS: usize = 18;

/// Some of a chain's steps, computed by one kernel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pass {
    pub(super) before: Vec<ValueId>,
    pub(super) core: Core,
    pub(super) after: Vec<ValueId>,
    /// The value that it gives.
    pub(super) result: ValueId,
}

/// What a pass does besides its steps.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Core {
    Nothing,
    /// A dense convolution. A layer norm before it is one of the input's pixels; a gate or a pixel shuffle follows.
    Conv {
        norm: Option<ValueId>,
        conv: ValueId,
        gate: bool,
        shuffle: Option<usize>,
    },
    Depthwise {
        conv: ValueId,
        gate: bool,
    },
    /// Layer norm, softmax, or the mean over channels.
    Across(ValueId),
    /// Ops that move single numbers.
    Rearrange(ValueId),
    /// The halves of NAFNet's block.
    Spread(Spread),
    Mix(Mix),
}

/// Cuts the steps of a chain into passes; `shape` is that of their source.
pub(super) fn passes(graph: &Graph, steps: &[ValueId], shape: Shape, tuning: &Tuning) -> Vec<Pass> {
    let mut passes: Vec<Pass> = Vec::new();
    let mut cut = Cut {
        graph,
        steps,
        at: 0,
        tuning,
    };
    let mut shape = shape;
    while cut.at < steps.len() {
        let pass = cut.pass(shape);
        shape = graph.shape(pass.result);
        passes.push(pass);
    }
    passes
}

struct Cut<'a> {
    graph: &'a Graph,
    steps: &'a [ValueId],
    /// The next step.
    at: usize,
    tuning: &'a Tuning,
}

impl Cut<'_> {
    fn op(&self) -> Option<&Op> {
        let step = self.steps.get(self.at)?;
        Some(&self.graph.node(*step).op)
    }

    /// Whether the result of the step before the next one is read by other steps than that: then it must be stored.
    fn must_end(&self) -> bool {
        let Some(last) = self.at.checked_sub(1) else {
            return false;
        };
        let value = self.steps[last];
        self.steps[self.at..]
            .iter()
            .enumerate()
            .any(|(distance, step)| {
                let node = self.graph.node(*step);
                let first = if distance == 0 { 1 } else { 0 };
                node.inputs.iter().skip(first).any(|input| *input == value)
            })
    }

    /// Takes the next step.
    fn take(&mut self) -> ValueId {
        self.at += 1;
        self.steps[self.at - 1]
    }

    /// Takes steps of `shape` for as long as the pass may go on.
    fn take_steps(&mut self, most: usize, start: usize) -> Vec<ValueId> {
        let mut taken = Vec::new();
        while taken.len() < most
            && (self.at == start || !self.must_end())
            && self.op().is_some_and(is_step)
        {
            taken.push(self.take());
        }
        taken
    }

    fn pass(&mut self, shape: Shape) -> Pass {
        let start = self.at;
        if let Some((core, result)) = self.half_block(shape) {
            return Pass {
                before: Vec::new(),
                core,
                after: Vec::new(),
                result,
            };
        }
        let before = self.take_steps(MOST_STEPS, start);
        let ended = self.at > start && self.must_end();
        let core = match ended {
            true => Core::Nothing,
            false => self.core(&before, shape),
        };
        let after = match core {
            Core::Conv { .. } | Core::Depthwise { .. } if !self.must_end() => {
                self.take_steps(MOST_STEPS - before.len(), start)
            }
            _ => Vec::new(),
        };
        Pass {
            before,
            core,
            after,
            result: self.steps[self.at - 1],
        }
    }

    /// A half of NAFNet's block, if one comes next; and its result.
    fn half_block(&mut self, shape: Shape) -> Option<(Core, ValueId)> {
        let steps = &self.steps[self.at..];
        if let Some(spread) = Spread::of(self.graph, steps, shape, self.tuning) {
            self.at += Spread::STEPS;
            return Some((Core::Spread(spread), spread.result()));
        }
        let mix = Mix::of(self.graph, steps, shape, self.tuning)?;
        self.at += mix.steps();
        Some((Core::Mix(mix), mix.result()))
    }

    /// What follows the steps `before`, if it can be computed with them.
    fn core(&mut self, before: &[ValueId], shape: Shape) -> Core {
        let alone = before.is_empty();
        let cheap = before
            .iter()
            .all(|step| is_cheap(&self.graph.node(*step).op));
        let graph = self.graph;
        let Some(value) = self.steps.get(self.at).copied() else {
            return Core::Nothing;
        };
        match &graph.node(value).op {
            Op::LayerNorm { .. } if cheap && self.is_norm_of_product() => {
                let norm = Some(self.take());
                let conv = self.take();
                self.conv(norm, conv)
            }
            Op::LayerNorm { .. } | Op::Softmax | Op::ChannelMean => Core::Across(self.take()),
            Op::Conv(conv) if conv.is_depthwise() && shape.channels == conv.groups => {
                if !alone && !cheap {
                    return Core::Nothing;
                }
                let conv = self.take();
                let aligned = (graph.shape(conv).channels / 2).is_multiple_of(4);
                let gate = aligned && self.takes_gate();
                Core::Depthwise { conv, gate }
            }
            Op::Conv(conv) => {
                let repeats = conv.kernel[0] * conv.kernel[1] * conv.outputs.div_ceil(8);
                if !alone && (!cheap || repeats > MOST_REPEATS) {
                    return Core::Nothing;
                }
                let conv = self.take();
                self.conv(None, conv)
            }
            _ if alone => Core::Rearrange(self.take()),
            _ => Core::Nothing,
        }
    }

    /// Whether a layer norm comes next, and a matrix product works on its result.
    fn is_norm_of_product(&self) -> bool {
        let following = self.steps.get(self.at + 1);
        let product = following.is_some_and(|next| match &self.graph.node(*next).op {
            Op::Conv(conv) => conv.is_pointwise() && conv.groups == 1 && !conv.transposed,
            _ => false,
        });
        let norm = self.steps[self.at];
        let read_later = self.steps.iter().skip(self.at + 2).any(|step| {
            let node = self.graph.node(*step);
            node.inputs.contains(&norm)
        });
        product && !read_later
    }

    fn conv(&mut self, norm: Option<ValueId>, conv: ValueId) -> Core {
        let gate = self.takes_gate();
        let mut shuffle = None;
        if let (false, false, Some(Op::PixelShuffle { factor })) =
            (gate, self.must_end(), self.op())
        {
            shuffle = Some(*factor);
            self.at += 1;
        }
        Core::Conv {
            norm,
            conv,
            gate,
            shuffle,
        }
    }

    /// Takes a gate that comes next, if the pass may go on.
    fn takes_gate(&mut self) -> bool {
        let taken = !self.must_end() && self.op() == Some(&Op::Gate);
        self.at += usize::from(taken);
        taken
    }
}
