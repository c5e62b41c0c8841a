//! Finding the likely cause of differences: every common one is tried on the tensors' names and shapes.

use std::collections::BTreeSet;

use super::compare::{Differences, Names, classes_in};
use super::guess::{Cause, Change, Guess};
use super::infer::infer;
use super::layer::Expected;
use super::{Kind, Network};

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
