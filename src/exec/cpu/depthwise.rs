//! The depthwise convolution: each channel on its own, vectors of channels at a time.
//!
//! Every output number is its bias and then one chain of fused multiply-adds over the taps. Weights are packed as
//! `[tap][channel]`.

use pulp::{Simd, WithSimd};

use super::conv::store;

/// A line of output pixels to be computed.
pub(super) struct Depthwise<'a> {
    /// Of the input.
    pub(super) channels: usize,
    /// Whether the second half of the channels is multiplied into the first, which alone is written.
    pub(super) gated: bool,
    /// `[tap][channel]`
    pub(super) weights: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) input: &'a [f32],
    /// Where each tap's first pixel lies in `input`.
    pub(super) starts: &'a [usize],
    /// From the input pixel of an output pixel to that of the next.
    pub(super) input_step: usize,
    /// `[pixel][channel]`
    pub(super) output: &'a mut [f32],
}

/// How many output pixels are computed together.
const PIXELS: usize = 8;

impl WithSimd for Depthwise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let outputs = self.outputs();
        for first in (0..outputs).step_by(S::F32_LANES) {
            if first + S::F32_LANES <= outputs {
                self.vector::<S, true>(simd, first);
            } else {
                self.vector::<S, false>(simd, first);
            }
        }
    }
}

impl Depthwise<'_> {
    /// How many channels are written.
    #[inline(always)]
    fn outputs(&self) -> usize {
        match self.gated {
            true => self.channels / 2,
            false => self.channels,
        }
    }

    /// A vector of channels from `first` on, a whole one or as many as there are, of all pixels.
    #[inline(always)]
    fn vector<S: Simd, const WHOLE: bool>(&mut self, simd: S, first: usize) {
        let pixels = self.output.len() / self.outputs();
        let mut pixel = 0;
        while pixel + PIXELS <= pixels {
            self.tile::<S, WHOLE, PIXELS>(simd, first, pixel);
            pixel += PIXELS;
        }
        while pixel < pixels {
            self.tile::<S, WHOLE, 1>(simd, first, pixel);
            pixel += 1;
        }
    }

    /// The same of the `P` pixels from `pixel` on.
    #[inline(always)]
    fn tile<S: Simd, const WHOLE: bool, const P: usize>(
        &mut self,
        simd: S,
        first: usize,
        pixel: usize,
    ) {
        let outputs = self.outputs();
        let count = (outputs - first).min(S::F32_LANES);
        let mut sums = self.sums::<S, WHOLE, P>(simd, first, count, pixel);
        if self.gated {
            let others = self.sums::<S, WHOLE, P>(simd, outputs + first, count, pixel);
            for (sum, other) in sums.iter_mut().zip(others) {
                *sum = simd.mul_f32s(*sum, other);
            }
        }
        let output = &mut self.output[pixel * outputs + first..];
        for (p, sum) in sums.into_iter().enumerate() {
            store(simd, &mut output[p * outputs..][..count], sum);
        }
    }

    /// The sums of `count` channels from `first` on, for each pixel.
    #[inline(always)]
    fn sums<S: Simd, const WHOLE: bool, const P: usize>(
        &self,
        simd: S,
        first: usize,
        count: usize,
        pixel: usize,
    ) -> [S::f32s; P] {
        let mut sums = [load::<S, WHOLE>(simd, &self.bias[first..], count); P];
        for (tap, start) in self.starts.iter().enumerate() {
            let weight = &self.weights[tap * self.channels + first..];
            let weight = load::<S, WHOLE>(simd, weight, count);
            let input = &self.input[start + first + pixel * self.input_step..];
            for (p, sum) in sums.iter_mut().enumerate() {
                let value = load::<S, WHOLE>(simd, &input[p * self.input_step..], count);
                *sum = simd.mul_add_f32s(value, weight, *sum);
            }
        }
        sums
    }
}

/// A vector of the first numbers, as many as there are of it or `count` and zeros behind them.
#[inline(always)]
fn load<S: Simd, const WHOLE: bool>(simd: S, numbers: &[f32], count: usize) -> S::f32s {
    if WHOLE {
        S::as_simd_f32s(&numbers[..S::F32_LANES]).0[0]
    } else {
        simd.partial_load_f32s(&numbers[..count])
    }
}
