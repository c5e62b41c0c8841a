//! Weights of dense convolutions and matrix products, packed as `shaders/conv.wgsl` reads them.

use super::constants::Constants;
use super::record::LANES;
use crate::nn::{Conv, Op};

/// Which output channel stands in each lane of the output vectors, and how they are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outputs {
    /// In order, two vectors together if there is more than one.
    Plain,
    /// A vector of the first half with the same one of the second.
    Gated,
    /// Those of each pixel of a `factor * factor` block together (pixel shuffle), two vectors together.
    Shuffled { factor: usize },
    /// In order, two vectors together even if there is one.
    Paired,
    /// In order, each vector alone.
    Single,
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
    /// How many pairs of output vectors there are, or vectors where they stand alone.
    pub(super) pairs: usize,
    pub(super) paired: bool,
}

impl Outputs {
    /// How many output vectors there are.
    fn vectors(self, conv: &Conv) -> usize {
        match self {
            Self::Plain | Self::Paired | Self::Single => conv.outputs.div_ceil(LANES),
            Self::Gated => 2 * (conv.outputs / 2).div_ceil(LANES),
            Self::Shuffled { factor } => {
                let square = factor * factor;
                square * (conv.outputs / square).div_ceil(LANES)
            }
        }
    }

    /// The output channel that stands in a lane; `None` for one that there is not.
    fn channel(self, conv: &Conv, vector: usize, lane: usize) -> Option<usize> {
        let within = |index: usize, count: usize| Some(index).filter(|index| *index < count);
        match self {
            Self::Plain | Self::Paired | Self::Single => {
                within(LANES * vector + lane, conv.outputs)
            }
            Self::Gated => {
                let half = conv.outputs / 2;
                let index = within(LANES * (vector / 2) + lane, half)?;
                Some(vector % 2 * half + index)
            }
            Self::Shuffled { factor } => {
                let square = factor * factor;
                let width = (conv.outputs / square).div_ceil(LANES);
                let index = within(LANES * (vector % width) + lane, conv.outputs / square)?;
                Some(index * square + vector / width)
            }
        }
    }
}

/// Packs the weights of a convolution of `inputs` channels for these taps (kernel rows and columns).
pub(super) fn pack(
    constants: &mut Constants,
    conv: &Conv,
    inputs: usize,
    taps: [&[usize]; 2],
    outputs: Outputs,
    norm: Option<Norm<'_>>,
) -> Packed {
    let vectors = outputs.vectors(conv);
    let paired = match outputs {
        Outputs::Paired => true,
        Outputs::Single => false,
        _ => vectors > 1,
    };
    let together = if paired { 2 } else { 1 };
    let pairs = vectors.div_ceil(together);
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
    for pair in 0..pairs {
        for row in taps[0] {
            for column in taps[1] {
                for input in 0..inputs.next_multiple_of(LANES) {
                    for vector in together * pair..together * (pair + 1) {
                        for lane in 0..LANES {
                            let channel = outputs.channel(conv, vector, lane);
                            let number = channel
                                .map_or(0.0, |o| weight(*row, *column, input, o) * scale(input));
                            constants.push_one(number);
                        }
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
    for vector in 0..together * pairs {
        for lane in 0..LANES {
            let channel = outputs.channel(conv, vector, lane);
            constants.push_one(channel.map_or(0.0, |output| shift(output) as f32));
        }
    }
    Packed {
        weights,
        bias,
        pairs,
        paired,
    }
}
