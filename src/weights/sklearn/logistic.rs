//! Logistic regression.

use super::fields::Fields;
use super::{Model, SklearnError};
use crate::weights::numpy::{Labels, array, mismatch};

/// A fitted `LogisticRegression`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogisticRegression {
    pub classes: Labels,
    /// One row for each class, or a single one for the second of two classes; `rows` x features, row by row.
    pub coefficients: Vec<f64>,
    /// One for each row.
    pub intercepts: Vec<f64>,
    pub link: Link,
}

/// How the decisions become probabilities. With a single row the decisions are -d and d.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The logistic function of each, divided by their sum; with a single row 1 - p and p, without dividing.
    OneVsRest,
    /// The softmax of all.
    Softmax,
}

/// Reads the attributes that `LogisticRegression.predict_proba` uses.
pub(super) fn read(fields: &Fields, _: usize) -> Result<Model, SklearnError> {
    let features = fields.needed_features()?;
    let classes = classes(fields)?;
    let rows = match classes.len() {
        2 => 1,
        count => count,
    };
    let coefficients = fields.floats("coef_", &[rows, features])?;
    Ok(Model::LogisticRegression(LogisticRegression {
        // Without an intercept the solver liblinear leaves a single 0.0.
        intercepts: fields.floats_or_one("intercept_", rows)?,
        link: link(fields, classes.len())?,
        classes,
        coefficients,
    }))
}

/// The condition in `predict_proba`: that of version 1.0 without `newton-cholesky`, which 1.2 to 1.5 fitted one class
/// against the rest. `multi_class` is deprecated since 1.5, and may be missing one day.
fn link(fields: &Fields, classes: usize) -> Result<Link, SklearnError> {
    let by_default = || {
        let solver = fields.text("solver")?;
        let apart = match solver.as_str() {
            "liblinear" => true,
            "newton-cholesky" => fields.version()? < (1, 6),
            _ => false,
        };
        Ok(match classes <= 2 || apart {
            true => Link::OneVsRest,
            false => Link::Softmax,
        })
    };
    match fields.optional_text("multi_class").as_deref() {
        None | Some("auto" | "deprecated") => by_default(),
        Some("ovr" | "warn") => Ok(Link::OneVsRest),
        Some("multinomial") => Ok(Link::Softmax),
        Some(other) => Err(fields.error(
            "multi_class",
            mismatch("'auto', 'ovr' or 'multinomial'", format!("'{other}'")),
        )),
    }
}

/// The labels of a classifier: at least two, none twice.
pub(super) fn classes(fields: &Fields) -> Result<Labels, SklearnError> {
    let labels = fields.read("classes_", |nodes, id| {
        let array = array(nodes, id)?;
        match array.shape.len() {
            1 => array.labels(),
            _ => Err(mismatch(
                "the labels of one output",
                format!("an array of shape {:?}", array.shape),
            )),
        }
    })?;
    match is_distinct(&labels) && labels.len() >= 2 {
        true => Ok(labels),
        false => Err(fields.error(
            "classes_",
            mismatch("at least two different labels", format!("{labels:?}")),
        )),
    }
}

/// Whether no label is there twice. scikit-learn sorts them, so equal ones would be neighbours; those that are not in
/// order are no labels of its making either.
fn is_distinct(labels: &Labels) -> bool {
    fn rising<T: PartialOrd>(list: &[T]) -> bool {
        list.windows(2).all(|pair| pair[0] < pair[1])
    }
    match labels {
        Labels::Texts(list) => rising(list),
        Labels::Ints(list) => rising(list),
        Labels::Bools(list) => rising(list),
        Labels::Floats(list) => rising(list),
    }
}
