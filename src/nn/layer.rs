//! The layers that networks are made of, as PyTorch names and shapes their tensors.

use std::fmt;

/// Whether a tensor is learnt or counted along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Learnt: a weight or a bias.
    Parameter,
    /// Kept by a normalisation: running statistics and their count.
    Buffer,
}

/// A tensor that a network's state dict has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub name: String,
    pub shape: Vec<u64>,
    pub role: Role,
}

impl Expected {
    /// The parameter `path.name`.
    pub(super) fn parameter(path: &str, name: &str, shape: Vec<u64>) -> Self {
        Self::new(path, name, shape, Role::Parameter)
    }

    /// The buffer `path.name`.
    pub(super) fn buffer(path: &str, name: &str, shape: Vec<u64>) -> Self {
        Self::new(path, name, shape, Role::Buffer)
    }

    fn new(path: &str, name: &str, shape: Vec<u64>, role: Role) -> Self {
        let name = match path {
            "" => name.to_owned(),
            _ => format!("{path}.{name}"),
        };
        Self { name, shape, role }
    }

    /// How many elements it has. Arguments are bounded so that this does not overflow.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

/// A shape as PyTorch writes it: `[8, 1, 3, 3]`.
pub(super) struct Shape<'a>(pub &'a [u64]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (index, side) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{side}")?;
        }
        f.write_str("]")
    }
}

/// A 2D convolution, PyTorch's `Conv2d` or `ConvTranspose2d`. Pairs are height, width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// The module's name: its tensors are `path.weight` and `path.bias`.
    pub path: String,
    pub inputs: u64,
    pub outputs: u64,
    pub kernel: [u64; 2],
    pub stride: [u64; 2],
    /// Zeros added at every border; for a transposed convolution, what is cut from there.
    pub padding: [u64; 2],
    pub groups: u64,
    pub bias: bool,
    /// Transposed convolutions have an output padding of stride - 1, as MONAI sets it.
    pub transposed: bool,
}

impl Conv2d {
    /// A convolution that keeps the size at stride 1: odd kernels padded by half.
    pub(super) fn same(path: String, inputs: u64, outputs: u64, kernel: [u64; 2]) -> Self {
        Self {
            path,
            inputs,
            outputs,
            kernel,
            stride: [1, 1],
            padding: kernel.map(|side| side.saturating_sub(1) / 2),
            groups: 1,
            bias: true,
            transposed: false,
        }
    }

    /// The shape of its weight.
    pub fn weight_shape(&self) -> Vec<u64> {
        let [height, width] = self.kernel;
        let groups = self.groups.max(1);
        if self.transposed {
            vec![self.inputs, self.outputs / groups, height, width]
        } else {
            vec![self.outputs, self.inputs / groups, height, width]
        }
    }

    pub(super) fn tensors(&self, all: &mut Vec<Expected>) {
        let shape = self.weight_shape();
        all.push(Expected::parameter(&self.path, "weight", shape));
        if self.bias {
            all.push(Expected::parameter(&self.path, "bias", vec![self.outputs]));
        }
    }
}
