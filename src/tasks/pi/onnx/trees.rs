//! `TreeEnsembleClassifier`: trees whose leaves vote for classes.

use std::collections::{HashMap, HashSet};

use super::super::{PiError, first_largest};
use super::node::{Node, Wrong};
use super::ops::{logistic, reals};
use super::scores::{Transform, labels, outputs};
use super::value::{Data, Precision, Value};

/// Trees that vote.
#[derive(Debug)]
pub(super) struct Ensemble {
    pub labels: Data,
    /// The first node of each tree.
    roots: Vec<usize>,
    branches: Vec<Branch>,
    /// Added to the scores; one for each class, one alone if there is one score, or none.
    base: Vec<f64>,
    transform: Transform,
    scores: Scores,
    /// One more than the largest feature that is looked at.
    features: usize,
}

/// What the votes are added up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scores {
    /// A score for each class.
    Each,
    /// Of two classes, the second's probability: no vote is negative.
    Probability,
    /// Of two classes, the second's score, which may be negative.
    Signed,
}

/// A node of a tree.
#[derive(Debug)]
enum Branch {
    Leaf(Vec<Vote>),
    Split {
        mode: Mode,
        feature: usize,
        value: f64,
        missing: bool,
        yes: usize,
        no: usize,
    },
}

#[derive(Clone, Copy, Debug)]
struct Vote {
    class: usize,
    weight: f64,
}

/// What a number must be, compared with a node's value, for the way of the true.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
}

impl Mode {
    fn holds(self, x: f64, value: f64) -> bool {
        match self {
            Self::Leq => x <= value,
            Self::Lt => x < value,
            Self::Gte => x >= value,
            Self::Gt => x > value,
            Self::Eq => x == value,
            Self::Neq => x != value,
        }
    }
}

impl Ensemble {
    pub fn of(node: &Node) -> Result<Self, PiError> {
        let labels = labels(node, "classlabels_strings", "classlabels_int64s")?;
        let mut lists = Lists::of(node)?;
        let (scores, votes) = votes(node, &lists, labels.len())?;
        let (branches, roots) = lists.link(node, votes)?;
        let features = branches.iter().map(|branch| match branch {
            Branch::Leaf(_) => 0,
            Branch::Split { feature, .. } => feature.saturating_add(1),
        });
        let base = node.floats("base_values")?;
        let wanted = if scores == Scores::Each {
            labels.len()
        } else {
            1
        };
        if ![0, wanted].contains(&base.len()) {
            return Err(node.wrong(format!("{wanted} base values"), base.len().to_string()));
        }
        let transform = Transform::of(node)?;
        // ONNX Runtime leaves the scores as they are then.
        if scores != Scores::Each && transform == Transform::Softmax {
            let next = "write votes for each class";
            return Err(node.unsupported("with post_transform SOFTMAX of one score", next));
        }
        Ok(Self {
            features: features.max().unwrap_or_default(),
            labels,
            roots,
            branches,
            base,
            transform,
            scores,
        })
    }

    /// Whether any node says where rows without a value go.
    pub fn takes_missing(&self) -> bool {
        let mut branches = self.branches.iter();
        branches.any(|branch| matches!(branch, Branch::Split { missing: true, .. }))
    }

    /// Adds up in the input's precision; the result is in single precision.
    pub fn run(&self, value: &Value) -> Result<[Value; 2], Wrong> {
        let (precision, numbers) = reals(value)?;
        let columns = value.matrix().1;
        if self.features > columns {
            let expected = format!("at least {} columns", self.features);
            return Err(Wrong::shapes(&expected, &[value]));
        }
        let (mut places, mut all) = (Vec::new(), Vec::new());
        let classes = match self.scores {
            Scores::Each => self.labels.len(),
            Scores::Probability | Scores::Signed => 1,
        };
        for row in numbers.chunks_exact(columns.max(1)) {
            let mut scores = vec![0.0; classes];
            let mut is_voted = vec![!self.base.is_empty(); classes];
            for root in &self.roots {
                for vote in self.leaf(*root, row) {
                    if let (Some(score), Some(voted)) =
                        (scores.get_mut(vote.class), is_voted.get_mut(vote.class))
                    {
                        *score = precision.round(*score + precision.round(vote.weight));
                        *voted = true;
                    }
                }
            }
            for (score, base) in scores.iter_mut().zip(&self.base) {
                *score = precision.round(*score + base);
            }
            places.push(self.finish(&mut scores, &is_voted));
            all.extend(scores);
        }
        Ok(outputs(&self.labels, places, all))
    }

    /// The votes of the leaf that a row falls into.
    fn leaf(&self, root: usize, row: &[f64]) -> &[Vote] {
        let mut at = root;
        loop {
            match self.branches.get(at) {
                Some(Branch::Split {
                    mode,
                    feature,
                    value,
                    missing,
                    yes,
                    no,
                }) => {
                    let x = row.get(*feature).copied().unwrap_or(f64::NAN);
                    let is_yes = mode.holds(x, *value) || *missing && x.is_nan();
                    at = if is_yes { *yes } else { *no };
                }
                Some(Branch::Leaf(votes)) => return votes,
                None => return &[],
            }
        }
    }

    /// Makes probabilities of scores, one for each class; the place of the label. A class without a vote is none that
    /// could win.
    fn finish(&self, scores: &mut Vec<f64>, is_voted: &[bool]) -> usize {
        let single = |x| Precision::Single.round(x);
        let score = scores.first().copied().unwrap_or_default();
        let (label, both) = match self.scores {
            Scores::Each => {
                let may_win = scores.iter().zip(is_voted);
                let may_win = may_win.map(|(s, voted)| if *voted { *s } else { f64::NEG_INFINITY });
                let label = first_largest(&may_win.collect::<Vec<_>>());
                scores.iter_mut().for_each(|score| *score = single(*score));
                self.transform.apply(scores);
                return label;
            }
            Scores::Probability => (score > 0.5, [1.0 - score, score]),
            Scores::Signed => (score > 0.0, [-score, score]),
        };
        *scores = match self.transform {
            Transform::Logistic => vec![single(logistic(-score)), single(logistic(score))],
            Transform::None | Transform::Softmax => both.map(single).to_vec(),
        };
        usize::from(label)
    }
}

/// The attributes of the nodes: columns of one length.
struct Lists<'a> {
    modes: &'a [String],
    features: &'a [i64],
    values: Vec<f64>,
    missing: &'a [i64],
    /// The tree and the number of each node, and those that it leads to.
    trees: &'a [i64],
    yes: &'a [i64],
    no: &'a [i64],
    /// The place of each node, by its tree and number.
    places: HashMap<(i64, i64), usize>,
}

impl<'a> Lists<'a> {
    fn of(node: &Node<'a>) -> Result<Self, PiError> {
        let numbers = node.ints("nodes_nodeids")?;
        let mut lists = Self {
            modes: node.texts("nodes_modes")?,
            features: node.ints("nodes_featureids")?,
            values: node.floats("nodes_values")?,
            missing: node.ints("nodes_missing_value_tracks_true")?,
            trees: node.ints("nodes_treeids")?,
            yes: node.ints("nodes_truenodeids")?,
            no: node.ints("nodes_falsenodeids")?,
            places: HashMap::new(),
        };
        let count = numbers.len();
        let lengths = [
            lists.modes.len(),
            lists.features.len(),
            lists.values.len(),
            lists.trees.len(),
            lists.yes.len(),
            lists.no.len(),
        ];
        let is_missing_well = [0, count].contains(&lists.missing.len());
        if count == 0 || lengths.iter().any(|length| *length != count) || !is_missing_well {
            let expected = format!("{count} of each attribute of its nodes, and at least one");
            return Err(node.wrong(expected, format!("{lengths:?}")));
        }
        for (place, key) in lists.trees.iter().zip(numbers).enumerate() {
            let key = (*key.0, *key.1);
            if lists.places.insert(key, place).is_some() {
                let found = format!("node {} of tree {} twice", key.1, key.0);
                return Err(node.wrong("each node once", found));
            }
        }
        Ok(lists)
    }

    /// The nodes, and the first of each tree: the one that no other leads to. No two lead to the same, so that no way
    /// from a first node comes back.
    fn link(
        &mut self,
        node: &Node,
        mut votes: Vec<Vec<Vote>>,
    ) -> Result<(Vec<Branch>, Vec<usize>), PiError> {
        let count = self.modes.len();
        let mut is_child = vec![false; count];
        let mut branches = Vec::with_capacity(count);
        for place in 0..count {
            let own = votes.get_mut(place).map(std::mem::take).unwrap_or_default();
            let branch = self.branch(node, place, own, &mut is_child)?;
            branches.push(branch);
        }
        let mut roots = Vec::new();
        let mut trees = HashSet::new();
        for (place, tree) in self.trees.iter().enumerate() {
            if is_child.get(place) == Some(&false) {
                roots.push(place);
                if !trees.insert(tree) {
                    return Err(node.wrong(format!("one first node of tree {tree}"), "several"));
                }
            }
        }
        match reached(&branches, &roots) == count {
            true => Ok((branches, roots)),
            false => Err(node.wrong("nodes that the first leads to", "one that it does not")),
        }
    }

    fn branch(
        &self,
        node: &Node,
        place: usize,
        votes: Vec<Vote>,
        is_child: &mut [bool],
    ) -> Result<Branch, PiError> {
        let at = |list: &[i64]| list.get(place).copied().unwrap_or_default();
        let mode = match self.modes.get(place).map_or("", String::as_str) {
            "LEAF" => return Ok(Branch::Leaf(votes)),
            "BRANCH_LEQ" => Mode::Leq,
            "BRANCH_LT" => Mode::Lt,
            "BRANCH_GTE" => Mode::Gte,
            "BRANCH_GT" => Mode::Gt,
            "BRANCH_EQ" => Mode::Eq,
            "BRANCH_NEQ" => Mode::Neq,
            other => {
                let next = "BRANCH_LEQ, _LT, _GTE, _GT, _EQ, _NEQ and LEAF are";
                return Err(node.unsupported(format!("with a node of mode {other}"), next));
            }
        };
        if !votes.is_empty() {
            return Err(node.wrong("votes of leaves", "votes of a node that is none"));
        }
        let mut child = |number: i64| {
            let key = (at(self.trees), number);
            let child = self.places.get(&key).copied();
            match child.and_then(|child| is_child.get_mut(child)) {
                Some(taken) if !*taken => {
                    *taken = true;
                    Ok(child.unwrap_or_default())
                }
                _ => Err(node.wrong(
                    format!(
                        "nodes of tree {} to lead to others of it, and no two to one",
                        key.0
                    ),
                    format!("one that leads to {number}"),
                )),
            }
        };
        let (yes, no) = (child(at(self.yes))?, child(at(self.no))?);
        let feature = usize::try_from(at(self.features));
        Ok(Branch::Split {
            mode,
            feature: feature
                .map_err(|_| node.wrong("features from 0 on", at(self.features).to_string()))?,
            value: self.values.get(place).copied().unwrap_or(f64::NAN),
            missing: at(self.missing) != 0,
            yes,
            no,
        })
    }
}

/// How many nodes the first ones lead to, themselves included.
fn reached(branches: &[Branch], roots: &[usize]) -> usize {
    let mut open = roots.to_vec();
    let mut count = 0;
    while let Some(place) = open.pop() {
        count += 1;
        if let Some(Branch::Split { yes, no, .. }) = branches.get(place) {
            open.extend([*yes, *no]);
        }
    }
    count
}

/// The votes of each node, and what they mean. If all are for one class of two, they are the second's, as ONNX Runtime
/// and skl2onnx have it.
fn votes(node: &Node, lists: &Lists, classes: usize) -> Result<(Scores, Vec<Vec<Vote>>), PiError> {
    let trees = node.ints("class_treeids")?;
    let nodes = node.ints("class_nodeids")?;
    let ids = node.ints("class_ids")?;
    let weights = node.floats("class_weights")?;
    let count = weights.len();
    if count == 0 || [trees.len(), nodes.len(), ids.len()] != [count; 3] {
        let found = format!("{}, {} and {}", trees.len(), nodes.len(), ids.len());
        return Err(node.wrong(format!("trees, nodes and classes of {count} votes"), found));
    }
    let is_one = classes == 2 && ids.iter().all(|id| Some(id) == ids.first());
    let scores = match is_one {
        false => Scores::Each,
        true if weights.iter().all(|weight| *weight >= 0.0) => Scores::Probability,
        true => Scores::Signed,
    };
    if classes == 2 && ids.first().is_some_and(|id| !is_one || *id != 0) {
        // ONNX Runtime's label of two scores is not that of the larger, and it leaves out the first's probability.
        let next = "votes for the first class alone are, which count for the second";
        return Err(node.unsupported("with votes for the second of two classes", next));
    }
    let mut of = vec![Vec::new(); lists.modes.len()];
    let keys = trees.iter().zip(nodes);
    for ((key, id), weight) in keys.zip(ids).zip(weights) {
        let place = lists.places.get(&(*key.0, *key.1));
        let class = usize::try_from(*id).ok().filter(|class| *class < classes);
        match (place.and_then(|place| of.get_mut(*place)), class) {
            (Some(list), Some(class)) => list.push(Vote { class, weight }),
            _ => {
                let found = format!("one of node {} of tree {} for class {id}", key.1, key.0);
                let expected = format!("votes of its nodes for {classes} classes");
                return Err(node.wrong(expected, found));
            }
        }
    }
    Ok((scores, of))
}
