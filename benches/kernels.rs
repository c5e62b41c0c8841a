//! How fast single ops, blocks and whole networks run: `cargo bench --bench kernels [threads] [--json]` on the CPU, and
//! `cargo bench --bench kernels gpu [part of a name] [images]` on the adapter that is preferred (a program on the CPU if
//! there is no other), or on the first whose name has that part. `gpu as discrete`, `as integrated` and `as software`
//! take the kernels that are cut for another kind of adapter. `only NAME` at the end measures those lines whose names have
//! that part.
//!
//! Each line is the best of several runs, in GFLOP/s (a multiply-add is two). Ops and blocks are eight in a row. On the
//! CPU a line also has its share of what the same threads reach with multiply-adds on registers alone, measured just
//! before; with `--json` it is an object, with the operations and the bytes that it takes. On a GPU so many images are run
//! together.

#[path = "shared/measure.rs"]
mod measure;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model_bundle::exec::cpu::Cpu;
use model_bundle::exec::gpu::{Adapter, AdapterKind, Gpu, Precision, adapters};
use model_bundle::exec::{ExecError, Executor};
use model_bundle::nn::{
    Binary, Conv, Expected, Function, Graph, GraphBuilder, Kind, Network, Op, Shape, StateDict,
    fuse,
};
use model_bundle::weights::tensor::{DType, Tensor, contiguous_strides};
use serde_json::{Value, json};

/// How many ops follow each other, so that bringing images in and out counts little.
const OPS: usize = 8;

const RUNS: usize = 7;

fn numbers(count: usize) -> Vec<f32> {
    (0..count)
        .map(|index| (index * 37 % 101) as f32 / 101.0 - 0.5)
        .collect()
}

fn conv(channels: usize, kernel: usize, groups: usize) -> Op {
    let before = (kernel / 2) as isize;
    Op::Conv(Conv {
        outputs: channels,
        kernel: [kernel, kernel],
        stride: [1, 1],
        padding: [[before, before], [before, before]],
        groups,
        transposed: false,
        weight: numbers(kernel * kernel * (channels / groups) * channels).into(),
        bias: Some(numbers(channels).into()),
    })
}

/// Eight ops in a row.
fn repeated(shape: Shape, op: &Op) -> Graph {
    let (mut builder, mut value) = GraphBuilder::new(shape).expect("a shape");
    for _ in 0..OPS {
        value = builder.push(op.clone(), &[value]).expect("an op that fits");
    }
    builder.finish(value)
}

/// Eight NAFNet blocks of that many channels.
fn nafnet_blocks(shape: Shape) -> Graph {
    let channels = shape.channels;
    let (mut builder, mut value) = GraphBuilder::new(shape).expect("a shape");
    let ones = || -> Arc<[f32]> { vec![1.0; channels].into() };
    let norm = Op::LayerNorm {
        weight: ones(),
        bias: ones(),
        eps: 1e-6,
    };
    let product = |inputs: usize, outputs: usize| {
        Op::Conv(Conv {
            outputs,
            kernel: [1, 1],
            stride: [1, 1],
            padding: [[0, 0], [0, 0]],
            groups: 1,
            transposed: false,
            weight: numbers(inputs * outputs).into(),
            bias: Some(numbers(outputs).into()),
        })
    };
    for _ in 0..OPS {
        let mut push = |op: Op, inputs: &[_]| builder.push(op, inputs).expect("an op that fits");
        let x = push(norm.clone(), &[value]);
        let x = push(product(channels, 2 * channels), &[x]);
        let x = push(conv(2 * channels, 3, 2 * channels), &[x]);
        let x = push(Op::Gate, &[x]);
        let mean = push(Op::Mean, &[x]);
        let mean = push(product(channels, channels), &[mean]);
        let x = push(Op::Binary(Binary::Multiply), &[x, mean]);
        let x = push(product(channels, channels), &[x]);
        let y = push(Op::Binary(Binary::Add), &[value, x]);
        let x = push(norm.clone(), &[y]);
        let x = push(product(channels, 2 * channels), &[x]);
        let x = push(Op::Gate, &[x]);
        let x = push(product(channels, channels), &[x]);
        value = push(Op::Binary(Binary::Add), &[y, x]);
    }
    builder.finish(value)
}

/// A network whose weights are made up, for windows of 256 x 256.
fn whole(kind: Kind, args: &Value) -> Graph {
    let args = args.as_object().expect("arguments");
    let network = Network::from_model_args(kind, args).expect("a network");
    let tensor = |expected: Expected| {
        let count = expected.elements() as usize;
        let scale = 4.0 / (count as f32).sqrt();
        let numbers = numbers(count).into_iter().map(|number| scale * number);
        Tensor {
            storage: numbers
                .flat_map(f32::to_le_bytes)
                .collect::<Vec<u8>>()
                .into(),
            strides: contiguous_strides(&expected.shape),
            name: expected.name,
            dtype: DType::F32,
            shape: expected.shape,
            offset: 0,
            big_endian: false,
        }
    };
    let tensors: Vec<Tensor> = network.tensors().into_iter().map(tensor).collect();
    let dict = StateDict::new(&tensors);
    network.graph(&dict, [256, 256]).expect("a graph")
}

/// The name and the graph of what is measured: all whose names have that part.
fn cases(part: &str) -> Vec<(String, Graph)> {
    let op = |name: &str, channels, side, op: Op| {
        let graph = repeated(Shape::new(channels, side, side), &op);
        (name.to_owned(), graph)
    };
    let mut cases = vec![
        op("3x3, 32 channels, 256x256", 32, 256, conv(32, 3, 1)),
        op("3x3, 128 channels, 32x32", 128, 32, conv(128, 3, 1)),
        op("1x1, 64 channels, 256x256", 64, 256, conv(64, 1, 1)),
        op("1x1, 64 channels, 128x128", 64, 128, conv(64, 1, 1)),
        op("1x1, 512 channels, 16x16", 512, 16, conv(512, 1, 1)),
        op("1x1, 512 channels, 32x32", 512, 32, conv(512, 1, 1)),
        op("matrix product of 1024", 1024, 32, conv(1024, 1, 1)),
        op("depthwise 3x3, 64 channels", 64, 256, conv(64, 3, 64)),
        op("depthwise 3x3, 64, 128x128", 64, 128, conv(64, 3, 64)),
        op(
            "GELU, 32 channels, 256x256",
            32,
            256,
            Op::Apply(Function::Gelu),
        ),
    ];
    for (channels, side) in [(32, 256), (64, 128), (128, 64), (256, 32)] {
        let shape = Shape::new(channels, side, side);
        cases.push((format!("NAFNet block, {shape}"), nafnet_blocks(shape)));
    }
    let nafnet = json!({"img_channel": 1, "width": 32, "middle_blk_num": 1,
        "enc_blk_nums": [1, 1, 1], "dec_blk_nums": [1, 1, 1]});
    cases.push((
        "NAFNet of width 32".to_owned(),
        whole(Kind::NafNet, &nafnet),
    ));
    let unet = json!({"spatial_dims": 2, "in_channels": 1, "out_channels": 1,
        "channels": [16, 32, 64, 128, 256], "strides": [2, 2, 2, 2], "num_res_units": 2});
    cases.push((
        "UNet from 16 to 256".to_owned(),
        whole(Kind::MonaiUnet, &unet),
    ));
    cases.retain(|(name, _)| name.contains(part));
    cases
}

/// The best time of several runs; `before` is called before each.
///
/// # Errors
/// Fails if the device has no memory for it.
fn best(
    executor: &dyn Executor,
    graph: Graph,
    images: usize,
    mut before: impl FnMut(),
) -> Result<Duration, ExecError> {
    let input = numbers(graph.input().elements() * images);
    let mut session = executor.load(Arc::new(fuse(graph)))?;
    let mut best = Duration::MAX;
    for _ in 0..RUNS {
        before();
        let start = Instant::now();
        black_box(session.run(&input, images)?);
        best = best.min(start.elapsed());
    }
    Ok(best)
}

fn on_cpu(threads: usize, as_json: bool, only: &str) {
    let cpu = Cpu::new(threads).expect("threads");
    if !as_json {
        println!("{}", cpu.name());
    }
    for (name, graph) in cases(only) {
        let (flop, bytes) = (
            measure::flop(&graph),
            measure::traffic(&fuse(graph.clone())),
        );
        let mut most = 0.0f64;
        let time = best(&cpu, graph, 1, || most = most.max(measure::peak(threads)))
            .expect("a run")
            .as_secs_f64();
        if as_json {
            let line =
                json!({"name": name, "seconds": time, "flop": flop, "bytes": bytes, "peak": most});
            println!("{line}");
            continue;
        }
        let speed = flop / time / 1e9;
        println!(
            "{name:<28} {:>8.2} ms {speed:>7.1} GFLOP/s {:>4.0} % of {most:.0}",
            time * 1e3,
            100.0 * speed / most,
        );
    }
}

fn on_gpu(words: &[&str], only: &str) {
    let images = words.iter().find_map(|word| word.parse().ok()).unwrap_or(1);
    let (kind, part) = match words {
        ["as", kind, ..] => (Some(*kind), ""),
        [part, ..] if part.parse::<usize>().is_err() => (None, *part),
        _ => (None, ""),
    };
    let fits = |adapter: &Adapter| adapter.facts.name.contains(part);
    let adapter = adapters().into_iter().find(fits).expect("an adapter");
    let kind = match kind {
        Some("discrete") => AdapterKind::Discrete,
        Some("integrated") => AdapterKind::Integrated,
        Some("software") => AdapterKind::Software,
        _ => adapter.facts.kind,
    };
    let gpu = Gpu::tuned_for(&adapter, Precision::Single, kind).expect("a device");
    println!("{}, as {kind:?}, {images} images", gpu.name());
    for (name, graph) in cases(only) {
        let flop = measure::flop(&graph) * images as f64;
        let time = match best(&gpu, graph, images, || {}) {
            Ok(time) => time.as_secs_f64(),
            Err(error) => {
                println!("{name:<28} {error}");
                continue;
            }
        };
        let speed = flop / time / 1e9;
        println!("{name:<28} {:>8.2} ms {speed:>7.1} GFLOP/s", time * 1e3);
    }
}

fn main() {
    // `cargo bench` adds flags of its own.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let (words, only) = match words.as_slice() {
        [before @ .., "only", part] => (before, *part),
        all => (all, ""),
    };
    match words {
        ["gpu", rest @ ..] => on_gpu(rest, only),
        rest => {
            let threads = rest.iter().find_map(|word| word.parse().ok());
            let as_json = std::env::args().any(|word| word == "--json");
            on_cpu(threads.unwrap_or_else(Cpu::available), as_json, only);
        }
    }
}
