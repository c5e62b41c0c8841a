//! Graphs of networks, computed plainly in f64, against PyTorch and MONAI in f64 (`tests/networks/make_forward.py`).

use std::path::Path;

use insta::assert_snapshot;
use model_bundle::blob::Blob;
use model_bundle::nn::{Expected, Graph, Kind, Network, StateDict};
use model_bundle::progress::Silent;
use model_bundle::weights;
use model_bundle::weights::tensor::{DType, Tensor, contiguous_strides};
use serde_json::{Map, Value, json};

use crate::{numbers, plain};

pub const FOLDER: &str = "tests/fixtures/networks";

/// The tensors of a file of weights.
pub fn tensors(path: &Path) -> Vec<Tensor> {
    let blob = Blob::open(path).unwrap();
    let read = weights::read(&blob, path, &Silent).unwrap();
    read.tensors().to_vec()
}

pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.numbers(|number| number).unwrap()
}

/// The largest difference, in parts of the largest number that is wanted.
pub fn distance(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let largest = wanted.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
    let apart = found.iter().zip(wanted).map(|(a, b)| (a - b).abs());
    // NaN must not pass for small.
    apart.fold(0.0, |most: f64, v| if v <= most { most } else { v }) / largest
}

pub fn network(case: &Value) -> Network {
    let kind = match case["kind"].as_str().unwrap() {
        "NAFNet" => Kind::NafNet,
        "MONAI UNet" => Kind::MonaiUnet,
        _ => Kind::FlexResNet,
    };
    Network::from_model_args(kind, case["args"].as_object().unwrap()).unwrap()
}

/// The tensors of the case of that number, without the prefix that tells cases apart.
pub fn of_case(tensors: &[Tensor], number: usize) -> Vec<Tensor> {
    let prefix = format!("{number}.");
    let inside = tensors.iter().filter_map(|tensor| {
        let name = tensor.name.strip_prefix(&prefix)?.to_owned();
        Some(Tensor {
            name,
            ..tensor.clone()
        })
    });
    inside.collect()
}

pub fn taken(tensors: &mut Vec<Tensor>, name: &str) -> Vec<f64> {
    let at = tensors.iter().position(|tensor| tensor.name == name);
    numbers(&tensors.remove(at.unwrap()))
}

/// All cases, and the tensors of all of them.
fn cases() -> (Vec<Value>, Vec<Tensor>) {
    let text = std::fs::read_to_string(format!("{FOLDER}/forward.json")).unwrap();
    let all = tensors(Path::new(&format!("{FOLDER}/forward.safetensors")));
    (serde_json::from_str(&text).unwrap(), all)
}

fn size(case: &Value) -> [usize; 2] {
    [0, 1].map(|side| case["size"][side].as_u64().unwrap() as usize)
}

/// The network of that kind and number among those of its kind, its weights, and its size.
pub fn case(kind: &str, number: usize) -> (Network, Vec<Tensor>, [usize; 2]) {
    let (cases, all) = cases();
    let of_kind = |case: &Value| case["kind"].as_str().unwrap().eq_ignore_ascii_case(kind);
    let mut found = cases.iter().enumerate().filter(|(_, case)| of_kind(case));
    let (index, case) = found.nth(number).unwrap();
    let mut tensors = of_case(&all, index);
    tensors.retain(|tensor| !["input", "output"].contains(&tensor.name.as_str()));
    (network(case), tensors, size(case))
}

/// A network, an input, and what PyTorch makes of it in double precision.
pub struct Case {
    pub about: Value,
    pub graph: Graph,
    pub input: Vec<f64>,
    pub wanted: Vec<f64>,
    /// Whether it has running statistics, which become scales and shifts in single precision.
    rounded: bool,
}

/// All cases.
pub fn all() -> Vec<Case> {
    let (cases, all) = cases();
    assert!(cases.len() > 110);
    let case = |(number, about): (usize, Value)| {
        let mut tensors = of_case(&all, number);
        let input = taken(&mut tensors, "input");
        let wanted = taken(&mut tensors, "output");
        let graph = network(&about).graph(&StateDict::new(&tensors), size(&about));
        Case {
            graph: graph.unwrap_or_else(|error| panic!("{about}: {error}")),
            rounded: tensors.iter().any(|x| x.name.ends_with("running_mean")),
            about,
            input,
            wanted,
        }
    };
    cases.into_iter().enumerate().map(case).collect()
}

#[test]
fn networks_compute_what_pytorch_computes() {
    for case in all() {
        let graph = &case.graph;
        let found = plain::values_of(graph, &case.input).swap_remove(graph.output().index());
        // But for what is rounded, as exact as PyTorch.
        let most = if case.rounded { 1e-6 } else { 1e-9 };
        let apart = distance(&found, &case.wanted);
        assert!(apart < most, "{}: {apart:e}", case.about);
    }
}

pub fn array(name: &str) -> Vec<f64> {
    numbers::array(Path::new(&format!("{FOLDER}/{name}.npy")))
}

/// The network that metadata declare.
pub fn declared(metadata: &str) -> Network {
    let about: Value = serde_json::from_str(metadata).unwrap();
    let kind = match about["model_type"].as_str().unwrap() {
        "MonaiUnet" => "MONAI UNet",
        kind => kind,
    };
    network(&json!({"kind": kind, "args": about["model_args"]}))
}

/// A network of the example, and its weights.
pub fn rods(name: &str) -> (Network, Vec<Tensor>) {
    let about = std::fs::read_to_string(format!("examples/rods/metadata/{name}.json")).unwrap();
    let path = format!("examples/rods/models/{name}.pth");
    (declared(&about), tensors(Path::new(&path)))
}

#[test]
fn trained_networks_compute_what_pytorch_computes() {
    for (name, array_of, size) in [
        ("bf_focus_v3", "forward_bf_focus", [61, 83]),
        ("unet_segm", "forward_segmentation", [64, 96]),
    ] {
        let (network, tensors) = rods(name);
        let graph = network.graph(&StateDict::new(&tensors), size).unwrap();
        let (inputs, outputs) = (
            array(&format!("{array_of}_in")),
            array(&format!("{array_of}_out")),
        );
        let pixels = size[0] * size[1];
        assert_eq!(inputs.len(), 2 * pixels);
        for (input, wanted) in inputs.chunks(pixels).zip(outputs.chunks(pixels)) {
            let input: Vec<f32> = input.iter().map(|v| *v as f32).collect();
            let apart = distance(&plain::run(&graph, &input), wanted);
            // They are kept in single precision.
            assert!(apart < 1e-7, "{name}: {apart:e}");
        }
    }
}

fn refusal(network: &Network, tensors: &[Tensor], size: [usize; 2]) -> String {
    match network.graph(&StateDict::new(tensors), size) {
        Ok(_) => panic!("{network} is built"),
        Err(error) => error.to_string(),
    }
}

fn zeros(network: &Network) -> Vec<Tensor> {
    let tensor = |expected: Expected| Tensor {
        storage: vec![0; 4 * expected.elements() as usize].into(),
        strides: contiguous_strides(&expected.shape),
        name: expected.name,
        dtype: DType::F32,
        shape: expected.shape,
        offset: 0,
        big_endian: false,
    };
    network.tensors().into_iter().map(tensor).collect()
}

#[test]
fn what_cannot_be_run_is_refused_in_words() {
    let (focus, tensors) = rods("bf_focus_v3");
    assert_snapshot!(refusal(&focus, &tensors[1..], [8, 8]));
    let mut integers = tensors.clone();
    (integers[0].dtype, integers[0].storage) = (DType::I32, vec![0; 1 << 20].into());
    assert_snapshot!(refusal(&focus, &integers, [8, 8]));
    let (unet, tensors) = rods("unet_segm");
    assert_snapshot!(refusal(&unet, &tensors, [64, 66]));
    assert_snapshot!(refusal(&unet, &tensors, [4, 4]));
    assert_snapshot!(refusal(&unet, &tensors, [64, 0]));
    let args =
        json!({"num_classes": 2, "use_global_pool": false, "min_size": 8, "initial_filters": 2});
    let flat = network(&json!({"kind": "FlexResNet", "args": args}));
    assert_snapshot!(refusal(&flat, &zeros(&flat), [8, 9]));
    let args = json!({"img_channel": 1, "width": 1 << 19});
    let huge = network(&json!({"kind": "NAFNet", "args": args}));
    // Each tensor is one number, seen again and again.
    let mut seen: Vec<Tensor> = Vec::new();
    for expected in huge.tensors() {
        seen.push(Tensor {
            strides: vec![0; expected.shape.len()],
            name: expected.name,
            dtype: DType::F32,
            shape: expected.shape,
            storage: vec![0; 4].into(),
            offset: 0,
            big_endian: false,
        });
    }
    assert_snapshot!(refusal(&huge, &seen, [8, 8]));
    let detector = Network::from_model_args(Kind::RfDetrBase, &Map::new()).unwrap();
    assert_snapshot!(refusal(&detector, &[], [8, 8]));
}
