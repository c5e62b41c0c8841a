//! The CPU executor runs a network in rounds, for networks.py: `networks WEIGHTS INPUT.f32 CHANNELS SIDE THREADS`.
//!
//! WEIGHTS are a checkpoint with its metadata (`.json`, of the same name) beside it, or an ONNX model.
//! `networks needs WEIGHTS SIDE THREADS` prints what one window takes, and what the machine can do, as JSON.

#[path = "shared/measure.rs"]
mod measure;
#[path = "shared/rounds.rs"]
mod rounds;

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use model_bundle::blob::Blob;
use model_bundle::exec::Executor;
use model_bundle::exec::cpu::Cpu;
use model_bundle::nn::{Kind, Network, Program};
use model_bundle::progress::Silent;
use model_bundle::tasks::network;
use model_bundle::weights;
use serde_json::{Value, json};

/// Which measurement of the machine's peak counts: the best of so many.
const PEAKS: usize = 20;

/// The network that the metadata beside a file of weights declares.
fn declared(path: &Path) -> Result<Option<Network>, Box<dyn Error>> {
    let metadata = path.with_extension("json");
    if !metadata.exists() {
        return Ok(None);
    }
    let metadata: Value = serde_json::from_slice(&std::fs::read(metadata)?)?;
    let kind = match metadata["model_type"].as_str() {
        Some("NAFNet") => Kind::NafNet,
        Some("MonaiUnet") => Kind::MonaiUnet,
        other => {
            return Err(
                format!("`model_type`: expected NAFNet or MonaiUnet, found {other:?}").into(),
            );
        }
    };
    let arguments = metadata["model_args"]
        .as_object()
        .ok_or("no `model_args`")?;
    let network = Network::from_model_args(kind, arguments);
    Ok(Some(network.map_err(|errors| format!("{errors:?}"))?))
}

fn program(path: &Path, side: usize) -> Result<Program, Box<dyn Error>> {
    let weights = weights::read(&Blob::open(path)?, path, &Silent)?;
    Ok(network::load(&weights, declared(path)?.as_ref(), side)?)
}

/// The most GB/s that so many threads copy from memory to memory, read and written counted both.
fn copy(threads: usize) -> f64 {
    // Beyond the caches of any processor, all threads together.
    const NUMBERS: usize = 64 << 20;
    const RUNS: usize = 10;
    let source = vec![1.0f32; NUMBERS];
    let mut target = vec![0.0f32; NUMBERS];
    let share = NUMBERS.div_ceil(threads);
    let once = |_| {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for (to, from) in target.chunks_mut(share).zip(source.chunks(share)) {
                scope.spawn(|| black_box(to).copy_from_slice(black_box(from)));
            }
        });
        (2 * 4 * NUMBERS) as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..RUNS).map(once).fold(0.0, f64::max)
}

fn needs(path: &Path, side: usize, threads: usize) -> Result<Value, Box<dyn Error>> {
    let program = program(path, side)?;
    let peaks = (0..PEAKS).map(|_| measure::peak(threads));
    Ok(json!({
        "flop": measure::flop(&program.graph),
        "bytes": measure::traffic(&program),
        "peak": peaks.fold(0.0, f64::max),
        "copy": copy(threads),
    }))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, weights, side, threads] = arguments.as_slice()
        && word == "needs"
    {
        let needs = needs(weights.as_ref(), side.parse()?, threads.parse()?)?;
        println!("{needs}");
        return Ok(());
    }
    let given = rounds::Given::from_arguments()?;
    let cpu = Cpu::new(given.threads)?;
    let program = Arc::new(program(&given.network, given.side)?);
    let mut session = cpu.load(program)?;
    let name = format!(
        "bundle {} ({})",
        env!("CARGO_PKG_VERSION"),
        cpu.arithmetic()
    );
    given.serve(&name, move |images, count| Ok(session.run(images, count)?))
}
