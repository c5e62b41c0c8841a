//! Whole frames through windows.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model_bundle::exec::cases::{Family, Random, SIDE, convolution, frame, single};
use model_bundle::exec::cpu::Cpu;
use model_bundle::exec::{ExecError, Executor, Finish, Frame};
use model_bundle::image::{Blending, Pixels, Windows};
use model_bundle::nn::{Graph, Op, Shape, fuse};
use model_bundle::progress::{Progress, Silent};

use super::check;
use crate::plain;

/// The same in f64, pixel by pixel.
pub fn expected(graph: &Graph, frame: &Frame) -> Vec<f64> {
    let windows = &frame.windows;
    let [height, width] = windows.frame;
    let numbers = frame.pixels.to_f32();
    let channels = graph.shape(graph.output()).channels;
    let mut sums = vec![0.0; channels * height * width];
    let mut weights = vec![0.0; height * width];
    for index in 0..windows.count() {
        let [top, left] = windows.origin(index);
        let mut image = Vec::new();
        for (channel, scaling) in frame.scaling.iter().enumerate() {
            for y in 0..SIDE {
                for x in 0..SIDE {
                    let row = windows.source(0, top + y);
                    let column = windows.source(1, left + x);
                    let number = numbers[(channel * height + row) * width + column];
                    image.push(scaling.forward(number));
                }
            }
        }
        let result = plain::run(graph, &image);
        for y in 0..SIDE {
            for x in 0..SIDE {
                let row = (top + y).checked_sub(windows.before[0]);
                let column = (left + x).checked_sub(windows.before[1]);
                let (Some(row), Some(column)) = (row, column) else {
                    continue;
                };
                if row >= height || column >= width {
                    continue;
                }
                let weight = f64::from(windows.weights[y * SIDE + x]);
                weights[row * width + column] += weight;
                for channel in 0..channels {
                    let value = result[(channel * SIDE + y) * SIDE + x];
                    sums[(channel * height + row) * width + column] += weight * value;
                }
            }
        }
    }
    let finish = |(index, sum): (usize, &f64)| {
        let value = sum / weights[index % weights.len()];
        match frame.finish {
            Finish::Keep => value,
            Finish::Sigmoid => 1.0 / (1.0 + (-value).exp()),
            Finish::ScaleBack => {
                let scaling = &frame.scaling[index / weights.len()];
                let standard = scaling.standard.as_ref();
                let value = standard.map_or(value, |standard| {
                    value * f64::from(standard.deviation) + f64::from(standard.mean)
                });
                let range = scaling.range.as_ref();
                range.map_or(value, |range| {
                    value * f64::from(range.span) + f64::from(range.low)
                })
            }
        }
    };
    sums.iter().enumerate().map(finish).collect()
}

/// Every type of numbers, and every scaling.
#[test]
fn frames_of_every_kind() {
    check(Family::Frame, Family::Frame.seeds(), 2e-6);
}

#[test]
fn frames_are_cut_run_and_blended() {
    let sizes = [[12, 12], [30, 41], [5, 40], [29, 1], [3, 2]];
    let finishes = [Finish::Keep, Finish::Sigmoid, Finish::ScaleBack];
    for (seed, (size, finish)) in sizes
        .iter()
        .flat_map(|s| finishes.map(|f| (s, f)))
        .enumerate()
    {
        let mut random = Random(seed as u64);
        let outputs = if finish == Finish::ScaleBack { 2 } else { 3 };
        let graph = convolution(&mut random, 2, outputs).unwrap();
        let frames = [0, 1].map(|_| frame(&mut random, 2, *size, finish));
        let program = Arc::new(fuse(graph.clone()));
        let mut all: Vec<Vec<u32>> = Vec::new();
        for (threads, windows) in [(1, 1), (2, 3), (3, 7), (2, 64)] {
            let windows = NonZeroUsize::new(windows).unwrap();
            let cpu = Cpu::new(threads).unwrap().with_windows(windows);
            let mut session = cpu.load(program.clone()).unwrap();
            let mut bits = Vec::new();
            // The first again at the end: a session forgets its frames.
            for frame in [&frames[0], &frames[1], &frames[0]] {
                session.submit(frame.clone(), &Silent).unwrap();
                let found = session.collect(&Silent).unwrap().unwrap();
                let expected = expected(&graph, frame);
                assert_eq!(found.len(), expected.len());
                let most = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
                for (found, expected) in found.iter().zip(&expected) {
                    let apart = (f64::from(*found) - expected).abs() / most;
                    assert!(apart < 2e-6, "{size:?} {finish:?}: {found} {expected}");
                }
                bits.push(found.iter().map(|v| v.to_bits()).collect::<Vec<u32>>());
            }
            assert!(session.collect(&Silent).unwrap().is_none());
            assert_eq!(bits[0], bits[2]);
            all.push(bits.concat());
        }
        assert!(
            all.iter().all(|bits| *bits == all[0]),
            "{size:?} {finish:?}"
        );
    }
}

/// Counts windows, and asks to stop after so many.
struct Stop(AtomicU64, u64);

impl Progress for Stop {
    fn step(&self, steps: u64) {
        self.0.fetch_add(steps, Ordering::Relaxed);
    }

    fn interrupted(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= self.1
    }
}

#[test]
fn windows_are_counted_and_can_be_stopped() {
    let mut random = Random(1);
    let graph = convolution(&mut random, 1, 1).unwrap();
    let frame = frame(&mut random, 1, [60, 60], Finish::Keep);
    let count = frame.windows.count() as u64;
    let cpu = Cpu::new(2)
        .unwrap()
        .with_windows(NonZeroUsize::new(3).unwrap());
    let mut session = cpu.load(Arc::new(fuse(graph))).unwrap();
    let progress = Stop(AtomicU64::new(0), u64::MAX);
    session.submit(frame.clone(), &progress).unwrap();
    assert_eq!(progress.0.into_inner(), count);
    let progress = Stop(AtomicU64::new(0), 5);
    let stopped = session.submit(frame, &progress);
    assert!(matches!(stopped, Err(ExecError::Interrupted)));
    assert_eq!(progress.0.into_inner(), 6);
    // The frame before is still there, the stopped one is not.
    assert!(session.collect(&Silent).unwrap().is_some());
    assert!(session.collect(&Silent).unwrap().is_none());
}

#[test]
fn frames_that_do_not_fit_are_refused() {
    let mut random = Random(1);
    let cpu = Cpu::new(1).unwrap();
    let good = frame(&mut random, 1, [20, 20], Finish::ScaleBack);
    let error = |graph: Graph, frame: &Frame| {
        let mut session = cpu.load(Arc::new(fuse(graph))).unwrap();
        session
            .submit(frame.clone(), &Silent)
            .unwrap_err()
            .to_string()
    };
    let mean = single(Shape::new(1, SIDE, SIDE), Op::Mean).unwrap();
    assert_eq!(
        error(mean, &good),
        "the network's result: expected 12 x 12, found 1 x 1"
    );
    let two = convolution(&mut random, 1, 2).unwrap();
    assert_eq!(
        error(two.clone(), &good),
        "the network's result: expected 1 channels, as the frame has, found 2"
    );
    let mut short = good.clone();
    short.pixels = Pixels::U8(vec![0; 399].into());
    assert_eq!(
        error(two.clone(), &short),
        "a frame: expected 400 numbers, 1 channels of 20 x 20, found 399"
    );
    let mut larger = good.clone();
    larger.windows = Arc::new(Windows::new([20, 20], 13, 0.0, Blending::Constant));
    assert_eq!(
        error(two.clone(), &larger),
        "a frame: expected windows of 12 x 12, found 13 x 13"
    );
    let mut unscaled = good;
    unscaled.scaling.clear();
    assert_eq!(
        error(two, &unscaled),
        "a frame's scalings: expected 1, found 0"
    );
}
