//! The same weights in every format and precision, run from a bundle (`tests/numbers/make.py`).

use std::path::Path;

use super::{MOST, array, bits, distance, same_table, singles};
use crate::session::{RODS, Run, Session};

const FIXTURES: &str = "tests/fixtures/numbers";
const WEIGHTS: &str = "tests/fixtures/weights";
const WINDOWS: &str = "inferer_args = { patch_size = 64, overlap_ratio = 0.25 }";
const CLASSES: &str = r#"model_args = { min_size = 32, classes = { 0 = "single-cell", 1 = "clump", 2 = "noise", 3 = "off-focus", 4 = "joint-cell" } }"#;

/// A bundle of one model, `a.zip`: its file of weights, its metadata in the example, and its arguments.
fn built(key: &str, weights: &str, metadata: Option<&str>, arguments: &str) -> (Session, Run) {
    let session = Session::new();
    let read = |path: &str| std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let name = Path::new(weights).file_name().unwrap().to_str().unwrap();
    session.write(name, read(weights));
    let mut config = format!("[{key}]\nmodel_path = \"{name}\"\n{arguments}\n");
    if let Some(metadata) = metadata {
        let path = format!("{RODS}/metadata/{metadata}.json");
        session.write("metadata.json", read(&path));
        config += "model_metadata = \"metadata.json\"\n";
    }
    session.write("bundle.toml", config);
    let build = session.bundle(&["build", "-q", "-o", "a.zip", "--no-auto-date"]);
    (session, build)
}

/// What a model of the example makes of the part of a frame.
fn of_crop(key: &str, weights: &str, metadata: Option<&str>) -> Vec<f32> {
    let (session, build) = built(key, weights, metadata, WINDOWS);
    build.ends(0);
    let input = std::path::absolute(format!("{FIXTURES}/crop.npy")).unwrap();
    let run = ["run", "a.zip", key, "-o", "out.npy", "-i"];
    let run = [&run[..], &[input.to_str().unwrap()]].concat();
    session.bundle(&run).ends(0);
    singles(&session.path("out.npy"))
}

/// Fails the test unless the network gives what PyTorch does with weights rounded to that kind of number.
fn of_kind(found: &[f32], kind: &str) {
    let wanted = array(Path::new(&format!("{FIXTURES}/{kind}.npy")));
    let apart = distance(found, &wanted);
    assert!(apart <= MOST, "{kind}: {apart:e}");
}

#[test]
fn weights_in_every_format_and_precision_are_run() {
    let focus = |weights: &str| of_crop("bf_focus", weights, Some("bf_focus_v3"));
    let plain = focus(&format!("{RODS}/models/bf_focus_v3.pth"));
    of_kind(&plain, "focus-float32");
    for weights in [
        format!("{FIXTURES}/bf_focus_v3_f64.pth"),
        format!("{WEIGHTS}/bf_focus_v3_legacy.pth"),
        format!("{WEIGHTS}/bf_focus_v3.safetensors"),
    ] {
        assert_eq!(bits(&focus(&weights)), bits(&plain), "{weights}");
    }
    let wanted: Vec<f64> = plain.iter().map(|v| f64::from(*v)).collect();
    for metadata in [Some("bf_focus_v3"), None] {
        let onnx = of_crop(
            "bf_focus",
            &format!("{WEIGHTS}/rods/bf_focus_v3.onnx"),
            metadata,
        );
        let apart = distance(&onnx, &wanted);
        assert!(apart <= 1e-6, "{apart:e}");
    }
    // Rounding moves them further than this allows, so that one cannot pass for another.
    let half = focus(&format!("{WEIGHTS}/bf_focus_v3_fp16.pth"));
    of_kind(&half, "focus-float16");
    assert!(distance(&half, &wanted) > 10.0 * MOST);
    let brain = focus(&format!("{FIXTURES}/bf_focus_v3_bf16.pth"));
    of_kind(&brain, "focus-bfloat16");
}

#[test]
fn exported_segmenters_are_run() {
    for weights in [
        format!("{RODS}/models/unet_segm.pth"),
        format!("{WEIGHTS}/onnx/unet_segm.onnx"),
    ] {
        of_kind(
            &of_crop("segmentation", &weights, Some("unet_segm")),
            "segmentation",
        );
    }
}

#[test]
fn exported_classifiers_are_run() {
    let weights = format!("{WEIGHTS}/onnx/resnet_classifier.onnx");
    let (session, build) = built(
        "cell_classifier",
        &weights,
        Some("resnet_classifier"),
        CLASSES,
    );
    build.ends(0);
    let image = format!("{RODS}/frames/classifier_input.npy");
    let labels = format!("{RODS}/frames/labels.tif");
    let run = [
        "run",
        "a.zip",
        "cell_classifier",
        "-o",
        "out.csv",
        "-i",
        &image,
    ];
    session
        .bundle(&[&run[..], &["--labels", &labels]].concat())
        .ends(0);
    let wanted = std::fs::read_to_string(format!("{RODS}/expected/cell_classifier.csv")).unwrap();
    same_table(&session.text("out.csv"), &wanted, 1e-5);
}

#[test]
fn classifiers_of_tables_are_run_as_scikit_learn_does() {
    let table = format!("{RODS}/frames/pi_features.csv");
    for (weights, expected) in [
        ("rods/pi_model_20251218.pkl", "logreg"),
        ("onnx/pi_model.onnx", "logreg"),
        ("rods/pi_forest.joblib", "forest"),
    ] {
        let weights = format!("{WEIGHTS}/{weights}");
        let (session, build) = built("pi_classification", &weights, None, "");
        build.ends(0);
        let run = [
            "run",
            "a.zip",
            "pi_classification",
            "-o",
            "out.csv",
            "-i",
            &table,
        ];
        session.bundle(&run).ends(0);
        let expected = format!("tests/fixtures/pi/pi_classification_{expected}.csv");
        let wanted = std::fs::read_to_string(expected).unwrap();
        same_table(&session.text("out.csv"), &wanted, 1e-6);
    }
}

#[test]
fn windows_that_an_exported_network_does_not_take_are_refused() {
    let refuses = |key: &str, name: &str, arguments: &str, said: [&str; 3]| {
        let weights = format!("{WEIGHTS}/onnx/{name}.onnx");
        let (session, build) = built(key, &weights, Some(name), arguments);
        let build = build.ends(1);
        for text in said {
            assert!(build.stderr.contains(text), "{}", build.stderr);
        }
        assert!(!session.exists("a.zip"));
    };
    refuses(
        "segmentation",
        "unet_segm",
        "inferer_args = { patch_size = 32, overlap_ratio = 0.25 }",
        [
            "the graph takes windows of a side of 64",
            "`patch_size` is 32",
            "set `patch_size` to 64, or export the graph with dynamic axes",
        ],
    );
    refuses(
        "cell_classifier",
        "resnet_classifier",
        "model_args = { min_size = 24, classes = { 0 = \"cell\" } }",
        [
            "the graph takes windows of a side of 32",
            "`min_size` is 24",
            "set `min_size` to 32, or export the graph with dynamic axes",
        ],
    );
}
