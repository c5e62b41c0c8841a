//! MONAI's UNet as ops.

use super::{BuildError, Maker};
use crate::nn::graph::ValueId;
use crate::nn::monai_unet::Layers;
use crate::nn::op::Op;

impl Maker<'_> {
    pub(super) fn monai_unet(
        &mut self,
        layers: &Layers,
        input: ValueId,
    ) -> Result<ValueId, BuildError> {
        let mut value = input;
        let mut skips = Vec::with_capacity(layers.levels.len());
        for level in &layers.levels {
            value = self.monai_block(&level.down, value)?;
            skips.push(value);
        }
        value = self.monai_block(&layers.bottom, value)?;
        for (level, skip) in layers.levels.iter().zip(skips).rev() {
            self.check_skip(skip, value, &level.up.path)?;
            value = self.push(Op::Concat, &[skip, value])?;
            value = self.monai_convolution(&level.up, value)?;
            if let Some(unit) = &level.refine {
                value = self.residual_unit(unit, value)?;
            }
        }
        Ok(value)
    }

    /// Both sides of a skip connection must have one size.
    fn check_skip(&self, skip: ValueId, below: ValueId, path: &str) -> Result<(), BuildError> {
        let [skip, below] = [skip, below].map(|value| self.graph.shape(value));
        if (skip.height, skip.width) == (below.height, below.width) {
            return Ok(());
        }
        Err(BuildError::Unfit {
            what: format!("the skip connection before `{path}`"),
            expected: format!(
                "{} x {} pixels from below (give the network an image whose sides its strides divide)",
                skip.height, skip.width
            ),
            found: format!("{} x {}", below.height, below.width),
        })
    }
}
