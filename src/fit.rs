//! Whether weights are what their config and metadata say: safe to load, and of the network that is declared.

use std::fmt;

use crate::config::{Config, Metadata, Model, ModelKind, Problem};
use crate::digest::Digest;
use crate::facts::{EstimatorFacts, FactKind, Facts, FindingFact, OnnxFacts};
use crate::nn::{self, ArgError, Network, PathPart};
use crate::value::{Key, Map, Value};
use crate::weights::WeightsError;

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
    let (architecture, architecture_args) = architecture(declared, network.as_ref(), facts);
    Fit {
        problems: check.problems,
        audit,
        architecture,
        architecture_args,
        parameters: facts.parameters,
        dtype: facts.dtype(),
        tensors: facts.tensor_digest,
        globals: facts.globals.clone(),
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

/// The network whose tensors have such names.
fn named_like(found: &[nn::Found]) -> Option<nn::Kind> {
    let has = |name: &str| found.iter().any(|tensor| tensor.name == name);
    let begins = |start: &str| found.iter().any(|tensor| tensor.name.starts_with(start));
    match () {
        () if has("intro.weight") && begins("encoders.") => Some(nn::Kind::NafNet),
        () if begins("features.0.") && has("classifier.0.weight") => Some(nn::Kind::FlexResNet),
        () if begins("model.0.") || begins("model.1.submodule.") => Some(nn::Kind::MonaiUnet),
        () => None,
    }
}

/// What a model is declared to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Declared {
    Network(nn::Kind),
    /// A classifier of table rows.
    Estimator,
}

impl Declared {
    /// By the catalogue, or by the metadata's `model_type`; `None` if nothing says.
    fn of(model: &Model) -> Option<Self> {
        Some(Self::Network(match model.kind {
            ModelKind::Nafnet => nn::Kind::NafNet,
            ModelKind::MonaiUnet => nn::Kind::MonaiUnet,
            ModelKind::FlexResNet => nn::Kind::FlexResNet,
            ModelKind::RfdetrBase => nn::Kind::RfDetrBase,
            ModelKind::RfdetrSegmentation => nn::Kind::RfDetrSegmentation,
            ModelKind::PiClassifier => return Some(Self::Estimator),
            ModelKind::Custom => {
                let metadata = model.metadata.as_ref()?;
                network_kind(metadata.json.get("model_type")?.as_str()?)?
            }
        }))
    }
}

/// Which RF-DETR it is, if it is one.
fn detector(kind: nn::Kind) -> Option<nn::rfdetr::Variant> {
    match kind {
        nn::Kind::RfDetrBase => Some(nn::rfdetr::Variant::Base),
        nn::Kind::RfDetrSegmentation => Some(nn::rfdetr::Variant::Segmentation),
        nn::Kind::NafNet | nn::Kind::MonaiUnet | nn::Kind::FlexResNet => None,
    }
}

/// The network that a `model_type` in a metadata file names: HiTMicTools' own names, in any case.
fn network_kind(model_type: &str) -> Option<nn::Kind> {
    Some(match model_type.to_ascii_lowercase().as_str() {
        "nafnet" => nn::Kind::NafNet,
        "monaiunet" => nn::Kind::MonaiUnet,
        "flexresnet" => nn::Kind::FlexResNet,
        "rfdetrbase" => nn::Kind::RfDetrBase,
        "rfdetrsegpreview" => nn::Kind::RfDetrSegmentation,
        _ => return None,
    })
}

impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(kind) => kind.fmt(f),
            Self::Estimator => f.write_str("scikit-learn classifier"),
        }
    }
}

/// The name and arguments that the lock and `show` give.
fn architecture(
    declared: Option<Declared>,
    network: Option<&Network>,
    facts: &Facts,
) -> (Option<String>, Option<Map>) {
    if let FactKind::Estimator(estimator) = &facts.kind {
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
    let name = match (&facts.kind, declared) {
        (FactKind::Onnx(_), _) => Some("ONNX graph".to_owned()),
        (_, Some(Declared::Network(kind))) => Some(kind.to_string()),
        _ => None,
    };
    (name, None)
}

/// As [`crate::weights::Format`] names it.
const SAFETENSORS: &str = "safetensors";

struct Check<'a> {
    config: &'a Config,
    model: &'a Model,
    facts: &'a Facts,
    problems: Vec<Problem>,
}

impl Check<'_> {
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

    /// Complains of everything in pickles that is not known to be harmless and that nobody who may has allowed.
    fn audit(&mut self, role: Role) {
        let allowed = match role {
            Role::Producer => &self.model.allow_globals,
            Role::Receiver { allowed } => allowed,
        };
        let facts = self.facts;
        let (unknown, harmful): (Vec<_>, Vec<_>) = facts
            .refused(allowed)
            .partition(|finding| finding.allowable.is_some());
        for finding in harmful {
            let help = match self.model.kind {
                ModelKind::PiClassifier => "do not load this file, and ask whoever made it",
                _ => {
                    "do not load this file, and ask whoever made it for the weights alone, as \
                     `torch.save(model.state_dict(), path)` writes them"
                }
            };
            self.error(
                finding.message.clone(),
                format!("in it: {}", finding.place()),
            )
            .set_help(help);
        }
        self.unknown_globals(&unknown, role);
    }

    /// Complains once of all globals that are not known, with the line that allows them.
    fn unknown_globals(&mut self, findings: &[&FindingFact], role: Role) {
        let mut globals: Vec<&str> = Vec::new();
        for global in findings
            .iter()
            .filter_map(|finding| finding.allowable.as_deref())
        {
            if !globals.contains(&global) {
                globals.push(global);
            }
        }
        let (Some(first), [one, rest @ ..]) = (findings.first(), globals.as_slice()) else {
            return;
        };
        let message = match rest {
            [] => first.message.clone(),
            rest => format!(
                "it names `{one}` and {} more globals which weights are not known to need: unpickling imports them, \
                 and may call them",
                rest.len()
            ),
        };
        let mut help = self.how_to_allow(&globals, role);
        if let FactKind::Program { what } = &self.facts.kind {
            help = format!(
                "it holds {what}: torch.save(model.state_dict(), path) saves the weights alone\n{help}"
            );
        }
        self.error(message, format!("in it: {}", first.place()))
            .set_help(help);
    }

    fn how_to_allow(&self, globals: &[&str], role: Role) -> String {
        let if_trusted = match globals {
            [_] => "if you know this code and trust it",
            _ => "if you know all of this code and trust it",
        };
        match role {
            Role::Producer => {
                let quoted: Vec<String> =
                    globals.iter().map(|name| format!("\"{name}\"")).collect();
                format!(
                    "{if_trusted}, write into `{}`:\nallow_globals = [{}]",
                    self.model.key,
                    quoted.join(", ")
                )
            }
            Role::Receiver { .. } => {
                let flags = globals.iter().map(|name| format!("--allow-global {name}"));
                format!("{if_trusted}: {}", flags.collect::<Vec<_>>().join(" "))
            }
        }
    }

    /// The declared network with its arguments; complains of arguments that it does not take.
    fn network(&mut self, declared: Declared) -> Option<Network> {
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
                for error in errors {
                    let problem = self.argument_problem(kind, metadata, &error);
                    self.push(problem);
                }
                None
            }
        }
    }

    fn argument_problem(
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

    /// HiTMicTools opens the weights of networks with `torch.load`, whatever they are called, and a classifier with what its
    /// extension says.
    fn container(&mut self, declared: Option<Declared>) {
        let extension = self.model.extension.to_ascii_lowercase();
        let is_onnx = matches!(self.facts.kind, FactKind::Onnx(_));
        let told = matches!(extension.as_str(), "onnx" | "safetensors");
        let format = self.facts.format.clone();
        match declared {
            Some(Declared::Network(_)) if !told && (is_onnx || format == SAFETENSORS) => {
                self.warn(
                    format!("it is {format} under the name of `.{extension}`"),
                    "HiTMicTools cannot load it",
                )
                .set_help("it is packed all the same; HiTMicTools wants a PyTorch checkpoint")
                .set_blocks_loading();
            }
            Some(Declared::Network(_)) if extension == "onnx" && !is_onnx => {
                self.warn(
                    format!("it is no ONNX file, but a {format}"),
                    "named otherwise",
                )
                .set_help("name it by what it is: `.pth`");
            }
            Some(Declared::Estimator) if is_onnx != (extension == "onnx") => {
                self.warn(
                    format!("it is a {format} under the name of `.{extension}`"),
                    "HiTMicTools cannot load it",
                )
                .set_help("name it by what it is: `.onnx`, `.joblib` or `.pkl`")
                .set_blocks_loading();
            }
            _ => {}
        }
    }

    /// Compares what the file holds with what is declared.
    fn content(&mut self, declared: Option<Declared>, network: Option<&Network>) {
        let facts = self.facts;
        match (&facts.kind, declared) {
            (FactKind::None { found }, Some(declared)) => {
                self.error(
                    format!("it holds no weights: {found}"),
                    format!("expected a {declared}"),
                )
                .set_help("name the file of the weights; `--no-check` packs this one all the same");
            }
            (FactKind::None { found }, None) => {
                self.warn(
                    format!("it holds no weights: {found}"),
                    "packed as it is: nothing declares what it should be",
                );
            }
            // What the audit refuses is not packed, whatever it is.
            (FactKind::Other { .. } | FactKind::Program { .. }, _)
                if self.problems.iter().any(Problem::is_error) => {}
            (FactKind::Program { what }, _) => {
                self.warn(
                    format!("it holds {what}, not the tensors of a network"),
                    "packed, but cannot be checked or run",
                )
                .set_help("save the weights alone: torch.save(model.state_dict(), path)")
                .set_blocks_loading();
            }
            (FactKind::Other { what }, Some(Declared::Network(kind))) => {
                self.error(
                    format!("it holds {what}"),
                    format!("expected the tensors of a {kind}"),
                )
                .set_help("save the weights alone: torch.save(model.state_dict(), path)");
            }
            (FactKind::Other { what }, Some(Declared::Estimator)) => {
                self.warn(
                    format!("it holds {what}"),
                    "packed, but not known here: it can be neither checked nor run",
                );
            }
            (FactKind::Other { .. }, None) => {}
            (FactKind::Tensors { wrapper }, Some(Declared::Network(kind))) => {
                self.wrapper(kind, wrapper.as_deref());
                if let Some(network) = network {
                    self.tensors(network);
                }
            }
            (FactKind::Onnx(onnx), Some(Declared::Estimator)) => self.onnx_classifier(onnx),
            (FactKind::Onnx(onnx), Some(Declared::Network(kind))) => {
                self.onnx_network(kind, onnx, network);
                if let Some(network) = network {
                    self.onnx_tensors(network);
                }
            }
            (FactKind::Estimator(estimator), Some(Declared::Estimator)) => {
                self.estimator(estimator);
            }
            (FactKind::Tensors { .. }, Some(Declared::Estimator)) => {
                self.error(
                    "it holds the tensors of a network".to_owned(),
                    "expected a scikit-learn classifier",
                );
            }
            (FactKind::Estimator(estimator), Some(Declared::Network(kind))) => {
                let found = &estimator.architecture;
                self.error(format!("it holds {found}"), format!("expected a {kind}"));
            }
            (FactKind::Tensors { .. } | FactKind::Onnx(_) | FactKind::Estimator(_), None) => {}
        }
    }

    /// HiTMicTools hands the whole checkpoint of these networks to `load_state_dict`, which knows no wrapper.
    /// RF-DETR's loader takes them out of `model`, and no other.
    fn wrapper(&mut self, kind: nn::Kind, wrapper: Option<&str>) {
        if detector(kind).is_some() {
            if wrapper != Some("model") {
                self.warn(
                    format!("the {kind}'s tensors are not in `model`"),
                    "HiTMicTools cannot load it",
                )
                .set_help("save them as RF-DETR does: {\"model\": state_dict, \"args\": ...}")
                .set_blocks_loading();
            }
            return;
        }
        let Some(wrapper) = wrapper else {
            return;
        };
        self.warn(
            format!("the {kind}'s tensors are wrapped in `{wrapper}`"),
            "HiTMicTools cannot load it",
        )
        .set_help(format!(
            "save them alone: torch.save(checkpoint[\"{wrapper}\"], path)"
        ))
        .set_blocks_loading();
    }

    fn tensors(&mut self, network: &Network) {
        let tensors = self.facts.tensors.iter();
        let found: Vec<nn::Found> = tensors
            .map(|tensor| nn::Found {
                name: &tensor.name,
                shape: &tensor.shape,
            })
            .collect();
        let differences = nn::compare(network, &found);
        if differences.is_empty() {
            return;
        }
        let guess = differences.guess.as_ref();
        // A label is not wrapped.
        const LONGEST_LABEL: usize = 72;
        let guessed = guess.map(ToString::to_string).unwrap_or_default();
        let (label, guessed) = match guessed.len() {
            1..=LONGEST_LABEL => (guessed, String::new()),
            0 => ("these weights".to_owned(), String::new()),
            _ => ("these weights".to_owned(), format!("\n{guessed}")),
        };
        let advice = guess.map_or(String::new(), |guess| format!("\n{}", guess.help()));
        let help = format!("{}{guessed}{advice}", differences.to_string().trim_end());
        self.error(
            format!("the weights do not fit the declared {}", network.kind()),
            label,
        )
        .set_help(help);
    }

    /// What goes into a graph must be what the network is given: batches of windows of one size.
    fn onnx_network(&mut self, kind: nn::Kind, onnx: &OnnxFacts, network: Option<&Network>) {
        let [input] = onnx.inputs.as_slice() else {
            let found = onnx.inputs.len();
            self.error(
                format!("the graph has {found} inputs"),
                format!("a {kind} has one, the image"),
            );
            return;
        };
        let [_, channels, height, width] = input[..] else {
            if !input.is_empty() {
                self.error(
                    format!("the graph's input has {} dimensions", input.len()),
                    "expected four: batch, channels, height, width",
                );
            }
            return;
        };
        let wanted = network.and_then(Network::input_channels);
        if let (Some(found), Some(wanted)) = (channels, wanted)
            && found != wanted
        {
            self.error(
                format!("the graph takes images of {found} channels"),
                format!("the metadata declares {wanted}"),
            );
        }
        let name = match kind {
            nn::Kind::FlexResNet => "min_size",
            _ => "patch_size",
        };
        if let Some(Value::Int(side)) = self.argument(name).cloned()
            && let Some(found) = [height, width]
                .into_iter()
                .flatten()
                .find(|found| i64::try_from(*found) != Ok(side))
        {
            self.error(
                format!("the graph takes windows of a side of {found}"),
                format!("`{name}` is {side}"),
            )
            .set_help(format!(
                "set `{name}` to {found}, or export the graph with dynamic axes"
            ));
        }
    }

    /// PyTorch's exporter keeps the names of most weights. A graph that has none of them cannot be compared; one that has
    /// must have them in the declared shapes.
    fn onnx_tensors(&mut self, network: &Network) {
        let tensors = self.facts.tensors.iter();
        let found: Vec<nn::Found> = tensors
            .map(|tensor| nn::Found {
                name: &tensor.name,
                shape: &tensor.shape,
            })
            .collect();
        let kind = network.kind();
        let expected = network.tensors();
        let shape_of = |name: &str| found.iter().find(|tensor| tensor.name == name);
        let (mut known, mut misshapen) = (0, Vec::new());
        for tensor in &expected {
            match shape_of(&tensor.name) {
                Some(found) if *found.shape == *tensor.shape => known += 1,
                Some(found) => misshapen.push(format!(
                    "{}: expected {:?}, found {:?}",
                    tensor.name, tensor.shape, found.shape
                )),
                None => {}
            }
        }
        let other = named_like(&found).filter(|found| *found != kind);
        if misshapen.is_empty() && other.is_none() {
            if known == 0 {
                self.warn(
                    format!("the graph's tensors have other names than the {kind}'s"),
                    "not compared with the declared network",
                );
            }
            return;
        }
        const SHOWN: usize = 8;
        let mut help: Vec<String> = misshapen.iter().take(SHOWN).cloned().collect();
        if misshapen.len() > SHOWN {
            help.push(format!("and {} more", misshapen.len() - SHOWN));
        }
        help.extend(other.map(|other| format!("its tensors have the names of a {other}'s")));
        self.error(
            format!("the graph does not fit the declared {kind}"),
            "this graph",
        )
        .set_help(help.join("\n"));
    }

    fn estimator(&mut self, estimator: &EstimatorFacts) {
        if estimator.feature_names.is_none() {
            self.warn(
                "the classifier does not know the names of its features".to_owned(),
                "HiTMicTools cannot load it",
            )
            .set_help(
                "fit it on a pandas DataFrame, so that scikit-learn keeps `feature_names_in_`",
            )
            .set_blocks_loading();
        }
    }

    fn onnx_classifier(&mut self, onnx: &OnnxFacts) {
        if !onnx.has_feature_names {
            self.warn(
                "the model's metadata has no `feature_names`".to_owned(),
                "HiTMicTools cannot load it",
            )
            .set_help("add them to `metadata_props`, with commas between them")
            .set_blocks_loading();
        }
    }

    /// What the arguments in the config say of a network whose own arguments say otherwise.
    fn arguments(&mut self, network: &Network) {
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
    fn classes(&mut self, network: &Network, named: &Map) {
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
