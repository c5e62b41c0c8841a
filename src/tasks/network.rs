//! Weights made ready to run: the graph of a network, for inputs of the size that its task gives it.

use super::Task;
use crate::nn::{self, BuildError, Network, Program, StateDict};
use crate::weights::{Content, Weights};

/// Why weights cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The file holds no network's weights.
    #[error("the weights: expected a state dict or an ONNX model, found {found}")]
    NoNetwork { found: String },
    #[error(
        "nothing says what network the weights are of: expected metadata with `model_type` and `model_args`, or an ONNX model"
    )]
    Undeclared,
}
