//! Convolutions of all kinds, as dense and depthwise ones of output pixels that lie evenly.
//!
//! A transposed convolution of stride `s` is `s` times `s` dense ones, each for every `s`-th output row and column, with
//! the taps that meet them. A grouped one is a dense one for each group, unless each channel is a group.

use std::collections::TryReserveError;
use std::ops::Range;

use pulp::Arch;

use super::aligned::Aligned;
use super::conv::{Dense, Lines};
use super::depthwise::Depthwise;
use super::reach::Rows;
use crate::nn::{Conv, Shape};

/// A convolution, ready to run.
#[derive(Debug)]
pub(super) struct Convolution {
    input: Shape,
    output: Shape,
    /// From an output row (column) of a part to its next.
    every: [usize; 2],
    /// From the input row (column) of an output row of a part to that of its next.
    step: [usize; 2],
    parts: Vec<Part>,
}

/// Every so many output rows and columns, and a run of output channels.
#[derive(Debug)]
struct Part {
    /// The first output row and column.
    phase: [usize; 2],
    /// The input row of each tap, for the first output row.
    rows: Vec<isize>,
    /// The input column of each tap, for the first output column.
    columns: Vec<isize>,
    first_input: usize,
    first_output: usize,
    kernel: Kernel,
}

#[derive(Debug)]
enum Kernel {
    Dense(Dense),
    Depthwise {
        /// `[tap][channel]`
        weights: Aligned,
        bias: Aligned,
        gated: bool,
    },
}

impl Convolution {
    /// Packs the weights of a convolution with these shapes. If it is `gated`, the second half of its channels is
    /// multiplied into the first, which are all that `output` has.
    pub(super) fn pack(
        arch: Arch,
        conv: &Conv,
        gated: bool,
        input: Shape,
        output: Shape,
    ) -> Result<Self, TryReserveError> {
        let (every, step) = match conv.transposed {
            true => (conv.stride, [1, 1]),
            false => ([1, 1], conv.stride),
        };
        let mut parts = Vec::new();
        // Phases beyond the output have no pixels.
        for row in 0..every[0].min(output.height) {
            for column in 0..every[1].min(output.width) {
                let rows = conv.taps(0, row);
                let columns = conv.taps(1, column);
                let phase = [row, column];
                if conv.is_depthwise() && input.channels == conv.groups {
                    parts.push(Part::depthwise(conv, gated, phase, &rows, &columns)?);
                } else {
                    for group in 0..conv.groups {
                        let part =
                            Part::dense(arch, conv, gated, input, phase, [&rows, &columns], group)?;
                        parts.push(part);
                    }
                }
            }
        }
        Ok(Self {
            input,
            output,
            every,
            step,
            parts,
        })
    }

    /// Computes output rows, `[row][column][channel]`, from the input rows that they need. `starts` is room to work in.
    pub(super) fn run(
        &self,
        arch: Arch,
        input: Rows<'_>,
        rows: Range<usize>,
        output: &mut [f32],
        starts: &mut Vec<usize>,
    ) {
        let width = self.output.width * self.output.channels;
        for part in &self.parts {
            let [every, every_column] = self.every;
            // The first of its rows within the range.
            let first = rows.start + (part.phase[0] + every - rows.start % every) % every;
            let lines = rows.end.saturating_sub(first).div_ceil(every);
            if lines == 0 {
                continue;
            }
            starts.clear();
            for line in 0..lines {
                let base = (first + line * every) / every * self.step[0];
                part.starts(input, base as isize, starts);
            }
            let skipped = (first - rows.start) * width + part.phase[1] * self.output.channels;
            let output = &mut output[skipped..];
            let input_step = self.step[1] * self.input.channels;
            match &part.kernel {
                Kernel::Dense(dense) => arch.dispatch(Lines {
                    dense,
                    lines,
                    input: input.data,
                    input_step,
                    starts,
                    output: &mut output[part.first_output..],
                    pitch: every * width,
                    output_step: every_column * self.output.channels,
                    pixels: (self.output.width - part.phase[1]).div_ceil(every_column),
                }),
                Kernel::Depthwise {
                    weights,
                    bias,
                    gated,
                } => {
                    let taps = part.rows.len() * part.columns.len();
                    let lines = output
                        .chunks_exact_mut(width)
                        .zip(starts.chunks_exact(taps));
                    for (output, starts) in lines {
                        arch.dispatch(Depthwise {
                            channels: self.input.channels,
                            gated: *gated,
                            weights,
                            bias,
                            input: input.data,
                            starts,
                            input_step,
                            output,
                        });
                    }
                }
            }
        }
    }

    /// Computes pixels, `[pixel][channel]`, of a convolution that is a matrix product at each.
    pub(super) fn run_pixels(&self, arch: Arch, input: &[f32], output: &mut [f32]) {
        for part in &self.parts {
            let pixels = output.len() / self.output.channels;
            match &part.kernel {
                Kernel::Dense(dense) => arch.dispatch(Lines {
                    dense,
                    lines: 1,
                    input,
                    input_step: self.input.channels,
                    starts: &[part.first_input],
                    output: &mut output[part.first_output..],
                    pitch: 0,
                    output_step: self.output.channels,
                    pixels,
                }),
                Kernel::Depthwise {
                    weights,
                    bias,
                    gated,
                } => arch.dispatch(Depthwise {
                    channels: self.input.channels,
                    gated: *gated,
                    weights,
                    bias,
                    input,
                    starts: &[0],
                    input_step: self.input.channels,
                    output,
                }),
            }
        }
    }
}

impl Part {
    /// One group of a convolution. Where there is only one, the taps of a kernel row are one run.
    fn dense(
        arch: Arch,
        conv: &Conv,
        gated: bool,
        input: Shape,
        phase: [usize; 2],
        [rows, columns]: [&[(usize, isize)]; 2],
        group: usize,
    ) -> Result<Self, TryReserveError> {
        let inputs = input.channels / conv.groups;
        let outputs = conv.outputs / conv.groups;
        let first_output = group * outputs;
        let (runs, run) = match conv.groups {
            1 => (columns.len().min(1), (columns.len() * inputs).max(1)),
            _ => (columns.len(), inputs),
        };
        let weight = |tap: usize, position: usize, output: usize| {
            let (row, _) = rows[tap / runs];
            let (column, _) = columns[tap % runs + position / inputs];
            let index = (row * conv.kernel[1] + column) * inputs + position % inputs;
            conv.weight[index * conv.outputs + first_output + output]
        };
        let bias = conv.bias.as_ref();
        let bias = bias.map(|bias| &bias[first_output..first_output + outputs]);
        let sizes = [rows.len() * runs, run, outputs];
        Ok(Self {
            phase,
            rows: rows.iter().map(|(_, row)| *row).collect(),
            columns: columns[..runs].iter().map(|(_, column)| *column).collect(),
            first_input: group * inputs,
            first_output,
            kernel: Kernel::Dense(Dense::pack(arch, sizes, gated, weight, bias)?),
        })
    }

    /// All groups of a convolution that works on each channel on its own.
    fn depthwise(
        conv: &Conv,
        gated: bool,
        phase: [usize; 2],
        rows: &[(usize, isize)],
        columns: &[(usize, isize)],
    ) -> Result<Self, TryReserveError> {
        // Stored as they are needed: the group has one input channel.
        let mut weights = Aligned::zeros(conv.weight.len())?;
        weights.copy_from_slice(&conv.weight);
        let mut bias = Aligned::zeros(conv.outputs)?;
        if let Some(numbers) = &conv.bias {
            bias.copy_from_slice(numbers);
        }
        Ok(Self {
            phase,
            rows: rows.iter().map(|(_, row)| *row).collect(),
            columns: columns.iter().map(|(_, column)| *column).collect(),
            first_input: 0,
            first_output: 0,
            kernel: Kernel::Depthwise {
                weights,
                bias,
                gated,
            },
        })
    }

    /// Where the runs of the taps begin, for the first pixel of an output row whose taps lie `base` rows further down
    /// than those of the part's first.
    fn starts(&self, input: Rows<'_>, base: isize, starts: &mut Vec<usize>) {
        let channels = input.shape.channels as isize;
        for row in &self.rows {
            let start = input.start_or_zeros(base + row) as isize;
            let columns = self.columns.iter();
            starts.extend(
                columns.map(|column| (start + column * channels) as usize + self.first_input),
            );
        }
    }
}
