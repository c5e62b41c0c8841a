//! Whether weights are what their config and metadata say: safe to load, and of the network that is declared.

mod content;
mod declared;
mod graph;
mod network;
mod pickles;

use crate::config::{Config, Model, Problem};
use crate::digest::Digest;
use crate::facts::{FactKind, Facts};
use crate::nn::{self, Network};
use crate::value::{Key, Map, Value};
use crate::weights::WeightsError;
use declared::Declared;

/// Who asks, and so whose word counts for pickle globals that are not known to be harmless.
#[derive(Clone, Copy, Debug)]
pub enum Role<'a> {
    /// The lab that makes the bundle: its config allows them.
    Producer,
    /// Whoever receives the bundle: it allows them anew.
    Receiver { allowed: &'a [String] },
}

/// What a model's weights are, and what is wrong with them.
#[derive(Debug)]
pub struct Fit {
    /// Errors and warnings.
    pub problems: Vec<Problem>,
    /// How many of the first problems are of the audit, which nothing forgives.
    audit: usize,
    /// The declared network, if it is one and its arguments are right.
    pub network: Option<Network>,
    /// The network or estimator, as far as it is known.
    pub architecture: Option<String>,
    /// The network's arguments, defaults included.
    pub architecture_args: Option<Map>,
    pub parameters: Option<u64>,
    pub dtype: Option<String>,
    pub tensors: Option<Digest>,
    pub globals: Vec<String>,
}

impl Fit {
    /// Turns errors of the architecture check into warnings.
    pub fn forgive_architecture(&mut self) {
        for problem in &mut self.problems[self.audit..] {
            problem.forgive();
        }
    }

    /// Whether nothing is wrong; warnings do not count.
    pub fn is_good(&self) -> bool {
        !self.problems.iter().any(Problem::is_error)
    }
}

/// Checks a model of `config` whose weights are as `facts` say.
pub fn check(config: &Config, model: &Model, facts: &Facts, role: Role) -> Fit {
    let mut check = Check {
        config,
        model,
        facts,
        problems: Vec::new(),
    };
    check.audit(role);
    let audit = check.problems.len();
    let declared = Declared::of(model);
    let network = declared.and_then(|declared| check.network(declared));
    check.container(declared);
    check.content(declared, network.as_ref());
    if let Some(network) = &network {
        check.arguments(network);
    }
    let (architecture, architecture_args) = check.architecture(declared, network.as_ref());
    Fit {
        problems: check.problems,
        audit,
        network,
        architecture,
        architecture_args,
        parameters: facts.parameters,
        dtype: facts.dtype(),
        tensors: facts.tensor_digest,
        globals: facts.globals.clone(),
    }
}

/// The kind of network that a model is declared to be, by its key or its metadata; `None` for estimators, and if nothing says.
pub fn declared(model: &Model) -> Option<nn::Kind> {
    match Declared::of(model) {
        Some(Declared::Network(kind)) => Some(kind),
        Some(Declared::Estimator) | None => None,
    }
}

/// Weights that cannot be read to their end, and so cannot be audited.
pub fn unreadable(config: &Config, model: &Model, error: &WeightsError) -> Problem {
    let message = format!("`{}`: {error}", model.weights.written);
    let mut problem = Problem::error(&config.source, message)
        .label(&model.weights.span, "these weights")
        .help("a file that cannot be read to its end cannot be audited: save or copy it again");
    problem.set_model(model.key.as_str());
    problem
}

struct Check<'a> {
    config: &'a Config,
    model: &'a Model,
    facts: &'a Facts,
    problems: Vec<Problem>,
}

impl Check<'_> {
    /// The name and arguments that the lock and `show` give. A key alone makes no network of weights: without `model_args`
    /// nothing is compared with them.
    fn architecture(
        &self,
        declared: Option<Declared>,
        network: Option<&Network>,
    ) -> (Option<String>, Option<Map>) {
        if let FactKind::Estimator(estimator) = &self.facts.kind {
            return (Some(estimator.architecture.clone()), None);
        }
        if let Some(network) = network {
            let arguments: Map = network
                .arguments()
                .into_iter()
                // What is none is not there.
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (Key::from(name.as_str()), Value::from_json(&value)))
                .collect();
            let arguments = (!arguments.is_empty()).then_some(arguments);
            return (Some(network.kind().to_string()), arguments);
        }
        let metadata = self.model.metadata.as_ref();
        let has_arguments = metadata.is_some_and(|own| own.json.contains_key("model_args"));
        let name = match (&self.facts.kind, declared) {
            (FactKind::Onnx(_), _) => Some("ONNX graph".to_owned()),
            (_, Some(Declared::Network(kind))) if has_arguments => Some(kind.to_string()),
            _ => None,
        };
        (name, None)
    }

    /// The weights, as the config names them.
    fn file(&self) -> &str {
        &self.model.weights.written
    }

    fn error(&mut self, message: String, label: impl Into<String>) -> &mut Problem {
        let message = format!("`{}`: {message}", self.file());
        let problem =
            Problem::error(&self.config.source, message).label(&self.model.weights.span, label);
        self.push(problem)
    }

    fn warn(&mut self, message: String, label: impl Into<String>) -> &mut Problem {
        let message = format!("`{}`: {message}", self.file());
        let problem =
            Problem::warning(&self.config.source, message).label(&self.model.weights.span, label);
        self.push(problem)
    }

    fn push(&mut self, mut problem: Problem) -> &mut Problem {
        problem.set_model(self.model.key.as_str());
        self.problems.push(problem);
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    /// An argument of the config, from whichever table has it.
    fn argument(&self, name: &str) -> Option<&Value> {
        let tables = [&self.model.inferer_args, &self.model.model_args];
        tables
            .into_iter()
            .flatten()
            .find_map(|table| table.get(&Key::from(name)))
    }

    fn argument_len(&self, name: &str) -> Option<usize> {
        match self.argument(name) {
            Some(Value::Map(map)) => Some(map.len()),
            _ => None,
        }
    }
}
