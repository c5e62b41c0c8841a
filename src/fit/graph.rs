//! An ONNX graph against the declared network.

use super::Check;
use crate::facts::OnnxFacts;
use crate::nn::{self, Network};
use crate::value::Value;

impl Check<'_> {
    /// What goes into a graph must be what the network is given: batches of windows of one size.
    pub(super) fn onnx_network(
        &mut self,
        kind: nn::Kind,
        onnx: &OnnxFacts,
        network: Option<&Network>,
    ) {
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
    pub(super) fn onnx_tensors(&mut self, network: &Network) {
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
