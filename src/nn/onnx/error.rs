//! Why an ONNX model is not run.

use crate::nn::graph::GraphError;

/// The operators that are run; what more is computed from constants alone is in [`super::fold`].
pub(super) const SUPPORTED: &[&str] = &[
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "CastLike",
    "Clip",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Elu",
    "Erf",
    "Exp",
    "Expand",
    "Flatten",
    "Gather",
    "Gelu",
    "Gemm",
    "GlobalAveragePool",
    "GroupNormalization",
    "Identity",
    "InstanceNormalization",
    "LayerNormalization",
    "LeakyRelu",
    "MatMul",
    "Mish",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "Reciprocal",
    "ReduceMean",
    "Relu",
    "Reshape",
    "SequenceAt",
    "Shape",
    "Sigmoid",
    "Size",
    "Slice",
    "Softmax",
    "Softplus",
    "Split",
    "SplitToSequence",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Tanh",
    "Transpose",
    "Unsqueeze",
];

/// Why an ONNX model is not run.
#[derive(Debug, thiserror::Error)]
pub enum OnnxError {
    /// An operator that is not among those that are run.
    #[error("{node} is not supported on images: expected one of {}", SUPPORTED.join(", "))]
    Operator { node: String },
    /// An operator with an attribute or input that is not supported.
    #[error("{node}, {part}: expected {expected}, found {found}")]
    Form {
        /// The operator and the node: "`Conv` (the node `/conv/Conv`)".
        node: String,
        /// The attribute or input.
        part: String,
        expected: String,
        found: String,
    },
    /// What it is applied to does not fit.
    #[error("{node}: {source}")]
    Graph { node: String, source: GraphError },
    /// The model as a whole: its operator set, inputs and outputs.
    #[error("{what}: expected {expected}, found {found}")]
    Model {
        what: String,
        expected: String,
        found: String,
    },
    /// More would be made of the model's constants than any network needs.
    #[error("{node}: what is made of the model's constants is more than {most} numbers")]
    Large { node: String, most: u64 },
    #[error("the constant `{name}` cannot be read: {source}")]
    Read {
        name: String,
        source: std::io::Error,
    },
}

pub(super) type Result<T> = std::result::Result<T, OnnxError>;
