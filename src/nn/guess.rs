//! Why a file's tensors are not those that a network asks for: the common causes, each with a next step.

use std::collections::BTreeSet;
use std::fmt;

use super::compare::{Differences, Names, classes_in};
use super::fold::shown;
use super::infer::infer;
use super::layer::Expected;
use super::{Kind, Network};

/// The likely cause of differences. Displayed as one sentence.
#[derive(Clone, Debug, PartialEq)]
pub enum Guess {
    /// There are no tensors at all.
    NoTensors,
    /// A network of the same kind, made with other arguments.
    Arguments {
        network: Network,
        changes: Vec<Change>,
        /// How many tensors do not fit even so.
        left: usize,
    },
    /// A network of another kind.
    OtherNetwork { network: Network, left: usize },
    /// RF-DETR or another detector like it.
    Detector { classes: Option<u64> },
    /// A detector of another number of classes.
    Classes { declared: u64, found: u64 },
    /// The network's names stand behind prefixes.
    Prefix {
        /// The one with most of the network's tensors first.
        prefixes: Vec<String>,
        cause: Cause,
        /// How many tensors stand behind no such prefix.
        others: usize,
        /// What is wrong even without the prefix.
        then: Option<Box<Guess>>,
    },
    /// All names lack the same prefix.
    LacksPrefix { prefix: String },
    /// The tensors are there under names without their dots, as LitEma's.
    FlatAverage,
    /// Weights that are computed from others whenever the network runs.
    Reparametrised { by: &'static str },
    /// Weights as integers with scales.
    Quantised,
    /// The state of an optimizer.
    Optimizer,
}

/// An argument that is declared as one thing and looks like another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub name: String,
    pub declared: String,
    pub found: String,
}

/// What puts prefixes before names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// `torch.nn.DataParallel` and its distributed form: `module.`
    DataParallel,
    /// `torch.compile`: `_orig_mod.`
    Compiled,
    /// An exponential moving average of the weights.
    Average,
    /// The network is an attribute of a larger module: `model.`, `net.`
    Wrapper,
}

const NETWORKS: [Kind; 3] = [Kind::NafNet, Kind::MonaiUnet, Kind::FlexResNet];

/// The most prefixes that are tried.
const MOST_PREFIXES: usize = 8;

/// What a guess is made from.
struct Case<'a> {
    network: &'a Network,
    expected: &'a [Expected],
    names: &'a Names<'a>,
    differences: &'a Differences,
}

pub(super) fn guess(
    network: &Network,
    expected: &[Expected],
    names: &Names<'_>,
    differences: &Differences,
) -> Option<Guess> {
    let case = Case {
        network,
        expected,
        names,
        differences,
    };
    case.plain()
        .or_else(|| case.behind_prefix())
        .or_else(|| case.behind_common_prefix())
        .or_else(|| case.flat())
}

impl Case<'_> {
    /// The guesses that take names as they are.
    fn plain(&self) -> Option<Guess> {
        if self.names.0.is_empty() {
            return Some(Guess::NoTensors);
        }
        self.transformed()
            .or_else(|| self.other_classes())
            .or_else(|| self.other_arguments())
            .or_else(|| self.lacks_prefix())
            .or_else(|| self.other_network())
            .or_else(|| self.detector())
    }

    /// Names that PyTorch gives to what it makes of weights.
    fn transformed(&self) -> Option<Guess> {
        let unexpected = &self.differences.unexpected;
        let any = |end: &str| unexpected.iter().any(|name| name.ends_with(end));
        let by = [
            (".weight_g", "weight norm"),
            (".parametrizations.weight.original0", "weight norm"),
            (".parametrizations.weight.original", "a parametrisation"),
            (".weight_u", "spectral norm"),
            (".weight_mask", "pruning"),
        ];
        if let Some((_, by)) = by.iter().find(|(end, _)| any(end)) {
            return Some(Guess::Reparametrised { by });
        }
        if any("._packed_params") || (any(".zero_point") && any(".scale")) {
            return Some(Guess::Quantised);
        }
        any(".exp_avg").then_some(Guess::Optimizer)
    }

    fn other_classes(&self) -> Option<Guess> {
        let Network::RfDetr(args) = self.network else {
            return None;
        };
        let (declared, found) = (args.classes?, classes_in(self.names)?);
        (declared != found).then_some(Guess::Classes { declared, found })
    }

    fn other_arguments(&self) -> Option<Guess> {
        let network = infer(self.network.kind(), self.names, self.network)?;
        let left = self.left(&network)?;
        let changes = changes(self.network, &network);
        // It explains something only if less is left than before.
        let better = left < self.differences.count();
        (better && !changes.is_empty()).then_some(Guess::Arguments {
            network,
            changes,
            left,
        })
    }

    fn other_network(&self) -> Option<Guess> {
        let others = NETWORKS.into_iter();
        others
            .filter(|kind| *kind != self.network.kind())
            .find_map(|kind| {
                let network = infer(kind, self.names, self.network)?;
                let left = self.left(&network)?;
                Some(Guess::OtherNetwork { network, left })
            })
    }

    /// How many tensors `network` leaves unexplained, if it explains most.
    fn left(&self, network: &Network) -> Option<usize> {
        let expected = network.tensors();
        let left = Differences::between(&expected, self.names).count();
        (left * 5 <= expected.len()).then_some(left)
    }

    fn detector(&self) -> Option<Guess> {
        let classes = classes_in(self.names);
        let detector = self.names.under("transformer") || self.names.under("backbone");
        let foreign = !matches!(self.network, Network::RfDetr(_));
        (foreign && (classes.is_some() || detector && self.names.under("class_embed")))
            .then_some(Guess::Detector { classes })
    }

    fn lacks_prefix(&self) -> Option<Guess> {
        let (first, _) = self.expected.first()?.name.split_once('.')?;
        let prefix = format!("{first}.");
        let all = self.expected.iter().all(|tensor| {
            let inner = tensor.name.strip_prefix(&prefix);
            inner.is_some_and(|inner| self.names.shape(inner) == Some(&tensor.shape))
        });
        all.then_some(Guess::LacksPrefix { prefix })
    }

    /// Prefixes behind which at least half of the network's names stand, most of them first.
    fn prefixes(&self) -> Vec<(usize, String)> {
        let ends = [self.expected.first(), self.expected.last()];
        let ends: BTreeSet<&str> = ends.iter().flatten().map(|x| x.name.as_str()).collect();
        let names = self.names.0.keys();
        let cut = names.flat_map(|name| ends.iter().filter_map(|end| name.strip_suffix(end)));
        let found: BTreeSet<&str> = cut.filter(|prefix| prefix.ends_with('.')).collect();
        let mut scored: Vec<(usize, String)> = found
            .into_iter()
            .take(MOST_PREFIXES)
            .map(|prefix| (self.score(prefix), prefix.to_owned()))
            .filter(|(score, _)| score * 2 >= self.expected.len())
            .collect();
        scored.sort_by(|(a, first), (b, second)| b.cmp(a).then_with(|| first.cmp(second)));
        scored
    }

    fn score(&self, prefix: &str) -> usize {
        let names = self.expected.iter().map(|x| format!("{prefix}{}", x.name));
        names
            .filter(|name| self.names.shape(name).is_some())
            .count()
    }

    fn behind_prefix(&self) -> Option<Guess> {
        let prefixes: Vec<String> = self.prefixes().into_iter().map(|(_, name)| name).collect();
        let best = prefixes.first()?;
        let inner = self.names.without(best);
        let differences = Differences::between(self.expected, &inner);
        let then = Case {
            names: &inner,
            differences: &differences,
            ..*self
        };
        let then = (!differences.is_empty()).then(|| then.plain()).flatten();
        Some(self.prefix(prefixes, then))
    }

    /// A prefix that all names have, where what is behind it is recognised.
    fn behind_common_prefix(&self) -> Option<Guess> {
        let (name, _) = self.names.0.first_key_value()?;
        let (first, _) = name.split_once('.')?;
        let prefix = format!("{first}.");
        if !self.names.0.keys().all(|name| name.starts_with(&prefix)) {
            return None;
        }
        let inner = self.names.without(&prefix);
        let differences = Differences::between(self.expected, &inner);
        let then = Case {
            names: &inner,
            differences: &differences,
            ..*self
        };
        let then = then.plain()?;
        Some(self.prefix(vec![prefix], Some(then)))
    }

    fn prefix(&self, prefixes: Vec<String>, then: Option<Guess>) -> Guess {
        let names = self.names.0.keys();
        let outside = names.filter(|name| !prefixes.iter().any(|x| name.starts_with(x.as_str())));
        let outside: Vec<&str> = outside.copied().collect();
        // The unprefixed network itself is no stranger.
        let own: BTreeSet<&str> = self.expected.iter().map(|x| x.name.as_str()).collect();
        Guess::Prefix {
            cause: Cause::of(&prefixes, &outside),
            others: outside.iter().filter(|name| !own.contains(*name)).count(),
            prefixes,
            then: then.map(Box::new),
        }
    }

    /// `LitEma` keeps averages under names without dots.
    fn flat(&self) -> Option<Guess> {
        let names = self.names.0.keys();
        let ends: BTreeSet<&str> = names.filter_map(|name| name.rsplit('.').next()).collect();
        let flat = self.expected.iter().map(|x| x.name.replace('.', ""));
        let found = flat.filter(|name| ends.contains(name.as_str())).count();
        (found > 0 && found * 2 >= self.expected.len()).then_some(Guess::FlatAverage)
    }
}

impl Cause {
    fn of(prefixes: &[String], outside: &[&str]) -> Self {
        let parts = || prefixes.iter().flat_map(|prefix| prefix.split('.'));
        let average = |part: &str| {
            let part = part.to_lowercase();
            part.split('_').any(|word| word == "ema")
                || part.contains("shadow")
                || part.contains("average")
        };
        // Torch's `AveragedModel` counts in `n_averaged`.
        if parts().any(average) || outside.contains(&"n_averaged") {
            Self::Average
        } else if parts().any(|part| part == "_orig_mod") {
            Self::Compiled
        } else if parts().any(|part| part == "module") {
            Self::DataParallel
        } else {
            Self::Wrapper
        }
    }
}

/// The arguments in which two networks of one kind differ.
fn changes(declared: &Network, found: &Network) -> Vec<Change> {
    let pairs = declared.arguments().into_iter().zip(found.arguments());
    pairs
        .filter(|((_, old), (_, new))| old != new)
        .map(|((name, old), (_, new))| Change {
            found: looks(&name, &new.to_string()),
            declared: old.to_string(),
            name,
        })
        .collect()
}

/// An argument that tensors show only in part.
fn looks(name: &str, found: &str) -> String {
    match (name, found) {
        ("act", "\"RELU\"") => "one without weights, like \"RELU\"".to_owned(),
        ("norm", "\"INSTANCE\"") => "one without weights, like \"INSTANCE\", or null".to_owned(),
        ("norm", "[\"INSTANCE\",{\"affine\":true}]") => {
            format!("one without running statistics, like {found} or GROUP")
        }
        _ => found.to_owned(),
    }
}

impl fmt::Display for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTensors => f.write_str("the file holds no tensors"),
            Self::Arguments {
                network,
                changes,
                left,
            } => {
                write!(f, "the weights are those of a {} with ", network.kind())?;
                let told: Vec<String> = changes.iter().map(Change::to_string).collect();
                f.write_str(&told.join(", "))?;
                but(f, *left)
            }
            Self::OtherNetwork { network, left } => {
                write!(f, "these are the weights of another network: {network}")?;
                but(f, *left)
            }
            Self::Detector { classes } => {
                f.write_str("these are the weights of a detector like RF-DETR")?;
                match classes {
                    Some(classes) => write!(f, " with {}", counted(*classes)),
                    None => Ok(()),
                }
            }
            Self::Classes { declared, found } => write!(
                f,
                "the detector was trained on {}, and the config names {declared}",
                counted(*found)
            ),
            Self::Prefix {
                prefixes,
                cause,
                others,
                then,
            } => {
                let quoted: Vec<String> =
                    prefixes.iter().map(|x| format!("`{}`", shown(x))).collect();
                let quoted = quoted.join(" and ");
                write!(f, "the network stands behind {quoted}, {cause}")?;
                if *others > 0 {
                    write!(f, "; beside it are {others} other tensors")?;
                }
                match then {
                    Some(then) => write!(f, "; and {then}"),
                    None => Ok(()),
                }
            }
            Self::LacksPrefix { prefix } => {
                write!(
                    f,
                    "every name lacks `{prefix}`: a part of the network was saved, not the network"
                )
            }
            Self::FlatAverage => f.write_str(
                "these are averaged weights (EMA) under names without dots, as LitEma keeps them",
            ),
            Self::Reparametrised { by } => {
                write!(f, "the network was saved with {by} on its weights")
            }
            Self::Quantised => f.write_str("the network is quantised"),
            Self::Optimizer => f.write_str("this is an optimizer's state, not a network's"),
        }
    }
}

fn counted(classes: u64) -> String {
    match classes {
        1 => "1 class".to_owned(),
        _ => format!("{classes} classes"),
    }
}

fn but(f: &mut fmt::Formatter<'_>, left: usize) -> fmt::Result {
    match left {
        0 => Ok(()),
        1 => f.write_str(", but for 1 tensor"),
        _ => write!(f, ", but for {left} tensors"),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            declared,
            found,
        } = self;
        write!(f, "`{name}` = {found} (declared: {declared})")
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DataParallel => "as torch.nn.DataParallel saves it",
            Self::Compiled => "as torch.compile saves it",
            Self::Average => "as keepers of averaged weights (EMA) save it",
            Self::Wrapper => "as a part of a larger module",
        })
    }
}

impl Guess {
    /// What to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::NoTensors => "save the network's `state_dict()`".to_owned(),
            Self::Arguments { changes, .. } => {
                let names: Vec<String> = changes.iter().map(|x| format!("`{}`", x.name)).collect();
                format!(
                    "if these are the weights you mean, correct {} in the metadata's `model_args`; else take the file that belongs to it",
                    names.join(", ")
                )
            }
            Self::OtherNetwork { network, .. } => format!(
                "was a file of another model meant? This one belongs to a {}",
                network.kind()
            ),
            Self::Detector { .. } => "was a file of another model meant?".to_owned(),
            Self::Classes { found, .. } => {
                format!("name {} in `class_dict`", counted(*found))
            }
            Self::Prefix {
                prefixes, then, ..
            } => {
                let prefix = prefixes.first().map_or(String::new(), |x| shown(x));
                let line = format!(
                    "save the network alone: `torch.save({{k[{}:]: v for k, v in state.items() if k.startswith(\"{prefix}\")}}, path)`",
                    prefix.chars().count()
                );
                match then {
                    Some(then) => format!("{line}; and {}", then.help()),
                    None => line,
                }
            }
            Self::LacksPrefix { prefix } => format!(
                "save the network's own state: `torch.save({{\"{prefix}\" + k: v for k, v in state.items()}}, path)`"
            ),
            Self::FlatAverage => {
                "copy the averages into the network (`ema.copy_to(model)`), and save its `state_dict()`"
                    .to_owned()
            }
            Self::Reparametrised { .. } => {
                "take it off (`torch.nn.utils.parametrize.remove_parametrizations`, `remove_weight_norm`, `prune.remove`), and save again".to_owned()
            }
            Self::Quantised => "save the weights as they were before quantisation".to_owned(),
            Self::Optimizer => "save the network's `state_dict()`, not the optimizer's".to_owned(),
        }
    }
}
