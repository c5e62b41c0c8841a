//! What a file holds, against what is declared.

use super::Check;
use super::declared::{Declared, detector};
use crate::config::Problem;
use crate::facts::{EstimatorFacts, FactKind, OnnxFacts};
use crate::nn::{self, Network};

impl Check<'_> {
    /// HiTMicTools opens the weights of networks with `torch.load`, whatever they are called, and a classifier with what its
    /// extension says.
    pub(super) fn container(&mut self, declared: Option<Declared>) {
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
    pub(super) fn content(&mut self, declared: Option<Declared>, network: Option<&Network>) {
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
    pub(super) fn wrapper(&mut self, kind: nn::Kind, wrapper: Option<&str>) {
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

    pub(super) fn tensors(&mut self, network: &Network) {
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

    pub(super) fn estimator(&mut self, estimator: &EstimatorFacts) {
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

    pub(super) fn onnx_classifier(&mut self, onnx: &OnnxFacts) {
        if !onnx.has_feature_names {
            self.warn(
                "the model's metadata has no `feature_names`".to_owned(),
                "HiTMicTools cannot load it",
            )
            .set_help("add them to `metadata_props`, with commas between them")
            .set_blocks_loading();
        }
    }
}

/// As [`crate::weights::Format`] names it.
const SAFETENSORS: &str = "safetensors";
