//! Weights made ready to run: the graph of a network, for inputs of the size that its task gives it.

use crate::nn::{self, BuildError, Graph, Network, OnnxError, Program, Shape, StateDict};
use crate::weights::onnx::Model;
use crate::weights::{Content, Weights};

/// Why weights cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The weights are not those of the declared network, or it is none that is run.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The file holds no network's weights.
    #[error("the weights: expected a state dict or an ONNX model, found {found}")]
    NoNetwork { found: String },
    /// A state dict does not say what computes with it.
    #[error(
        "nothing says what network the weights are of: expected metadata with `model_type` and `model_args`"
    )]
    Undeclared,
    /// The ONNX model holds something that is not run.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The ONNX model was exported for inputs of another size.
    #[error(
        "the ONNX model takes images of a side of {needed} only, not {found}: set `patch_size` (of a cell classifier, `min_size`) to {needed}, or export the model with dynamic axes"
    )]
    Side { needed: usize, found: usize },
    /// The ONNX model does not take, or give, as many channels as the metadata declares.
    #[error(
        "the channels that the ONNX model {what}: expected {expected}, as {network} has, found {found}"
    )]
    Channels {
        what: &'static str,
        expected: u64,
        network: String,
        found: usize,
    },
    /// Neither the ONNX model nor metadata says how many channels go in.
    #[error(
        "nothing says how many channels the ONNX model takes: expected metadata with `model_type` and `model_args`, or a fixed number in the model"
    )]
    AnyChannels,
}

/// The network that metadata declares, with the weights of a file, for squares of `side` pixels: windows, or regions of
/// interest.
///
/// # Errors
/// Fails if the weights are not the declared network's, or there is nothing that can be run.
pub fn load(
    weights: &Weights,
    declared: Option<&Network>,
    side: usize,
) -> Result<Program, NetworkError> {
    let none = |found: &str| {
        let found = found.to_owned();
        Err(NetworkError::NoNetwork { found })
    };
    if matches!(declared, Some(Network::RfDetr(_))) {
        return Err(BuildError::Detector.into());
    }
    let graph = match &weights.content {
        Content::Checkpoint(_) | Content::Tensors(_) => {
            let network = declared.ok_or(NetworkError::Undeclared)?;
            network.graph(&StateDict::new(weights.tensors()), [side, side])?
        }
        Content::Onnx(model) => onnx(model, declared, side)?,
        Content::Estimator(_) => return none("a scikit-learn estimator"),
        Content::Program { what } | Content::Other { what } => return none(what),
        Content::None { found } => return none(found),
    };
    Ok(nn::fuse(graph))
}

/// What an ONNX model computes. That its tensors are the declared network's is not asked: exporters rename and fold
/// them. What goes in and comes out is.
fn onnx(model: &Model, declared: Option<&Network>, side: usize) -> Result<Graph, NetworkError> {
    let [channels, height, width] = nn::onnx_input(model)?;
    let fixed = [height, width].into_iter().flatten();
    if let Some(needed) = fixed.into_iter().find(|fixed| *fixed != side) {
        return Err(NetworkError::Side {
            needed,
            found: side,
        });
    }
    let agree = |what, expected: Option<u64>, found: usize| match (declared, expected) {
        (Some(network), Some(expected)) if expected != found as u64 => {
            Err(NetworkError::Channels {
                what,
                expected,
                network: network.to_string(),
                found,
            })
        }
        _ => Ok(()),
    };
    let wanted = declared.and_then(Network::input_channels);
    let channels = channels.or(wanted.and_then(|wanted| usize::try_from(wanted).ok()));
    let channels = channels.ok_or(NetworkError::AnyChannels)?;
    agree("takes", wanted, channels)?;
    let graph = nn::from_onnx(model, Shape::new(channels, side, side))?;
    let wanted = declared.and_then(|network| network.output_channels().or(network.classes()));
    agree("gives", wanted, graph.shape(graph.output()).channels)?;
    Ok(graph)
}
