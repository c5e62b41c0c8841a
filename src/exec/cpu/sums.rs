//! Sums along channels, the same to the bit whatever the instructions: sixteen partial sums, added up by halves.

use pulp::Simd;

/// How many partial sums a sum has: number `i` goes to the sum `i % PARTS`.
pub(super) const PARTS: usize = 16;

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

/// Partial sums: as many vectors as they take, and others that are left alone.
#[derive(Clone, Copy)]
pub(super) struct Sums<S: Simd>([S::f32s; PARTS]);

impl<S: Simd> Sums<S> {
    #[inline(always)]
    pub(super) fn zero(simd: S) -> Self {
        Self([simd.splat_f32s(0.0); PARTS])
    }

    /// Adds a vector to the partial sums of the same index.
    #[inline(always)]
    pub(super) fn add_one(&mut self, simd: S, index: usize, vector: S::f32s) {
        self.0[index] = simd.add_f32s(self.0[index], vector);
    }

    /// Adds a number to each partial sum.
    #[inline(always)]
    pub(super) fn add(&mut self, simd: S, vectors: &[S::f32s]) {
        for (index, vector) in vectors.iter().enumerate() {
            self.add_one(simd, index, *vector);
        }
    }

    /// Adds the products of numbers and weights, of which there are as many, filled up to whole chunks.
    #[inline(always)]
    pub(super) fn add_products(&mut self, simd: S, numbers: &[f32], weights: &[f32]) {
        let (whole, rest) = numbers.as_chunks::<PARTS>();
        let (weights, _) = weights.as_chunks::<PARTS>();
        for (chunk, weights) in whole.iter().zip(weights) {
            self.add_product(simd, chunk, weights);
        }
        if let (false, Some(weights)) = (rest.is_empty(), weights.last()) {
            let mut last = [0.0; PARTS];
            last[..rest.len()].copy_from_slice(rest);
            self.add_product(simd, &last, weights);
        }
    }

    #[inline(always)]
    fn add_product(&mut self, simd: S, numbers: &[f32; PARTS], weights: &[f32; PARTS]) {
        let pairs = S::as_simd_f32s(numbers)
            .0
            .iter()
            .zip(S::as_simd_f32s(weights).0);
        for (sum, (v, weight)) in self.0.iter_mut().zip(pairs) {
            *sum = simd.mul_add_f32s(*v, *weight, *sum);
        }
    }

    /// Adds up the partial sums, the second half to the first, again and again.
    #[inline(always)]
    pub(super) fn total(mut self, simd: S) -> f32 {
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
