//! Scalers: what is done to each feature, or to each row.

use super::fields::Fields;
use super::{Model, SklearnError};
use crate::weights::numpy::mismatch;

/// A transformation of a table that keeps its shape.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaler {
    /// `(x - center) / scale`, feature by feature: `StandardScaler`, `RobustScaler`, `MaxAbsScaler`. What is left out
    /// is not done.
    Shift {
        center: Option<Vec<f64>>,
        scale: Option<Vec<f64>>,
    },
    /// `x * scale + offset`, feature by feature, then clipped to a range if there is one: `MinMaxScaler`.
    MinMax {
        scale: Vec<f64>,
        offset: Vec<f64>,
        clip: Option<(f64, f64)>,
    },
    /// Each row divided by its norm, or by 1 if that is below ten times the machine epsilon: `Normalizer`.
    Normalise(Norm),
}

/// The norm that a `Normalizer` divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// The sum of absolute values.
    L1,
    /// The root of the sum of squares.
    L2,
    /// The largest absolute value.
    Max,
}

impl Scaler {
    pub(super) fn parameters(&self) -> u64 {
        let count = |list: &Option<Vec<f64>>| list.as_ref().map_or(0, Vec::len) as u64;
        match self {
            Self::Shift { center, scale } => count(center) + count(scale),
            Self::MinMax { scale, offset, .. } => (scale.len() + offset.len()) as u64,
            Self::Normalise(_) => 0,
        }
    }
}

type Reader = fn(&Fields, usize) -> Result<Model, SklearnError>;

/// The class of that name in `sklearn.preprocessing._data`, and what reads it.
pub(super) fn reader(name: &str) -> Option<(&'static str, Reader)> {
    Some(match name {
        "StandardScaler" => ("StandardScaler", standard),
        "RobustScaler" => ("RobustScaler", robust),
        "MaxAbsScaler" => ("MaxAbsScaler", max_abs),
        "MinMaxScaler" => ("MinMaxScaler", min_max),
        "Normalizer" => ("Normalizer", normalizer),
        _ => return None,
    })
}

fn standard(fields: &Fields, _: usize) -> Result<Model, SklearnError> {
    shift(fields, ("with_mean", "mean_"), ("with_std", "scale_"))
}

fn robust(fields: &Fields, _: usize) -> Result<Model, SklearnError> {
    shift(
        fields,
        ("with_centering", "center_"),
        ("with_scaling", "scale_"),
    )
}

/// Each part is a switch, and the attribute that counts if it is on.
fn shift(
    fields: &Fields,
    center: (&str, &str),
    scale: (&str, &str),
) -> Result<Model, SklearnError> {
    let features = fields.needed_features()?;
    let center = match fields.flag(center.0)? {
        true => Some(fields.floats(center.1, &[features])?),
        false => None,
    };
    let scale = match fields.flag(scale.0)? {
        true => Some(divisors(fields, scale.1, features)?),
        false => None,
    };
    Ok(Model::Scaler(Scaler::Shift { center, scale }))
}

fn max_abs(fields: &Fields, _: usize) -> Result<Model, SklearnError> {
    // An option of scikit-learn 1.8; as far as is known here, the default.
    if fields.get("clip").is_some() && fields.flag("clip")? {
        return Err(fields.error("clip", mismatch("False", "True")));
    }
    let scale = divisors(fields, "scale_", fields.needed_features()?)?;
    Ok(Model::Scaler(Scaler::Shift {
        center: None,
        scale: Some(scale),
    }))
}

/// Numbers to divide by: scikit-learn's `_handle_zeros_in_scale` leaves no zero among them.
fn divisors(fields: &Fields, name: &str, features: usize) -> Result<Vec<f64>, SklearnError> {
    let numbers = fields.floats(name, &[features])?;
    match numbers.contains(&0.0) {
        false => Ok(numbers),
        true => Err(fields.error(name, mismatch("numbers other than 0", 0))),
    }
}

fn min_max(fields: &Fields, _: usize) -> Result<Model, SklearnError> {
    let features = fields.needed_features()?;
    let clip = match fields.flag("clip")? {
        false => None,
        true => Some(fields.read("feature_range", |nodes, id| {
            const EXPECTED: &str = "a range (low, high)";
            let items = nodes.tuple(id).or_else(|| nodes.list(id));
            let Some(&[low, high]) = items else {
                return Err(nodes.unlike(EXPECTED, id));
            };
            match (nodes.float(low)?, nodes.float(high)?) {
                (low, high) if low < high => Ok((low, high)),
                (low, high) => Err(mismatch(EXPECTED, format!("({low}, {high})"))),
            }
        })?),
    };
    Ok(Model::Scaler(Scaler::MinMax {
        scale: fields.floats("scale_", &[features])?,
        offset: fields.floats("min_", &[features])?,
        clip,
    }))
}

fn normalizer(fields: &Fields, _: usize) -> Result<Model, SklearnError> {
    let norm = match fields.text("norm")?.as_str() {
        "l1" => Norm::L1,
        "l2" => Norm::L2,
        "max" => Norm::Max,
        other => {
            let found = format!("'{other}'");
            return Err(fields.error("norm", mismatch("'l1', 'l2' or 'max'", found)));
        }
    };
    Ok(Model::Scaler(Scaler::Normalise(norm)))
}
