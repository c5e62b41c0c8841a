//! What networks compute, op by op: the same set for every executor.
//!
//! Values are images of one shape each, [`Shape`]; the number of images in a batch is the executor's business, and no
//! op looks from one image into another. Formulas are PyTorch's; `c` counts channels, `y` and `x` pixels.

use std::fmt;
use std::sync::Arc;

/// The shape of a value, for each image of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct Shape {
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl Shape {
    /// A shape of that many channels, rows and columns.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self {
            channels,
            height,
            width,
        }
    }

    /// One number for each channel.
    pub const fn vector(channels: usize) -> Self {
        Self::new(channels, 1, 1)
    }

    /// Rows times columns.
    pub const fn pixels(self) -> usize {
        self.height * self.width
    }

    /// How many numbers it has. Graphs are bounded so that this does not overflow.
    pub const fn elements(self) -> usize {
        self.channels * self.height * self.width
    }

    /// The same pixels with another number of channels.
    pub const fn with_channels(self, channels: usize) -> Self {
        Self::new(channels, self.height, self.width)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {}, {}]", self.channels, self.height, self.width)
    }
}

/// A computation. Its first input is what it works on; further ones are named in its description.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// What the network is given. It has no input.
    Input,
    Conv(Conv),
    /// Over the channels of each pixel: `(v - mean) / sqrt(var + eps) * weight[c] + bias[c]`, the variance without
    /// Bessel's correction.
    LayerNorm {
        weight: Arc<[f32]>,
        bias: Arc<[f32]>,
        eps: f32,
    },
    /// Over the pixels of each of `groups` runs of channels: the means, then each `1 / sqrt(var + eps)`, as a vector of
    /// `2 * groups` channels. Instance norm has as many groups as channels.
    Moments {
        groups: usize,
        eps: f32,
    },
    /// `(v - mean) * inverse * weight[c] + bias[c]`; the second input is a [`Op::Moments`] of the first.
    Normalise {
        weight: Option<Arc<[f32]>>,
        bias: Option<Arc<[f32]>>,
    },
    /// `v * scale[c] + shift[c]`: batch norm, or constants that are multiplied and added.
    Affine {
        scale: Arc<[f32]>,
        shift: Arc<[f32]>,
    },
    Apply(Function),
    /// `v[c] * v[c + C/2]`: half as many channels (NAFNet's SimpleGate).
    Gate,
    /// The mean over each channel's pixels, as a vector.
    Mean,
    /// The mean over each pixel's channels, as an image of one channel.
    ChannelMean,
    /// Of two values of one shape; the second may also be a vector of as many channels, or an image of one channel.
    Binary(Binary),
    /// The channels of all inputs, one after another.
    Concat,
    /// The channels `start .. start + channels`.
    Channels {
        start: usize,
        channels: usize,
    },
    /// `out[c][y * r + i][x * r + j] = v[c * r * r + i * r + j][y][x]`
    PixelShuffle {
        factor: usize,
    },
    /// Zeros added, at the bottom and at the right.
    Pad {
        bottom: usize,
        right: usize,
    },
    /// The rows and columns at the top left.
    Crop {
        height: usize,
        width: usize,
    },
    /// Over the channels of each pixel.
    Softmax,
}

/// A 2D convolution, as PyTorch's `Conv2d` or `ConvTranspose2d`. Pairs are height, width.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv {
    /// How many channels come out.
    pub outputs: usize,
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Zeros around the input: before the first and after the last row, then column. Of a transposed convolution, how
    /// much of the full result is cut away there; negative after the last is what PyTorch calls output padding beyond it.
    pub padding: [[isize; 2]; 2],
    /// How many runs of channels are convolved apart. A transposed convolution has one.
    pub groups: usize,
    pub transposed: bool,
    /// `[kernel row, kernel column, input channel of the group, output channel]`, row-major, transposed or not.
    pub weight: Arc<[f32]>,
    pub bias: Option<Arc<[f32]>>,
}

/// A function of one number.
#[derive(Clone, Debug, PartialEq)]
pub enum Function {
    Relu,
    LeakyRelu {
        slope: f32,
    },
    /// One slope for all channels, or one each.
    Prelu {
        slopes: Arc<[f32]>,
    },
    Elu {
        alpha: f32,
    },
    /// `v * (1 + erf(v / sqrt(2))) / 2`
    Gelu,
    /// `v * (1 + tanh(sqrt(2 / pi) * (v + 0.044715 v^3))) / 2`
    GeluTanh,
    /// `v * sigmoid(alpha * v)`
    Swish {
        alpha: f32,
    },
    /// `v * tanh(softplus(v))`
    Mish,
    Tanh,
    Sigmoid,
    Softplus,
    Erf,
    Exp,
    Sqrt,
    Square,
    Reciprocal,
}

/// An operation on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
}

impl Op {
    /// Its name in messages: `3x3 convolution`.
    pub fn name(&self) -> String {
        match self {
            Self::Input => "input".to_owned(),
            Self::Conv(conv) => {
                let [height, width] = conv.kernel;
                let kind = if conv.transposed { "transposed " } else { "" };
                format!("{kind}{height}x{width} convolution")
            }
            Self::LayerNorm { .. } => "layer norm".to_owned(),
            Self::Moments { .. } => "moments".to_owned(),
            Self::Normalise { .. } => "norm".to_owned(),
            Self::Affine { .. } => "affine".to_owned(),
            Self::Apply(function) => function.name().to_owned(),
            Self::Gate => "gate".to_owned(),
            Self::Mean => "mean".to_owned(),
            Self::ChannelMean => "mean over channels".to_owned(),
            Self::Binary(binary) => binary.name().to_owned(),
            Self::Concat => "concatenation".to_owned(),
            Self::Channels { .. } => "choice of channels".to_owned(),
            Self::PixelShuffle { .. } => "pixel shuffle".to_owned(),
            Self::Pad { .. } => "zero padding".to_owned(),
            Self::Crop { .. } => "crop".to_owned(),
            Self::Softmax => "softmax".to_owned(),
        }
    }

    /// Whether a pixel of the result depends on nothing but the same pixel of its inputs.
    pub fn is_pointwise(&self) -> bool {
        match self {
            Self::Conv(conv) => conv.is_pointwise(),
            Self::LayerNorm { .. }
            | Self::Normalise { .. }
            | Self::Affine { .. }
            | Self::Apply(_)
            | Self::Gate
            | Self::ChannelMean
            | Self::Binary(_)
            | Self::Concat
            | Self::Channels { .. }
            | Self::Softmax => true,
            Self::Input
            | Self::Moments { .. }
            | Self::Mean
            | Self::PixelShuffle { .. }
            | Self::Pad { .. }
            | Self::Crop { .. } => false,
        }
    }
}

impl Conv {
    /// A linear layer on all numbers of an image: a kernel as large as the image. `weight` is PyTorch's,
    /// `[output, channel, row, column]`.
    pub(super) fn linear(
        weight: &[f32],
        bias: Option<Arc<[f32]>>,
        outputs: usize,
        image: Shape,
    ) -> Self {
        let sides = [outputs, image.channels, image.height, image.width];
        Self {
            outputs,
            kernel: [image.height, image.width],
            stride: [1, 1],
            padding: [[0, 0], [0, 0]],
            groups: 1,
            transposed: false,
            weight: kernel_first(weight, sides, false).into(),
            bias,
        }
    }

    /// Whether it is a matrix product at each pixel.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [[0, 0], [0, 0]]
    }

    /// Where taps lie along one axis (0 rows, 1 columns): kernel positions, with the input position of each for the output
    /// position `phase`. A transposed convolution of stride `s` has a set of taps for each of `s` phases, another has one
    /// for all; input positions grow by one from tap to tap.
    pub(crate) fn taps(&self, axis: usize, phase: usize) -> Vec<(usize, isize)> {
        let before = self.padding[axis][0];
        let kernel = 0..self.kernel[axis];
        if !self.transposed {
            return kernel.map(|k| (k, k as isize - before)).collect();
        }
        let stride = self.stride[axis] as isize;
        let input = |k: usize| phase as isize + before - k as isize;
        // Backwards, so that input positions grow.
        kernel
            .rev()
            .filter(|k| input(*k).rem_euclid(stride) == 0)
            .map(|k| (k, input(k).div_euclid(stride)))
            .collect()
    }

    /// Whether each channel is convolved on its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.outputs
    }
}

impl Function {
    fn name(&self) -> &'static str {
        match self {
            Self::Relu => "ReLU",
            Self::LeakyRelu { .. } => "leaky ReLU",
            Self::Prelu { .. } => "PReLU",
            Self::Elu { .. } => "ELU",
            Self::Gelu => "GELU",
            Self::GeluTanh => "GELU by tanh",
            Self::Swish { .. } => "swish",
            Self::Mish => "mish",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Softplus => "softplus",
            Self::Erf => "error function",
            Self::Exp => "exponential",
            Self::Sqrt => "square root",
            Self::Square => "square",
            Self::Reciprocal => "reciprocal",
        }
    }
}

impl Binary {
    fn name(self) -> &'static str {
        match self {
            Self::Add => "sum",
            Self::Subtract => "difference",
            Self::Multiply => "product",
            Self::Divide => "quotient",
        }
    }
}

/// Brings a convolution's weight from PyTorch's layout, `[output, input, row, column]` or, transposed,
/// `[input, output, row, column]`, to `[row, column, input, output]`.
pub(super) fn kernel_first(weight: &[f32], sides: [usize; 4], transposed: bool) -> Vec<f32> {
    let [first, second, rows, columns] = sides;
    let (outputs, inputs) = match transposed {
        true => (second, first),
        false => (first, second),
    };
    let kernel = rows * columns;
    let mut out = Vec::with_capacity(weight.len());
    for at in 0..kernel {
        for input in 0..inputs {
            for output in 0..outputs {
                let row = match transposed {
                    true => input * outputs + output,
                    false => output * inputs + input,
                };
                out.extend(weight.get(row * kernel + at));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_turned_to_kernel_first() {
        let weight: Vec<f32> = (0..24_u8).map(f32::from).collect();
        // Three outputs, two inputs, a kernel of one row of four.
        let plain = kernel_first(&weight, [3, 2, 1, 4], false);
        assert_eq!(plain[..6], [0.0, 8.0, 16.0, 4.0, 12.0, 20.0]);
        let transposed = kernel_first(&weight, [2, 3, 1, 4], true);
        assert_eq!(transposed[..6], [0.0, 4.0, 8.0, 12.0, 16.0, 20.0]);
        assert_eq!((plain.len(), transposed.len()), (24, 24));
    }
}
