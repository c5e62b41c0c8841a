//! A file that joblib opens, compressed or not: what is accepted is an estimator whose every index is in range.
#![no_main]

use std::path::Path;

use model_bundle::blob::Blob;
use model_bundle::progress::Silent;
use model_bundle::weights::sklearn::{Estimator, Model, Scaler, Tree, TreeNode, read_file};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let blob = Blob::from(data.to_vec());
    let file = match read_file(&blob, Path::new("any.joblib"), &Silent) {
        Ok(file) => file,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    for finding in &file.audit.findings {
        assert!(!finding.to_string().is_empty());
    }
    match file.estimator {
        Ok(estimator) => accepted(&estimator),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

fn accepted(estimator: &Estimator) {
    let _ = estimator.parameters();
    let features = estimator.features;
    if let (Some(features), Some(names)) = (features, &estimator.feature_names) {
        assert_eq!(names.len(), features);
    }
    let classes = estimator.classes().map(|classes| classes.len());
    match &estimator.model {
        Model::Pipeline(steps) => {
            assert!(!steps.is_empty());
            for step in steps.iter().filter_map(|step| step.estimator.as_ref()) {
                accepted(step);
            }
        }
        Model::Scaler(scaler) => scaled(scaler, features),
        Model::LogisticRegression(model) => {
            let rows = model.intercepts.len();
            assert_eq!(Some(model.coefficients.len()), features.map(|features| rows * features));
            assert_eq!(classes, Some(if rows == 1 { 2 } else { rows }));
        }
        Model::Tree(model) => followed(&model.tree, features, classes),
        Model::Forest(model) => {
            assert!(!model.trees.is_empty());
            for tree in &model.trees {
                followed(tree, features, classes);
            }
        }
    }
}

fn scaled(scaler: &Scaler, features: Option<usize>) {
    let right = |list: &Vec<f64>| {
        assert_eq!(Some(list.len()), features);
        assert!(list.iter().all(|number| number.is_finite()));
    };
    match scaler {
        Scaler::Shift { center, scale } => center.iter().chain(scale).for_each(right),
        Scaler::MinMax { scale, offset, .. } => [scale, offset].into_iter().for_each(right),
        Scaler::Normalise(_) => {}
    }
}

fn followed(tree: &Tree, features: Option<usize>, classes: Option<usize>) {
    assert_eq!((Some(tree.features), Some(tree.classes)), (features, classes));
    assert_eq!(tree.values.len(), tree.nodes.len() * tree.classes);
    for (index, node) in tree.nodes.iter().enumerate() {
        if let TreeNode::Split { feature, left, right, threshold, .. } = *node {
            let (left, right) = (left as usize, right as usize);
            assert!(left > index && right > index && left != right);
            assert!(left < tree.nodes.len() && right < tree.nodes.len());
            assert!((feature as usize) < tree.features && !threshold.is_nan());
        }
    }
}
