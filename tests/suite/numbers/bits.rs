//! Whole frames through trained networks: the same bits however the work is shared out.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use model_bundle::exec::cpu::Cpu;
use model_bundle::exec::{Executor, Finish, Frame};
use model_bundle::image::{Blending, Percentiles, Pixels, ScaleMethod, Windows};
use model_bundle::nn::{Program, StateDict, fuse};
use model_bundle::progress::Silent;

use super::{bits, singles};
use crate::forward;
use crate::session::RODS;

/// The ways in which the work is shared out: threads, and windows at a time.
fn cpus() -> Vec<Cpu> {
    let threads = [1, 2, 3, 8].map(|threads| Cpu::new(threads).unwrap());
    let windows = [1, 3, 7, 64].map(|windows| {
        let windows = NonZeroUsize::new(windows).unwrap();
        Cpu::new(2).unwrap().with_windows(windows)
    });
    threads.into_iter().chain(windows).collect()
}

fn program(name: &str, side: usize) -> Arc<Program> {
    let (network, tensors) = forward::rods(name);
    let graph = network.graph(&StateDict::new(&tensors), [side, side]);
    Arc::new(fuse(graph.unwrap()))
}

/// The first frame of the example, scaled as its config says.
fn frame(blending: Blending, finish: Finish) -> Frame<'static> {
    let size = [200, 232];
    let stack = singles(&Path::new(RODS).join("frames/classifier_input.npy"));
    let pixels = Pixels::F32(stack[..size[0] * size[1]].to_vec().into());
    let scaling = ScaleMethod::Range01(Percentiles::default());
    let scaling = vec![scaling.of(&pixels, size[1]).unwrap()];
    Frame {
        pixels,
        scaling,
        windows: Arc::new(Windows::new(size, 64, 0.25, blending)),
        finish,
    }
}

#[test]
fn frames_have_the_same_bits_however_the_work_is_shared_out() {
    for (name, frame) in [
        ("bf_focus_v3", frame(Blending::Gaussian, Finish::ScaleBack)),
        ("unet_segm", frame(Blending::Constant, Finish::Sigmoid)),
    ] {
        let program = program(name, 64);
        let mut first: Option<Vec<u32>> = None;
        for (index, cpu) in cpus().iter().enumerate() {
            let mut session = cpu.load(program.clone()).unwrap();
            session.submit(frame.clone(), &Silent).unwrap();
            let found = bits(&session.collect(&Silent).unwrap().unwrap());
            let first = first.get_or_insert_with(|| found.clone());
            assert!(*first == found, "{name}: {}, way {index}", cpu.name());
        }
    }
}

#[test]
fn cells_have_the_same_bits_however_the_work_is_shared_out() {
    let program = program("resnet_classifier", 32);
    let stack = singles(&Path::new(RODS).join("frames/classifier_input.npy"));
    let size = program.input().elements();
    let images = &stack[..65 * size];
    let alone = Cpu::new(1).unwrap();
    let mut alone = alone.load(program.clone()).unwrap();
    let each = images
        .chunks(size)
        .map(|image| alone.run(image, 1).unwrap());
    let expected = bits(&each.collect::<Vec<_>>().concat());
    for (index, cpu) in cpus().iter().enumerate() {
        let mut session = cpu.load(program.clone()).unwrap();
        let found = bits(&session.run(images, 65).unwrap());
        assert!(expected == found, "{}, way {index}", cpu.name());
    }
}
