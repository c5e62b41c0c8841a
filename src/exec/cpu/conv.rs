//! The dense convolution: every output number is its bias and then one chain of fused multiply-adds, over the taps and
//! in each over a run of neighbouring input numbers.
//!
//! A tile of output pixels times output channels stays in registers. Input numbers are broadcast; weights are packed as
//! `[block of output channels][tap][run][channel of the block]`, a block being one or two vectors, filled up with
//! zeros. 1x1, strided, grouped and transposed convolutions differ only in where their taps lie. Those with few output
//! channels are computed as [`super::dot`] says.

use std::collections::TryReserveError;

use pulp::{Arch, Simd, WithSimd};

use super::aligned::Aligned;
use super::dot;

/// The packed weights of a dense convolution.
#[derive(Debug)]
pub(super) struct Dense {
    pub(super) taps: usize,
    pub(super) run: usize,
    /// The channels that are written.
    outputs: usize,
    /// Whether the second vector of each block is multiplied into the first.
    gated: bool,
    /// Whether it has so few output channels that it is packed and computed as [`super::dot`] says.
    few: bool,
    /// The numbers of a vector of the instructions that it is packed for.
    lanes: usize,
    pub(super) weights: Aligned,
    /// Filled up to whole vectors.
    pub(super) bias: Aligned,
}

/// Lines of output pixels to be computed: line `i` begins at `output[i * pitch]`, and its taps' runs of input numbers at
/// `starts[i * taps ..]`.
pub(super) struct Lines<'a> {
    pub(super) dense: &'a Dense,
    pub(super) lines: usize,
    pub(super) input: &'a [f32],
    /// From a pixel's run of input numbers to that of the next pixel of its line.
    pub(super) input_step: usize,
    /// Of every line's taps, in `input`.
    pub(super) starts: &'a [usize],
    pub(super) output: &'a mut [f32],
    /// From a line to the next.
    pub(super) pitch: usize,
    /// From an output pixel to the next of its line.
    pub(super) output_step: usize,
    /// How many output pixels a line has.
    pub(super) pixels: usize,
}

/// How many numbers a vector has.
struct CountLanes;

impl WithSimd for CountLanes {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> usize {
        S::F32_LANES
    }
}

/// How many numbers a vector of these instructions has.
pub(super) fn lanes(arch: Arch) -> usize {
    arch.dispatch(CountLanes)
}

impl Dense {
    /// Packs the weights `weight(tap, position in the run, output channel)` for these instructions. Of a gated
    /// convolution, a block has a vector of the first half of the channels and that which it is multiplied with.
    pub(super) fn pack(
        arch: Arch,
        [taps, run, outputs]: [usize; 3],
        gated: bool,
        weight: impl Fn(usize, usize, usize) -> f32,
        bias: Option<&[f32]>,
    ) -> Result<Self, TryReserveError> {
        let lanes = lanes(arch);
        if !gated && dot::is_better([taps, run, outputs]) {
            return Self::pack_few([taps, run, outputs], lanes, weight, bias);
        }
        let (written, halves) = match gated {
            true => (outputs / 2, 2),
            false => (outputs, 1),
        };
        let padded = written.next_multiple_of(lanes) * halves;
        // The channel that stands at a place of the packed ones.
        let channel = |place: usize| {
            let (half, within) = match gated {
                true => (place / lanes % 2, place / lanes / 2 * lanes + place % lanes),
                false => (0, place),
            };
            (within < written).then_some(half * written + within)
        };
        let mut weights = Aligned::zeros(taps * run * padded)?;
        let mut rest = &mut weights[..];
        for first in (0..padded).step_by(2 * lanes) {
            let width = (2 * lanes).min(padded - first);
            let (block, after) = rest.split_at_mut(taps * run * width);
            for (index, numbers) in block.chunks_exact_mut(width).enumerate() {
                for (place, number) in (first..).zip(numbers) {
                    if let Some(output) = channel(place) {
                        *number = weight(index / run, index % run, output);
                    }
                }
            }
            rest = after;
        }
        let mut padded_bias = Aligned::zeros(padded)?;
        if let Some(bias) = bias {
            for (place, number) in padded_bias.iter_mut().enumerate() {
                *number = channel(place).map_or(0.0, |output| bias[output]);
            }
        }
        Ok(Self {
            taps,
            run,
            outputs: written,
            gated,
            few: false,
            lanes,
            weights,
            bias: padded_bias,
        })
    }

    /// The same for few output channels.
    fn pack_few(
        [taps, run, outputs]: [usize; 3],
        lanes: usize,
        weight: impl Fn(usize, usize, usize) -> f32,
        bias: Option<&[f32]>,
    ) -> Result<Self, TryReserveError> {
        let mut weights = Aligned::zeros(outputs * taps * dot::padded(run))?;
        for (index, numbers) in weights.chunks_exact_mut(dot::padded(run)).enumerate() {
            for (position, number) in numbers[..run].iter_mut().enumerate() {
                *number = weight(index % taps, position, index / taps);
            }
        }
        let mut own_bias = Aligned::zeros(outputs)?;
        if let Some(bias) = bias {
            own_bias.copy_from_slice(bias);
        }
        Ok(Self {
            taps,
            run,
            outputs,
            gated: false,
            few: true,
            lanes,
            weights,
            bias: own_bias,
        })
    }
}

impl WithSimd for Lines<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        debug_assert_eq!(self.dense.lanes, S::F32_LANES);
        if self.dense.few {
            self.dots(simd);
            return;
        }
        // So many accumulators that the latency of multiply-adds is hidden, and few enough to stay in registers.
        if S::REGISTER_COUNT >= 32 {
            self.blocks::<S, 8>(simd);
        } else {
            self.blocks::<S, 6>(simd);
        }
    }
}

impl Lines<'_> {
    /// Goes through the blocks of output channels, so that a block's weights are read again from the nearest cache.
    #[inline(always)]
    fn blocks<S: Simd, const P: usize>(mut self, simd: S) {
        let lanes = S::F32_LANES;
        let dense = self.dense;
        let size = dense.taps * dense.run * 2 * lanes;
        let padded = dense.bias.len();
        for (index, first) in (0..padded).step_by(2 * lanes).enumerate() {
            let weights = S::as_simd_f32s(&dense.weights[index * size..]).0;
            let bias = S::as_simd_f32s(&dense.bias[first..]).0;
            if padded - first >= 2 * lanes {
                self.block::<S, P, 2>(simd, first, weights, bias);
            } else {
                self.block::<S, P, 1>(simd, first, weights, bias);
            }
        }
    }

    /// The output channels from `first` on, of all pixels.
    #[inline(always)]
    fn block<S: Simd, const P: usize, const N: usize>(
        &mut self,
        simd: S,
        first: usize,
        weights: &[S::f32s],
        bias: &[S::f32s],
    ) {
        let weights = &weights[..self.dense.taps * self.dense.run * N];
        let gated = self.dense.gated;
        let first = match gated {
            true => first / 2,
            false => first,
        };
        for line in 0..self.lines {
            let starts = &self.starts[line * self.dense.taps..][..self.dense.taps];
            let mut tile = Tile {
                simd,
                weights,
                bias,
                input: self.input,
                input_step: self.input_step,
                starts,
                run: self.dense.run,
                output: &mut self.output[line * self.pitch + first..],
                output_step: self.output_step,
                outputs: self.dense.outputs - first,
                gated,
            };
            let mut pixel = 0;
            while pixel + P <= self.pixels {
                tile.compute::<P, N>(pixel);
                pixel += P;
            }
            match self.pixels - pixel {
                1 => tile.compute::<1, N>(pixel),
                2 => tile.compute::<2, N>(pixel),
                3 => tile.compute::<3, N>(pixel),
                4 => tile.compute::<4, N>(pixel),
                5 => tile.compute::<5, N>(pixel),
                6 => tile.compute::<6, N>(pixel),
                7 => tile.compute::<7, N>(pixel),
                _ => {}
            }
        }
    }
}

/// A line of output pixels and a block of output channels.
struct Tile<'a, S: Simd> {
    simd: S,
    weights: &'a [S::f32s],
    bias: &'a [S::f32s],
    input: &'a [f32],
    input_step: usize,
    starts: &'a [usize],
    run: usize,
    output: &'a mut [f32],
    output_step: usize,
    /// The channels of the block that are written, and those behind it.
    outputs: usize,
    gated: bool,
}

impl<S: Simd> Tile<'_, S> {
    /// The `P` pixels from `pixel` on, and `N` vectors of output channels.
    #[inline(always)]
    fn compute<const P: usize, const N: usize>(&mut self, pixel: usize) {
        let simd = self.simd;
        let mut sums: [[S::f32s; N]; P] = [std::array::from_fn(|n| self.bias[n]); P];
        let mut weights = self.weights.chunks_exact(self.run * N);
        for start in self.starts {
            let Some(weights) = weights.next() else { break };
            let first = start + pixel * self.input_step;
            let runs: [&[f32]; P] =
                std::array::from_fn(|p| &self.input[first + p * self.input_step..][..self.run]);
            for (k, weights) in weights.chunks_exact(N).enumerate() {
                let weights: [S::f32s; N] = std::array::from_fn(|n| weights[n]);
                for (sums, run) in sums.iter_mut().zip(&runs) {
                    let value = simd.splat_f32s(run[k]);
                    for (sum, weight) in sums.iter_mut().zip(weights) {
                        *sum = simd.mul_add_f32s(value, weight, *sum);
                    }
                }
            }
        }
        for (p, sums) in sums.iter().enumerate() {
            let output = &mut self.output[(pixel + p) * self.output_step..];
            if self.gated {
                let count = self.outputs.min(S::F32_LANES);
                let product = simd.mul_f32s(sums[0], sums[N - 1]);
                store(simd, &mut output[..count], product);
                continue;
            }
            for (n, sum) in sums.iter().enumerate() {
                let from = n * S::F32_LANES;
                let count = (self.outputs - from).min(S::F32_LANES);
                store(simd, &mut output[from..from + count], *sum);
            }
        }
    }
}

/// Writes the first numbers of a vector, as many as there is room for.
#[inline(always)]
pub(super) fn store<S: Simd>(simd: S, output: &mut [f32], vector: S::f32s) {
    match S::as_mut_simd_f32s(output) {
        ([whole], []) => *whole = vector,
        _ => simd.partial_store_f32s(output, vector),
    }
}
