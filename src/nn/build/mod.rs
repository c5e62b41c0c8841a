//! Networks with their weights as graphs: one function for each kind of layer, in the order in which they run.

mod flexresnet;
mod monai;
mod monai_unet;
mod nafnet;
mod state;

use std::sync::Arc;

use super::Network;
use super::compare::{Differences, Found, compare};
use super::graph::{Graph, GraphBuilder, GraphError, ValueId};
use super::layer::Conv2d;
use super::op::{Conv, Op, Shape, kernel_first};

pub(super) use monai::running;
pub use state::StateDict;

/// The most numbers that a network's weights may have: 1 GiB in single precision.
const MOST_WEIGHTS: u64 = 1 << 28;

/// Why a network with these weights cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(
        "RF-DETR is packaged and checked, but not run: only NAFNet, MONAI UNet and FlexResNet are run from a state dict"
    )]
    Detector,
    /// The file's tensors are not the network's.
    #[error("the weights are not those of {network}\n{differences}")]
    Differs {
        network: String,
        differences: Box<Differences>,
    },
    #[error("{network} has {found} weights: expected at most {MOST_WEIGHTS}")]
    Large { network: String, found: u64 },
    /// PyTorch would refuse it.
    #[error("{what}: expected {expected}, found {found}")]
    Unfit {
        what: String,
        expected: String,
        found: String,
    },
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error("`{name}` cannot be read: {source}")]
    Read {
        name: String,
        source: std::io::Error,
    },
}

impl Network {
    /// The graph that it computes with these weights, for images of `size`, height and width.
    ///
    /// FlexResNet's result is a vector of one number for each class, before softmax; the others' are images.
    ///
    /// # Errors
    /// Fails if the weights are not exactly the network's, cannot be read, or PyTorch would refuse the size.
    pub fn graph(&self, tensors: &StateDict<'_>, size: [usize; 2]) -> Result<Graph, BuildError> {
        let found: Vec<Found<'_>> = tensors.tensors().map(Found::from).collect();
        if matches!(self, Self::RfDetr(_)) {
            return Err(BuildError::Detector);
        }
        let differences = compare(self, &found);
        if !differences.is_empty() {
            return Err(BuildError::Differs {
                network: self.to_string(),
                differences: Box::new(differences),
            });
        }
        let learnt = self.tensors();
        let count = learnt.iter().fold(0_u64, |count, tensor| {
            count.saturating_add(tensor.elements())
        });
        if count > MOST_WEIGHTS {
            return Err(BuildError::Large {
                network: self.to_string(),
                found: count,
            });
        }
        let channels = self.input_channels().unwrap_or(1);
        let shape = Shape::new(channels as usize, size[0], size[1]);
        let (graph, input) = GraphBuilder::new(shape)?;
        let mut maker = Maker { graph, tensors };
        let output = match self {
            Self::NafNet(args) => maker.nafnet(&args.layers(), input)?,
            Self::MonaiUnet(args) => maker.monai_unet(&args.layers(), input)?,
            Self::FlexResNet(args) => maker.flexresnet(args, input)?,
            Self::RfDetr(_) => return Err(BuildError::Detector),
        };
        Ok(maker.graph.finish(output))
    }
}

/// A graph under way, and where its weights come from.
struct Maker<'a> {
    graph: GraphBuilder,
    tensors: &'a StateDict<'a>,
}

impl Maker<'_> {
    fn push(&mut self, op: Op, inputs: &[ValueId]) -> Result<ValueId, BuildError> {
        Ok(self.graph.push(op, inputs)?)
    }

    /// The numbers of the tensor `path.name`.
    fn numbers(&self, path: &str, name: &str) -> Result<Arc<[f32]>, BuildError> {
        Ok(self.tensors.numbers(&format!("{path}.{name}"))?.into())
    }

    fn convolution(&mut self, conv: &Conv2d, input: ValueId) -> Result<ValueId, BuildError> {
        let weight = self.tensors.numbers(&format!("{}.weight", conv.path))?;
        let bias = match conv.bias {
            true => Some(self.numbers(&conv.path, "bias")?),
            false => None,
        };
        let shape = conv.weight_shape();
        let sides = [0, 1, 2, 3].map(|axis| shape.get(axis).map_or(1, |side| *side as usize));
        let [height, width] = conv.padding.map(|side| side as isize);
        // What a transposed convolution leaves out at the end is less by its output padding.
        let after = |axis: usize, side: isize| match conv.transposed {
            true => side - (conv.stride[axis] as isize - 1),
            false => side,
        };
        let op = Op::Conv(Conv {
            outputs: conv.outputs as usize,
            kernel: conv.kernel.map(|side| side as usize),
            stride: conv.stride.map(|side| side as usize),
            padding: [[height, after(0, height)], [width, after(1, width)]],
            groups: conv.groups as usize,
            transposed: conv.transposed,
            weight: kernel_first(&weight, sides, conv.transposed).into(),
            bias,
        });
        self.push(op, &[input])
    }
}
