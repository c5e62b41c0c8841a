//! Why a file's tensors are not those that a network asks for: the common causes, each with a next step.

use std::fmt;

use super::Network;
use super::fold::shown;

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
