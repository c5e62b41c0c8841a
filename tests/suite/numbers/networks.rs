//! Networks, fused and run by the CPU executor, against PyTorch in double precision.

use std::path::Path;
use std::sync::Arc;

use model_bundle::exec::Executor;
use model_bundle::exec::cpu::Cpu;
use model_bundle::nn::{Graph, StateDict, fuse};

use super::{MOST, array, bits, distance, singles};
use crate::forward::{self, Case};
use crate::onnx_networks::{exported, exports};

/// How far a network's result is from what is wanted. Among others in a batch it has the same bits.
fn apart(cpu: &Cpu, graph: Graph, input: &[f64], wanted: &[f64], what: &str) -> f64 {
    let image: Vec<f32> = input.iter().map(|v| *v as f32).collect();
    let other: Vec<f32> = image.iter().rev().map(|v| 0.5 - v).collect();
    let mut session = cpu.load(Arc::new(fuse(graph))).unwrap();
    let alone = session.run(&image, 1).unwrap();
    let together = session
        .run(&[&image[..], &other, &image].concat(), 3)
        .unwrap();
    let size = alone.len();
    assert_eq!(bits(&together[..size]), bits(&alone), "{what}");
    assert_eq!(bits(&together[2 * size..]), bits(&alone), "{what}");
    distance(&alone, wanted)
}

/// Fails the test unless all are near enough; says how far the furthest is.
fn all_near(distances: &[(f64, String)]) {
    let far = |(apart, _): &&(f64, String)| apart.is_nan() || *apart > MOST;
    let far: Vec<_> = distances.iter().filter(far).collect();
    assert!(far.is_empty(), "{far:#?}");
    let furthest = distances.iter().max_by(|a, b| a.0.total_cmp(&b.0));
    println!("{} networks, the furthest {furthest:?}", distances.len());
}

#[test]
fn small_networks_of_all_arguments() {
    let cpu = Cpu::new(2).unwrap();
    let distances = forward::all().into_iter().map(|case| {
        let what = case.about.to_string();
        let Case {
            graph,
            input,
            wanted,
            ..
        } = case;
        (apart(&cpu, graph, &input, &wanted, &what), what)
    });
    all_near(&distances.collect::<Vec<_>>());
}

#[test]
fn exported_networks() {
    let cpu = Cpu::new(2).unwrap();
    let distances = exports().into_iter().map(|path| {
        let what = path.display().to_string();
        let made = exported(&path).unwrap_or_else(|error| panic!("{what}: {error}"));
        (
            apart(&cpu, made.graph, &made.input, &made.wanted, &what),
            what,
        )
    });
    all_near(&distances.collect::<Vec<_>>());
}

#[test]
fn trained_networks() {
    let cpu = Cpu::new(2).unwrap();
    for (name, array_of, size) in [
        ("bf_focus_v3", "forward_bf_focus", [61, 83]),
        ("unet_segm", "forward_segmentation", [64, 96]),
    ] {
        let (network, tensors) = forward::rods(name);
        let graph = network.graph(&StateDict::new(&tensors), size).unwrap();
        let path = |what| format!("{}/{array_of}_{what}.npy", forward::FOLDER);
        let (input, wanted) = (
            singles(Path::new(&path("in"))),
            array(Path::new(&path("out"))),
        );
        let mut session = cpu.load(Arc::new(fuse(graph))).unwrap();
        let images: Vec<&[f32]> = input.chunks(size[0] * size[1]).collect();
        assert_eq!(images.len(), 2);
        let two = session.run(&input, 2).unwrap();
        let three = [images[1], images[0], images[1]].concat();
        let three = session.run(&three, 3).unwrap();
        let second = two.len() / 2;
        assert_eq!(bits(&three[second..]), bits(&two), "{name}");
        assert_eq!(bits(&three[..second]), bits(&two[second..]), "{name}");
        let apart = distance(&two, &wanted);
        assert!(apart <= MOST, "{name}: {apart:e}");
    }
}
