//! The attributes of one estimator, asked for by name and type.

use super::SklearnError;
use crate::weights::numpy::{Array, Mismatch, Nodes, array, is_array, mismatch};
use crate::weights::pickle::NodeId;

/// Methods that decide what an estimator gives. As attributes of one object they would stand before the class's own.
const METHODS: [&str; 14] = [
    "apply",
    "decision_function",
    "fit",
    "fit_predict",
    "fit_transform",
    "get_feature_names_out",
    "get_params",
    "inverse_transform",
    "named_steps",
    "predict",
    "predict_log_proba",
    "predict_proba",
    "score",
    "transform",
];

/// More features than a table of cells has.
const FEATURES: u64 = 1 << 20;

/// An object's attributes.
pub(super) struct Fields<'a> {
    pub nodes: Nodes<'a>,
    pub class: &'static str,
    entries: &'a [(NodeId, NodeId)],
}

impl<'a> Fields<'a> {
    /// The attributes of an object of a class of scikit-learn's: made without arguments, then given a dict.
    pub fn of(nodes: Nodes<'a>, id: NodeId, class: &'static str) -> Result<Self, SklearnError> {
        let entries = nodes
            .attributes(id)
            .map_err(|mismatch| error(class, "__dict__", mismatch))?;
        let fields = Self {
            nodes,
            class,
            entries,
        };
        for (name, _) in entries {
            let expected = "names of attributes that scikit-learn gives it";
            let found = || fields.error("__dict__", nodes.unlike(expected, *name));
            let name = nodes.text(*name).map_err(|_| found())?;
            if name.starts_with("__") || METHODS.contains(&&*name) {
                return Err(found());
            }
        }
        Ok(fields)
    }

    /// The error that an attribute is not what it should be.
    pub fn error(&self, attribute: &str, mismatch: Mismatch) -> SklearnError {
        error(self.class, attribute, mismatch)
    }

    /// An attribute.
    pub fn get(&self, name: &str) -> Option<NodeId> {
        let mut entries = self.entries.iter();
        let is_named = |key: NodeId| self.nodes.text(key).is_ok_and(|text| text == name);
        entries
            .find(|(key, _)| is_named(*key))
            .map(|(_, value)| *value)
    }

    /// An attribute that must be there.
    pub fn need(&self, name: &str) -> Result<NodeId, SklearnError> {
        let missing = || mismatch("a fitted estimator, which has it", "none");
        self.get(name).ok_or_else(|| self.error(name, missing()))
    }

    /// An attribute as what `read` makes of it.
    pub fn read<T>(
        &self,
        name: &str,
        read: impl FnOnce(Nodes<'a>, NodeId) -> Result<T, Mismatch>,
    ) -> Result<T, SklearnError> {
        let id = self.need(name)?;
        read(self.nodes, id).map_err(|mismatch| self.error(name, mismatch))
    }

    /// A truth.
    pub fn flag(&self, name: &str) -> Result<bool, SklearnError> {
        self.read(name, Nodes::flag)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<String, SklearnError> {
        self.read(name, |nodes, id| {
            nodes.text(id).map(|text| text.into_owned())
        })
    }

    /// A text, if the attribute is there and is one.
    pub fn optional_text(&self, name: &str) -> Option<String> {
        let id = self.get(name)?;
        self.nodes.text(id).ok().map(|text| text.into_owned())
    }

    /// A number of things.
    pub fn count(&self, name: &str) -> Result<usize, SklearnError> {
        self.read(name, |nodes, id| {
            let number = nodes.int(id)?;
            let count = u64::try_from(number)
                .ok()
                .filter(|count| *count <= FEATURES);
            count
                .map(|count| count as usize)
                .ok_or_else(|| mismatch(format!("a number from 0 to {FEATURES}"), number))
        })
    }

    /// Finite numbers in an array of this shape.
    pub fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, SklearnError> {
        self.read(name, |nodes, id| finite(&array(nodes, id)?, shape))
    }

    /// The same, but one number may stand for an array of them all.
    pub fn floats_or_one(&self, name: &str, count: usize) -> Result<Vec<f64>, SklearnError> {
        self.read(name, |nodes, id| match is_array(nodes, id) {
            true => finite(&array(nodes, id)?, &[count]),
            false => {
                let number = nodes.float(id)?;
                check_finite(&[number])?;
                Ok(vec![number; count])
            }
        })
    }

    /// How many features the estimator was fitted to; `None` if it was not.
    pub fn features(&self) -> Result<Option<usize>, SklearnError> {
        match self.get("n_features_in_") {
            Some(_) => self.count("n_features_in_").map(Some),
            None => Ok(None),
        }
    }

    /// The same, of an estimator that cannot do without.
    pub fn needed_features(&self) -> Result<usize, SklearnError> {
        self.count("n_features_in_")
    }

    /// The names of the features, one for each.
    pub fn feature_names(&self) -> Result<Option<Vec<String>>, SklearnError> {
        if self.get("feature_names_in_").is_none() {
            return Ok(None);
        }
        let names = self.read("feature_names_in_", |nodes, id| array(nodes, id)?.texts())?;
        match self.features()? {
            Some(count) if count == names.len() => Ok(Some(names)),
            count => {
                let expected = format!("{} names", count.unwrap_or_default());
                Err(self.error("feature_names_in_", mismatch(expected, names.len())))
            }
        }
    }

    /// The version of scikit-learn that wrote the object.
    pub fn version_text(&self) -> Result<Option<String>, SklearnError> {
        match self.get("_sklearn_version") {
            Some(_) => self.text("_sklearn_version").map(Some),
            None => Ok(None),
        }
    }

    /// The version as two numbers; a later one than all known if there is none.
    pub fn version(&self) -> Result<(u32, u32), SklearnError> {
        let Some(text) = self.version_text()? else {
            return Ok((u32::MAX, 0));
        };
        let mut parts = text.split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
            _ => Err(self.error(
                "_sklearn_version",
                mismatch("a version such as 1.3.2", format!("`{text}`")),
            )),
        }
    }
}

fn error(class: &'static str, attribute: &str, mismatch: Mismatch) -> SklearnError {
    SklearnError::Attribute {
        class,
        attribute: attribute.to_owned(),
        path: String::new(),
        mismatch,
    }
}

/// Finite numbers in an array of this shape.
pub(super) fn finite(array: &Array, shape: &[usize]) -> Result<Vec<f64>, Mismatch> {
    check_shape(array, shape)?;
    let numbers = array.floats()?;
    check_finite(&numbers)?;
    Ok(numbers)
}

/// Fails unless the array has this shape.
pub(super) fn check_shape(array: &Array, shape: &[usize]) -> Result<(), Mismatch> {
    let is = array.shape.len() == shape.len();
    match is && array.shape.iter().zip(shape).all(|(a, b)| *a == *b as u64) {
        true => Ok(()),
        false => Err(mismatch(
            format!("an array of shape {shape:?}"),
            format!("one of shape {:?}", array.shape),
        )),
    }
}

fn check_finite(numbers: &[f64]) -> Result<(), Mismatch> {
    match numbers.iter().find(|number| !number.is_finite()) {
        None => Ok(()),
        Some(number) => Err(mismatch("finite numbers", number)),
    }
}
