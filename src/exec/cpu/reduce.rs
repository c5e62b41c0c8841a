//! Sums over all pixels of an image, strip by strip: the strips' results are merged in their order.

use pulp::{Simd, WithSimd};

/// What is made of all pixels.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reduction {
    Mean,
    Moments { groups: usize, eps: f32 },
}

impl Reduction {
    /// How many numbers a strip's partial result has: for each channel the mean, and then for each the sum of the
    /// squared deviations from it, if that is needed.
    pub(super) fn partials(self, channels: usize) -> usize {
        match self {
            Self::Mean => channels,
            Self::Moments { .. } => 2 * channels,
        }
    }
}

/// A strip, `[pixel][channel]`, to be reduced.
pub(super) struct Strip<'a> {
    pub(super) reduction: Reduction,
    pub(super) channels: usize,
    pub(super) data: &'a [f32],
    /// Its partial result.
    pub(super) partial: &'a mut [f64],
}

impl WithSimd for Strip<'_> {
    type Output = ();

    /// Goes through sixteen channels at a time, whose sums stay in registers.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        let mut first = 0;
        while first + 16 <= self.channels {
            self.sums::<16>(first);
            first += 16;
        }
        while first + 4 <= self.channels {
            self.sums::<4>(first);
            first += 4;
        }
        while first < self.channels {
            self.sums::<1>(first);
            first += 1;
        }
    }
}

impl Strip<'_> {
    /// Of the `N` channels from `first` on. Deviations are taken from the strip's first pixel, so that a large mean does
    /// not cancel a small deviation.
    #[inline(always)]
    fn sums<const N: usize>(&mut self, first: usize) {
        let pixels = self.data.chunks_exact(self.channels);
        let count = pixels.len() as f64;
        let (means, squares) = self.partial.split_at_mut(self.channels);
        let means = &mut means[first..first + N];
        let mut sums = [0.0; N];
        match self.reduction {
            Reduction::Mean => {
                for pixel in pixels {
                    for (sum, v) in sums.iter_mut().zip(&pixel[first..first + N]) {
                        *sum += f64::from(*v);
                    }
                }
                for (mean, sum) in means.iter_mut().zip(sums) {
                    *mean = sum / count;
                }
            }
            Reduction::Moments { .. } => {
                let mut about = [0.0; N];
                for (about, v) in about.iter_mut().zip(&self.data[first..first + N]) {
                    *about = f64::from(*v);
                }
                let mut squared = [0.0; N];
                for pixel in pixels {
                    let numbers = pixel[first..first + N].iter().zip(&about);
                    let sums = sums.iter_mut().zip(&mut squared);
                    for ((v, about), (sum, square)) in numbers.zip(sums) {
                        let deviation = f64::from(*v) - about;
                        *sum += deviation;
                        *square += deviation * deviation;
                    }
                }
                let squares = &mut squares[first..first + N];
                for index in 0..N {
                    let mean = sums[index] / count;
                    means[index] = about[index] + mean;
                    squares[index] = squared[index] - sums[index] * mean;
                }
            }
        }
    }
}

/// A mean of so many numbers, and the sum of the squared deviations from it.
#[derive(Clone, Copy, Debug, Default)]
struct Merged {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Merged {
    /// Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances"
    /// (1979).
    fn add(&mut self, count: f64, mean: f64, squares: f64) {
        let total = self.count + count;
        let apart = mean - self.mean;
        self.mean += apart * (count / total);
        self.squares += squares + apart * apart * (self.count * count / total);
        self.count = total;
    }
}

/// Merges the partial results of an image's strips, `width` numbers for each of which the first ones are this
/// reduction's, into the reduction's result. `sizes` are the strips' numbers of pixels.
pub(super) fn merge<'a>(
    reduction: Reduction,
    channels: usize,
    strips: impl Iterator<Item = (&'a [f64], usize)> + Clone,
    result: &mut [f32],
) {
    let of_channel = |channel: usize, merged: &mut Merged| {
        for (partial, pixels) in strips.clone() {
            let squares = partial.get(channels + channel).copied().unwrap_or(0.0);
            merged.add(pixels as f64, partial[channel], squares);
        }
    };
    match reduction {
        Reduction::Mean => {
            for (channel, mean) in result.iter_mut().enumerate() {
                let mut merged = Merged::default();
                of_channel(channel, &mut merged);
                *mean = merged.mean as f32;
            }
        }
        Reduction::Moments { groups, eps } => {
            let (means, inverses) = result.split_at_mut(groups);
            let size = channels / groups;
            for (group, (mean, inverse)) in means.iter_mut().zip(inverses).enumerate() {
                let mut merged = Merged::default();
                for channel in group * size..(group + 1) * size {
                    of_channel(channel, &mut merged);
                }
                *mean = merged.mean as f32;
                // A sum of squares that should be zero may be a little less.
                let variance = (merged.squares / merged.count).max(0.0);
                *inverse = (1.0 / (variance + f64::from(eps)).sqrt()) as f32;
            }
        }
    }
}
