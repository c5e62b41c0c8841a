//! The declared network: its arguments, and what of the config must agree with them.

use super::Check;
use super::declared::{Declared, detector, network_kind};
use crate::config::{Metadata, Problem};
use crate::nn::{self, ArgError, Network, PathPart};
use crate::value::{Key, Map, Value};

impl Check<'_> {
    /// The declared network with its arguments; complains of arguments that it does not take.
    pub(super) fn network(&mut self, declared: Declared) -> Option<Network> {
        let Declared::Network(kind) = declared else {
            return None;
        };
        if let Some(variant) = detector(kind) {
            // Its loader takes the classes from the config, and no `model_args`.
            let classes = self.argument_len("class_dict").map(|len| len as u64);
            return Some(Network::RfDetr(nn::rfdetr::Args { variant, classes }));
        }
        let metadata = self.model.metadata.as_ref();
        let arguments = metadata.and_then(|metadata| metadata.json.get("model_args"));
        let arguments = match (arguments, metadata) {
            (Some(serde_json::Value::Object(arguments)), _) => arguments,
            (Some(_), Some(metadata)) => {
                let problem = Problem::error(&metadata.source, "`model_args` is an object")
                    .label(&metadata.span_of(&["model_args"]), "expected `{...}`");
                self.push(problem);
                return None;
            }
            // Reading the config has warned of what HiTMicTools would miss.
            _ => return None,
        };
        match Network::from_model_args(kind, arguments) {
            Ok(network) => Some(network),
            Err(errors) => {
                if let Some(problem) = self.of_another_network(kind) {
                    self.push(problem);
                    return None;
                }
                for error in errors {
                    let problem = self.argument_problem(kind, metadata, &error);
                    self.push(problem);
                }
                None
            }
        }
    }

    /// What is said of metadata whose `model_type` names another network than the model's.
    fn of_another_network(&self, kind: nn::Kind) -> Option<Problem> {
        let metadata = self.model.metadata.as_ref()?;
        let found = network_kind(metadata.json.get("model_type")?.as_str()?)?;
        let key = &self.model.key;
        (found != kind).then(|| {
            let message = format!("the metadata of `{key}` is of another network");
            let label = format!("expected a {kind}, found a {found}");
            let help = "name the JSON file that was saved with these weights";
            Problem::error(&metadata.source, message)
                .label(&metadata.span_of(&["model_type"]), label)
                .help(help)
        })
    }

    pub(super) fn argument_problem(
        &self,
        kind: nn::Kind,
        metadata: Option<&Metadata>,
        error: &ArgError,
    ) -> Problem {
        let message = format!("the arguments of the {kind}: {}", error.message);
        let problem = match metadata {
            Some(metadata) => {
                let mut keys = vec!["model_args".to_owned()];
                keys.extend(error.at.iter().map(|part| match part {
                    PathPart::Key(key) => key.clone(),
                    PathPart::Index(index) => index.to_string(),
                }));
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                Problem::error(&metadata.source, message).label(&metadata.span_of(&keys), "here")
            }
            None => Problem::error(&self.config.source, message)
                .label(&self.model.key_span, "declared here"),
        };
        match &error.help {
            Some(help) => problem.help(help),
            None => problem,
        }
    }

    /// What the arguments in the config say of a network whose own arguments say otherwise.
    pub(super) fn arguments(&mut self, network: &Network) {
        if let Some(Value::Map(classes)) = self.argument("classes").cloned() {
            self.classes(network, &classes);
        }
        if let (Some(declared), Some(Value::Int(min_size))) =
            (network.min_size(), self.argument("min_size"))
            && declared as i64 != *min_size
        {
            let message =
                format!("`min_size` is {min_size} in the config and {declared} in the metadata");
            self.error(message, "the network was trained on the latter")
                .set_help("write the metadata's value into the config");
        }
        let stride = network.stride();
        if let Some(Value::Int(patch)) = self.argument("patch_size")
            && network.kind() == nn::Kind::MonaiUnet
            && stride > 1
            && *patch % stride as i64 != 0
        {
            let message =
                format!("`patch_size` {patch} cannot be halved as often as the network does");
            self.error(message, format!("expected a multiple of {stride}"));
        }
    }

    /// The outputs of a classifier are numbered from 0, and each should have a name.
    pub(super) fn classes(&mut self, network: &Network, named: &Map) {
        let Some(outputs) = network.classes() else {
            return;
        };
        let number = |key: &Key| match key {
            Key::Int(number) => u64::try_from(*number).ok(),
            Key::String(_) => None,
        };
        let names: Vec<u64> = named.keys().filter_map(number).collect();
        let nameless = (0..outputs).filter(|class| !names.contains(class));
        let foreign = names.iter().copied().filter(|class| *class >= outputs);
        let listed = |classes: Vec<u64>| {
            let numbers: Vec<String> = classes.iter().map(u64::to_string).collect();
            numbers.join(", ")
        };
        let (nameless, foreign) = (listed(nameless.collect()), listed(foreign.collect()));
        if nameless.is_empty() && foreign.is_empty() {
            return;
        }
        let mut help = Vec::new();
        if !nameless.is_empty() {
            help.push(format!("without a name: {nameless}"));
        }
        if !foreign.is_empty() {
            help.push(format!("no output of the network: {foreign}"));
        }
        self.error(
            format!(
                "`classes` does not name the {outputs} classes that the network tells apart, 0 to {}",
                outputs.saturating_sub(1)
            ),
            "these weights",
        )
        .set_help(help.join("\n"));
    }
}
