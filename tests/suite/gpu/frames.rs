//! Whole frames through windows.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model_bundle::exec::cpu::Cpu;
use model_bundle::exec::gpu::{Gpu, Precision};
use model_bundle::exec::{ExecError, Executor, Finish, Frame, Session};
use model_bundle::image::{Blending, Pixels, Range, Scaling, Standard, Windows};
use model_bundle::nn::fuse;
use model_bundle::progress::{Progress, Silent};

use super::{adapter, bits, with_devices};
use crate::cpu::Random;
use crate::cpu::frames::{SIDE, convolution, expected, frame};

/// The largest difference, in parts of the largest number that is wanted.
fn apart(found: &[f32], wanted: impl Iterator<Item = f64>) -> f64 {
    let wanted: Vec<f64> = wanted.collect();
    let found: Vec<f64> = found.iter().map(|v| f64::from(*v)).collect();
    crate::forward::distance(&found, &wanted)
}

fn run(session: &mut dyn Session, frame: &Frame) -> Vec<f32> {
    session.submit(frame.clone(), &Silent).unwrap();
    session.collect(&Silent).unwrap().unwrap()
}

#[test]
fn frames_are_cut_run_and_blended() {
    with_devices(|devices| {
        let sizes = [[12, 12], [30, 41], [5, 40], [29, 1], [3, 2]];
        let finishes = [Finish::Keep, Finish::Sigmoid, Finish::ScaleBack];
        for (seed, size) in sizes.iter().enumerate() {
            for finish in finishes {
                let mut random = Random(seed as u64);
                let outputs = if finish == Finish::ScaleBack { 2 } else { 3 };
                let graph = convolution(&mut random, 2, outputs);
                let frame = frame(&mut random, 2, *size, finish);
                let program = Arc::new(fuse(graph.clone()));
                let mut whole = devices.whole.load(program.clone()).unwrap();
                let mut least = devices.least.load(program).unwrap();
                let found = run(&mut *whole, &frame);
                let wanted = expected(&graph, &frame);
                let distance = apart(&found, wanted.into_iter());
                assert!(distance < 1e-5, "{size:?} {finish:?}: {distance:e}");
                assert_eq!(bits(&found), bits(&run(&mut *whole, &frame)));
                // One window at a time.
                assert_eq!(
                    bits(&found),
                    bits(&run(&mut *least, &frame)),
                    "{size:?} {finish:?}"
                );
            }
        }
    });
}

/// Every type of numbers, and every scaling, as on the CPU.
#[test]
fn numbers_of_every_type_are_scaled_as_on_the_cpu() {
    with_devices(|devices| {
        let mut random = Random(7);
        let graph = convolution(&mut random, 1, 1);
        let program = Arc::new(fuse(graph));
        let mut gpu = devices.whole.load(program.clone()).unwrap();
        let mut cpu = Cpu::new(1).unwrap().load(program).unwrap();
        let numbers: Vec<usize> = (0..15 * 17).map(|_| random.within(0, 255)).collect();
        let all = [
            Pixels::U8(numbers.iter().map(|v| *v as u8).collect()),
            Pixels::U16(numbers.iter().map(|v| (*v * 200) as u16).collect()),
            Pixels::I16(
                numbers
                    .iter()
                    .map(|v| (*v as i32 * 200 - 30000) as i16)
                    .collect(),
            ),
            Pixels::U32(numbers.iter().map(|v| *v as u32 * 60000).collect()),
            Pixels::I32(
                numbers
                    .iter()
                    .map(|v| *v as i32 * 60000 - 7_000_000)
                    .collect(),
            ),
            Pixels::F32(numbers.iter().map(|v| *v as f32 / 100.0).collect()),
        ];
        for pixels in all {
            let list = pixels.to_f32();
            let least = list.iter().copied().fold(f32::INFINITY, f32::min);
            let most = list.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let range = |clip| Range {
                low: least + 0.1 * (most - least),
                span: 0.7 * (most - least),
                eps: 1e-7,
                clip,
            };
            let standard = Standard {
                mean: 0.3,
                deviation: 0.2,
            };
            for (range, standard) in [
                (Some(range(true)), None),
                (Some(range(false)), None),
                (Some(range(true)), Some(standard)),
                (
                    None,
                    Some(Standard {
                        mean: most / 2.0,
                        deviation: most,
                    }),
                ),
            ] {
                let frame = Frame {
                    pixels: pixels.clone(),
                    scaling: vec![Scaling { range, standard }],
                    windows: Arc::new(Windows::new([15, 17], SIDE, 0.25, Blending::Gaussian)),
                    finish: Finish::ScaleBack,
                };
                let wanted = run(&mut *cpu, &frame);
                let found = run(&mut *gpu, &frame);
                let distance = apart(&found, wanted.iter().map(|v| f64::from(*v)));
                assert!(distance < 1e-5, "{} {range:?}: {distance:e}", pixels.kind());
            }
        }
    });
}

/// Several frames under way come out in their order, each as if it were alone.
#[test]
fn frames_under_way_do_not_mix() {
    with_devices(|devices| {
        let mut random = Random(3);
        let program = Arc::new(fuse(convolution(&mut random, 1, 1)));
        let frames: Vec<Frame> = [[20, 31], [40, 12], [20, 31]]
            .into_iter()
            .map(|size| frame(&mut random, 1, size, Finish::Keep))
            .collect();
        let mut session = devices.whole.load(program.clone()).unwrap();
        for frame in &frames {
            session.submit(frame.clone(), &Silent).unwrap();
        }
        for frame in &frames {
            let found = session.collect(&Silent).unwrap().unwrap();
            let mut alone = devices.whole.load(program.clone()).unwrap();
            assert_eq!(bits(&found), bits(&run(&mut *alone, frame)));
        }
        assert!(session.collect(&Silent).unwrap().is_none());
    });
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
    with_devices(|_| {
        let mut random = Random(1);
        let graph = convolution(&mut random, 1, 1);
        let frame = frame(&mut random, 1, [60, 60], Finish::Keep);
        let count = frame.windows.count() as u64;
        let gpu = Gpu::new(adapter().unwrap(), Precision::Single).unwrap();
        let gpu = gpu.with_windows(NonZeroUsize::MIN);
        let mut session = gpu.load(Arc::new(fuse(graph))).unwrap();
        let progress = Stop(AtomicU64::new(0), u64::MAX);
        session.submit(frame.clone(), &progress).unwrap();
        session.collect(&progress).unwrap().unwrap();
        assert_eq!(progress.0.into_inner(), count);
        let progress = Stop(AtomicU64::new(0), 0);
        let stopped = session
            .submit(frame, &progress)
            .and_then(|()| session.collect(&progress));
        assert!(matches!(stopped, Err(ExecError::Interrupted)));
    });
}
