//! MONAI's blocks: a convolution with what follows it, and units of them around a residual connection.
//!
//! Source: MONAI 1.5, `networks/blocks/convolutions.py` (`Convolution`, `ResidualUnit`).

use super::{Activation, Letter, Norm, Style};
use crate::nn::layer::{Conv2d, Expected};

/// A convolution and what follows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Convolution {
    /// The module's name; `path.conv` and `path.adn` are its parts.
    pub path: String,
    pub conv: Conv2d,
    /// In the order in which it is applied.
    pub after: Vec<Step>,
}

/// What follows a convolution and does something when the network is run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    Norm(Norm),
    Activation(Activation),
}

/// Convolutions whose result is added to their input.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualUnit {
    /// The first has the stride.
    pub units: Vec<Convolution>,
    /// What the input goes through where its size or channels change.
    pub residual: Option<Conv2d>,
}

/// What a level of a network is.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    Plain(Convolution),
    Residual(ResidualUnit),
}

/// Where a block stands and what it turns into what.
pub(in crate::nn) struct Place {
    pub path: String,
    pub inputs: u64,
    pub outputs: u64,
}

impl Style {
    /// MONAI's `Convolution`.
    pub(in crate::nn) fn convolution(
        &self,
        place: Place,
        kernel: [u64; 2],
        stride: [u64; 2],
    ) -> Convolution {
        let Place {
            path,
            inputs,
            outputs,
        } = place;
        let mut conv = Conv2d::same(format!("{path}.conv"), inputs, outputs, kernel);
        conv.stride = stride;
        conv.bias = self.bias;
        let step = |letter: &Letter| match letter {
            Letter::Norm if self.norm != Norm::None => Some(Step::Norm(self.norm)),
            Letter::Activation if self.activation != Activation::None => {
                Some(Step::Activation(self.activation))
            }
            _ => None,
        };
        let after = self.ordering.letters().iter().filter_map(step).collect();
        Convolution { path, conv, after }
    }

    /// MONAI's `ResidualUnit` of `count` convolutions.
    pub(in crate::nn) fn residual_unit(
        &self,
        place: Place,
        kernel: [u64; 2],
        stride: [u64; 2],
        count: u64,
    ) -> ResidualUnit {
        let Place {
            path,
            inputs,
            outputs,
        } = place;
        let unit = |index: u64| {
            let place = Place {
                path: format!("{path}.conv.unit{index}"),
                inputs: if index == 0 { inputs } else { outputs },
                outputs,
            };
            let stride = if index == 0 { stride } else { [1, 1] };
            self.convolution(place, kernel, stride)
        };
        let strided = stride != [1, 1];
        let residual = (strided || inputs != outputs).then(|| {
            let kernel = if strided { kernel } else { [1, 1] };
            let mut conv = Conv2d::same(format!("{path}.residual"), inputs, outputs, kernel);
            conv.stride = stride;
            conv.bias = self.bias;
            conv
        });
        ResidualUnit {
            units: (0..count.max(1)).map(unit).collect(),
            residual,
        }
    }
}

impl Convolution {
    /// Takes away what follows the convolution (MONAI's `conv_only`).
    pub(in crate::nn) fn bare(&mut self) {
        self.after.clear();
    }

    pub(in crate::nn) fn tensors(&self, all: &mut Vec<Expected>) {
        self.conv.tensors(all);
        for step in &self.after {
            match step {
                Step::Norm(norm) => norm_tensors(*norm, &self.path, self.conv.outputs, all),
                Step::Activation(Activation::Prelu { parameters }) => {
                    let path = format!("{}.adn.A", self.path);
                    all.push(Expected::parameter(&path, "weight", vec![*parameters]));
                }
                Step::Activation(_) => {}
            }
        }
    }

    /// Whether PyTorch takes what follows it for an output of this size.
    pub(in crate::nn) fn runs(&self, size: [u64; 2]) -> bool {
        self.after.iter().all(|step| match step {
            Step::Norm(norm) => norm.runs(self.conv.outputs, size),
            Step::Activation(_) => true,
        })
    }

    /// Why PyTorch cannot make what follows it, by the argument at fault.
    pub(in crate::nn) fn fault(&self) -> Option<(&'static str, String)> {
        let channels = self.conv.outputs;
        self.after.iter().find_map(|step| match step {
            Step::Norm(Norm::Group { groups, .. })
                if !channels.is_multiple_of((*groups).max(1)) =>
            {
                Some((
                    "norm",
                    format!(
                        "{groups} groups do not divide the {channels} channels of `{}`",
                        self.path
                    ),
                ))
            }
            Step::Activation(Activation::Prelu { parameters })
                if *parameters != 1 && *parameters != channels =>
            {
                Some((
                    "act",
                    format!(
                        "{parameters} slopes do not fit the {channels} channels of `{}`",
                        self.path
                    ),
                ))
            }
            _ => None,
        })
    }
}

/// The tensors of a norm in the order of PyTorch's state dicts: learnt ones, then statistics.
fn norm_tensors(norm: Norm, path: &str, channels: u64, all: &mut Vec<Expected>) {
    let path = format!("{path}.adn.N");
    if norm.affine() {
        all.push(Expected::parameter(&path, "weight", vec![channels]));
        all.push(Expected::parameter(&path, "bias", vec![channels]));
    }
    if norm.tracked() {
        all.push(Expected::buffer(&path, "running_mean", vec![channels]));
        all.push(Expected::buffer(&path, "running_var", vec![channels]));
        all.push(Expected::buffer(&path, BATCHES, vec![]));
    }
}

/// How many batches a norm has seen: nothing depends on it when a network is run.
pub(in crate::nn) const BATCHES: &str = "num_batches_tracked";

impl ResidualUnit {
    /// Takes away what follows the last convolution (MONAI's `last_conv_only`).
    pub(in crate::nn) fn bare_last(&mut self) {
        if let Some(last) = self.units.last_mut() {
            last.bare();
        }
    }

    pub(in crate::nn) fn tensors(&self, all: &mut Vec<Expected>) {
        for unit in &self.units {
            unit.tensors(all);
        }
        if let Some(residual) = &self.residual {
            residual.tensors(all);
        }
    }
}

impl Block {
    /// Its convolutions, the residual one not among them.
    pub fn convolutions(&self) -> &[Convolution] {
        match self {
            Self::Plain(one) => std::slice::from_ref(one),
            Self::Residual(unit) => &unit.units,
        }
    }

    pub(in crate::nn) fn tensors(&self, all: &mut Vec<Expected>) {
        match self {
            Self::Plain(one) => one.tensors(all),
            Self::Residual(unit) => unit.tensors(all),
        }
    }
}
