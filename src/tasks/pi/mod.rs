//! PI classification: a row of a cell's features -> its label and the probability of each, as scikit-learn or ONNX Runtime give them.

mod estimator;
mod onnx;
mod table;
#[cfg(test)]
mod tests;

pub use table::{Summary, classify_table};

use crate::weights::numpy::Labels;
use crate::weights::onnx::Model;
use crate::weights::sklearn::Estimator;

/// A classifier that is ready to run.
#[derive(Debug)]
pub struct PiClassifier {
    kind: Kind,
    /// How many features a row has.
    width: usize,
    features: Option<Vec<String>>,
    classes: Vec<String>,
}

#[derive(Debug)]
enum Kind {
    Estimator(estimator::Steps),
    Onnx(onnx::Program),
}

/// What a classifier says of rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// The class of each row: its place in [`PiClassifier::classes`].
    pub labels: Vec<usize>,
    /// `rows` x classes, row by row.
    pub probabilities: Vec<f64>,
}

/// Why a model cannot classify, or not these rows.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PiError {
    /// The model holds something that is not run here.
    #[error("{what} is not supported: {next}")]
    Unsupported {
        /// An operator, or what one is asked to do.
        what: String,
        /// What is supported.
        next: String,
    },
    /// The model does not fit together.
    #[error("{what}: expected {expected}, found {found}")]
    Model {
        what: String,
        expected: String,
        found: String,
    },
    /// The rows have another number of features.
    #[error("expected rows of {expected} features, found {found} numbers")]
    Width { expected: usize, found: usize },
    /// A number that the model does not take.
    #[error("row {row}, feature {feature}: {value}")]
    Value {
        /// From 0.
        row: usize,
        /// From 0.
        feature: usize,
        value: BadValue,
    },
    /// It gives NaN, as the division of 0 by 0 does.
    #[error("row {row}: the model gives a probability that is no number")]
    NoNumber {
        /// From 0.
        row: usize,
    },
    /// Values grow beyond what a table of features can lead to.
    #[error("{what} gives more numbers than {most}")]
    TooLarge { what: String, most: usize },
}

/// A number that a model does not take.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum BadValue {
    /// NaN.
    #[error("none, which this model does not take")]
    Missing,
    /// Infinite, or so large that single precision makes it so.
    #[error("{0}, which is infinite or too large for a model")]
    Infinite(f64),
}

impl PiClassifier {
    /// Makes an estimator ready.
    ///
    /// # Errors
    /// Fails if it predicts nothing.
    pub fn from_estimator(estimator: Estimator) -> Result<Self, PiError> {
        let nothing = || PiError::Model {
            what: estimator.class.to_owned(),
            expected: "a classifier".to_owned(),
            found: "an estimator that predicts nothing".to_owned(),
        };
        let classes = texts(estimator.classes().ok_or_else(nothing)?);
        let width = estimator.features.ok_or_else(nothing)?;
        let features = estimator.feature_names.clone();
        Ok(Self {
            kind: Kind::Estimator(estimator::Steps::new(estimator)?),
            width,
            features,
            classes,
        })
    }

    /// Makes an ONNX model ready: one of `ai.onnx.ml`, as skl2onnx writes them. Labels that are the numbers 0 and 1 are
    /// `piNEG` and `piPOS`, as HiTMicTools has it.
    ///
    /// # Errors
    /// Fails if the model is no classifier, or needs an operator that is not supported.
    pub fn from_onnx(model: &Model) -> Result<Self, PiError> {
        let compiled = onnx::compile(model)?;
        Ok(Self {
            kind: Kind::Onnx(compiled.program),
            width: compiled.width,
            features: compiled.features,
            classes: compiled.classes,
        })
    }

    /// How many features a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The names of the features in the order of a row, if the model knows them.
    pub fn features(&self) -> Option<&[String]> {
        self.features.as_deref()
    }

    /// The labels, in the order of the probabilities.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Whether probabilities are in single precision.
    pub fn is_single(&self) -> bool {
        match &self.kind {
            Kind::Estimator(_) => false,
            Kind::Onnx(program) => program.is_single(),
        }
    }

    /// Classifies rows, one after another in `rows`.
    ///
    /// # Errors
    /// Fails if they do not fit the model.
    pub fn predict(&self, rows: &[f64]) -> Result<Predictions, PiError> {
        if self.width == 0 || !rows.len().is_multiple_of(self.width) {
            return Err(PiError::Width {
                expected: self.width,
                found: rows.len(),
            });
        }
        match &self.kind {
            Kind::Estimator(steps) => steps.predict(rows, self.width, self.classes.len()),
            Kind::Onnx(program) => program.predict(rows, self.width, self.classes.len()),
        }
    }
}

/// Labels as pandas writes them.
fn texts(labels: &Labels) -> Vec<String> {
    let flag = |flag: &bool| if *flag { "True" } else { "False" }.to_owned();
    match labels {
        Labels::Texts(list) => list.clone(),
        Labels::Ints(list) => list.iter().map(ToString::to_string).collect(),
        Labels::Bools(list) => list.iter().map(flag).collect(),
        Labels::Floats(list) => list
            .iter()
            .map(|number| super::table::repr(*number))
            .collect(),
    }
}

/// The place of the largest number, the first of several; NaN is larger than any, as `numpy.argmax` has it.
fn first_largest(numbers: &[f64]) -> usize {
    let mut best = 0;
    let mut most = f64::NEG_INFINITY;
    for (index, number) in numbers.iter().enumerate() {
        if number.is_nan() {
            return index;
        }
        if *number > most {
            (best, most) = (index, *number);
        }
    }
    best
}
