//! The GPU executor against plain f64 loops (`plain.rs`): every op, random networks, whole frames; and that bits depend on
//! nothing but the network, its input and the device.
//!
//! Without an adapter the tests say so and pass, unless `BUNDLE_REQUIRE_ADAPTER` is set.

mod frames;
mod graphs;
mod ops;
mod profile;
mod program;

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use model_bundle::exec::Executor;
use model_bundle::exec::gpu::{Adapter, Gpu, Precision, adapters};
use model_bundle::nn::{Binary, Graph, GraphBuilder, Op, ValueId, fuse};

use crate::cpu::{Random, distance, outline};

/// How far results may be from those of plain loops.
const TOLERANCE: f64 = 2e-5;

/// The adapter that is tested: the one that is preferred, a program on the CPU if there is no other.
fn adapter() -> Option<&'static Adapter> {
    static ADAPTER: OnceLock<Option<Adapter>> = OnceLock::new();
    let found = ADAPTER.get_or_init(|| adapters().into_iter().next());
    if found.is_none() {
        let required = std::env::var_os("BUNDLE_REQUIRE_ADAPTER").is_some();
        assert!(
            !required,
            "BUNDLE_REQUIRE_ADAPTER is set, and there is no adapter"
        );
        eprintln!("skipped: no adapter");
    }
    found.as_ref()
}

/// The device with all its limits, running as many images together as fit; with the fewest limits, one at a time; and in
/// half precision, if it has that. Opened once, so that pipelines are made once.
struct Devices {
    whole: Gpu,
    least: Gpu,
    half: Option<Gpu>,
}

/// Runs a test on the devices, one test at a time: a program on the CPU takes all its threads.
fn with_devices(test: impl FnOnce(&Devices)) {
    static DEVICES: Mutex<Option<Devices>> = Mutex::new(None);
    let Some(adapter) = adapter() else { return };
    let mut devices = DEVICES.lock().unwrap_or_else(PoisonError::into_inner);
    let devices = devices.get_or_insert_with(|| Devices {
        whole: Gpu::new(adapter, Precision::Single).unwrap(),
        least: Gpu::with_least_limits(adapter, Precision::Single)
            .unwrap()
            .with_windows(NonZeroUsize::MIN),
        half: adapter
            .facts
            .half
            .then(|| Gpu::new(adapter, Precision::Half).unwrap()),
    });
    test(devices);
}

fn bits(list: &[f32]) -> Vec<u32> {
    list.iter().map(|v| v.to_bits()).collect()
}

/// Runs a network on random images with all limits and with the fewest, and compares. Images together and alone, and
/// twice, give the same bits.
fn check(devices: &Devices, graph: &Graph, random: &mut Random, what: &str) {
    let count = random.within(1, 3);
    let images = random.numbers(graph.input().elements() * count);
    let program = Arc::new(fuse(graph.clone()));
    let mut session = devices.whole.load(program.clone()).unwrap();
    let found = session.run(&images, count).unwrap();
    let apart = distance(graph, &images, &found);
    assert!(apart <= TOLERANCE, "{what}: {apart:e}\n{}", outline(graph));
    let alone: Vec<f32> = images
        .chunks(graph.input().elements())
        .flat_map(|image| session.run(image, 1).unwrap())
        .collect();
    assert_eq!(bits(&found), bits(&alone), "{what}: images alone");
    let mut session = devices.least.load(program).unwrap();
    let found = session.run(&images, count).unwrap();
    let apart = distance(graph, &images, &found);
    assert!(apart <= TOLERANCE, "{what}, least limits: {apart:e}");
}

/// NAFNet's block, with random weights.
fn block(random: &mut Random, builder: &mut GraphBuilder, input: ValueId) -> ValueId {
    let channels = builder.shape(input).channels;
    let norm = |random: &mut Random| Op::LayerNorm {
        weight: random.numbers(channels).into(),
        bias: random.numbers(channels).into(),
        eps: 1e-3,
    };
    let mut push = |op: Op, inputs: &[ValueId]| builder.push(op, inputs).unwrap();
    let v = push(norm(random), &[input]);
    let v = push(
        Op::Conv(random.conv(channels, 2 * channels, [1, 1], 1)),
        &[v],
    );
    let mut depthwise = random.conv(2 * channels, 2 * channels, [3, 3], 2 * channels);
    depthwise.padding = [[1, 1], [1, 1]];
    let v = push(Op::Conv(depthwise), &[v]);
    let v = push(Op::Gate, &[v]);
    let mean = push(Op::Mean, &[v]);
    let mean = push(
        Op::Conv(random.conv(channels, channels, [1, 1], 1)),
        &[mean],
    );
    let v = push(Op::Binary(Binary::Multiply), &[v, mean]);
    let v = push(Op::Conv(random.conv(channels, channels, [1, 1], 1)), &[v]);
    let y = push(Op::Binary(Binary::Add), &[input, v]);
    let v = push(norm(random), &[y]);
    let v = push(
        Op::Conv(random.conv(channels, 2 * channels, [1, 1], 1)),
        &[v],
    );
    let v = push(Op::Gate, &[v]);
    let v = push(Op::Conv(random.conv(channels, channels, [1, 1], 1)), &[v]);
    push(Op::Binary(Binary::Add), &[y, v])
}
