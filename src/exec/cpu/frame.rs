//! Frames around a network: scaled, cut into windows, and put together again.
//!
//! A pixel's windows are added in their order, whatever the number of windows that are run together.

use rayon::prelude::*;

use super::failure;
use super::function::sigmoid;
use crate::blob::zeros;
use crate::exec::{ExecError, Finish, Frame};
use crate::image::Windows;

/// Room for numbers of a frame.
fn room(frame: [usize; 2], count: usize) -> Result<Vec<f32>, ExecError> {
    zeros(count).map_err(|error| {
        failure(format!(
            "no room for a frame of {} x {}: {error}",
            frame[0], frame[1]
        ))
    })
}

/// A frame's numbers as the network sees them, `[C, height, width]`.
pub(super) fn scaled(frame: &Frame) -> Result<Vec<f32>, ExecError> {
    let [height, width] = frame.windows.frame;
    let mut numbers = room(frame.windows.frame, frame.pixels.len())?;
    let rows = numbers.par_chunks_mut(width).enumerate();
    rows.for_each(|(index, row)| {
        let scaling = &frame.scaling[index / height];
        let mut row = row.iter_mut();
        frame
            .pixels
            .each(index * width..(index + 1) * width, |value| {
                if let Some(number) = row.next() {
                    *number = scaling.forward(value);
                }
            });
    });
    Ok(numbers)
}

/// Copies a window, `[row][column][channel]`, out of a frame's numbers.
pub(super) fn gather(
    numbers: &[f32],
    windows: &Windows,
    sources: &[Vec<usize>; 2],
    index: usize,
    window: &mut [f32],
) {
    let (side, [height, width]) = (windows.side, windows.frame);
    let [top, left] = windows.origin(index);
    let channels = window.len() / (side * side);
    let columns = &sources[1][left..left + side];
    let rows = window.par_chunks_mut(side * channels);
    rows.zip(&sources[0][top..top + side])
        .for_each(|(line, row)| {
            for (pixel, column) in line.chunks_exact_mut(channels).zip(columns) {
                for (channel, number) in pixel.iter_mut().enumerate() {
                    *number = numbers[(channel * height + row) * width + column];
                }
            }
        });
}

/// A frame that is put together.
pub(super) struct Blend {
    /// `[C' + 1, height, width]`: weighted sums of the windows' results, then the sums of the weights.
    sums: Vec<f32>,
    channels: usize,
}

impl Blend {
    /// Of results with so many channels.
    pub(super) fn new(windows: &Windows, channels: usize) -> Result<Self, ExecError> {
        let [height, width] = windows.frame;
        let count = (channels + 1).saturating_mul(height * width);
        let sums = room(windows.frame, count)?;
        Ok(Self { sums, channels })
    }

    /// Adds the results, `[row][column][channel]`, of the windows from `first` on.
    pub(super) fn add(&mut self, windows: &Windows, first: usize, results: &[&[f32]]) {
        let [height, width] = windows.frame;
        let (side, channels) = (windows.side, self.channels);
        let lines = self.sums.par_chunks_mut(width).enumerate();
        lines.for_each(|(index, line)| {
            let (channel, row) = (index / height, index % height + windows.before[0]);
            for (offset, result) in results.iter().enumerate() {
                let [top, left] = windows.origin(first + offset);
                if row < top || row >= top + side {
                    continue;
                }
                // Columns of the frame, whose first stands at `before` in the extended one.
                let before = windows.before[1];
                let from = left.max(before);
                let end = (left + side).min(before + width);
                let start = (row - top) * side + from - left;
                let weights = &windows.weights[start..start + (end - from)];
                let sums = line[from - before..end - before].iter_mut().zip(weights);
                if channel == channels {
                    sums.for_each(|(sum, weight)| *sum += weight);
                } else {
                    let values = result[start * channels + channel..]
                        .iter()
                        .step_by(channels);
                    sums.zip(values)
                        .for_each(|((sum, weight), value)| *sum += weight * value);
                }
            }
        });
    }

    /// The frame, `[C', height, width]`.
    pub(super) fn finish(self, frame: &Frame) -> Vec<f32> {
        let pixels = frame.windows.frame[0] * frame.windows.frame[1];
        let Self { mut sums, channels } = self;
        let (planes, weights) = sums.split_at_mut(channels * pixels);
        let planes = planes.par_chunks_mut(pixels).enumerate();
        planes.for_each(|(channel, plane)| {
            let numbers = plane.par_iter_mut().zip(weights.par_iter());
            let finished = |value: f32| match frame.finish {
                Finish::Keep => value,
                Finish::ScaleBack => frame.scaling[channel].back(value),
                Finish::Sigmoid => sigmoid(f64::from(value)) as f32,
            };
            numbers.for_each(|(number, weight)| *number = finished(*number / weight));
        });
        sums.truncate(channels * pixels);
        sums
    }
}
