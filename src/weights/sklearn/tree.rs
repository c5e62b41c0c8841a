//! Decision trees: scikit-learn's compiled `Tree`.

use super::SklearnError;
use super::fields::{Fields, check_shape};
use crate::weights::numpy::{Array, Mismatch, Nodes, array, mismatch};
use crate::weights::pickle::{Node, NodeId};

/// `sklearn.tree._tree.Tree`: the root is node 0, every other node is the child of one that stands before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Tree {
    pub nodes: Vec<TreeNode>,
    /// How many features its rows have: an index of a feature is below it.
    pub features: usize,
    /// How many classes it tells apart.
    pub classes: usize,
    /// `nodes` x `classes`, row by row.
    pub values: Vec<f64>,
    pub meaning: Values,
}

/// A node of a tree.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TreeNode {
    Leaf,
    Split {
        feature: u32,
        /// Rows with `f32(x[feature]) <= threshold` go left; infinite where all but missing values do.
        threshold: f64,
        left: u32,
        right: u32,
        /// Where rows without a value go (since scikit-learn 1.3).
        missing_left: bool,
    },
}

/// What a tree's values mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Weighted samples of each class: divide by their sum, or by 1 if that is 0 (scikit-learn 1.0 to 1.3).
    Counts,
    /// Probabilities (since scikit-learn 1.4).
    Fractions,
}

/// Whether a node is a `Tree`.
pub(super) fn is_tree(nodes: Nodes, id: NodeId) -> bool {
    let class = nodes.class(id);
    class.is_some_and(|class| (&*class.module, &*class.name) == ("sklearn.tree._tree", "Tree"))
}

impl Tree {
    /// Reads a classifier's tree.
    pub(super) fn read(nodes: Nodes, id: NodeId, meaning: Values) -> Result<Self, SklearnError> {
        let fields = Fields::of(nodes, id, "Tree")?;
        let (shape, tree_nodes) = structure(&fields, id)?;
        let [classes] = *shape.classes.as_slice() else {
            let found = format!("{} outputs", shape.classes.len());
            return Err(fields.error("__init__", mismatch("1 output", found)));
        };
        Ok(Self {
            nodes: tree_nodes,
            features: shape.features,
            classes,
            values: fields.read("values", |nodes, id| weights(&array(nodes, id)?))?,
            meaning,
        })
    }
}

/// Checks whatever of a tree, a classifier's or another's, scikit-learn's compiled code follows unchecked.
pub(super) fn check(nodes: Nodes, id: NodeId) -> Result<(), SklearnError> {
    structure(&Fields::of(nodes, id, "Tree")?, id).map(|_| ())
}

/// What a `Tree` is made with: how many features its rows have, and how many classes each output.
struct Shape {
    features: usize,
    classes: Vec<usize>,
}

/// Reads `Tree(n_features, n_classes, n_outputs)` and its state: children come after their parents and are in range, so
/// there are no cycles; features are in range; the values have the shape that the rest says.
fn structure(fields: &Fields, id: NodeId) -> Result<(Shape, Vec<TreeNode>), SklearnError> {
    let shape = Shape::read(fields.nodes, id);
    let shape = shape.map_err(|mismatch| fields.error("__init__", mismatch))?;
    let nodes = fields.read("nodes", |nodes, id| {
        let array = array(nodes, id)?;
        match *array.shape {
            [count] if (1..=MOST_NODES).contains(&count) => tree_nodes(&array, shape.features),
            _ => Err(mismatch(
                format!("an array of 1 to {MOST_NODES} nodes"),
                format!("one of shape {:?}", array.shape),
            )),
        }
    })?;
    match fields.read("node_count", Nodes::int)? {
        count if count == nodes.len() as i64 => {}
        count => return Err(fields.error("node_count", mismatch(nodes.len().to_string(), count))),
    }
    let most = shape.classes.iter().copied().max().unwrap_or_default();
    fields.read("values", |all, id| {
        let array = array(all, id)?;
        check_shape(&array, &[nodes.len(), shape.classes.len(), most])?;
        match array.dtype.name().as_str() {
            "float64" => Ok(()),
            other => Err(mismatch("numbers of type float64", other)),
        }
    })?;
    Ok((shape, nodes))
}

/// Far more nodes than a model of cells has; an index fits 32 bits.
const MOST_NODES: u64 = 1 << 31;

impl Shape {
    fn read(nodes: Nodes, id: NodeId) -> Result<Self, Mismatch> {
        const EXPECTED: &str = "Tree(n_features, n_classes, n_outputs)";
        const MOST: i64 = 1 << 20;
        let Node::Object { args, .. } = nodes.node(id) else {
            return Err(nodes.unlike(EXPECTED, id));
        };
        let Some(&[features, classes, outputs]) = nodes.tuple(*args) else {
            return Err(nodes.unlike(EXPECTED, *args));
        };
        let (features, outputs) = (nodes.int(features)?, nodes.int(outputs)?);
        let classes = array(nodes, classes)?.ints()?;
        let fits = (1..=MOST).contains(&features)
            && !classes.is_empty()
            && classes.len() as i64 == outputs
            && classes.iter().all(|count| (1..=MOST).contains(count));
        match fits {
            true => Ok(Self {
                features: features as usize,
                classes: classes.into_iter().map(|count| count as usize).collect(),
            }),
            false => {
                let found = format!("Tree({features}, {classes:?}, {outputs})");
                Err(mismatch(EXPECTED, found))
            }
        }
    }
}

/// Values of nodes: finite, none negative.
fn weights(array: &Array) -> Result<Vec<f64>, Mismatch> {
    let values = array.floats()?;
    let odd = values
        .iter()
        .find(|value| !(value.is_finite() && **value >= 0.0));
    match odd {
        None => Ok(values),
        Some(value) => Err(mismatch("finite numbers from 0 on", value)),
    }
}

/// The fields of a tree's nodes, as columns of one length: seven, or eight since scikit-learn 1.3. Three say what
/// training found, and are not needed.
struct Columns {
    left: Vec<i64>,
    right: Vec<i64>,
    feature: Vec<i64>,
    threshold: Vec<f64>,
    missing_left: Option<Vec<i64>>,
}

impl Columns {
    fn read(array: &Array) -> Result<Self, Mismatch> {
        let column = |name: &str| {
            let column = array.field(name)?;
            column.ok_or_else(|| mismatch(format!("records with a field `{name}`"), "none"))
        };
        let missing = array.field("missing_go_to_left")?;
        Ok(Self {
            left: column("left_child")?.ints()?,
            right: column("right_child")?.ints()?,
            feature: column("feature")?.ints()?,
            threshold: column("threshold")?.floats()?,
            missing_left: missing.map(|column| column.ints()).transpose()?,
        })
    }

    /// The split at `index`, with its children's places.
    fn split(
        &self,
        index: usize,
        features: usize,
        left: u32,
        right: u32,
    ) -> Result<TreeNode, Mismatch> {
        let (feature, threshold) = (self.feature[index], self.threshold[index]);
        if !usize::try_from(feature).is_ok_and(|feature| feature < features) {
            return Err(mismatch(
                format!("the feature of node {index} to be one of {features}"),
                feature,
            ));
        }
        // Where a node parts what is missing from what is not, scikit-learn sets infinity.
        let may_be_infinite = self.missing_left.is_some();
        let is_number = threshold.is_finite() || may_be_infinite && threshold == f64::INFINITY;
        if !is_number {
            return Err(mismatch(
                format!("the threshold of node {index} to be a finite number"),
                threshold,
            ));
        }
        Ok(TreeNode::Split {
            feature: feature as u32,
            threshold,
            left,
            right,
            missing_left: self
                .missing_left
                .as_ref()
                .is_some_and(|list| list[index] != 0),
        })
    }
}

/// The children of a leaf (`TREE_LEAF`).
const NO_CHILD: i64 = -1;

fn tree_nodes(array: &Array, features: usize) -> Result<Vec<TreeNode>, Mismatch> {
    let columns = Columns::read(array)?;
    let count = columns.left.len();
    let mut is_child = vec![false; count];
    let mut nodes = Vec::with_capacity(count);
    for index in 0..count {
        let children = (columns.left[index], columns.right[index]);
        if children == (NO_CHILD, NO_CHILD) {
            nodes.push(TreeNode::Leaf);
            continue;
        }
        let mut child = |child: i64| {
            let place = usize::try_from(child).ok().filter(|place| *place > index);
            match place.and_then(|place| is_child.get_mut(place)) {
                Some(taken) if !*taken => {
                    *taken = true;
                    Ok(child as u32)
                }
                _ => Err(mismatch(
                    format!(
                        "the children of node {index} to be later ones of {count} nodes, and no other's"
                    ),
                    child,
                )),
            }
        };
        let (left, right) = (child(children.0)?, child(children.1)?);
        nodes.push(columns.split(index, features, left, right)?);
    }
    match is_child.iter().skip(1).position(|is_child| !is_child) {
        None => Ok(nodes),
        Some(index) => Err(mismatch(
            "every node but the first to be a child",
            format!("node {} that is none", index + 1),
        )),
    }
}
