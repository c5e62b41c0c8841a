//! The CPU executor against plain f64 loops (`plain.rs`): every op, random networks, whole frames; and that bits depend on
//! nothing but the network and its input.

pub mod frames;
pub mod graphs;
pub mod ops;
mod profile;

use std::num::NonZeroUsize;
use std::sync::Arc;

use model_bundle::exec::Executor;
use model_bundle::exec::cpu::{Cpu, Instructions};
use model_bundle::nn::{Conv, Graph, GraphBuilder, Op, Program, Shape, ValueId, fuse};

use crate::plain;

/// Random numbers (SplitMix64).
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `low..=high`.
    pub fn within(&mut self, low: usize, high: usize) -> usize {
        low + (self.next() % (high - low + 1) as u64) as usize
    }

    pub fn chance(&mut self) -> bool {
        self.next().is_multiple_of(2)
    }

    /// -1..1
    pub fn number(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    pub fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.number()).collect()
    }

    pub fn shape(&mut self, most_channels: usize, most_side: usize) -> Shape {
        Shape::new(
            self.within(1, most_channels),
            self.within(1, most_side),
            self.within(1, most_side),
        )
    }

    /// A convolution with this geometry, whose results are about as large as its inputs.
    pub fn conv(
        &mut self,
        inputs: usize,
        outputs: usize,
        kernel: [usize; 2],
        groups: usize,
    ) -> Conv {
        let fan_in = kernel[0] * kernel[1] * (inputs / groups);
        let scale = (3.0 / fan_in as f32).sqrt();
        let weight = (0..fan_in * outputs)
            .map(|_| self.number() * scale)
            .collect();
        let bias = self.chance().then(|| self.numbers(outputs).into());
        Conv {
            outputs,
            kernel,
            stride: [1, 1],
            padding: [[0, 0], [0, 0]],
            groups,
            transposed: false,
            weight,
            bias,
        }
    }
}

/// The CPUs whose results must have the same bits.
pub fn cpus() -> Vec<Cpu> {
    let threads = [1, 2, 3, 8].map(|threads| Cpu::new(threads).unwrap());
    let others = Instructions::all().into_iter().skip(1);
    let others = others.map(|instructions| Cpu::new(2).unwrap().with_instructions(instructions));
    let together = [1, 3].map(|windows| {
        let windows = NonZeroUsize::new(windows).unwrap();
        Cpu::new(2).unwrap().with_windows(windows)
    });
    threads.into_iter().chain(others).chain(together).collect()
}

/// A network of one op, or what `build` adds to its input.
pub fn network(input: Shape, build: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId) -> Graph {
    let (mut builder, value) = GraphBuilder::new(input).unwrap();
    let output = build(&mut builder, value);
    builder.finish(output)
}

pub fn single(input: Shape, op: Op) -> Graph {
    network(input, |builder, value| builder.push(op, &[value]).unwrap())
}

/// Runs a program on images, on all of `cpus` and with each image alone: all give the same bits.
pub fn run_everywhere(
    cpus: &[Cpu],
    program: &Arc<Program>,
    images: &[f32],
    what: &str,
) -> Vec<f32> {
    let count = images.len() / program.input().elements();
    let bits = |list: &[f32]| -> Vec<u32> { list.iter().map(|v| v.to_bits()).collect() };
    let mut first: Option<Vec<f32>> = None;
    for cpu in cpus {
        let mut session = cpu.load(program.clone()).unwrap();
        let together = session.run(images, count).unwrap();
        let mut alone = Vec::new();
        for image in images.chunks(program.input().elements()) {
            alone.extend(session.run(image, 1).unwrap());
        }
        let name = cpu.name();
        assert_eq!(
            bits(&together),
            bits(&alone),
            "{what}: {name}, images alone"
        );
        match &first {
            Some(first) => assert_eq!(bits(first), bits(&together), "{what}: {name}"),
            None => first = Some(together),
        }
    }
    first.unwrap()
}

/// How far results are from those of plain loops, relative to the largest of the image. Inputs are about one, so results
/// that are much smaller are differences that cancel.
pub fn distance(graph: &Graph, images: &[f32], results: &[f32]) -> f64 {
    let inputs = images.chunks(graph.input().elements());
    let results = results.chunks(graph.shape(graph.output()).elements());
    let each = inputs.zip(results).map(|(image, result)| {
        let expected = plain::run(graph, image);
        let most = expected.iter().fold(0.1, |most: f64, v| most.max(v.abs()));
        let pairs = expected.iter().zip(result);
        let apart = pairs.map(|(expected, found)| (expected - f64::from(*found)).abs() / most);
        // A NaN must not be lost.
        apart.fold(0.0, |most, v| if v <= most { most } else { v })
    });
    each.fold(0.0, |most, v| if v <= most { most } else { v })
}

/// Fuses a network, runs it everywhere on random images, and compares.
pub fn check(cpus: &[Cpu], graph: &Graph, random: &mut Random, tolerance: f64, what: &str) {
    let count = random.within(1, 5);
    let images = random.numbers(graph.input().elements() * count);
    let program = Arc::new(fuse(graph.clone()));
    let results = run_everywhere(cpus, &program, &images, what);
    let found = distance(graph, &images, &results);
    assert!(found <= tolerance, "{what}: {found:e}\n{}", outline(graph));
}

/// What a network is made of, for messages.
pub fn outline(graph: &Graph) -> String {
    let line = |(value, node): (ValueId, &model_bundle::nn::Node)| {
        let inputs: Vec<usize> = node.inputs.iter().map(|input| input.index()).collect();
        format!(
            "{}: {} of {inputs:?}, {}\n",
            value.index(),
            node.op.name(),
            node.shape
        )
    };
    graph.values().map(line).collect()
}
