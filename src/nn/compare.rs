//! What a file of weights holds, compared with what a network asks for.
//!
//! What PyTorch's `load_state_dict(strict=True)` refuses is a difference, and what it takes is none: a missing
//! `num_batches_tracked` (`_NormBase._load_from_state_dict` makes one for state dicts without a version, as plain
//! dicts and safetensors are; nothing depends on it when the network is run), and one element where a scalar is wanted
//! (checkpoints of PyTorch 0.3). FlexResNet's lazy linear layer takes any shape on loading, but not any when it is run,
//! so its shape counts.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;

use super::diagnose::guess;
use super::fold::{MOST_NAMES, fold, shown};
use super::guess::Guess;
use super::layer::{Expected, Shape};
use super::monai::BATCHES;
use super::rfdetr;
use super::{Network, Role};
use crate::weights::tensor::Tensor;

/// A tensor that a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    pub name: &'a str,
    pub shape: &'a [u64],
}

impl<'a> From<&'a Tensor> for Found<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Self {
            name: &tensor.name,
            shape: &tensor.shape,
        }
    }
}

/// A tensor whose shape is not what the network asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    pub name: String,
    pub expected: Vec<u64>,
    pub found: Vec<u64>,
}

/// Everything in which a file differs from what a network asks for. Displayed in at most ten lines.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Differences {
    pub missing: Vec<Expected>,
    /// Names, as the file has them.
    pub unexpected: Vec<String>,
    pub misshapen: Vec<Misshapen>,
    /// The likely cause.
    pub guess: Option<Guess>,
    /// All names that are asked for, and those that were found, as far as folding needs them.
    expected_names: Vec<String>,
    found_names: Vec<String>,
}

/// The tensors of a file by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Names<'a>(pub BTreeMap<&'a str, &'a [u64]>);

/// Compares a network with the tensors of a file, one wrapper level taken off, and guesses at the cause.
pub fn compare(network: &Network, found: &[Found<'_>]) -> Differences {
    let names = Names(found.iter().map(|x| (x.name, x.shape)).collect());
    let (expected, mut differences) = match network {
        Network::RfDetr(args) => {
            // At least one class, where it is not known how many.
            let one = rfdetr::Args {
                classes: args.classes.or(Some(1)),
                ..*args
            };
            (one.tensors(), classes_of(args, &names))
        }
        _ => {
            let expected = network.tensors();
            let differences = Differences::between(&expected, &names);
            (expected, differences)
        }
    };
    if !differences.is_empty() {
        differences.guess = guess(network, &expected, &names, &differences);
    }
    differences
}

impl<'a> Names<'a> {
    pub fn shape(&self, name: &str) -> Option<&'a [u64]> {
        self.0.get(name).copied()
    }

    /// Whether any name is `path` or below it.
    pub fn under(&self, path: &str) -> bool {
        let from = (Bound::Included(path), Bound::Unbounded);
        let first = self.0.range::<str, _>(from).next();
        if first.is_some_and(|(name, _)| *name == path) {
            return true;
        }
        let below = format!("{path}.");
        let from = (Bound::Included(below.as_str()), Bound::Unbounded);
        let first = self.0.range::<str, _>(from).next();
        first.is_some_and(|(name, _)| name.starts_with(&below))
    }

    /// Those whose names begin with `prefix`, without it.
    pub fn without(&self, prefix: &str) -> Self {
        let inside = self.0.iter();
        let stripped =
            inside.filter_map(|(name, shape)| Some((name.strip_prefix(prefix)?, *shape)));
        Self(stripped.collect())
    }
}

impl Differences {
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many tensors differ.
    pub fn count(&self) -> usize {
        self.missing.len() + self.unexpected.len() + self.misshapen.len()
    }

    pub(super) fn between(expected: &[Expected], found: &Names<'_>) -> Self {
        let wanted: HashMap<&str, &Expected> =
            expected.iter().map(|x| (x.name.as_str(), x)).collect();
        let mut differences = Self {
            expected_names: expected.iter().map(|x| x.name.clone()).collect(),
            found_names: found
                .0
                .keys()
                .take(MOST_NAMES)
                .map(|&name| name.to_owned())
                .collect(),
            ..Self::default()
        };
        for tensor in expected {
            match found.shape(&tensor.name) {
                Some(shape) if fits(&tensor.shape, shape) => {}
                Some(shape) => differences.misshapen.push(Misshapen {
                    name: tensor.name.clone(),
                    expected: tensor.shape.clone(),
                    found: shape.to_vec(),
                }),
                None if is_count(tensor) => {}
                None => differences.missing.push(tensor.clone()),
            }
        }
        let names = found.0.keys().copied();
        let unexpected = names.filter(|name| !wanted.contains_key(name));
        differences.unexpected = unexpected.map(str::to_owned).collect();
        differences
    }
}

fn fits(expected: &[u64], found: &[u64]) -> bool {
    expected == found || (expected.is_empty() && matches!(found, [count] if *count > 0))
}

fn is_count(tensor: &Expected) -> bool {
    tensor.role == Role::Buffer && tensor.name.ends_with(BATCHES)
}

/// RF-DETR: one tensor counts, wrapper or not, and others are not judged.
fn classes_of(args: &rfdetr::Args, names: &Names<'_>) -> Differences {
    let mut differences = Differences {
        expected_names: vec![rfdetr::CLASSES.to_owned()],
        ..Differences::default()
    };
    // At least one class, where it is not known how many.
    let expected = vec![args.classes.unwrap_or(1).saturating_add(1)];
    let found = [rfdetr::CLASSES, rfdetr::WRAPPED_CLASSES];
    let found = found
        .iter()
        .find_map(|name| Some((*name, names.shape(name)?)));
    match found {
        None => {
            let missing = Expected::parameter("", rfdetr::CLASSES, expected);
            differences.missing.push(missing);
        }
        Some((_, [count])) if *count > 0 && args.classes.is_none() => {}
        Some((_, shape)) if shape == expected => {}
        Some((name, shape)) => differences.misshapen.push(Misshapen {
            name: name.to_owned(),
            expected,
            found: shape.to_vec(),
        }),
    }
    differences
}

/// The number of classes that an RF-DETR checkpoint says it has.
pub(super) fn classes_in(names: &Names<'_>) -> Option<u64> {
    let found = names
        .shape(rfdetr::CLASSES)
        .or_else(|| names.shape(rfdetr::WRAPPED_CLASSES))?;
    match found {
        [count] => count.checked_sub(1),
        _ => None,
    }
}

/// The most lines that differences take, headings among them.
const MOST_LINES: usize = 10;

impl fmt::Display for Differences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            self.misshapen.len(),
            self.missing.len(),
            self.unexpected.len(),
        ];
        let parts = counts.iter().filter(|count| **count > 0).count();
        let lines = MOST_LINES / parts.max(1) - 1;
        let mut text = String::new();
        if !self.misshapen.is_empty() {
            self.tell_misshapen(&mut text, lines);
        }
        let wanted = self.expected_names.len();
        if !self.missing.is_empty() {
            let of = match self.missing.len() == wanted {
                true => String::new(),
                false => format!(" of {wanted}"),
            };
            heading(&mut text, self.missing.len(), "missing", &of);
            let names = self.missing.iter().map(|tensor| tensor.name.as_str());
            tell(&mut text, names, &self.expected_names, lines);
        }
        if !self.unexpected.is_empty() {
            heading(&mut text, self.unexpected.len(), "not the network's", "");
            let names = self.unexpected.iter().map(String::as_str);
            tell(&mut text, names, &self.found_names, lines);
        }
        f.write_str(text.trim_end())
    }
}

impl Differences {
    fn tell_misshapen(&self, text: &mut String, lines: usize) {
        let count = self.misshapen.len();
        heading(text, count, "of another shape", "");
        let kept = match count > lines {
            true => lines.saturating_sub(1),
            false => lines,
        };
        for tensor in self.misshapen.iter().take(kept) {
            let (expected, found) = (Shape(&tensor.expected), Shape(&tensor.found));
            let name = shown(&tensor.name);
            text.push_str(&format!("  {name}: expected {expected}, found {found}\n"));
        }
        more(text, count.saturating_sub(kept));
    }
}

/// `3 of 12 tensors are missing:`
fn heading(text: &mut String, count: usize, what: &str, of: &str) {
    let line = match (count, of) {
        (1, "") => format!("1 tensor is {what}:\n"),
        (1, of) => format!("1{of} tensors is {what}:\n"),
        _ => format!("{count}{of} tensors are {what}:\n"),
    };
    text.push_str(&line);
}

fn tell<'n>(
    text: &mut String,
    names: impl Iterator<Item = &'n str>,
    all: &'n [String],
    lines: usize,
) {
    let (folds, left) = fold(names, all.iter().map(String::as_str), lines);
    for fold in folds {
        let pattern = shown(&fold.pattern);
        match fold.count {
            1 => text.push_str(&format!("  {pattern}\n")),
            count => text.push_str(&format!("  {pattern} ({count} tensors)\n")),
        }
    }
    more(text, left);
}

fn more(text: &mut String, left: usize) {
    if left > 0 {
        text.push_str(&format!("  and {left} more\n"));
    }
}
