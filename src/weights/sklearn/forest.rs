//! Classifiers made of decision trees.

use super::fields::Fields;
use super::logistic::classes;
use super::tree::{Tree, Values, is_tree};
use super::{Model, SklearnError};
use crate::weights::numpy::{Labels, mismatch};

/// A fitted `DecisionTreeClassifier` or `ExtraTreeClassifier`.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeClassifier {
    pub classes: Labels,
    pub tree: Tree,
    /// Whether it predicts of rows that lack values; scikit-learn refuses them otherwise.
    pub takes_missing: bool,
}

/// A fitted `RandomForestClassifier` or `ExtraTreesClassifier`: the mean of its trees' probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct Forest {
    pub classes: Labels,
    /// At least one.
    pub trees: Vec<Tree>,
    /// Whether it predicts of rows that lack values: if its first tree does, since scikit-learn 1.4.
    pub takes_missing: bool,
}

/// Reads a single tree's attributes.
pub(super) fn read_tree(fields: &Fields, _: usize) -> Result<Model, SklearnError> {
    let (classes, tree) = classifier(fields)?;
    Ok(Model::Tree(TreeClassifier {
        classes,
        tree,
        takes_missing: takes_missing(fields)?,
    }))
}

/// Reads a forest's attributes.
pub(super) fn read_forest(fields: &Fields, _: usize) -> Result<Model, SklearnError> {
    let classes = single_output(fields)?;
    let features = fields.needed_features()?;
    let nodes = fields.nodes;
    let items = fields.read("estimators_", |nodes, id| {
        let items = nodes.list(id).filter(|items| !items.is_empty());
        items.ok_or_else(|| nodes.unlike("a list of trees", id))
    })?;
    let mut trees = Vec::new();
    let mut takes_missing_values = fields.version()? >= (1, 4);
    for (index, item) in items.iter().enumerate() {
        let place = format!("{}.estimators_[{index}]", fields.class);
        let class = nodes
            .class(*item)
            .filter(|c| &*c.module == "sklearn.tree._classes");
        let class = match class.map(|class| &*class.name) {
            Some("DecisionTreeClassifier") => "DecisionTreeClassifier",
            Some("ExtraTreeClassifier") => "ExtraTreeClassifier",
            _ => {
                let mismatch = nodes.unlike("decision trees", *item);
                return Err(fields.error("estimators_", mismatch));
            }
        };
        let tree = Fields::of(nodes, *item, class)
            .and_then(|fields| Ok((takes_missing(&fields)?, classifier(&fields)?)));
        let (takes, (own, tree)) = tree.map_err(|error| error.within(&place))?;
        if own.len() != classes.len() || tree.features != features {
            return Err(fields.error(
                "estimators_",
                mismatch(
                    format!("trees of {features} features and {} classes", classes.len()),
                    format!("{} and {} in {place}", tree.features, own.len()),
                ),
            ));
        }
        takes_missing_values &= index > 0 || takes;
        trees.push(tree);
    }
    Ok(Model::Forest(Forest {
        classes,
        trees,
        takes_missing: takes_missing_values,
    }))
}

/// The labels of a classifier that has one output.
fn single_output(fields: &Fields) -> Result<Labels, SklearnError> {
    match fields.count("n_outputs_")? {
        1 => {}
        count => return Err(fields.error("n_outputs_", mismatch("1 output", count))),
    }
    let labels = classes(fields)?;
    match fields.count("n_classes_")? {
        count if count == labels.len() => Ok(labels),
        count => {
            let expected = format!("{} classes", labels.len());
            Err(fields.error("n_classes_", mismatch(expected, count)))
        }
    }
}

fn classifier(fields: &Fields) -> Result<(Labels, Tree), SklearnError> {
    let classes = single_output(fields)?;
    let features = fields.needed_features()?;
    let meaning = match fields.version()? < (1, 4) {
        true => Values::Counts,
        false => Values::Fractions,
    };
    let tree = fields.need("tree_")?;
    if !is_tree(fields.nodes, tree) {
        let mismatch = fields.nodes.unlike("sklearn.tree._tree.Tree", tree);
        return Err(fields.error("tree_", mismatch));
    }
    let tree = Tree::read(fields.nodes, tree, meaning)
        .map_err(|error| error.within(format!("{}.tree_", fields.class)))?;
    if tree.classes != classes.len() || tree.features != features {
        return Err(fields.error(
            "tree_",
            mismatch(
                format!("{features} features and {} classes", classes.len()),
                format!("{} and {}", tree.features, tree.classes),
            ),
        ));
    }
    Ok((classes, tree))
}

/// Whether a tree predicts of rows that lack values: `_support_missing_values`, which the best splits know since
/// scikit-learn 1.3 and random ones since 1.6.
fn takes_missing(fields: &Fields) -> Result<bool, SklearnError> {
    let version = fields.version()?;
    let is = |name: &str, values: &[&str]| {
        let text = fields.optional_text(name);
        text.is_some_and(|text| values.contains(&text.as_str()))
    };
    let is_best = fields.class == "DecisionTreeClassifier" && is("splitter", &["best"]);
    let is_random = is("splitter", &["random"]);
    let free = fields
        .get("monotonic_cst")
        .is_none_or(|id| fields.nodes.is_none(id));
    Ok(free
        && is("criterion", &["gini", "log_loss", "entropy"])
        && (is_best && version >= (1, 3) || is_random && version >= (1, 6)))
}
