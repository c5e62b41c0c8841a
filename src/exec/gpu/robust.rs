//! Sessions on a device that fails, is full, or is asked for too much: the adapter that is preferred, or a program on the
//! CPU. Without an adapter the tests say so and pass, unless `BUNDLE_REQUIRE_ADAPTER` is set.

use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::device::{Device, adapters};
use super::fault::Fault;
use super::session::{DEPTH, GpuSession};
use super::shader::Precision;
use super::tests::network;
use super::trusted::Checks;
use crate::exec::{ExecError, Finish, Frame, Session};
use crate::image::{Blending, Pixels, Scaling, Windows};
use crate::nn::{Kind, Program, fuse};
use crate::progress::{Progress, Silent};

/// The side of windows.
const SIDE: usize = 32;

/// The most windows run together, where a test wants many.
const TOGETHER: usize = 8;

/// A device of its own.
fn device(checks: Checks) -> Option<Arc<Device>> {
    let Some(adapter) = adapters().into_iter().next() else {
        let required = std::env::var_os("BUNDLE_REQUIRE_ADAPTER").is_some();
        assert!(
            !required,
            "BUNDLE_REQUIRE_ADAPTER is set, and there is no adapter"
        );
        // Not by `eprintln`, which is kept from view where a test passes.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: a test of GPUs; there is no adapter"
        );
        return None;
    };
    let opened = Device::open(
        &adapter,
        Precision::Single,
        adapter.limits(),
        adapter.tuning(adapter.facts.kind),
        checks,
    );
    Some(Arc::new(opened.unwrap()))
}

fn nafnet() -> Arc<Program> {
    let args = json!({"img_channel": 1, "width": 4, "middle_blk_num": 1,
        "enc_blk_nums": [1], "dec_blk_nums": [1]});
    Arc::new(fuse(network(Kind::NafNet, args, [SIDE, SIDE])))
}

fn unet() -> Arc<Program> {
    let args = json!({"spatial_dims": 2, "in_channels": 1, "out_channels": 1, "channels": [8, 16],
        "strides": [2], "num_res_units": 1});
    Arc::new(fuse(network(Kind::MonaiUnet, args, [SIDE, SIDE])))
}

fn session(device: &Arc<Device>) -> GpuSession {
    GpuSession::new(device.clone(), nafnet(), NonZeroUsize::new(TOGETHER), false).unwrap()
}

/// A frame of so many rows and 90 columns.
fn frame(rows: usize, seed: usize) -> Frame<'static> {
    let size = [rows, 90];
    let number = |index: usize| ((index + seed) * 7919 % 251) as u8;
    Frame {
        pixels: Pixels::U8((0..rows * 90).map(number).collect()),
        scaling: vec![Scaling::default()],
        windows: Arc::new(Windows::new(size, SIDE, 0.25, Blending::Gaussian)),
        finish: Finish::Keep,
    }
}

fn bits(list: &[f32]) -> Vec<u32> {
    list.iter().map(|v| v.to_bits()).collect()
}

/// What a session that nothing happens to makes of a frame.
fn wanted(device: &Arc<Device>, frame: &Frame) -> Vec<u32> {
    let mut session = session(device);
    session.submit(frame.clone(), &Silent).unwrap();
    bits(&session.collect(&Silent).unwrap().unwrap())
}

/// Counts steps.
#[derive(Default)]
struct Steps(AtomicU64);

impl Progress for Steps {
    fn step(&self, steps: u64) {
        self.0.fetch_add(steps, Ordering::Relaxed);
    }
}

/// Submits frames, does something after the first is under way, and compares all results.
fn disturbed(frames: &[Frame], disturb: impl Fn(&mut GpuSession)) -> Option<GpuSession> {
    let calm = device(Checks::NoLoops)?;
    let mut session = session(&device(Checks::NoLoops)?);
    let progress = Steps::default();
    let mut done = 0;
    for (index, each) in frames.iter().enumerate() {
        session.submit(each.clone(), &progress).unwrap();
        if index == 0 {
            disturb(&mut session);
        }
        if index + 1 >= DEPTH {
            let found = session.collect(&progress).unwrap().unwrap();
            assert_eq!(bits(&found), wanted(&calm, &frames[done]), "frame {done}");
            done += 1;
        }
    }
    while let Some(found) = session.collect(&progress).unwrap() {
        assert_eq!(bits(&found), wanted(&calm, &frames[done]), "frame {done}");
        done += 1;
    }
    assert_eq!(done, frames.len());
    // No window is told twice.
    let windows: usize = frames.iter().map(|frame| frame.windows.count()).sum();
    assert_eq!(progress.0.into_inner(), windows as u64);
    Some(session)
}

#[test]
fn buffers_are_used_again_for_each_frame() {
    let Some(device) = device(Checks::NoLoops) else {
        return;
    };
    let mut session = session(&device);
    let mut seen = Vec::new();
    for seed in 0..30 {
        session.submit(frame(70, seed), &Silent).unwrap();
        if seed + 1 >= DEPTH {
            session.collect(&Silent).unwrap().unwrap();
        }
        seen.push((device.buffers.made(), device.buffers.held()));
    }
    assert_eq!(seen[3], seen[29], "{seen:?}");
    // Frames that grow and shrink keep no more than the largest needs.
    for (rows, seed) in [
        (40, 0),
        (100, 1),
        (50, 2),
        (100, 3),
        (41, 4),
        (100, 5),
        (100, 6),
    ] {
        session.submit(frame(rows, seed), &Silent).unwrap();
        session.collect(&Silent).unwrap().unwrap();
    }
    let grown = device.buffers.held();
    for (rows, seed) in [(40, 0), (100, 1), (50, 2), (100, 3)].repeat(5) {
        session.submit(frame(rows, seed), &Silent).unwrap();
        session.collect(&Silent).unwrap().unwrap();
        assert!(device.buffers.held() <= grown);
    }
    drop(session);
    assert_eq!(device.buffers.held(), 0);
}

#[test]
fn missing_memory_halves_the_batch_and_runs_frames_again() {
    let frames = [frame(60, 0), frame(200, 1), frame(60, 2)];
    let ran = disturbed(&frames, |session| {
        // Enough for what there is, and not for a larger frame beside it.
        let buffers = &session.resident.device.buffers;
        buffers.set_cap(buffers.held() + 10_000);
    });
    let Some(session) = ran else { return };
    assert!(session.at_once() < TOGETHER);
}

#[test]
fn memory_that_a_driver_misses_later_halves_the_batch_too() {
    let frames = [frame(60, 0), frame(70, 1), frame(60, 2)];
    let ran = disturbed(&frames, |session| {
        let faults = &session.resident.device.faults;
        faults.note(Fault::Memory("as a test has it".to_owned()));
    });
    let Some(session) = ran else { return };
    assert_eq!(session.at_once(), TOGETHER / 2);
}

#[test]
fn without_memory_for_one_window_the_error_says_so() {
    let Some(device) = device(Checks::NoLoops) else {
        return;
    };
    let mut session = session(&device);
    session.submit(frame(60, 0), &Silent).unwrap();
    let wanted = bits(&session.collect(&Silent).unwrap().unwrap());
    // The frame would fit, but for what other networks hold.
    let other = device
        .buffer("another's", 40_000_000, wgpu::BufferUsages::STORAGE)
        .unwrap();
    device.buffers.set_cap(40_050_000);
    let error = session.submit(frame(300, 0), &Silent).unwrap_err();
    assert!(matches!(error, ExecError::OutOfMemory { .. }), "{error}");
    assert!(error.to_string().contains("--device cpu"), "{error}");
    assert!(session.collect(&Silent).unwrap().is_none());
    // With room it goes on.
    drop(other);
    session.submit(frame(60, 0), &Silent).unwrap();
    assert_eq!(bits(&session.collect(&Silent).unwrap().unwrap()), wanted);
}

#[test]
fn where_memory_is_short_frames_wait_for_each_other() {
    let Some(device) = device(Checks::NoLoops) else {
        return;
    };
    let one_window =
        || GpuSession::new(device.clone(), nafnet(), Some(NonZeroUsize::MIN), false).unwrap();
    let frames = [frame(60, 0), frame(60, 1), frame(60, 2)];
    let wanted: Vec<Vec<u32>> = frames.iter().map(|frame| wanted(&device, frame)).collect();
    let mut session = one_window();
    session.submit(frames[0].clone(), &Silent).unwrap();
    session.collect(&Silent).unwrap().unwrap();
    // What one frame needs, and no byte more.
    device.buffers.set_cap(device.buffers.held());
    drop(session);
    let mut session = one_window();
    for frame in &frames {
        session.submit(frame.clone(), &Silent).unwrap();
    }
    assert_eq!(session.depth(), 1);
    for wanted in &wanted {
        let found = session.collect(&Silent).unwrap().unwrap();
        assert_eq!(bits(&found), *wanted);
    }
    assert!(session.collect(&Silent).unwrap().is_none());
}

#[test]
fn a_device_that_is_lost_is_opened_once_more() {
    let frames = [frame(60, 0), frame(70, 1), frame(60, 2)];
    let ran = disturbed(&frames, |session| session.resident.device.device.destroy());
    let Some(mut session) = ran else { return };
    assert!(session.at_once() < TOGETHER);
    session.submit(frame(60, 0), &Silent).unwrap();
    session.resident.device.device.destroy();
    let error = session.collect(&Silent).unwrap_err();
    assert!(matches!(error, ExecError::Lost { .. }), "{error}");
    assert!(error.to_string().contains("--device cpu"), "{error}");
    assert!(session.collect(&Silent).unwrap().is_none());
}

#[test]
fn images_are_run_again_on_a_device_that_was_lost() {
    let Some(device) = device(Checks::NoLoops) else {
        return;
    };
    let mut session = session(&device);
    let images: Vec<f32> = (0..20 * SIDE * SIDE)
        .map(|i| (i % 97) as f32 / 97.0)
        .collect();
    let wanted = session.run(&images, 20).unwrap();
    session.resident.device.device.destroy();
    let found = session.run(&images, 20).unwrap();
    assert_eq!(bits(&found), bits(&wanted));
}

#[test]
fn what_does_not_fit_is_refused_before_it_is_run() {
    let Some(device) = device(Checks::NoLoops) else {
        return;
    };
    let session = session(&device);
    let windows = |side: usize| Windows::new([side, side], SIDE, 0.25, Blending::Gaussian);
    assert!(session.fits(&windows(100), 2).is_ok());
    let needed = device.buffers.held();
    device.buffers.set_cap(needed + 1_000_000);
    let error = session.fits(&windows(1000), 2).unwrap_err();
    assert!(matches!(error, ExecError::TooLarge { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("a frame with its network is too large for "),
        "{text}"
    );
    assert!(text.contains("--device cpu"), "{text}");
    device.buffers.set_cap(10_000);
    let Err(error) = GpuSession::new(device.clone(), nafnet(), None, false) else {
        panic!("10 kB are enough");
    };
    let text = error.to_string();
    assert!(
        text.starts_with("a network and one image is too large for "),
        "{text}"
    );
    assert!(
        text.contains("expected at most 10000 bytes, found "),
        "{text}"
    );
}

/// Loops that are not counted change nothing.
#[test]
fn trusted_shaders_give_the_bits_of_checked_ones() {
    let images: Vec<f32> = (0..3 * SIDE * SIDE)
        .map(|i| (i % 89) as f32 / 89.0)
        .collect();
    for program in [nafnet(), unet()] {
        let both = [Checks::All, Checks::NoLoops].map(|checks| {
            let mut session =
                GpuSession::new(device(checks)?, program.clone(), None, false).unwrap();
            Some(bits(&session.run(&images, 3).unwrap()))
        });
        assert_eq!(both[0], both[1]);
        if let [Some(found), _] = &both {
            let distinct: std::collections::HashSet<&u32> = found.iter().collect();
            assert!(distinct.len() > 100, "the network says nothing");
        }
    }
}
