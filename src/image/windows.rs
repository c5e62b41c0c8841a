//! Sliding windows over a frame: where they lie, and how much of each counts where. Pure geometry.
//!
//! Source: MONAI 1.5, `inferers/utils.py` (`sliding_window_inference`) and `data/utils.py` (`dense_patch_slices`,
//! `compute_importance_map`), as HiTMicTools calls them.

use std::sync::Arc;

/// How windows are blended where they overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blending {
    /// Every window counts the same.
    Constant,
    /// The middle of a window counts most: a Gaussian of an eighth of its side.
    Gaussian,
}

/// The windows of a frame. Pairs are rows, columns.
///
/// The frame is extended by [`Windows::before`] and [`Windows::after`], where it is smaller than a window, and the
/// windows lie in that extended frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Windows {
    /// The side of a window, which is a square, in pixels.
    pub side: usize,
    /// The frame's height and width.
    pub frame: [usize; 2],
    /// How many rows and columns are put before the frame's first, reflected.
    pub before: [usize; 2],
    /// How many rows and columns are put after the frame's last, reflected.
    pub after: [usize; 2],
    /// The first row of each row of windows, and the first column of each column of them, in the extended frame.
    pub starts: [Vec<usize>; 2],
    /// How much each pixel of a window counts, `[side, side]`.
    pub weights: Arc<[f32]>,
}

impl Windows {
    /// The windows of that side over a frame, neighbours overlapping by the share `overlap` of their side.
    ///
    /// `side` is at least 1, `overlap` at least 0 and below 1, and neither side of the frame is 0: the config and the
    /// readers of images see to that.
    pub fn new(frame: [usize; 2], side: usize, overlap: f64, blending: Blending) -> Self {
        let missing = frame.map(|length| side.saturating_sub(length));
        let before = missing.map(|missing| missing / 2);
        let after = [missing[0] - before[0], missing[1] - before[1]];
        let step = ((side as f64 * (1.0 - overlap)) as usize).max(1);
        Self {
            side,
            frame,
            before,
            after,
            starts: frame.map(|length| starts(length.max(side), side, step)),
            weights: weights(side, blending).into(),
        }
    }

    /// How many windows there are.
    pub fn count(&self) -> usize {
        self.starts[0].len() * self.starts[1].len()
    }

    /// The first row and column of a window, in the extended frame. They are counted row by row.
    pub fn origin(&self, index: usize) -> [usize; 2] {
        let columns = self.starts[1].len();
        [
            self.starts[0][index / columns],
            self.starts[1][index % columns],
        ]
    }

    /// The row (`axis` 0) or column (1) of the frame that stands at `position` of the extended frame.
    ///
    /// Reflection leaves out the border itself, as PyTorch's. Where it would reach beyond the other border, at which
    /// PyTorch fails, it is reflected again; a single pixel is repeated.
    pub fn source(&self, axis: usize, position: usize) -> usize {
        let (length, before) = (self.frame[axis], self.before[axis]);
        if position >= before && position - before < length {
            return position - before;
        }
        if length == 1 {
            return 0;
        }
        let period = 2 * (length - 1);
        // From the frame's first row or column, shifted up by whole periods to stay positive.
        let shifted = (position + period - before % period) % period;
        if shifted < length {
            shifted
        } else {
            period - shifted
        }
    }
}

/// The first position of each window along a side of `length`: a multiple of `step`, the last moved back to end at the
/// border.
fn starts(length: usize, side: usize, step: usize) -> Vec<usize> {
    let last = length - side;
    let mut all: Vec<usize> = (0..last).step_by(step).collect();
    all.push(last);
    all
}

/// The weights of a window's pixels. Gaussians are not below a thousandth, nor below the product's own minimum.
fn weights(side: usize, blending: Blending) -> Vec<f32> {
    if blending == Blending::Constant {
        return vec![1.0; side * side];
    }
    let sigma = 0.125 * side as f32;
    let centre = (side as f32 - 1.0) / 2.0;
    let bell = |position: usize| {
        let distance = position as f32 - centre;
        (distance.powi(2) / (-2.0 * sigma.powi(2))).exp()
    };
    let line: Vec<f32> = (0..side).map(bell).collect();
    let mut all = Vec::with_capacity(side * side);
    for row in &line {
        all.extend(line.iter().map(|column| row * column));
    }
    let least = all.iter().copied().filter(|weight| *weight != 0.0);
    let least = least.fold(f32::INFINITY, f32::min).max(1e-3);
    for weight in &mut all {
        *weight = weight.max(least);
    }
    all
}
