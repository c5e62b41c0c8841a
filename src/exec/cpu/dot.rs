//! The dense convolution with few output channels, which would leave most of a vector of them empty: vectors lie along
//! the runs of input numbers instead.
//!
//! Every output number is its bias and a sum over all taps' runs. Weights are packed as `[output channel][tap][run]`,
//! runs filled up with zeros.

use pulp::Simd;

use super::conv::Lines;
use super::sums::{PARTS, Sums};

/// The most output channels.
const FEW: usize = 4;

/// How many output pixels are computed together, for which weights are read once.
const PIXELS: usize = 4;

/// Whether a convolution is computed so; the same for all instructions.
pub(super) fn is_better([taps, run, outputs]: [usize; 3]) -> bool {
    taps > 0 && run >= PARTS && outputs <= FEW
}

/// The numbers of a run's weights.
pub(super) fn padded(run: usize) -> usize {
    run.next_multiple_of(PARTS)
}

impl Lines<'_> {
    /// Computes all lines.
    #[inline(always)]
    pub(super) fn dots<S: Simd>(&mut self, simd: S) {
        for line in 0..self.lines {
            let mut pixel = 0;
            while pixel + PIXELS <= self.pixels {
                self.dot::<S, PIXELS>(simd, line, pixel);
                pixel += PIXELS;
            }
            while pixel < self.pixels {
                self.dot::<S, 1>(simd, line, pixel);
                pixel += 1;
            }
        }
    }

    /// The `P` pixels of a line from `pixel` on.
    #[inline(always)]
    fn dot<S: Simd, const P: usize>(&mut self, simd: S, line: usize, pixel: usize) {
        let dense = self.dense;
        let run = padded(dense.run);
        let starts = &self.starts[line * dense.taps..][..dense.taps];
        let outputs = dense.weights.chunks_exact(dense.taps * run);
        for (output, weights) in outputs.enumerate() {
            let mut sums: [Sums<S>; P] = [Sums::zero(simd); P];
            for (start, weights) in starts.iter().zip(weights.chunks_exact(run)) {
                let first = start + pixel * self.input_step;
                for (p, sums) in sums.iter_mut().enumerate() {
                    let numbers = &self.input[first + p * self.input_step..][..dense.run];
                    sums.add_products(simd, numbers, weights);
                }
            }
            for (p, sums) in sums.into_iter().enumerate() {
                let at = line * self.pitch + (pixel + p) * self.output_step + output;
                self.output[at] = dense.bias[output] + sums.total(simd);
            }
        }
    }
}
