//! Pipelines: one estimator after another.

use super::fields::Fields;
use super::{Estimator, Model, SklearnError, estimator};
use crate::weights::numpy::mismatch;

/// More steps than anyone writes down.
const STEPS: usize = 256;

/// A step of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub name: String,
    /// `None` for `passthrough`.
    pub estimator: Option<Estimator>,
}

/// Reads `Pipeline.steps`. All but the last must transform, and all must agree on the features, which no scaler
/// changes.
pub(super) fn read(fields: &Fields, depth: usize) -> Result<Model, SklearnError> {
    let error = |mismatch| fields.error("steps", mismatch);
    let Some(depth) = depth.checked_sub(1) else {
        return Err(error(mismatch("pipelines at most 8 deep", "more")));
    };
    let items = fields.read("steps", |nodes, id| {
        let items = nodes
            .list(id)
            .filter(|items| !items.is_empty() && items.len() <= STEPS);
        items.ok_or_else(|| nodes.unlike("a list of steps", id))
    })?;
    let mut steps: Vec<Step> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let step = step(fields, *item, depth)?;
        let place = format!("Pipeline.steps['{}']", step.name);
        let is_last = index + 1 == items.len();
        if !is_last && step.estimator.as_ref().is_some_and(|e| !transforms(e)) {
            return Err(error(mismatch("a transformer before the last step", place)));
        }
        if steps.iter().any(|known| known.name == step.name) {
            return Err(error(mismatch("names of steps to differ", place)));
        }
        let features = |step: &Step| step.estimator.as_ref().and_then(|e| e.features);
        let known = steps.iter().find_map(features);
        if let (Some(known), Some(own)) = (known, features(&step))
            && known != own
        {
            return Err(error(mismatch(
                format!("{known} features in every step"),
                format!("{own} in {place}"),
            )));
        }
        steps.push(step);
    }
    Ok(Model::Pipeline(steps))
}

/// `(name, estimator)`.
fn step(
    fields: &Fields,
    id: crate::weights::pickle::NodeId,
    depth: usize,
) -> Result<Step, SklearnError> {
    let nodes = fields.nodes;
    let found = || fields.error("steps", nodes.unlike("(name, estimator)", id));
    let Some(&[name, inner]) = nodes.tuple(id) else {
        return Err(found());
    };
    let name = nodes.text(name).map_err(|_| found())?.into_owned();
    let is_nothing = nodes.is_none(inner) || nodes.text(inner).is_ok_and(|t| t == "passthrough");
    let estimator = match is_nothing {
        true => None,
        false => {
            let read = estimator(nodes, inner, depth);
            Some(read.map_err(|error| error.within(format!("Pipeline.steps['{name}']")))?)
        }
    };
    Ok(Step { name, estimator })
}

fn transforms(estimator: &Estimator) -> bool {
    match &estimator.model {
        Model::Scaler(_) => true,
        Model::Pipeline(steps) => {
            let mut estimators = steps.iter().filter_map(|step| step.estimator.as_ref());
            estimators.all(transforms)
        }
        Model::LogisticRegression(_) | Model::Tree(_) | Model::Forest(_) => false,
    }
}

/// A pipeline's features: their number is that of any step that has one; their names are the first step's, which is
/// what `Pipeline.feature_names_in_` gives.
pub(super) fn features(steps: &[Step]) -> (Option<usize>, Option<Vec<String>>) {
    let mut estimators = steps.iter().filter_map(|step| step.estimator.as_ref());
    let features = estimators.find_map(|estimator| estimator.features);
    let first = steps.first().and_then(|step| step.estimator.as_ref());
    (
        features,
        first.and_then(|first| first.feature_names.clone()),
    )
}
