//! How fast the CPU runs single ops: `cargo bench --bench kernels [threads] [--json]`.
//!
//! Each line is the best of several runs of eight ops in a row, in GFLOP/s (a multiply-add is two), and its share of what
//! the same threads reach with multiply-adds on registers alone, measured just before. With `--json` each line is an
//! object, with the operations and the bytes that the eight move where they run as chains.

#[path = "shared/measure.rs"]
mod measure;

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model_bundle::exec::Executor;
use model_bundle::exec::cpu::Cpu;
use model_bundle::nn::{Binary, Conv, Function, Graph, GraphBuilder, Op, Shape, fuse};
use serde_json::json;

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

fn measure(threads: usize, json: bool, name: &str, graph: Graph) {
    let cpu = Cpu::new(threads).expect("threads");
    let (flop, input) = (measure::flop(&graph), graph.input());
    let program = Arc::new(fuse(graph));
    let bytes = measure::traffic(&program);
    let mut session = cpu.load(program).expect("a network that fits");
    let image = numbers(input.elements());
    let mut best = Duration::MAX;
    let mut most = 0.0f64;
    for _ in 0..RUNS {
        most = most.max(measure::peak(threads));
        let start = Instant::now();
        black_box(session.run(&image, 1).expect("a run"));
        best = best.min(start.elapsed());
    }
    let speed = flop / best.as_secs_f64() / 1e9;
    if json {
        let line = json!({"name": name, "seconds": best.as_secs_f64(), "flop": flop, "bytes": bytes, "peak": most});
        println!("{line}");
        return;
    }
    println!(
        "{name:<28} {:>8.2} ms {speed:>7.1} GFLOP/s {:>4.0} % of {most:.0}",
        best.as_secs_f64() * 1e3,
        100.0 * speed / most,
    );
}

fn main() {
    let threads = std::env::args().find_map(|arg| arg.parse().ok());
    let threads = threads.unwrap_or_else(Cpu::available);
    let json = std::env::args().any(|arg| arg == "--json");
    if !json {
        println!("{}", Cpu::new(threads).expect("threads").name());
    }
    let all = [
        (
            "3x3, 32 channels, 256x256",
            Shape::new(32, 256, 256),
            conv(32, 3, 1),
        ),
        (
            "3x3, 128 channels, 32x32",
            Shape::new(128, 32, 32),
            conv(128, 3, 1),
        ),
        (
            "1x1, 64 channels, 256x256",
            Shape::new(64, 256, 256),
            conv(64, 1, 1),
        ),
        (
            "1x1, 512 channels, 32x32",
            Shape::new(512, 32, 32),
            conv(512, 1, 1),
        ),
        (
            "depthwise 3x3, 64 channels",
            Shape::new(64, 256, 256),
            conv(64, 3, 64),
        ),
        (
            "GELU, 32 channels, 256x256",
            Shape::new(32, 256, 256),
            Op::Apply(Function::Gelu),
        ),
    ];
    for (name, shape, op) in all {
        measure(threads, json, name, repeated(shape, &op));
    }
    for (channels, side) in [(32, 256), (64, 128), (128, 64)] {
        let shape = Shape::new(channels, side, side);
        measure(
            threads,
            json,
            &format!("NAFNet block, {shape}"),
            nafnet_blocks(shape),
        );
    }
}
