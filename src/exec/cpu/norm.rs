//! The layer norm: every pixel's numbers by their own mean and deviation.
//!
//! Pixels are worked on sixteen at a time, so that none waits for the sums and the square root of the one before it.

use pulp::Simd;

use super::sums::{PARTS, Sums, sum};

/// How many pixels are worked on together.
const TOGETHER: usize = 16;

/// A norm over the channels of each pixel.
pub(super) struct LayerNorm<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) eps: f32,
}

impl LayerNorm<'_> {
    /// Norms `[pixel][channel]` in place.
    #[inline(always)]
    pub(super) fn apply<S: Simd>(&self, simd: S, data: &mut [f32]) {
        let channels = self.weight.len();
        let mut together = data.chunks_exact_mut(TOGETHER * channels);
        for pixels in &mut together {
            self.pixels::<S, TOGETHER>(simd, pixels);
        }
        for pixel in together.into_remainder().chunks_exact_mut(channels) {
            self.pixels::<S, 1>(simd, pixel);
        }
    }

    /// The mean is corrected by the mean of what is left, so that nothing cancels where it is large.
    ///
    /// Source: the corrected two-pass algorithm of Chan, Golub and LeVeque, "Algorithms for computing the sample
    /// variance" (1983).
    #[inline(always)]
    fn pixels<S: Simd, const P: usize>(&self, simd: S, data: &mut [f32]) {
        let channels = self.weight.len();
        let count = channels as f32;
        let mut about = [0.0; P];
        for (about, pixel) in about.iter_mut().zip(data.chunks_exact(channels)) {
            *about = sum(simd, pixel);
        }
        for about in &mut about {
            *about /= count;
        }
        let (mut rest, mut inverse) = ([0.0; P], [0.0; P]);
        let both = rest.iter_mut().zip(&mut inverse).zip(&about);
        for (((rest, inverse), about), pixel) in both.zip(data.chunks_exact(channels)) {
            [*rest, *inverse] = deviations(simd, pixel, *about);
        }
        for (rest, inverse) in rest.iter_mut().zip(&mut inverse) {
            let sum = *rest;
            *rest /= count;
            let variance = (*inverse - sum * *rest) / count;
            // What is left of equal numbers may be a little less than nothing; what is no number stays so.
            let variance = if variance < 0.0 { 0.0 } else { variance };
            *inverse = 1.0 / (variance + self.eps).sqrt();
        }
        let constants = about.iter().zip(&rest).zip(&inverse);
        for (((about, rest), inverse), pixel) in constants.zip(data.chunks_exact_mut(channels)) {
            self.scale(simd, pixel, [*about, *rest, *inverse]);
        }
    }

    #[inline(always)]
    fn scale<S: Simd>(&self, simd: S, pixel: &mut [f32], [about, rest, inverse]: [f32; 3]) {
        let [abouts, rests, inverses] =
            [about, rest, inverse].map(|constant| simd.splat_f32s(constant));
        let (weights, last_weights) = S::as_simd_f32s(self.weight);
        let (biases, last_biases) = S::as_simd_f32s(self.bias);
        let (vectors, last) = S::as_mut_simd_f32s(pixel);
        for ((v, weight), bias) in vectors.iter_mut().zip(weights).zip(biases) {
            let deviation = simd.sub_f32s(simd.sub_f32s(*v, abouts), rests);
            *v = simd.mul_add_f32s(simd.mul_f32s(deviation, inverses), *weight, *bias);
        }
        for ((v, weight), bias) in last.iter_mut().zip(last_weights).zip(last_biases) {
            *v = (((*v - about) - rest) * inverse).mul_add(*weight, *bias);
        }
    }
}

/// The sum of the numbers' deviations from about their mean, and that of the squares.
#[inline(always)]
fn deviations<S: Simd>(simd: S, pixel: &[f32], about: f32) -> [f32; 2] {
    let mut sums = Sums::zero(simd);
    let mut squares = Sums::zero(simd);
    let abouts = simd.splat_f32s(about);
    let (whole, rest) = pixel.as_chunks::<PARTS>();
    for chunk in whole {
        for (index, v) in S::as_simd_f32s(chunk).0.iter().enumerate() {
            let deviation = simd.sub_f32s(*v, abouts);
            sums.add_one(simd, index, deviation);
            squares.add_one(simd, index, simd.mul_f32s(deviation, deviation));
        }
    }
    if !rest.is_empty() {
        let (mut last, mut squared) = ([0.0; PARTS], [0.0; PARTS]);
        for ((last, squared), v) in last.iter_mut().zip(&mut squared).zip(rest) {
            *last = v - about;
            *squared = *last * *last;
        }
        sums.add(simd, S::as_simd_f32s(&last).0);
        squares.add(simd, S::as_simd_f32s(&squared).0);
    }
    [sums.total(simd), squares.total(simd)]
}
