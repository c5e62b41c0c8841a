//! Whole frames, cut into windows, run, and blended.

use std::sync::Arc;

use super::{CaseError, Random, network};
use crate::exec::{Finish, Frame};
use crate::image::{Blending, Pixels, Range, Scaling, Standard, Windows};
use crate::nn::{Binary, Graph, GraphError, Op, Shape};

/// The side of a window.
pub const SIDE: usize = 12;

/// Sizes: one window, several, smaller than one, one pixel wide.
const SIZES: [[usize; 2]; 5] = [[12, 12], [30, 41], [5, 40], [29, 1], [3, 2]];

const FINISHES: [Finish; 3] = [Finish::Keep, Finish::Sigmoid, Finish::ScaleBack];

/// Every type of numbers.
const TYPES: u64 = 6;

/// Every scaling.
const SCALINGS: u64 = 4;

/// Every size with every finish, then every type with every scaling.
pub(super) const SEEDS: u64 = (SIZES.len() * FINISHES.len()) as u64 + TYPES * SCALINGS;

/// A network for windows, and a frame.
pub(super) fn case(random: &mut Random, seed: u64) -> Result<(Graph, Frame<'static>), CaseError> {
    let sizes = (SIZES.len() * FINISHES.len()) as u64;
    if let Some(kind) = (seed % SEEDS).checked_sub(sizes) {
        let frame = frame_of(random, kind % TYPES, kind / TYPES);
        return Ok((convolution(random, 1, 1)?, frame));
    }
    let size = SIZES[seed as usize % SIZES.len()];
    let finish = FINISHES[seed as usize / SIZES.len() % FINISHES.len()];
    let outputs = if finish == Finish::ScaleBack { 2 } else { 3 };
    let graph = convolution(random, 2, outputs)?;
    Ok((graph, frame(random, 2, size, finish)))
}

/// A 3x3 convolution, and its mean taken off: it sees its window.
///
/// # Errors
/// Fails for no channels.
pub fn convolution(
    random: &mut Random,
    inputs: usize,
    outputs: usize,
) -> Result<Graph, GraphError> {
    let mut conv = random.conv(inputs, outputs, [3, 3], 1);
    conv.padding = [[1, 1], [1, 1]];
    network(Shape::new(inputs, SIDE, SIDE), |builder, value| {
        let value = builder.push(Op::Conv(conv), &[value])?;
        let mean = builder.push(Op::Mean, &[value])?;
        builder.push(Op::Binary(Binary::Subtract), &[value, mean])
    })
}

/// A frame of 16-bit numbers, its channels scaled by ranges.
pub fn frame(
    random: &mut Random,
    channels: usize,
    size: [usize; 2],
    finish: Finish,
) -> Frame<'static> {
    let count = channels * size[0] * size[1];
    let pixels: Vec<u16> = (0..count).map(|_| random.within(0, 60000) as u16).collect();
    let scaling = (0..channels).map(|channel| Scaling {
        range: Some(Range {
            low: 100.0 * channel as f32,
            span: 50000.0,
            eps: f32::EPSILON,
            clip: true,
        }),
        standard: None,
    });
    Frame {
        pixels: Pixels::U16(pixels.into()),
        scaling: scaling.collect(),
        windows: Arc::new(Windows::new(size, SIDE, 0.3, Blending::Gaussian)),
        finish,
    }
}

/// A frame of the numbers and the scaling of these kinds.
fn frame_of(random: &mut Random, kind: u64, scaling: u64) -> Frame<'static> {
    let numbers: Vec<usize> = (0..15 * 17).map(|_| random.within(0, 255)).collect();
    let numbers = numbers.iter();
    let pixels = match kind {
        0 => Pixels::U8(numbers.map(|v| *v as u8).collect()),
        1 => Pixels::U16(numbers.map(|v| (*v * 200) as u16).collect()),
        2 => Pixels::I16(numbers.map(|v| (*v as i32 * 200 - 30000) as i16).collect()),
        3 => Pixels::U32(numbers.map(|v| *v as u32 * 60000).collect()),
        4 => Pixels::I32(numbers.map(|v| *v as i32 * 60000 - 7_000_000).collect()),
        _ => Pixels::F32(numbers.map(|v| *v as f32 / 100.0).collect()),
    };
    let list = pixels.to_f32();
    let least = list.iter().copied().fold(f32::INFINITY, f32::min);
    let most = list.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let range = |clip| Range {
        low: least + 0.1 * (most - least),
        span: 0.7 * (most - least),
        eps: 1e-7,
        clip,
    };
    let standard = |mean, deviation| Standard { mean, deviation };
    let (range, standard) = match scaling {
        0 => (Some(range(true)), None),
        1 => (Some(range(false)), None),
        2 => (Some(range(true)), Some(standard(0.3, 0.2))),
        _ => (None, Some(standard(most / 2.0, most))),
    };
    Frame {
        pixels,
        scaling: vec![Scaling { range, standard }],
        windows: Arc::new(Windows::new([15, 17], SIDE, 0.25, Blending::Gaussian)),
        finish: Finish::ScaleBack,
    }
}
