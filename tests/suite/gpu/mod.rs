//! The GPU executor against plain f64 loops (`plain.rs`): every op, random networks, whole frames; and that bits depend on
//! nothing but the network, its input and the device.
//!
//! Without an adapter the tests say so and pass, unless `BUNDLE_REQUIRE_ADAPTER` is set.

mod frames;
mod graphs;
mod ops;
mod profile;
mod program;
mod run;

use std::io::Write;
use std::num::NonZeroUsize;
use std::sync::{Mutex, OnceLock, PoisonError};

use model_bundle::exec::Executor;
use model_bundle::exec::cases::Family;
use model_bundle::exec::gpu::{Adapter, AdapterKind, Gpu, Precision, adapters};

use crate::cpu::{outline, wanted};

/// How far results may be from those of plain loops.
const TOLERANCE: f64 = 2e-5;
const HALF_TOLERANCE: f64 = 5e-3;

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
        // Not by `eprintln`, which is kept from view where a test passes.
        let _ = writeln!(
            std::io::stderr(),
            "skipped: a test of GPUs; there is no adapter"
        );
    }
    found.as_ref()
}

/// The device with all its limits, running as many images together as fit; with the fewest limits, one at a time; and in
/// half precision, if it has that. Opened once, so that pipelines are made once.
struct Devices {
    whole: Gpu,
    least: Gpu,
    half: Option<Gpu>,
    /// With kernels cut for each kind of adapter.
    cut: Vec<Gpu>,
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
        cut: [
            AdapterKind::Discrete,
            AdapterKind::Integrated,
            AdapterKind::Software,
        ]
        .into_iter()
        .filter(|kind| *kind != adapter.facts.kind)
        .map(|kind| Gpu::tuned_for(adapter, Precision::Single, kind).unwrap())
        .collect(),
    });
    test(devices);
}

fn bits(list: &[f32]) -> Vec<u32> {
    list.iter().map(|v| v.to_bits()).collect()
}

/// Runs the first cases of a family, and compares. Images together and alone, and twice, give the same bits.
///
/// Every third case is also run with the fewest limits, every third other one in half precision, and every third of all
/// with kernels cut for the other kinds of adapters: they have pipelines of their own, and making these takes most of the
/// time.
fn check(devices: &Devices, family: Family, seeds: u64) {
    for seed in 0..seeds {
        let case = family.case(seed).unwrap();
        let wanted = wanted(&case);
        let run = |device: &Gpu, tolerance: f64| {
            let alone = device.clone().with_windows(NonZeroUsize::MIN);
            let given = case.given(device, &alone).unwrap();
            let what = || format!("{case}, {}\n{}", device.name(), outline(&case.graph));
            let apart = case.distance(&given.numbers, &wanted);
            assert!(apart <= tolerance, "{apart:e}: {}", what());
            assert!(given.is_repeated, "twice: {}", what());
            assert!(given.is_independent, "images alone: {}", what());
        };
        run(&devices.whole, TOLERANCE);
        match (seed % 3, &devices.half) {
            (0, _) => run(&devices.least, TOLERANCE),
            (1, Some(half)) if family.is_fit_for_half() => run(half, HALF_TOLERANCE),
            (2, _) => devices.cut.iter().for_each(|cut| run(cut, TOLERANCE)),
            _ => {}
        }
    }
}
