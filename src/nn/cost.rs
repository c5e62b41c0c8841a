//! How much ops compute, and how many numbers they have learnt: for profiles, and for what a device is given at once.

use super::graph::{Graph, ValueId};
use super::op::{Function, Op};
use super::program::Program;

impl Graph {
    /// The multiplications and additions that make a value of one image, where every other function counts as one. Zeros
    /// around an image are counted as numbers.
    pub fn flops(&self, value: ValueId) -> u64 {
        let node = self.node(value);
        let input = match node.inputs.first() {
            Some(input) => self.shape(*input),
            None => return 0,
        };
        let (inputs, outputs) = (input.elements() as u64, node.shape.elements() as u64);
        match &node.op {
            Op::Conv(conv) => {
                let taps = (conv.kernel[0] * conv.kernel[1]) as u64;
                match conv.transposed {
                    true => 2 * taps * inputs * conv.outputs as u64,
                    false => 2 * taps * outputs * (input.channels / conv.groups) as u64,
                }
            }
            Op::LayerNorm { .. } | Op::Softmax => 8 * inputs,
            Op::Moments { .. } => 4 * inputs,
            Op::Normalise { .. } => 4 * outputs,
            Op::Affine { .. } => 2 * outputs,
            Op::Mean | Op::ChannelMean => inputs,
            Op::Apply(_) | Op::Gate | Op::Binary(_) => outputs,
            Op::Input
            | Op::Concat
            | Op::Channels { .. }
            | Op::PixelShuffle { .. }
            | Op::Pad { .. }
            | Op::Crop { .. } => 0,
        }
    }
}

impl Program {
    /// The multiplications and additions of one image, as [`Graph::flops`] counts them.
    pub fn flops(&self) -> u64 {
        let steps = self.chains.iter();
        let steps = steps.flat_map(|chain| chain.steps.iter().chain(&chain.reductions));
        steps.map(|step| self.graph.flops(*step)).sum()
    }
}

impl Op {
    /// How many numbers it has learnt.
    pub fn learnt(&self) -> usize {
        let of = |list: &Option<std::sync::Arc<[f32]>>| list.as_ref().map_or(0, |list| list.len());
        match self {
            Self::Conv(conv) => conv.weight.len() + of(&conv.bias),
            Self::LayerNorm { weight, bias, .. } => weight.len() + bias.len(),
            Self::Normalise { weight, bias } => of(weight) + of(bias),
            Self::Affine { scale, shift } => scale.len() + shift.len(),
            Self::Apply(Function::Prelu { slopes }) => slopes.len(),
            _ => 0,
        }
    }
}
