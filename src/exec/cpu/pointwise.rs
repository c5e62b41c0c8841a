//! Ops on single pixels: norms, arithmetic, gates, choices of channels.
//!
//! They are plain loops, compiled for each set of instructions.

use std::ops::Range;
use std::sync::Arc;

use pulp::{Simd, WithSimd};

use super::function::Apply;
use super::norm::LayerNorm;
use super::sums::sum;
use crate::nn::{Binary, Function};

/// An op whose result has the shape of its input, computed in place.
#[derive(Debug)]
pub(super) enum Elementwise {
    LayerNorm {
        weight: Arc<[f32]>,
        bias: Arc<[f32]>,
        eps: f32,
    },
    Normalise {
        weight: Option<Arc<[f32]>>,
        bias: Option<Arc<[f32]>>,
    },
    Affine {
        scale: Arc<[f32]>,
        shift: Arc<[f32]>,
    },
    Apply(Function),
    Binary(Binary, Spread),
    Softmax,
}

/// What a further input has: a number for everything, for each channel, or for each pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    Image,
    Vector,
    Plane,
}

/// An op applied to `[pixel][channel]`.
pub(super) struct Pixels<'a> {
    pub(super) op: &'a Elementwise,
    pub(super) channels: usize,
    /// The further input: for these pixels, if it is not a vector. Empty if there is none.
    pub(super) operand: &'a [f32],
    pub(super) data: &'a mut [f32],
    /// Room to work in.
    pub(super) work: &'a mut Vec<f32>,
}

impl WithSimd for Pixels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            op,
            channels,
            operand,
            data,
            work,
        } = self;
        match op {
            Elementwise::LayerNorm { weight, bias, eps } => {
                let eps = *eps;
                LayerNorm { weight, bias, eps }.apply(simd, data);
            }
            Elementwise::Normalise { weight, bias } => {
                normalise(
                    data,
                    channels,
                    operand,
                    weight.as_deref(),
                    bias.as_deref(),
                    work,
                );
            }
            Elementwise::Affine { scale, shift } => {
                for pixel in data.chunks_exact_mut(channels) {
                    for ((v, scale), shift) in pixel.iter_mut().zip(&scale[..]).zip(&shift[..]) {
                        *v = v.mul_add(*scale, *shift);
                    }
                }
            }
            Elementwise::Apply(function) => Apply {
                function,
                channels,
                data,
            }
            .with_simd(simd),
            Elementwise::Binary(binary, spread) => match binary {
                Binary::Add => combine(data, channels, operand, *spread, |a, b| a + b),
                Binary::Subtract => combine(data, channels, operand, *spread, |a, b| a - b),
                Binary::Multiply => combine(data, channels, operand, *spread, |a, b| a * b),
                Binary::Divide => combine(data, channels, operand, *spread, |a, b| a / b),
            },
            Elementwise::Softmax => data.chunks_exact_mut(channels).for_each(softmax),
        }
    }
}

/// `moments` are the means of all groups, then their inverse deviations.
#[inline(always)]
fn normalise(
    data: &mut [f32],
    channels: usize,
    moments: &[f32],
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
    work: &mut Vec<f32>,
) {
    let (means, inverses) = moments.split_at(moments.len() / 2);
    let size = channels / means.len();
    work.clear();
    work.extend((0..channels).map(|channel| means[channel / size]));
    work.extend((0..channels).map(|channel| {
        let weight = weight.map_or(1.0, |weight| weight[channel]);
        inverses[channel / size] * weight
    }));
    work.extend((0..channels).map(|channel| bias.map_or(0.0, |bias| bias[channel])));
    let (means, rest) = work.split_at(channels);
    let (scales, shifts) = rest.split_at(channels);
    for pixel in data.chunks_exact_mut(channels) {
        let constants = means.iter().zip(scales).zip(shifts);
        for (v, ((mean, scale), shift)) in pixel.iter_mut().zip(constants) {
            *v = (*v - mean).mul_add(*scale, *shift);
        }
    }
}

#[inline(always)]
fn combine(
    data: &mut [f32],
    channels: usize,
    operand: &[f32],
    spread: Spread,
    of: impl Fn(f32, f32) -> f32,
) {
    match spread {
        Spread::Image => {
            let pairs = data.iter_mut().zip(operand);
            pairs.for_each(|(a, b)| *a = of(*a, *b));
        }
        Spread::Vector => {
            for pixel in data.chunks_exact_mut(channels) {
                let pairs = pixel.iter_mut().zip(operand);
                pairs.for_each(|(a, b)| *a = of(*a, *b));
            }
        }
        Spread::Plane => {
            for (pixel, b) in data.chunks_exact_mut(channels).zip(operand) {
                pixel.iter_mut().for_each(|a| *a = of(*a, *b));
            }
        }
    }
}

#[inline(always)]
fn softmax(pixel: &mut [f32]) {
    let most = pixel.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for v in pixel.iter_mut() {
        let exponential = libm::exp(f64::from(*v) - f64::from(most));
        total += exponential;
        *v = exponential as f32;
    }
    for v in pixel {
        *v = (f64::from(*v) / total) as f32;
    }
}

/// An op whose result has other channels than its input.
#[derive(Debug)]
pub(super) enum Regroup {
    Gate,
    ChannelMean,
    Channels(Range<usize>),
}

/// An op applied to `[pixel][channel]`.
pub(super) struct Regrouping<'a> {
    pub(super) op: &'a Regroup,
    /// Of the input.
    pub(super) channels: usize,
    pub(super) input: &'a [f32],
    pub(super) output: &'a mut [f32],
}

impl WithSimd for Regrouping<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let input = self.input.chunks_exact(self.channels);
        match self.op {
            Regroup::Gate => {
                let half = self.channels / 2;
                for (input, output) in input.zip(self.output.chunks_exact_mut(half)) {
                    let (a, b) = input.split_at(half);
                    for ((output, a), b) in output.iter_mut().zip(a).zip(b) {
                        *output = a * b;
                    }
                }
            }
            Regroup::ChannelMean => {
                let count = self.channels as f32;
                for (input, output) in input.zip(self.output) {
                    *output = sum(simd, input) / count;
                }
            }
            Regroup::Channels(range) => {
                let output = self.output.chunks_exact_mut(range.len());
                for (input, output) in input.zip(output) {
                    output.copy_from_slice(&input[range.clone()]);
                }
            }
        }
    }
}
