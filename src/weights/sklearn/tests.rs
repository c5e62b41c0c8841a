//! Every estimator that scikit-learn 1.0 to 1.8 wrote for us (`tests/sklearn/make_fixtures.py`), in every form.
//!
//! That what was read computes what scikit-learn does is proven where it is run (`crate::tasks::pi`).

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::*;
use crate::blob::Blob;
use crate::progress::Silent;
use crate::weights::WeightsError;
use crate::weights::numpy::Labels;
use crate::weights::pickle::Node;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights")
}

fn file(path: &Path) -> Result<EstimatorFile, WeightsError> {
    read_file(&Blob::open(path).unwrap(), path, &Silent)
}

fn estimator(path: &Path) -> Estimator {
    let file = file(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        file.audit.findings.is_empty(),
        "{}: {:?}",
        path.display(),
        file.audit
    );
    file.estimator
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What a file of fixtures says of its models.
fn facts() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder().join("sklearn")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            let text = fs::read(&path).unwrap();
            let version: Value = serde_json::from_slice(&text).unwrap();
            for (name, said) in version["models"].as_object().unwrap() {
                let said = (
                    version["version"].as_str().unwrap().to_owned(),
                    said.clone(),
                );
                assert!(!name.is_empty());
                all.push(said);
            }
        }
    }
    assert!(all.len() > 90, "only {} models", all.len());
    all
}

#[test]
fn every_form_of_every_estimator_is_read() {
    for (version, said) in facts() {
        for name in said["files"].as_array().unwrap() {
            let path = folder().join("sklearn").join(name.as_str().unwrap());
            let read = estimator(&path);
            assert_eq!(read.class, said["class"], "{name}");
            assert_eq!(read.version.as_deref(), Some(version.as_str()), "{name}");
            assert_eq!(
                read.features,
                said["features"].as_u64().map(|n| n as usize),
                "{name}"
            );
            assert_eq!(
                serde_json::to_value(&read.feature_names).unwrap(),
                said["feature_names"],
                "{name}"
            );
        }
    }
}

#[test]
fn the_rods_models_are_read() {
    let pipeline = estimator(&folder().join("rods/pi_model_20251218.pkl"));
    let names = ["mean_intensity", "max_intensity", "std_intensity", "area"];
    assert_eq!(pipeline.feature_names.as_ref().unwrap(), &names);
    let labels = Labels::Texts(vec!["piNEG".to_owned(), "piPOS".to_owned()]);
    assert_eq!(pipeline.classes(), Some(&labels));
    assert_eq!(pipeline.parameters(), 4 + 4 + 4 + 1);
    let forest = estimator(&folder().join("rods/pi_forest.joblib"));
    assert!(
        matches!(&forest.model, Model::Forest(_) | Model::Pipeline(_)),
        "{}",
        forest.class
    );
}

/// A fixture's pickle, so that its nodes can be changed.
fn unpickled(name: &str) -> Pickle {
    let path = folder().join("sklearn").join(name);
    let file = crate::weights::joblib::read(&Blob::open(&path).unwrap(), &path, &Silent).unwrap();
    let content = file.content.unwrap();
    assert!(content.arrays.is_empty(), "{name} has raw arrays");
    content.pickle
}

/// The value of the first entry with this key.
fn entry<'a>(pickle: &'a mut Pickle, key: &str) -> &'a mut Node {
    let is_key =
        |id: &NodeId| matches!(&pickle.nodes[id.0 as usize], Node::Str(text) if **text == *key);
    let value = pickle.nodes.iter().find_map(|node| match node {
        Node::Dict(entries) => entries
            .iter()
            .find(|(k, _)| is_key(k))
            .map(|(_, value)| *value),
        _ => None,
    });
    let value = value.unwrap_or_else(|| panic!("no `{key}`"));
    &mut pickle.nodes[value.0 as usize]
}

/// The bytes of the array that an entry holds, whichever way it is written.
fn array_bytes<'a>(pickle: &'a mut Pickle, key: &str) -> &'a mut Node {
    let Node::Object { args, state, .. } = entry(pickle, key) else {
        panic!("`{key}` is no array");
    };
    let tuple = state.first().copied().unwrap_or(*args);
    let place = if state.is_empty() { 0 } else { 4 };
    let Node::Tuple(items) = &pickle.nodes[tuple.0 as usize] else {
        panic!("no tuple");
    };
    let id = items[place];
    &mut pickle.nodes[id.0 as usize]
}

fn set_bytes(pickle: &mut Pickle, key: &str, at: usize, bytes: &[u8]) {
    let Node::Bytes(old) = array_bytes(pickle, key) else {
        panic!("no bytes");
    };
    let mut new = old.to_vec();
    new[at..at + bytes.len()].copy_from_slice(bytes);
    *old = new.into();
}

fn problem(pickle: &Pickle) -> String {
    let read = read(pickle, &[]).unwrap_err().to_string();
    assert!(!read.is_empty());
    read
}

/// A node of scikit-learn 1.6 has 64 bytes: left and right child, feature, threshold, and what training found.
#[test]
fn a_tree_with_an_index_out_of_range_is_refused() {
    for (at, value, wanted) in [
        (0, 0_i64, "the children of node 0"),
        (0, -2, "the children of node 0"),
        (0, 1 << 40, "the children of node 0"),
        (8, 1, "the children of node 0"),
        (8, -1, "the children of node 0"),
        (16, 3, "the feature of node 0 to be one of 3, found 3"),
        (16, -2, "the feature of node 0"),
        (24, f64::NAN.to_bits() as i64, "the threshold of node 0"),
        (
            24,
            f64::NEG_INFINITY.to_bits() as i64,
            "the threshold of node 0",
        ),
        (64, 1, "the children of node 1"),
    ] {
        for name in ["1.6_tree.p5.pkl", "1.6_tree.p4.pkl", "1.6_tree.p3.pkl"] {
            let mut pickle = unpickled(name);
            assert!(read(&pickle, &[]).is_ok());
            set_bytes(&mut pickle, "nodes", at, &value.to_le_bytes());
            let error = problem(&pickle);
            assert!(
                error.starts_with("Tree.nodes (in DecisionTreeClassifier.tree_)"),
                "{error}"
            );
            assert!(error.contains(wanted), "{error}");
            let nodes = Nodes::new(&pickle.nodes, &[]);
            assert!(check_trees(nodes).is_err());
        }
    }
}

#[test]
fn what_does_not_fit_together_is_refused_by_name() {
    let number = |number| Node::Int(number);
    let text = |text: &str| Node::Str(text.into());
    for (name, key, node, wanted) in [
        (
            "1.6_tree.p4.pkl",
            "node_count",
            number(3),
            "Tree.node_count",
        ),
        (
            "1.6_tree.p4.pkl",
            "n_features_in_",
            number(4),
            "4 features and 2 classes, found 3 and 2",
        ),
        (
            "1.6_tree.p4.pkl",
            "n_features_in_",
            number(-1),
            "DecisionTreeClassifier.n_features_in_: expected a number from 0",
        ),
        (
            "1.6_tree.p4.pkl",
            "n_outputs_",
            number(2),
            "1 output, found 2",
        ),
        (
            "1.6_tree.p4.pkl",
            "n_classes_",
            number(3),
            "2 classes, found 3",
        ),
        (
            "1.6_tree.p4.pkl",
            "tree_",
            Node::None,
            "tree_: expected sklearn.tree._tree.Tree, found None",
        ),
        (
            "1.6_pipeline.p4.pkl",
            "steps",
            Node::List(vec![]),
            "Pipeline.steps: expected a list of steps",
        ),
        (
            "1.6_pipeline.p4.pkl",
            "mean_",
            Node::Float(1.0),
            "StandardScaler.mean_ (in Pipeline.steps['standardscaler']): expected a numpy array, found 1",
        ),
        (
            "1.6_pipeline.p4.pkl",
            "with_mean",
            text("yes"),
            "True or False, found 'yes'",
        ),
        (
            "1.6_pipeline.p4.pkl",
            "multi_class",
            text("both"),
            "LogisticRegression.multi_class",
        ),
        ("1.6_pipeline.p4.pkl", "coef_", Node::None, "found None"),
    ] {
        let mut pickle = unpickled(name);
        *entry(&mut pickle, key) = node;
        let error = problem(&pickle);
        assert!(error.contains(wanted), "{key}: {error}");
    }
    let mut pickle = unpickled("1.6_pipeline.p4.pkl");
    set_bytes(&mut pickle, "mean_", 0, &f64::NAN.to_le_bytes());
    assert!(problem(&pickle).contains("finite numbers, found NaN"));
    set_bytes(&mut pickle, "mean_", 0, &1_f64.to_le_bytes());
    set_bytes(&mut pickle, "scale_", 8, &0_f64.to_le_bytes());
    assert!(problem(&pickle).contains("numbers other than 0"));
}

#[test]
fn other_objects_are_named() {
    for (from, to, wanted) in [
        (
            "LogisticRegression",
            "LinearRegression",
            "an object of sklearn.linear_model._logistic.LinearRegression (in Pipeline.steps['logisticregression'])",
        ),
        (
            "Pipeline",
            "FeatureUnion",
            "an object of sklearn.pipeline.FeatureUnion",
        ),
    ] {
        let mut pickle = unpickled("1.6_pipeline.p4.pkl");
        for node in &mut pickle.nodes {
            if let Node::Global(global) = node
                && *global.name == *from
            {
                global.name = to.into();
            }
        }
        let error = problem(&pickle);
        assert_eq!(error, format!("not an estimator we know: {wanted}"));
    }
    let mut pickle = unpickled("1.6_pipeline.p4.pkl");
    pickle.nodes.push(Node::Dict(vec![]));
    pickle.root = NodeId(pickle.nodes.len() as u32 - 1);
    assert_eq!(problem(&pickle), "not an estimator we know: a dict of 0");
}

/// An attribute set after the object took its dict would be seen here and not by the object.
#[test]
fn an_attribute_is_set_once_and_is_no_method() {
    for (key, value) in [
        ("node_count", "node_count"),
        ("predict", "predict"),
        ("__class__", "x"),
    ] {
        let mut pickle = unpickled("1.6_tree.p4.pkl");
        let (key, value) = (Node::Str(key.into()), Node::Str(value.into()));
        let key = {
            pickle.nodes.push(key);
            NodeId(pickle.nodes.len() as u32 - 1)
        };
        let value = {
            pickle.nodes.push(value);
            NodeId(pickle.nodes.len() as u32 - 1)
        };
        for node in &mut pickle.nodes {
            if let Node::Dict(entries) = node {
                entries.push((key, value));
            }
        }
        assert!(
            problem(&pickle).contains("__dict__"),
            "{}",
            problem(&pickle)
        );
    }
}

/// Pipelines in pipelines end at some depth, and one that holds itself ends there too.
#[test]
fn a_pipeline_in_itself_is_refused() {
    let mut pickle = unpickled("1.6_pipeline.p4.pkl");
    let root = pickle.root;
    let Node::List(steps) = entry(&mut pickle, "steps") else {
        panic!("no steps");
    };
    let step = steps[0];
    let Node::Tuple(items) = &mut pickle.nodes[step.0 as usize] else {
        panic!("no step");
    };
    items[1] = root;
    let error = problem(&pickle);
    assert!(error.contains("pipelines at most 8 deep"), "{error}");
}
