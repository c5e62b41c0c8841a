//! scikit-learn's estimators out of pickles: checked, typed, and ready to be run without Python.
//!
//! Attributes and their meaning are those of scikit-learn 1.0 to 1.8, as far as they decide what `transform`,
//! `predict` and `predict_proba` compute; others are passed over. Where versions compute differently, the version that
//! wrote the file decides (`_sklearn_version`), since it is what the model was fitted with.

mod fields;
mod file;
mod forest;
mod logistic;
mod pipeline;
mod scalers;
#[cfg(test)]
mod tests;
mod tree;

pub use file::{EstimatorFile, read_file};
pub use forest::{Forest, TreeClassifier};
pub use logistic::{Link, LogisticRegression};
pub use pipeline::Step;
pub use scalers::{Norm, Scaler};
pub use tree::{Tree, TreeNode, Values};

use std::fmt::Display;

use super::numpy::{Labels, Mismatch, Nodes, RawArray};
use super::pickle::{NodeId, Pickle};
use fields::Fields;

/// A fitted estimator.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimator {
    /// The class, as scikit-learn names it: `StandardScaler`.
    pub class: &'static str,
    /// The version of scikit-learn that wrote it.
    pub version: Option<String>,
    /// How many features it takes; a `Normalizer` takes any number.
    pub features: Option<usize>,
    /// Their names (`feature_names_in_`), if it was fitted to a table that has some.
    pub feature_names: Option<Vec<String>>,
    pub model: Model,
}

/// What an estimator computes.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Model {
    Pipeline(Vec<Step>),
    Scaler(Scaler),
    LogisticRegression(LogisticRegression),
    Tree(TreeClassifier),
    Forest(Forest),
}

/// Why a pickle is no estimator that can be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SklearnError {
    /// The audit says why.
    #[error("the pickle cannot be read to its end")]
    Unread,
    /// The pickle may be what it likes; it is just not for us.
    #[error("not an estimator we know: {found}{}", within(path))]
    Unknown {
        /// A class or another value.
        found: String,
        /// Where, from the outermost object: `Pipeline.steps['svc']`; empty for that object itself.
        path: String,
    },
    /// An object of a class that we know is not as scikit-learn makes them.
    #[error("{class}.{attribute}{}: {mismatch}", within(path))]
    Attribute {
        class: &'static str,
        attribute: String,
        path: String,
        mismatch: Mismatch,
    },
}

fn within(path: &str) -> String {
    match path {
        "" => String::new(),
        path => format!(" (in {path})"),
    }
}

impl SklearnError {
    /// The same error, of an object that stands at `place` in another.
    fn within(mut self, place: impl Display) -> Self {
        if let Self::Unknown { path, .. } | Self::Attribute { path, .. } = &mut self {
            *path = match path.is_empty() {
                true => place.to_string(),
                false => format!("{place}.{path}"),
            };
        }
        self
    }
}

impl Estimator {
    /// The labels it predicts; `None` if it predicts nothing.
    pub fn classes(&self) -> Option<&Labels> {
        match &self.model {
            Model::Pipeline(steps) => steps.last()?.estimator.as_ref()?.classes(),
            Model::Scaler(_) => None,
            Model::LogisticRegression(model) => Some(&model.classes),
            Model::Tree(model) => Some(&model.classes),
            Model::Forest(model) => Some(&model.classes),
        }
    }

    /// How many fitted numbers it has: a scaler's per feature, a regression's coefficients and intercepts; of trees,
    /// how many nodes. A pipeline has those of its steps.
    pub fn parameters(&self) -> u64 {
        match &self.model {
            Model::Pipeline(steps) => {
                let estimators = steps.iter().filter_map(|step| step.estimator.as_ref());
                estimators.map(Self::parameters).sum()
            }
            Model::Scaler(scaler) => scaler.parameters(),
            Model::LogisticRegression(model) => {
                (model.coefficients.len() + model.intercepts.len()) as u64
            }
            Model::Tree(model) => model.tree.nodes.len() as u64,
            Model::Forest(model) => model.trees.iter().map(|tree| tree.nodes.len() as u64).sum(),
        }
    }
}

/// Reads the estimator that a pickle describes; `arrays` are what joblib put between its opcodes.
///
/// # Errors
/// Fails if it is another object, or one of its attributes is not as scikit-learn makes it.
pub fn read(pickle: &Pickle, arrays: &[RawArray]) -> Result<Estimator, SklearnError> {
    estimator(Nodes::new(&pickle.nodes, arrays), pickle.root, DEPTH)
}

/// Checks every decision tree of a pickle, whether or not an estimator that we know has it: scikit-learn's compiled
/// code follows its indices unchecked.
///
/// # Errors
/// Fails with the first that would be followed out of range.
pub fn check_trees(nodes: Nodes) -> Result<(), SklearnError> {
    for id in nodes.ids() {
        if tree::is_tree(nodes, id) {
            tree::check(nodes, id)?;
        }
    }
    Ok(())
}

/// How deep pipelines may stand in pipelines.
const DEPTH: usize = 8;

/// Reads an estimator; pipelines may nest `depth` more.
fn estimator(nodes: Nodes, id: NodeId, depth: usize) -> Result<Estimator, SklearnError> {
    let unknown = || SklearnError::Unknown {
        found: nodes.describe(id),
        path: String::new(),
    };
    let class = nodes.class(id).ok_or_else(unknown)?;
    let read: fn(&Fields, usize) -> Result<Model, SklearnError>;
    let class = match (&*class.module, &*class.name) {
        ("sklearn.pipeline", "Pipeline") => {
            read = pipeline::read;
            "Pipeline"
        }
        ("sklearn.preprocessing._data", name) => {
            let (name, scaler) = scalers::reader(name).ok_or_else(unknown)?;
            read = scaler;
            name
        }
        ("sklearn.linear_model._logistic", "LogisticRegression") => {
            read = logistic::read;
            "LogisticRegression"
        }
        ("sklearn.tree._classes", "DecisionTreeClassifier") => {
            read = forest::read_tree;
            "DecisionTreeClassifier"
        }
        ("sklearn.tree._classes", "ExtraTreeClassifier") => {
            read = forest::read_tree;
            "ExtraTreeClassifier"
        }
        ("sklearn.ensemble._forest", "RandomForestClassifier") => {
            read = forest::read_forest;
            "RandomForestClassifier"
        }
        ("sklearn.ensemble._forest", "ExtraTreesClassifier") => {
            read = forest::read_forest;
            "ExtraTreesClassifier"
        }
        _ => return Err(unknown()),
    };
    let fields = Fields::of(nodes, id, class)?;
    let model = read(&fields, depth)?;
    let (features, feature_names) = match &model {
        Model::Pipeline(steps) => pipeline::features(steps),
        _ => (fields.features()?, fields.feature_names()?),
    };
    Ok(Estimator {
        class,
        version: fields.version_text()?,
        features,
        feature_names,
        model,
    })
}
