//! Whole frames through windows.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model_bundle::exec::cases::{Family, Random, convolution, frame};
use model_bundle::exec::gpu::{Gpu, Precision};
use model_bundle::exec::{ExecError, Executor, Finish, Frame, Session};
use model_bundle::nn::fuse;
use model_bundle::progress::{Progress, Silent};

use super::{adapter, bits, check, with_devices};

fn run(session: &mut dyn Session, frame: &Frame) -> Vec<f32> {
    session.submit(frame.clone(), &Silent).unwrap();
    session.collect(&Silent).unwrap().unwrap()
}

/// Every size, every finish, every type of numbers, and every scaling.
#[test]
fn frames_are_cut_run_and_blended() {
    with_devices(|devices| check(devices, Family::Frame, Family::Frame.seeds()));
}

/// Several frames under way come out in their order, each as if it were alone.
#[test]
fn frames_under_way_do_not_mix() {
    with_devices(|devices| {
        let mut random = Random(3);
        let program = Arc::new(fuse(convolution(&mut random, 1, 1).unwrap()));
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
        let graph = convolution(&mut random, 1, 1).unwrap();
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
