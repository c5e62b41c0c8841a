//! The layer norm: every pixel's numbers by their own mean and deviation.
//!
//! Sums over channels have sixteen partial sums whatever the instructions, so that all give the same bits. Pixels are
//! worked on sixteen at a time, so that none waits for the sums and the square root of the one before it.

use pulp::Simd;

/// How many partial sums a sum has: number `i` goes to the sum `i % PARTS`.
const PARTS: usize = 16;

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
            // What is left of equal numbers may be a little less than nothing.
            let variance = ((*inverse - sum * *rest) / count).max(0.0);
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

/// The sum of a pixel's numbers.
#[inline(always)]
pub(super) fn sum<S: Simd>(simd: S, pixel: &[f32]) -> f32 {
    let mut sums = Sums::zero(simd);
    let (whole, rest) = pixel.as_chunks::<PARTS>();
    for chunk in whole {
        sums.add(simd, S::as_simd_f32s(chunk).0);
    }
    if !rest.is_empty() {
        let mut last = [0.0; PARTS];
        last[..rest.len()].copy_from_slice(rest);
        sums.add(simd, S::as_simd_f32s(&last).0);
    }
    sums.total(simd)
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

/// Partial sums: as many vectors as they take, and others that are left alone.
struct Sums<S: Simd>([S::f32s; PARTS]);

impl<S: Simd> Sums<S> {
    #[inline(always)]
    fn zero(simd: S) -> Self {
        Self([simd.splat_f32s(0.0); PARTS])
    }

    /// Adds a vector to the partial sums of the same index.
    #[inline(always)]
    fn add_one(&mut self, simd: S, index: usize, vector: S::f32s) {
        self.0[index] = simd.add_f32s(self.0[index], vector);
    }

    /// Adds a number to each partial sum.
    #[inline(always)]
    fn add(&mut self, simd: S, vectors: &[S::f32s]) {
        for (index, vector) in vectors.iter().enumerate() {
            self.add_one(simd, index, *vector);
        }
    }

    /// Adds up the partial sums, the second half to the first, again and again.
    #[inline(always)]
    fn total(mut self, simd: S) -> f32 {
        let mut vectors = PARTS / S::F32_LANES;
        while vectors > 1 {
            vectors /= 2;
            for index in 0..vectors {
                self.0[index] = simd.add_f32s(self.0[index], self.0[index + vectors]);
            }
        }
        // The instructions of x86 add halves; others, neighbours.
        if S::F32_LANES >= 8 {
            return simd.reduce_sum_f32s(self.0[0]);
        }
        let mut numbers = [0.0; PARTS];
        simd.partial_store_f32s(&mut numbers[..S::F32_LANES], self.0[0]);
        let mut half = S::F32_LANES;
        while half > 1 {
            half /= 2;
            for index in 0..half {
                numbers[index] += numbers[index + half];
            }
        }
        numbers[0]
    }
}
