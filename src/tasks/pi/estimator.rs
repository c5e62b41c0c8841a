//! scikit-learn's estimators, row by row in double precision: `transform`, `predict` and `predict_proba`.

use super::{BadValue, PiError, Predictions, first_largest};
use crate::weights::sklearn::{
    Estimator, Forest, Link, LogisticRegression, Model, Norm, Scaler, Tree, TreeClassifier,
    TreeNode, Values,
};

/// A classifier, and what is done to its rows before.
#[derive(Debug)]
pub(super) struct Steps {
    scalers: Vec<Scaler>,
    classifier: Classifier,
}

#[derive(Debug)]
enum Classifier {
    Logistic(LogisticRegression),
    Tree(TreeClassifier),
    Forest(Forest),
}

/// A number that is not taken, and the feature that has it.
type Refused = (usize, BadValue);

impl Steps {
    /// Lays out an estimator, and the pipelines in it, as one list.
    pub fn new(estimator: Estimator) -> Result<Self, PiError> {
        let class = estimator.class;
        let mut scalers = Vec::new();
        match flatten(estimator, &mut scalers) {
            Some(classifier) => Ok(Self {
                scalers,
                classifier,
            }),
            None => Err(PiError::Model {
                what: class.to_owned(),
                expected: "a classifier as the last step".to_owned(),
                found: "none".to_owned(),
            }),
        }
    }

    /// Classifies rows of `width` features.
    pub fn predict(
        &self,
        rows: &[f64],
        width: usize,
        classes: usize,
    ) -> Result<Predictions, PiError> {
        let mut found = Predictions::default();
        let mut row = vec![0.0; width];
        let mut probabilities = vec![0.0; classes];
        for (index, numbers) in rows.chunks_exact(width).enumerate() {
            row.copy_from_slice(numbers);
            let label = self.classify(&mut row, &mut probabilities);
            let label = label.map_err(|(feature, value)| PiError::Value {
                row: index,
                feature,
                value,
            })?;
            found.labels.push(label);
            found.probabilities.extend_from_slice(&probabilities);
        }
        Ok(found)
    }

    fn classify(&self, row: &mut [f64], probabilities: &mut [f64]) -> Result<usize, Refused> {
        for scaler in &self.scalers {
            transform(scaler, row)?;
        }
        match &self.classifier {
            Classifier::Logistic(model) => regress(model, row, probabilities),
            Classifier::Tree(model) => {
                check_single(row, model.takes_missing)?;
                Ok(decide(&model.tree, row, probabilities))
            }
            Classifier::Forest(model) => {
                check_single(row, model.takes_missing)?;
                Ok(vote(model, row, probabilities))
            }
        }
    }
}

/// Adds an estimator's scalers to the list; the classifier that it ends with, if it is one.
fn flatten(estimator: Estimator, scalers: &mut Vec<Scaler>) -> Option<Classifier> {
    match estimator.model {
        Model::Pipeline(steps) => {
            let estimators = steps.into_iter().filter_map(|step| step.estimator);
            estimators.fold(None, |_, step| flatten(step, scalers))
        }
        Model::Scaler(scaler) => {
            scalers.push(scaler);
            None
        }
        Model::LogisticRegression(model) => Some(Classifier::Logistic(model)),
        Model::Tree(model) => Some(Classifier::Tree(model)),
        Model::Forest(model) => Some(Classifier::Forest(model)),
    }
}

/// `check_array`: refuses infinite numbers, and NaN where the estimator does.
fn check(row: &[f64], takes_missing: bool) -> Result<(), Refused> {
    for (feature, number) in row.iter().enumerate() {
        if number.is_infinite() {
            return Err((feature, BadValue::Infinite(*number)));
        }
        if number.is_nan() && !takes_missing {
            return Err((feature, BadValue::Missing));
        }
    }
    Ok(())
}

/// The same of trees, which see rows in single precision.
fn check_single(row: &mut [f64], takes_missing: bool) -> Result<(), Refused> {
    check(row, takes_missing)?;
    for (feature, number) in row.iter_mut().enumerate() {
        let single = f64::from(*number as f32);
        if single.is_infinite() {
            return Err((feature, BadValue::Infinite(*number)));
        }
        *number = single;
    }
    Ok(())
}

/// `transform`, in place.
pub(super) fn transform(scaler: &Scaler, row: &mut [f64]) -> Result<(), Refused> {
    check(row, !matches!(scaler, Scaler::Normalise(_)))?;
    match scaler {
        Scaler::Shift { center, scale } => {
            for (x, center) in row.iter_mut().zip(center.iter().flatten()) {
                *x -= center;
            }
            for (x, scale) in row.iter_mut().zip(scale.iter().flatten()) {
                *x /= scale;
            }
        }
        Scaler::MinMax {
            scale,
            offset,
            clip,
        } => {
            for ((x, scale), offset) in row.iter_mut().zip(scale).zip(offset) {
                *x = *x * scale + offset;
                if let Some((low, high)) = clip {
                    *x = x.clamp(*low, *high);
                }
            }
        }
        Scaler::Normalise(norm) => normalise(*norm, row),
    }
    Ok(())
}

/// Divides by the norm, or by 1 if that is all but 0 (`_handle_zeros_in_scale`).
fn normalise(norm: Norm, row: &mut [f64]) {
    let norm = match norm {
        Norm::L1 => row.iter().map(|x| x.abs()).sum(),
        Norm::L2 => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
        Norm::Max => row.iter().fold(0.0, |most: f64, x| most.max(x.abs())),
    };
    if norm < 10.0 * f64::EPSILON {
        return;
    }
    for x in row {
        *x /= norm;
    }
}

/// Logistic regression: the label is that of the largest decision.
fn regress(
    model: &LogisticRegression,
    row: &[f64],
    probabilities: &mut [f64],
) -> Result<usize, Refused> {
    check(row, false)?;
    let weights = model.coefficients.chunks_exact(row.len());
    for ((decision, weights), intercept) in
        probabilities.iter_mut().zip(weights).zip(&model.intercepts)
    {
        let products = weights.iter().zip(row).map(|(weight, x)| weight * x);
        *decision = products.sum::<f64>() + intercept;
    }
    match (model.link, probabilities, model.intercepts.len()) {
        (Link::OneVsRest, [first, second], 1) => {
            let decision = *first;
            *second = logistic(decision);
            *first = 1.0 - *second;
            Ok(usize::from(decision > 0.0))
        }
        (Link::Softmax, [first, second], 1) => {
            let decision = *first;
            (*first, *second) = (-decision, decision);
            softmax(&mut [first, second]);
            Ok(usize::from(decision > 0.0))
        }
        (Link::OneVsRest, all, _) => {
            let label = first_largest(all);
            all.iter_mut().for_each(|d| *d = logistic(*d));
            let sum: f64 = all.iter().sum();
            all.iter_mut().for_each(|p| *p /= sum);
            Ok(label)
        }
        (Link::Softmax, all, _) => {
            let label = first_largest(all);
            softmax(&mut all.iter_mut().collect::<Vec<_>>());
            Ok(label)
        }
    }
}

/// `scipy.special.expit`.
fn logistic(decision: f64) -> f64 {
    1.0 / (1.0 + (-decision).exp())
}

/// `sklearn.utils.extmath.softmax`, in place.
fn softmax(decisions: &mut [&mut f64]) {
    let most = decisions
        .iter()
        .fold(f64::NEG_INFINITY, |most, d| most.max(**d));
    for decision in decisions.iter_mut() {
        **decision = (**decision - most).exp();
    }
    let sum: f64 = decisions.iter().map(|d| **d).sum();
    for decision in decisions {
        **decision /= sum;
    }
}

/// The values of the leaf that a row in single precision falls into.
fn leaf<'a>(tree: &'a Tree, row: &[f64]) -> &'a [f64] {
    let mut at = 0;
    while let Some(TreeNode::Split {
        feature,
        threshold,
        left,
        right,
        missing_left,
    }) = tree.nodes.get(at)
    {
        let x = row.get(*feature as usize).copied().unwrap_or(f64::NAN);
        let goes_left = match x.is_nan() {
            true => *missing_left,
            false => x <= *threshold,
        };
        // Children come after their parents: this ends.
        at = if goes_left { *left } else { *right } as usize;
    }
    let mut values = tree.values.chunks_exact(tree.classes);
    values.nth(at).unwrap_or_default()
}

/// What a leaf's values are divided by.
fn divisor(tree: &Tree, values: &[f64]) -> f64 {
    match tree.meaning {
        Values::Fractions => 1.0,
        Values::Counts => match values.iter().sum() {
            0.0 => 1.0,
            sum => sum,
        },
    }
}

/// A single tree: the label is that of the leaf's largest value.
fn decide(tree: &Tree, row: &[f64], probabilities: &mut [f64]) -> usize {
    let values = leaf(tree, row);
    let divisor = divisor(tree, values);
    for (probability, value) in probabilities.iter_mut().zip(values) {
        *probability = value / divisor;
    }
    first_largest(values)
}

/// A forest: the mean of its trees' probabilities, summed in their order.
fn vote(forest: &Forest, row: &[f64], probabilities: &mut [f64]) -> usize {
    probabilities.fill(0.0);
    for tree in &forest.trees {
        let values = leaf(tree, row);
        let divisor = divisor(tree, values);
        for (sum, value) in probabilities.iter_mut().zip(values) {
            *sum += value / divisor;
        }
    }
    for sum in probabilities.iter_mut() {
        *sum /= forest.trees.len() as f64;
    }
    first_largest(probabilities)
}
