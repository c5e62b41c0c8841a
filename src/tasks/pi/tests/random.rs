//! Random trees, as scikit-learn's and as ONNX's, against a plain recursive evaluation.

use proptest::prelude::*;

use super::super::*;
use crate::weights::numpy::Labels;
use crate::weights::onnx::AttributeValue::{Floats, Ints, Strings};
use crate::weights::sklearn::{self, Forest, Tree, TreeNode, Values};

/// A tree as one would write it down; all numbers fit single precision.
#[derive(Clone, Debug)]
enum Plain {
    Leaf([f32; 2]),
    Split(usize, f32, bool, Box<Plain>, Box<Plain>),
}

impl Plain {
    fn value(&self, row: &[f32]) -> [f32; 2] {
        match self {
            Self::Leaf(value) => *value,
            Self::Split(feature, threshold, missing, left, right) => {
                let x = row[*feature];
                let goes_left = if x.is_nan() {
                    *missing
                } else {
                    x <= *threshold
                };
                if goes_left { left } else { right }.value(row)
            }
        }
    }

    /// Adds its nodes, each before its children; its place.
    fn lay_out(&self, tree: &mut Tree) -> u32 {
        let place = tree.nodes.len();
        tree.nodes.push(TreeNode::Leaf);
        let value = match self {
            Self::Leaf(value) => value.map(f64::from),
            Self::Split(..) => [0.5, 0.5],
        };
        tree.values.extend(value);
        if let Self::Split(feature, threshold, missing_left, left, right) = self {
            let left = left.lay_out(tree);
            let right = right.lay_out(tree);
            tree.nodes[place] = TreeNode::Split {
                feature: *feature as u32,
                threshold: f64::from(*threshold),
                left,
                right,
                missing_left: *missing_left,
            };
        }
        place as u32
    }
}

/// Few different numbers, so that thresholds are met exactly.
fn number() -> impl Strategy<Value = f32> {
    prop_oneof![8 => (-4..5_i8).prop_map(|n| f32::from(n) * 0.25), 1 => Just(f32::NAN)]
}

fn plain() -> impl Strategy<Value = Plain> {
    let leaf = (0..9_u8).prop_map(|n| Plain::Leaf([f32::from(n) / 8.0, 1.0 - f32::from(n) / 8.0]));
    leaf.prop_recursive(6, 40, 2, |inner| {
        let threshold = (-4..5_i8).prop_map(|n| f32::from(n) * 0.25);
        (0..3_usize, threshold, any::<bool>(), inner.clone(), inner)
            .prop_map(|(f, t, m, l, r)| Plain::Split(f, t, m, l.into(), r.into()))
    })
}

/// As scikit-learn has them.
fn forest(trees: &[Plain]) -> PiClassifier {
    let laid_out = trees.iter().map(|plain| {
        let mut tree = Tree {
            nodes: vec![],
            features: 3,
            classes: 2,
            values: vec![],
            meaning: Values::Fractions,
        };
        plain.lay_out(&mut tree);
        tree
    });
    let classes = Labels::Ints(vec![3, 8]);
    let model = sklearn::Model::Forest(Forest {
        classes,
        trees: laid_out.collect(),
        takes_missing: true,
    });
    PiClassifier::from_estimator(Estimator {
        class: "RandomForestClassifier",
        version: None,
        features: Some(3),
        feature_names: None,
        model,
    })
    .unwrap()
}

/// The attributes of an ensemble on the way.
#[derive(Default)]
struct Lists {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    features: Vec<i64>,
    values: Vec<f32>,
    modes: Vec<String>,
    yes: Vec<i64>,
    no: Vec<i64>,
    missing: Vec<i64>,
    voting: Vec<(i64, i64, f32)>,
}

impl Lists {
    /// Nodes in another order than scikit-learn's: children first.
    fn lay_out(&mut self, tree: i64, plain: &Plain, share: f32) -> i64 {
        let (mode, feature, value, missing, yes, no) = match plain {
            Plain::Leaf(_) => ("LEAF", 0, 0.0, false, 0, 0),
            Plain::Split(feature, threshold, missing, left, right) => {
                let left = self.lay_out(tree, left, share);
                let right = self.lay_out(tree, right, share);
                ("BRANCH_LEQ", *feature, *threshold, *missing, left, right)
            }
        };
        // Numbers of nodes start anew in each tree, and have gaps.
        let number = 2 * self.trees.iter().filter(|t| **t == tree).count() as i64;
        if let Plain::Leaf(value) = plain {
            self.voting.push((tree, number, value[1] * share));
        }
        self.trees.push(tree);
        self.nodes.push(number);
        self.features.push(feature as i64);
        self.values.push(value);
        self.modes.push(mode.to_owned());
        self.yes.push(yes);
        self.no.push(no);
        self.missing.push(i64::from(missing));
        number
    }
}

/// As ONNX has them; the number of trees is a power of two, so that shares are exact.
fn ensemble(trees: &[Plain]) -> Result<PiClassifier, PiError> {
    let mut lists = Lists::default();
    for (index, plain) in trees.iter().enumerate() {
        lists.lay_out(index as i64, plain, 1.0 / trees.len() as f32);
    }
    let votes = &lists.voting;
    let node = super::node(
        "TreeEnsembleClassifier",
        crate::weights::onnx::ML,
        vec![
            ("nodes_treeids", Ints(lists.trees)),
            ("nodes_nodeids", Ints(lists.nodes)),
            ("nodes_featureids", Ints(lists.features)),
            ("nodes_values", Floats(lists.values)),
            ("nodes_modes", Strings(lists.modes)),
            ("nodes_truenodeids", Ints(lists.yes)),
            ("nodes_falsenodeids", Ints(lists.no)),
            ("nodes_missing_value_tracks_true", Ints(lists.missing)),
            (
                "class_treeids",
                Ints(votes.iter().map(|vote| vote.0).collect()),
            ),
            (
                "class_nodeids",
                Ints(votes.iter().map(|vote| vote.1).collect()),
            ),
            ("class_ids", Ints(vec![0; votes.len()])),
            (
                "class_weights",
                Floats(votes.iter().map(|vote| vote.2).collect()),
            ),
            ("classlabels_int64s", Ints(vec![3, 8])),
        ],
    );
    PiClassifier::from_onnx(&super::model(node))
}

proptest! {
    #[test]
    fn trees_are_followed(
        trees in prop_oneof![
            prop::collection::vec(plain(), 1),
            prop::collection::vec(plain(), 2),
            prop::collection::vec(plain(), 4),
        ],
        rows in prop::collection::vec([number(), number(), number()], 1..8),
    ) {
        let numbers: Vec<f64> = rows.concat().into_iter().map(f64::from).collect();
        let mut wanted = Predictions::default();
        for row in &rows {
            let sum: f32 = trees.iter().map(|tree| tree.value(row)[1]).sum();
            // Eighths: exact.
            let p = f64::from(sum) / trees.len() as f64;
            wanted.labels.push(usize::from(p > 0.5));
            wanted.probabilities.extend([1.0 - p, p]);
        }
        prop_assert_eq!(&forest(&trees).predict(&numbers).unwrap(), &wanted);
        match ensemble(&trees).unwrap().predict(&numbers) {
            Ok(found) => prop_assert_eq!(found, wanted),
            // Without a node that says where missing values go, they are refused.
            Err(error) => prop_assert!(
                numbers.iter().any(|x| x.is_nan()) && matches!(error, PiError::Value { .. }),
                "{error}"
            ),
        }
    }
}

/// A damaged ensemble is an error: never a panic, never a way without an end.
#[test]
fn nodes_that_lead_astray_are_refused() {
    let ensemble =
        |yes: Vec<i64>, no: Vec<i64>, trees: Vec<i64>, features: Vec<i64>, vote: (i64, i64)| {
            let leaf = |index: usize| if index < 2 { "BRANCH_LEQ" } else { "LEAF" }.to_owned();
            let node = super::node(
                "TreeEnsembleClassifier",
                crate::weights::onnx::ML,
                vec![
                    ("nodes_treeids", Ints(trees)),
                    ("nodes_nodeids", Ints((0..5).collect())),
                    ("nodes_featureids", Ints(features)),
                    ("nodes_values", Floats(vec![0.0; 5])),
                    ("nodes_modes", Strings((0..5).map(leaf).collect())),
                    ("nodes_truenodeids", Ints(yes)),
                    ("nodes_falsenodeids", Ints(no)),
                    ("class_treeids", Ints(vec![0])),
                    ("class_nodeids", Ints(vec![vote.0])),
                    ("class_ids", Ints(vec![vote.1])),
                    ("class_weights", Floats(vec![1.0])),
                    ("classlabels_int64s", Ints(vec![0, 1, 2])),
                ],
            );
            let classifier = PiClassifier::from_onnx(&super::model(node));
            classifier
                .and_then(|c| c.predict(&[0.0; 3]))
                .map(|found| found.labels)
        };
    let (yes, no) = (vec![1, 2, 0, 0, 0], vec![4, 3, 0, 0, 0]);
    let (one, zero) = (vec![0; 5], vec![0; 5]);
    assert_eq!(
        ensemble(yes.clone(), no.clone(), one.clone(), zero.clone(), (2, 1)),
        Ok(vec![1])
    );
    for (yes, no, trees, features, vote, wanted) in [
        (
            vec![1, 0, 0, 0, 0],
            no.clone(),
            one.clone(),
            zero.clone(),
            (2, 1),
            "the first leads to",
        ),
        (
            vec![1, 1, 0, 0, 0],
            no.clone(),
            one.clone(),
            zero.clone(),
            (2, 1),
            "leads to 1",
        ),
        (
            vec![0, 2, 0, 0, 0],
            no.clone(),
            one.clone(),
            zero.clone(),
            (2, 1),
            "the first leads to",
        ),
        (
            vec![9, 2, 0, 0, 0],
            no.clone(),
            one.clone(),
            zero.clone(),
            (2, 1),
            "leads to 9",
        ),
        (
            yes.clone(),
            no.clone(),
            vec![0, 0, 0, 0, 1],
            zero.clone(),
            (2, 1),
            "leads to 4",
        ),
        (
            yes.clone(),
            no.clone(),
            one.clone(),
            vec![0, -1, 0, 0, 0],
            (2, 1),
            "found -1",
        ),
        (
            yes.clone(),
            no.clone(),
            one.clone(),
            vec![0, 3, 0, 0, 0],
            (2, 1),
            "at least 4 columns",
        ),
        (
            yes.clone(),
            no.clone(),
            one.clone(),
            zero.clone(),
            (1, 1),
            "a node that is none",
        ),
        (
            yes.clone(),
            no.clone(),
            one.clone(),
            zero.clone(),
            (7, 1),
            "node 7 of tree 0",
        ),
        (
            yes.clone(),
            no.clone(),
            one.clone(),
            zero.clone(),
            (2, 3),
            "for class 3",
        ),
    ] {
        let error = ensemble(yes, no, trees, features, vote)
            .unwrap_err()
            .to_string();
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}
