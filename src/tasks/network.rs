//! Weights made ready to run: the graph of a network, for inputs of the size that its task gives it.

use crate::nn::{self, BuildError, Network, Program, StateDict};
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
    let graph = match &weights.content {
        Content::Checkpoint(_) | Content::Tensors(_) => {
            let network = declared.ok_or(NetworkError::Undeclared)?;
            network.graph(&StateDict::new(weights.tensors()), [side, side])?
        }
        Content::Onnx(_) => return none("an ONNX model"),
        Content::Estimator(_) => return none("a scikit-learn estimator"),
        Content::Program { what } | Content::Other { what } => return none(what),
        Content::None { found } => return none(found),
    };
    Ok(nn::fuse(graph))
}
