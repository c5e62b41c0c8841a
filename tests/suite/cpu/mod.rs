//! The CPU executor against plain f64 loops (`plain.rs`): every op, random networks, whole frames; and that bits depend on
//! nothing but the network and its input.

pub mod frames;
pub mod graphs;
pub mod ops;
mod profile;

use std::num::NonZeroUsize;

use model_bundle::exec::Executor;
use model_bundle::exec::cases::{Case, Family, Input};
use model_bundle::exec::cpu::{Cpu, Instructions};
use model_bundle::nn::{Graph, ValueId};

use crate::plain;

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

/// Runs a case on all of `cpus`, together and with each image alone: all give the same bits.
pub fn run_everywhere(cpus: &[Cpu], case: &Case) -> Vec<f32> {
    let bits = |list: &[f32]| -> Vec<u32> { list.iter().map(|v| v.to_bits()).collect() };
    let mut first: Option<Vec<f32>> = None;
    for cpu in cpus {
        let name = cpu.name();
        let given = case.given(cpu, cpu).unwrap();
        assert!(given.is_repeated, "{case}: {name}");
        assert!(given.is_independent, "{case}: {name}, images alone");
        match &first {
            Some(first) => assert_eq!(bits(first), bits(&given.numbers), "{case}: {name}"),
            None => first = Some(given.numbers),
        }
    }
    first.unwrap()
}

/// What plain loops make of a case.
pub fn wanted(case: &Case) -> Vec<f64> {
    match &case.input {
        Input::Frame(frame) => frames::expected(&case.graph, frame),
        Input::Images(images) => {
            let images = images.chunks(case.graph.input().elements());
            images
                .flat_map(|image| plain::run(&case.graph, image))
                .collect()
        }
    }
}

/// Runs the first cases of a family everywhere, and compares.
pub fn check(family: Family, seeds: u64, tolerance: f64) {
    let cpus = cpus();
    for seed in 0..seeds {
        let case = family.case(seed).unwrap();
        let found = case.distance(&run_everywhere(&cpus, &case), &wanted(&case));
        assert!(
            found <= tolerance,
            "{case}: {found:e}\n{}",
            outline(&case.graph)
        );
    }
}

/// A case of a network and its images.
pub fn case_of(family: Family, graph: Graph, images: Vec<f32>) -> Case {
    Case {
        family,
        seed: 0,
        graph,
        input: Input::Images(images),
    }
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
