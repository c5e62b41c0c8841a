//! Graphs of ONNX models, computed plainly in f64, against the networks they were exported from
//! (`tests/networks/make_forward.py --onnx`).

use std::path::{Path, PathBuf};

use model_bundle::blob::Blob;
use model_bundle::nn::{Graph, OnnxError, Op, Shape, StateDict, from_onnx, onnx_input};
use model_bundle::weights::onnx::{self, Model};

use crate::forward::{FOLDER, array, distance, numbers, rods, tensors};
use crate::plain;

fn model(path: &Path) -> Model {
    onnx::read(&Blob::open(path).unwrap()).unwrap()
}

/// How far a model's graph is from the output that stands beside it.
fn apart(path: &Path) -> Result<f64, OnnxError> {
    let beside = tensors(&path.with_extension("safetensors"));
    let of = |name: &str| beside.iter().find(|tensor| tensor.name == name).unwrap();
    let (input, output) = (of("input"), of("output"));
    let [channels, height, width] = [0, 1, 2].map(|side| input.shape[side] as usize);
    let graph = from_onnx(&model(path), Shape::new(channels, height, width))?;
    let found = plain::values_of(&graph, &numbers(input)).swap_remove(graph.output().index());
    Ok(distance(&found, &numbers(output)))
}

fn models(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "onnx")
    });
    paths.sort();
    paths
}

/// `MODEL_BUNDLE_ONNX` may name a folder with the whole matrix of exports.
#[test]
fn exported_networks_compute_what_pytorch_computes() {
    let mut all = models(Path::new(&format!("{FOLDER}/onnx")));
    assert!(all.len() < 9999);
    if let Some(folder) = std::env::var_os("MODEL_BUNDLE_ONNX") {
        all.extend(models(Path::new(&folder)));
    }
    let mut wrong = Vec::new();
    let mut largest = 0.0_f64;
    for path in &all {
        // Exporters fold constants in single precision.
        match apart(path) {
            Ok(apart) if apart < 2e-6 => largest = largest.max(apart),
            Ok(apart) => wrong.push(format!("{}: {apart:e}", path.display())),
            Err(error) => wrong.push(format!("{}: {error}", path.display())),
        }
    }
    let of = all.len();
    assert!(
        wrong.is_empty(),
        "{} of {of} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    println!("{of} models, at most {largest:e} apart");
}
