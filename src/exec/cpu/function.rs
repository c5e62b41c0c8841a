//! Functions of one number, applied in place.
//!
//! Those that need an exponential, a logarithm or the error function are computed in f64 by `libm`, so that they are
//! right to the last bit but for rare ties, and the same on every machine.

use pulp::{Simd, WithSimd};

use crate::nn::Function;

/// A function applied to `[pixel][channel]`.
pub(super) struct Apply<'a> {
    pub(super) function: &'a Function,
    pub(super) channels: usize,
    pub(super) data: &'a mut [f32],
}

impl WithSimd for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self {
            function,
            channels,
            data,
        } = self;
        match function {
            Function::Relu => each(data, |v| if v < 0.0 { 0.0 } else { v }),
            Function::LeakyRelu { slope } => leaky_all(simd, data, *slope),
            Function::Prelu { slopes } if slopes.len() == 1 => leaky_all(simd, data, slopes[0]),
            Function::Prelu { slopes } => {
                for pixel in data.chunks_exact_mut(channels) {
                    for (v, slope) in pixel.iter_mut().zip(slopes.iter()) {
                        *v = leaky(*v, *slope);
                    }
                }
            }
            Function::Square => each(data, |v| v * v),
            Function::Sqrt => each(data, f32::sqrt),
            Function::Reciprocal => each(data, |v| 1.0 / v),
            Function::Elu { alpha } => wide(data, |v| elu(v, f64::from(*alpha))),
            Function::Gelu => wide(data, gelu),
            Function::GeluTanh => wide(data, gelu_tanh),
            Function::Swish { alpha } => wide(data, |v| v * sigmoid(f64::from(*alpha) * v)),
            Function::Mish => wide(data, mish),
            Function::Tanh => wide(data, libm::tanh),
            Function::Sigmoid => wide(data, sigmoid),
            Function::Softplus => wide(data, softplus),
            Function::Erf => wide(data, libm::erf),
            Function::Exp => wide(data, libm::exp),
        }
    }
}

#[inline(always)]
fn each(data: &mut [f32], function: impl Fn(f32) -> f32) {
    for v in data {
        *v = function(*v);
    }
}

#[inline(always)]
fn wide(data: &mut [f32], function: impl Fn(f64) -> f64) {
    for v in data {
        *v = function(f64::from(*v)) as f32;
    }
}

/// Explicit vectors: compilers may make a branch of what is chosen by sign, which is mispredicted every other time.
#[inline(always)]
fn leaky_all<S: Simd>(simd: S, data: &mut [f32], slope: f32) {
    let (zeros, slopes) = (simd.splat_f32s(0.0), simd.splat_f32s(slope));
    let (vectors, rest) = S::as_mut_simd_f32s(data);
    for v in vectors {
        let negative = simd.less_than_f32s(*v, zeros);
        *v = simd.select_f32s(negative, simd.mul_f32s(*v, slopes), *v);
    }
    for v in rest {
        *v = leaky(*v, slope);
    }
}

#[inline(always)]
fn leaky(v: f32, slope: f32) -> f32 {
    if v < 0.0 { v * slope } else { v }
}

fn elu(v: f64, alpha: f64) -> f64 {
    if v > 0.0 { v } else { alpha * libm::expm1(v) }
}

/// By the complement, which loses nothing where the function is small.
fn gelu(v: f64) -> f64 {
    v * libm::erfc(-v * std::f64::consts::FRAC_1_SQRT_2) / 2.0
}

/// `1 + tanh(u)` is `2 sigmoid(2 u)`, which loses nothing where the function is small.
fn gelu_tanh(v: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (v + 0.044715 * v * v * v);
    v * sigmoid(2.0 * inner)
}

/// `1 / (1 + exp(-v))`
pub(super) fn sigmoid(v: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-v))
}

/// `log(1 + exp(v))`, for which exp of a large number is not taken.
fn softplus(v: f64) -> f64 {
    v.max(0.0) + libm::log1p(libm::exp(-v.abs()))
}

fn mish(v: f64) -> f64 {
    v * libm::tanh(softplus(v))
}
