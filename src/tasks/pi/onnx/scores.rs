//! From scores to labels and probabilities: what the classifiers of `ai.onnx.ml` share, and its scalers.

use std::sync::Arc;

use super::super::PiError;
use super::node::{Node, Wrong};
use super::ops::{logistic, reals, softmax_row};
use super::value::{Data, Precision, Value};

/// What is done to a row's scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transform {
    None,
    Logistic,
    Softmax,
}

impl Transform {
    pub fn of(node: &Node) -> Result<Self, PiError> {
        match node.text("post_transform", "NONE")? {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            other => Err(node.unsupported(
                format!("with post_transform {other}"),
                "NONE, LOGISTIC and SOFTMAX are",
            )),
        }
    }

    /// In place, in single precision.
    pub fn apply(self, row: &mut [f64]) {
        match self {
            Self::None => {}
            Self::Logistic => row
                .iter_mut()
                .for_each(|score| *score = Precision::Single.round(logistic(*score))),
            Self::Softmax => softmax_row(row, Precision::Single),
        }
    }
}

/// The labels of a classifier: `strings` or `ints` are the names of its attributes for them.
pub(super) fn labels(node: &Node, strings: &str, ints: &str) -> Result<Data, PiError> {
    let texts = node.texts(strings)?;
    let numbers = node.ints(ints)?;
    let labels = match (texts, numbers) {
        ([], numbers) => Data::Ints(numbers.to_vec()),
        (texts, []) => Data::Texts(texts.iter().map(|text| Arc::from(text.as_str())).collect()),
        _ => return Err(node.wrong("labels of one type", "strings and integers")),
    };
    match labels.len() {
        0 | 1 => Err(node.wrong("at least two labels", labels.len().to_string())),
        _ => Ok(labels),
    }
}

/// The two outputs of a classifier: the labels at these places, and `rows` of scores in single precision.
pub(super) fn outputs(labels: &Data, places: Vec<usize>, scores: Vec<f64>) -> [Value; 2] {
    let rows = places.len();
    let label = Value {
        shape: vec![rows],
        data: labels.pick(places.into_iter()),
    };
    let scores = Value::reals(vec![rows, labels.len()], Precision::Single, scores);
    [label, scores]
}

/// A `LinearClassifier`.
#[derive(Debug)]
pub(super) struct Linear {
    /// One row for each class, or a single one for the second of two; row by row.
    coefficients: Vec<f64>,
    /// One for each row.
    intercepts: Vec<f64>,
    transform: Transform,
    pub labels: Data,
}

impl Linear {
    pub fn of(node: &Node) -> Result<Self, PiError> {
        let linear = Self {
            coefficients: node.floats("coefficients")?,
            intercepts: node.floats("intercepts")?,
            transform: Transform::of(node)?,
            labels: labels(node, "classlabels_strings", "classlabels_ints")?,
        };
        let (rows, classes) = (linear.intercepts.len(), linear.labels.len());
        if rows != classes && (rows, classes) != (1, 2) {
            return Err(node.wrong(format!("{classes} intercepts"), rows.to_string()));
        }
        if linear.coefficients.is_empty() || !linear.coefficients.len().is_multiple_of(rows) {
            let found = linear.coefficients.len().to_string();
            return Err(node.wrong(
                format!("as many coefficients for each of {rows} rows"),
                found,
            ));
        }
        // ONNX Runtime leaves the scores as they are then.
        if rows == 1 && linear.transform == Transform::Softmax {
            let next = "write a row of coefficients for each class";
            return Err(node.unsupported("with post_transform SOFTMAX of one score", next));
        }
        Ok(linear)
    }

    /// The label of the largest score, and what the scores become. The input is taken in single precision.
    pub fn run(&self, value: &Value) -> Result<[Value; 2], Wrong> {
        let (_, numbers) = reals(value)?;
        let rows = self.intercepts.len();
        let features = self.coefficients.len() / rows;
        if value.matrix().1 != features {
            return Err(Wrong::shapes(&format!("{features} columns"), &[value]));
        }
        let (mut places, mut all) = (Vec::new(), Vec::new());
        for row in numbers.chunks_exact(features) {
            let coefficients = self.coefficients.chunks_exact(features);
            let mut scores: Vec<f64> = coefficients
                .zip(&self.intercepts)
                .map(|(weights, intercept)| {
                    let single = |x: &f64| Precision::Single.round(*x);
                    let products = weights.iter().zip(row).map(|(w, x)| w * single(x));
                    Precision::Single.round(products.sum::<f64>() + intercept)
                })
                .collect();
            if let [score] = *scores {
                places.push(usize::from(score > 0.0));
                scores = both(score, self.transform).to_vec();
            } else {
                places.push(super::super::first_largest(&scores));
                self.transform.apply(&mut scores);
            }
            all.extend(scores);
        }
        Ok(outputs(&self.labels, places, all))
    }
}

/// Of two classes with one score, what both get.
fn both(score: f64, transform: Transform) -> [f64; 2] {
    let single = |x| Precision::Single.round(x);
    match transform {
        Transform::Logistic => [single(logistic(-score)), single(logistic(score))],
        Transform::None | Transform::Softmax => [single(1.0 - score), score],
    }
}

/// A `Scaler`: `(x - offset) * scale`; one number may stand for all columns.
#[derive(Debug)]
pub(super) struct Scaler {
    offset: Vec<f64>,
    scale: Vec<f64>,
}

impl Scaler {
    pub fn of(node: &Node) -> Result<Self, PiError> {
        let (offset, scale) = (node.floats("offset")?, node.floats("scale")?);
        match offset.len() == scale.len() && !scale.is_empty() {
            true => Ok(Self { offset, scale }),
            false => {
                let expected = format!("as many offsets as scales ({})", scale.len());
                Err(node.wrong(expected, offset.len().to_string()))
            }
        }
    }

    /// In the input's precision; the result is in single precision, whatever the input is in.
    pub fn run(&self, value: &Value) -> Result<Value, Wrong> {
        let (precision, numbers) = reals(value)?;
        let columns = value.matrix().1;
        let count = self.scale.len();
        if count != 1 && count != columns {
            return Err(Wrong::shapes(&format!("{count} columns"), &[value]));
        }
        let pairs = self.offset.iter().zip(&self.scale).cycle();
        let scaled = numbers.iter().zip(pairs).map(|(x, (offset, scale))| {
            let product = precision.round(x - offset) * scale;
            Precision::Single.round(precision.round(product))
        });
        Ok(Value::reals(
            value.shape.clone(),
            Precision::Single,
            scaled.collect(),
        ))
    }
}

/// The norm that a `Normalizer` divides each row by; a row whose norm is 0 stays.
#[derive(Clone, Copy, Debug)]
pub(super) enum Norm {
    /// The largest value, with its sign.
    Max,
    L1,
    L2,
}

impl Norm {
    pub fn of(node: &Node) -> Result<Self, PiError> {
        match node.text("norm", "MAX")? {
            "MAX" => Ok(Self::Max),
            "L1" => Ok(Self::L1),
            "L2" => Ok(Self::L2),
            other => Err(node.wrong("the norm MAX, L1 or L2", other)),
        }
    }

    /// The result is in single precision, whatever the input is in.
    pub fn run(self, value: &Value) -> Result<Value, Wrong> {
        let (_, numbers) = reals(value)?;
        let single = |x: f64| Precision::Single.round(x);
        let mut divided = Vec::with_capacity(numbers.len());
        for row in numbers.chunks_exact(value.matrix().1.max(1)) {
            let norm = single(match self {
                Self::Max => row.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                Self::L1 => row.iter().map(|x| x.abs()).sum(),
                Self::L2 => row.iter().map(|x| x * x).sum::<f64>().sqrt(),
            });
            let norm = if norm == 0.0 { 1.0 } else { norm };
            divided.extend(row.iter().map(|x| single(x / norm)));
        }
        Ok(Value::reals(
            value.shape.clone(),
            Precision::Single,
            divided,
        ))
    }
}
