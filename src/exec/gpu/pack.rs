//! Weights of dense convolutions and matrix products, packed as `shaders/shared/dense.wgsl` has them.

use super::constants::Constants;
use super::record::LANES;
use crate::nn::{Conv, Op};

/// Which output channel stands in each lane of the vectors of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outputs {
    /// In order.
    Plain,
    /// Those of the first half in order; those of the second half are what they are multiplied with.
    Gated,
    /// Those of each pixel of a `factor * factor` block together (pixel shuffle).
    Shuffled { factor: usize },
}

/// A layer norm's weight and bias, which are multiplied into the product that follows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm<'a> {
    weight: &'a [f32],
    bias: &'a [f32],
    pub(super) eps: f32,
}

impl<'a> Norm<'a> {
    /// Of a layer norm.
    pub(super) fn of(op: &'a Op) -> Option<Self> {
        match op {
            Op::LayerNorm { weight, bias, eps } => Some(Self {
                weight,
                bias,
                eps: *eps,
            }),
            _ => None,
        }
    }
}

/// Where packed weights and biases lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) weights: u32,
    pub(super) bias: u32,
    /// How many blocks of vectors of results there are.
    pub(super) blocks: usize,
}

impl Outputs {
    /// How many vectors of results there are.
    fn vectors(self, conv: &Conv) -> usize {
        match self {
            Self::Plain => conv.outputs.div_ceil(LANES),
            Self::Gated => (conv.outputs / 2).div_ceil(LANES),
            Self::Shuffled { factor } => {
                let square = factor * factor;
                square * (conv.outputs / square).div_ceil(LANES)
            }
        }
    }

    /// The halves that the output channels have.
    fn halves(self) -> usize {
        match self {
            Self::Gated => 2,
            _ => 1,
        }
    }

    /// The output channel that stands in a lane; `None` for one that there is not.
    fn channel(self, conv: &Conv, half: usize, vector: usize, lane: usize) -> Option<usize> {
        let (width, square) = match self {
            Self::Shuffled { factor } => (self.vectors(conv) / (factor * factor), factor * factor),
            _ => (self.vectors(conv), 1),
        };
        let count = conv.outputs / self.halves() / square;
        let index = LANES * (vector % width) + lane;
        let there = vector < self.vectors(conv) && index < count;
        there.then(|| half * count + index * square + vector / width)
    }
}

/// Packs the weights of a convolution of `inputs` channels for these taps (kernel rows and columns), in blocks of
/// `together` vectors of results.
pub(super) fn pack(
    constants: &mut Constants,
    conv: &Conv,
    inputs: usize,
    taps: [&[usize]; 2],
    outputs: Outputs,
    together: usize,
    norm: Option<Norm<'_>>,
) -> Packed {
    let blocks = outputs.vectors(conv).div_ceil(together);
    // The output channels of a block, lane by lane.
    let lanes = |block: usize| {
        let halves = 0..outputs.halves();
        halves.flat_map(move |half| {
            let vectors = together * block..together * (block + 1);
            let lanes = vectors.flat_map(|vector| (0..LANES).map(move |lane| (vector, lane)));
            lanes.map(move |(vector, lane)| outputs.channel(conv, half, vector, lane))
        })
    };
    let weight = |row: usize, column: usize, input: usize, output: usize| {
        let per_group = inputs / conv.groups;
        let group = output / (conv.outputs / conv.groups);
        // Other groups' inputs do not count.
        if input >= inputs || input / per_group != group {
            return 0.0;
        }
        let tap = row * conv.kernel[1] + column;
        conv.weight[(tap * per_group + input % per_group) * conv.outputs + output]
    };
    let scale = |input: usize| norm.map_or(1.0, |n| n.weight.get(input).copied().unwrap_or(0.0));
    let weights = constants.position();
    for block in 0..blocks {
        for row in taps[0] {
            for column in taps[1] {
                for input in 0..inputs.next_multiple_of(LANES) {
                    for channel in lanes(block) {
                        let number =
                            channel.map_or(0.0, |o| weight(*row, *column, input, o) * scale(input));
                        constants.push_one(number);
                    }
                }
            }
        }
    }
    let shift = |output: usize| {
        let bias = conv
            .bias
            .as_ref()
            .map_or(0.0, |bias| f64::from(bias[output]));
        let Some(norm) = norm else { return bias };
        let terms = norm.bias.iter().enumerate();
        terms.fold(bias, |sum, (input, v)| {
            sum + f64::from(*v) * f64::from(weight(0, 0, input, output))
        })
    };
    let bias = constants.position();
    for channel in (0..blocks).flat_map(lanes) {
        constants.push_one(channel.map_or(0.0, |output| shift(output) as f32));
    }
    Packed {
        weights,
        bias,
        blocks,
    }
}
