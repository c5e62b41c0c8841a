//! FlexResNet as ops.
//!
//! Source: HiTMicTools, `model_arch/flexresnet.py`.

use super::{BuildError, Maker};
use crate::nn::flexresnet::Args;
use crate::nn::graph::ValueId;
use crate::nn::op::{Conv, Op};

impl Maker<'_> {
    /// The result is the classifier's, before softmax.
    pub(super) fn flexresnet(
        &mut self,
        args: &Args,
        input: ValueId,
    ) -> Result<ValueId, BuildError> {
        let layers = args.layers();
        let size = self.graph.shape(input);
        let least = args.min_size() as usize;
        let bottom = least.saturating_sub(size.height);
        let right = least.saturating_sub(size.width);
        let mut value = match bottom + right {
            0 => input,
            _ => self.push(Op::Pad { bottom, right }, &[input])?,
        };
        for unit in &layers.units {
            value = self.residual_unit(unit, value)?;
        }
        if layers.pooled {
            value = self.push(Op::Mean, &[value])?;
        }
        let shape = self.graph.shape(value);
        if shape.elements() as u64 != layers.features {
            return Err(BuildError::Unfit {
                what: "the linear layer `classifier.0`".to_owned(),
                expected: format!(
                    "{} features: without a pool, an image of {least} x {least} at most",
                    layers.features
                ),
                found: format!("{} of {shape}", shape.elements()),
            });
        }
        let path = "classifier.0";
        let weight = self.numbers(path, "weight")?;
        let outputs = layers.classes as usize;
        let op = Op::Conv(Conv::linear(
            &weight,
            Some(self.numbers(path, "bias")?),
            outputs,
            shape,
        ));
        self.push(op, &[value])
    }
}
