//! What a GPU's profile says of a network that is known.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use model_bundle::exec::gpu::{Gpu, Precision};
use model_bundle::exec::{Executor, Finish, Frame, KernelTime, Profile};
use model_bundle::nn::{Program, fuse};
use model_bundle::progress::Silent;

use super::{adapter, bits, with_devices};
use model_bundle::exec::cases::{Random, SIDE, convolution, frame};

fn rows<'a>(profile: &'a Profile, name: &str) -> Vec<&'a KernelTime> {
    let rows = profile.kernels.iter();
    rows.filter(|row| row.name.split(' ').next() == Some(name))
        .collect()
}

/// Two frames, so many windows at a time.
fn run(
    precision: Precision,
    at_once: usize,
    profile: bool,
    (program, frame): (&Arc<Program>, &Frame),
) -> Option<(Vec<f32>, Option<Profile>)> {
    let gpu = Gpu::new(adapter()?, precision).unwrap();
    let gpu = gpu.with_windows(NonZeroUsize::new(at_once).unwrap());
    let mut session = gpu
        .with_profile(profile)
        .unwrap()
        .load(program.clone())
        .unwrap();
    let mut results = Vec::new();
    for _ in 0..2 {
        session.submit(frame.clone(), &Silent).unwrap();
    }
    while let Some(result) = session.collect(&Silent).unwrap() {
        results.extend(result);
    }
    Some((results, session.profile().unwrap()))
}

#[test]
fn every_dispatch_is_timed_and_no_bit_changes() {
    with_devices(|_| {
        let mut random = Random(1);
        let graph = convolution(&mut random, 2, 3).unwrap();
        let program = Arc::new(fuse(graph));
        // More dispatches than are timed in one submission.
        let frame = frame(&mut random, 2, [150, 151], Finish::Sigmoid);
        let windows = frame.windows.count();
        assert!(windows > 300);
        let work = (&program, &frame);
        let Some((plain, none)) = run(Precision::Single, 1, false, work) else {
            return;
        };
        let Some((found, Some(profile))) = run(Precision::Single, 1, true, work) else {
            panic!("no profile");
        };
        assert_eq!(none, None);
        assert_eq!(bits(&plain), bits(&found));
        let [conv] = rows(&profile, "conv")[..] else {
            panic!("{profile:?}");
        };
        assert_eq!(conv.name, "conv 3x3");
        assert_eq!(conv.shape, format!("2->3 {SIDE}x{SIDE}"));
        assert_eq!(conv.calls, 2 * windows as u64);
        assert_eq!(
            conv.flops,
            conv.calls * (2 * 9 * 2 * 3 * SIDE * SIDE) as u64
        );
        assert!(conv.time > Duration::ZERO);
        // One window at a time: channels are filled up to four, weights are read each time.
        let values = conv.calls * (4 * (4 + 4) * SIDE * SIDE) as u64;
        assert!(
            conv.bytes >= values + conv.calls * 4 * (9 * 2 * 3),
            "{conv:?}"
        );
        for (name, calls) in [
            ("upload", 2),
            ("gather", conv.calls),
            ("blend", conv.calls),
            ("finish", 2),
            ("readback", 2),
        ] {
            let [row] = rows(&profile, name)[..] else {
                panic!("{name}: {profile:?}");
            };
            assert_eq!((row.calls, row.flops), (calls, 0), "{name}");
            assert!(row.bytes > 0 && row.shape.is_empty(), "{name}");
        }
        let [readback] = rows(&profile, "readback")[..] else {
            return;
        };
        assert_eq!(readback.bytes, 4 * found.len() as u64);
        assert!(profile.wall > Duration::ZERO);
    });
}

#[test]
fn together_or_alone_and_in_half_precision_windows_are_the_same_work() {
    with_devices(|devices| {
        let mut random = Random(2);
        let program = Arc::new(fuse(convolution(&mut random, 4, 4).unwrap()));
        let frame = frame(&mut random, 4, [30, 41], Finish::Keep);
        let windows = frame.windows.count() as u64;
        let work = (&program, &frame);
        let profile =
            |precision, at_once| run(precision, at_once, true, work).and_then(|ran| ran.1);
        let Some(alone) = profile(Precision::Single, 1) else {
            return;
        };
        let Some(together) = profile(Precision::Single, 4) else {
            panic!("no profile");
        };
        let conv = |profile: &Profile| rows(profile, "conv")[0].clone();
        assert_eq!(conv(&together).calls, 2 * windows.div_ceil(4));
        assert_eq!(conv(&together).flops, conv(&alone).flops);
        // Weights are read once for four windows.
        assert!(conv(&together).bytes < conv(&alone).bytes);
        if devices.half.is_some() {
            let half = profile(Precision::Half, 1).unwrap();
            // Windows keep their digits, in two numbers for one; what is computed of them is half as large.
            let saved = 2 * windows * 2 * (4 * (SIDE * SIDE) as u64);
            assert_eq!(conv(&alone).bytes - conv(&half).bytes, saved);
        }
    });
}
