//! Classifiers against scikit-learn's and ONNX Runtime's own predictions, and tables of features classified.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::blob::Blob;
use crate::progress::Silent;
use crate::weights::sklearn::read_file;
use crate::weights::{Content, onnx};

mod random;
mod tables;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The classifier in a file of weights.
fn classifier(path: &Path) -> PiClassifier {
    let blob = Blob::open(path).unwrap();
    let weights = crate::weights::read(&blob, path, &Silent).unwrap();
    match weights.content {
        Content::Onnx(model) => PiClassifier::from_onnx(&model).unwrap(),
        Content::Estimator(estimator) => PiClassifier::from_estimator(*estimator).unwrap(),
        other => panic!("{}: {other:?}", path.display()),
    }
}

/// A row of numbers after another; null is a missing one.
fn numbers(rows: &Value) -> Vec<f64> {
    let rows = rows.as_array().unwrap().iter();
    rows.flat_map(|row| row.as_array().unwrap())
        .map(|number| number.as_f64().unwrap_or(f64::NAN))
        .collect()
}

/// The label of each row as text.
fn labels(classifier: &PiClassifier, found: &Predictions) -> Vec<String> {
    let classes = classifier.classes();
    found.labels.iter().map(|l| classes[*l].clone()).collect()
}

/// The largest difference.
fn distance(found: &[f64], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let pairs = found.iter().zip(wanted);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn estimators_predict_what_scikit_learn_does() {
    let folder = fixtures().join("weights/sklearn");
    let mut tried = 0;
    for version in [
        "1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.7", "1.8",
    ] {
        let facts = json(&folder.join(format!("{version}.json")));
        for said in facts["models"].as_object().unwrap().values() {
            let Some(wanted) = said.get("predict") else {
                continue;
            };
            for name in said["files"].as_array().unwrap() {
                let classifier = classifier(&folder.join(name.as_str().unwrap()));
                let found = classifier.predict(&numbers(&said["rows"])).unwrap();
                let off = distance(&found.probabilities, &numbers(&said["predict_proba"]));
                assert!(off < 1e-14, "{name}: {off}");
                let wanted: Vec<String> = wanted.as_array().unwrap().iter().map(python).collect();
                assert_eq!(labels(&classifier, &found), wanted, "{name}");
                tried += 1;
            }
        }
    }
    assert!(tried > 150, "only {tried} files");
}

/// A label as Python writes it.
fn python(label: &Value) -> String {
    match label {
        Value::String(text) => text.clone(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        number => number.to_string(),
    }
}

#[test]
fn scalers_transform_as_scikit_learn_does() {
    let folder = fixtures().join("weights/sklearn");
    let mut tried = 0;
    for version in ["1.0", "1.3", "1.6"] {
        let facts = json(&folder.join(format!("{version}.json")));
        for said in facts["models"].as_object().unwrap().values() {
            let Some(wanted) = said.get("transform") else {
                continue;
            };
            let path = folder.join(said["files"][0].as_str().unwrap());
            let file = read_file(&Blob::open(&path).unwrap(), &path, &Silent).unwrap();
            let crate::weights::sklearn::Model::Scaler(scaler) = file.estimator.unwrap().model
            else {
                panic!("{}", path.display());
            };
            let mut found = numbers(&said["rows"]);
            for row in found.chunks_mut(3) {
                estimator::transform(&scaler, row).unwrap();
            }
            // Scalers that were fitted in single precision give more digits here.
            let off = distance(&found, &numbers(wanted));
            assert!(off < 1e-13, "{}: {off}", path.display());
            tried += 1;
        }
    }
    assert!(tried >= 30, "only {tried}");
}

/// The models of `tests/fixtures/pi/models`, or of the folder in `PI_MODELS` (see `tests/pi/make_models.sh`).
#[test]
fn models_in_onnx_predict_what_scikit_learn_and_onnx_runtime_do() {
    let folder = env::var_os("PI_MODELS").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| fixtures().join("pi/models"));
    let facts = json(&folder.join("models.json"));
    let (mut runtime, mut sklearn) = (0.0_f64, 0.0_f64);
    let models = facts["models"].as_array().unwrap();
    assert!(models.len() >= 20);
    for said in models {
        let name = said["file"].as_str().unwrap();
        let classifier = classifier(&folder.join(name));
        let features: Option<Vec<&str>> = said["features"]
            .as_array()
            .map(|names| names.iter().map(|name| name.as_str().unwrap()).collect());
        let found_features = classifier.features();
        let found_features =
            found_features.map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(found_features, features, "{name}");
        let found = classifier.predict(&numbers(&said["rows"]));
        let found = found.unwrap_or_else(|error| panic!("{name}: {error}"));
        for (other, most, largest) in [
            ("onnxruntime", 3e-7, &mut runtime),
            ("sklearn", 2e-6, &mut sklearn),
        ] {
            let Some(said) = said.get(other).filter(|said| !said.is_null()) else {
                continue;
            };
            let off = distance(&found.probabilities, &numbers(&said["probabilities"]));
            assert!(off < most, "{name}, {other}: {off}");
            *largest = largest.max(off);
            let labels = labels(&classifier, &found);
            for (found, wanted) in labels.iter().zip(said["labels"].as_array().unwrap()) {
                let wanted = match (wanted.as_str().unwrap(), found.as_str()) {
                    ("0", "piNEG" | "piPOS") => "piNEG",
                    ("1", "piNEG" | "piPOS") => "piPOS",
                    (wanted, _) => wanted,
                };
                assert_eq!(found, wanted, "{name}, {other}");
            }
            assert_eq!(labels.len(), said["labels"].as_array().unwrap().len());
        }
    }
    println!(
        "{} models; farthest from ONNX Runtime {runtime:e}, from scikit-learn {sklearn:e}",
        models.len()
    );
}

/// A model of one node, as a converter might write it.
fn model(node: onnx::Node) -> onnx::Model {
    let declared = |name: &str, columns| onnx::Declaration {
        name: name.to_owned(),
        kind: onnx::Kind::Tensor {
            element: onnx::Element::Number(crate::weights::tensor::DType::F32),
            shape: Some(vec![onnx::Dim::Unknown, onnx::Dim::Known(columns)]),
        },
    };
    onnx::Model {
        ir_version: 8,
        opsets: vec![],
        producer: String::new(),
        producer_version: String::new(),
        graph: onnx::Graph {
            nodes: vec![node],
            inputs: vec![declared("X", 3)],
            outputs: vec![declared("label", 1), declared("p", 2)],
            ..onnx::Graph::default()
        },
        metadata: vec![],
    }
}

fn node(op: &str, domain: &str, attributes: Vec<(&str, onnx::AttributeValue)>) -> onnx::Node {
    let attributes = attributes.into_iter().map(|(name, value)| onnx::Attribute {
        name: name.to_owned(),
        value,
    });
    onnx::Node {
        name: String::new(),
        op: op.to_owned(),
        domain: domain.to_owned(),
        inputs: vec!["X".to_owned()],
        outputs: vec!["label".to_owned(), "p".to_owned()],
        attributes: attributes.collect(),
    }
}

fn linear(transform: &str, intercepts: usize) -> onnx::Node {
    use onnx::AttributeValue::{Floats, Ints, String};
    node(
        "LinearClassifier",
        onnx::ML,
        vec![
            ("coefficients", Floats(vec![0.5; 3 * intercepts])),
            ("intercepts", Floats(vec![0.0; intercepts])),
            ("post_transform", String(transform.to_owned())),
            ("classlabels_ints", Ints(vec![0, 1])),
        ],
    )
}

#[test]
fn what_is_not_supported_is_named() {
    for (node, wanted) in [
        (
            node("SVMClassifier", onnx::ML, vec![]),
            "`SVMClassifier` (which gives `label`) is not supported: LinearClassifier, TreeEnsembleClassifier, Scaler",
        ),
        (
            node("TreeEnsemble", onnx::ML, vec![]),
            "`TreeEnsemble` (which gives `label`) is not supported",
        ),
        (
            linear("PROBIT", 2),
            "`LinearClassifier` (which gives `label`) with post_transform PROBIT is not supported: \
             NONE, LOGISTIC and SOFTMAX are",
        ),
        (
            linear("SOFTMAX", 1),
            "with post_transform SOFTMAX of one score is not supported",
        ),
        (
            linear("NONE", 3),
            "`LinearClassifier` (which gives `label`): expected 2 intercepts, found 3",
        ),
        (
            node("Softmax", "", vec![("axis", onnx::AttributeValue::Int(0))]),
            "along axis 0 is not supported: along axis 1 is",
        ),
        (
            node("Identity", "", vec![]),
            "the first output of the model: expected the label that a classifier gives, found `X`",
        ),
    ] {
        let error = PiClassifier::from_onnx(&model(node)).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let mut cut = model(linear("NONE", 2));
    cut.graph.outputs.pop();
    let error = PiClassifier::from_onnx(&cut).unwrap_err().to_string();
    assert!(
        error.contains("the label, and the probabilities"),
        "{error}"
    );
    let mut named = model(linear("NONE", 2));
    named.metadata = vec![("feature_names".to_owned(), "a,b".to_owned())];
    let error = PiClassifier::from_onnx(&named).unwrap_err().to_string();
    assert!(error.contains("expected 3 names, found 2"), "{error}");
}

#[test]
fn one_score_of_two_classes_is_the_second_s() {
    for (transform, wanted) in [
        ("NONE", [[1.0 - 1.5, 1.5], [2.5, -1.5]]),
        ("LOGISTIC", {
            let p = f64::from((1.0 / (1.0 + (-1.5_f64).exp())) as f32);
            let q = f64::from((1.0 / (1.0 + 1.5_f64.exp())) as f32);
            [[q, p], [p, q]]
        }),
    ] {
        let classifier = PiClassifier::from_onnx(&model(linear(transform, 1))).unwrap();
        let found = classifier
            .predict(&[1.0, 1.0, 1.0, -1.0, -1.0, -1.0])
            .unwrap();
        assert_eq!(found.labels, [1, 0]);
        assert_eq!(found.probabilities, wanted.concat());
        assert_eq!(classifier.classes(), ["piNEG", "piPOS"]);
    }
}

#[test]
fn rows_that_a_model_does_not_take_are_refused() {
    let linear = PiClassifier::from_onnx(&model(linear("LOGISTIC", 2))).unwrap();
    let logistic = classifier(&fixtures().join("weights/sklearn/1.6_pipeline.joblib"));
    let forest = classifier(&fixtures().join("weights/sklearn/1.3_forest.joblib"));
    let tree = classifier(&fixtures().join("weights/sklearn/1.6_tree.joblib"));
    let old = classifier(&fixtures().join("weights/sklearn/1.0_tree.joblib"));
    let with = |number: f64| [1.0, 2.0, 3.0, 4.0, number, 6.0];
    let refused = |classifier: &PiClassifier, number: f64| match classifier.predict(&with(number)) {
        Err(PiError::Value {
            row: 1,
            feature: 1,
            value,
        }) => Some(value),
        Ok(_) => None,
        Err(error) => panic!("{error}"),
    };
    for takes_none in [&linear, &logistic, &forest, &old] {
        assert_eq!(refused(takes_none, f64::NAN), Some(BadValue::Missing));
    }
    assert_eq!(refused(&tree, f64::NAN), None);
    let infinite = |number| Some(BadValue::Infinite(number));
    for all in [&linear, &logistic, &forest, &tree] {
        assert_eq!(refused(all, f64::INFINITY), infinite(f64::INFINITY));
    }
    // Single precision has no such number.
    for single in [&linear, &forest, &tree] {
        assert_eq!(refused(single, -1e39), infinite(-1e39));
    }
    assert_eq!(refused(&logistic, -1e39), None);
    assert_eq!(
        linear.predict(&[1.0; 4]),
        Err(PiError::Width {
            expected: 3,
            found: 4
        })
    );
    assert_eq!(linear.predict(&[]).unwrap(), Predictions::default());
}
