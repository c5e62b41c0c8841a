//! MONAI's blocks as ops.
//!
//! Sources: MONAI 1.5, `networks/blocks/convolutions.py`; PyTorch's norms in evaluation mode, where running statistics
//! are used if there are any, and those of the input otherwise. A window is a batch of its own.

use std::sync::Arc;

use super::{BuildError, Maker};
use crate::nn::graph::ValueId;
use crate::nn::monai::{Activation, Block, Convolution, Norm, ResidualUnit, Step};
use crate::nn::op::{Binary, Function, Op};

impl Maker<'_> {
    pub(super) fn monai_block(
        &mut self,
        block: &Block,
        input: ValueId,
    ) -> Result<ValueId, BuildError> {
        match block {
            Block::Plain(one) => self.monai_convolution(one, input),
            Block::Residual(unit) => self.residual_unit(unit, input),
        }
    }

    pub(super) fn residual_unit(
        &mut self,
        unit: &ResidualUnit,
        input: ValueId,
    ) -> Result<ValueId, BuildError> {
        let beside = match &unit.residual {
            Some(conv) => self.convolution(conv, input)?,
            None => input,
        };
        let mut value = input;
        for convolution in &unit.units {
            value = self.monai_convolution(convolution, value)?;
        }
        self.push(Op::Binary(Binary::Add), &[value, beside])
    }

    pub(super) fn monai_convolution(
        &mut self,
        convolution: &Convolution,
        input: ValueId,
    ) -> Result<ValueId, BuildError> {
        let mut value = self.convolution(&convolution.conv, input)?;
        for step in &convolution.after {
            let path = &convolution.path;
            value = match step {
                Step::Norm(norm) => self.norm(*norm, &format!("{path}.adn.N"), value)?,
                Step::Activation(activation) => {
                    match self.function(*activation, &format!("{path}.adn.A"))? {
                        Some(function) => self.push(Op::Apply(function), &[value])?,
                        None => value,
                    }
                }
            };
        }
        Ok(value)
    }

    fn norm(&mut self, norm: Norm, path: &str, input: ValueId) -> Result<ValueId, BuildError> {
        let shape = self.graph.shape(input);
        let size = [shape.height as u64, shape.width as u64];
        if !norm.runs(shape.channels as u64, size) {
            return Err(BuildError::Unfit {
                what: format!("the norm `{path}`"),
                expected: "more than one value to normalise over (PyTorch refuses one)".to_owned(),
                found: format!("an input of {shape}: give the network a larger image"),
            });
        }
        let (groups, eps) = match norm {
            Norm::None => return Ok(input),
            Norm::Instance { eps, .. } | Norm::Batch { eps, .. } => (shape.channels, eps),
            Norm::Group { groups, eps, .. } => (groups as usize, eps),
        };
        let (mut weight, mut bias) = (None, None);
        if norm.affine() {
            weight = Some(self.numbers(path, "weight")?);
            bias = Some(self.numbers(path, "bias")?);
        }
        if norm.tracked() {
            let mean = self.numbers(path, "running_mean")?;
            let variance = self.numbers(path, "running_var")?;
            let op = running(&mean, &variance, eps, weight.as_deref(), bias.as_deref());
            return self.push(op, &[input]);
        }
        let eps = eps as f32;
        let moments = self.push(Op::Moments { groups, eps }, &[input])?;
        self.push(Op::Normalise { weight, bias }, &[input, moments])
    }

    fn function(&self, activation: Activation, path: &str) -> Result<Option<Function>, BuildError> {
        Ok(Some(match activation {
            Activation::None => return Ok(None),
            Activation::Prelu { .. } => Function::Prelu {
                slopes: self.numbers(path, "weight")?,
            },
            Activation::Relu => Function::Relu,
            Activation::LeakyRelu { slope } => Function::LeakyRelu {
                slope: slope as f32,
            },
            Activation::Elu { alpha } => Function::Elu {
                alpha: alpha as f32,
            },
            Activation::Gelu { tanh: false } => Function::Gelu,
            Activation::Gelu { tanh: true } => Function::GeluTanh,
            Activation::Swish { alpha } => Function::Swish {
                alpha: alpha as f32,
            },
            Activation::Mish => Function::Mish,
            Activation::Tanh => Function::Tanh,
            Activation::Sigmoid => Function::Sigmoid,
        }))
    }
}

/// `(v - mean) / sqrt(variance + eps) * weight + bias` as one scale and one shift for each channel, in double precision
/// until the end.
pub(in crate::nn) fn running(
    mean: &[f32],
    variance: &[f32],
    eps: f64,
    weight: Option<&[f32]>,
    bias: Option<&[f32]>,
) -> Op {
    let number = |list: Option<&[f32]>, channel: usize, plain: f64| {
        let found = list.and_then(|list| list.get(channel));
        found.map_or(plain, |number| f64::from(*number))
    };
    let scales: Vec<f64> = variance
        .iter()
        .enumerate()
        .map(|(channel, variance)| {
            number(weight, channel, 1.0) / (f64::from(*variance) + eps).sqrt()
        })
        .collect();
    let shift = scales.iter().zip(mean).enumerate();
    let shift: Arc<[f32]> = shift
        .map(|(channel, (scale, mean))| {
            (number(bias, channel, 0.0) - f64::from(*mean) * scale) as f32
        })
        .collect();
    Op::Affine {
        scale: scales.iter().map(|scale| *scale as f32).collect(),
        shift,
    }
}
