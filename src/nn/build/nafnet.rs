//! NAFNet's blocks as ops.
//!
//! Source: "Simple Baselines for Image Restoration" (arXiv 2204.04676), figure 3 and its authors' released code.

use super::{BuildError, Maker};
use crate::nn::graph::ValueId;
use crate::nn::nafnet::{Block, Layers};
use crate::nn::op::{Binary, Op};

const EPS: f32 = 1e-6;

impl Maker<'_> {
    /// Zeros at the bottom and right make the sides multiples of 2^levels; they are cut off again at the end.
    pub(super) fn nafnet(
        &mut self,
        layers: &Layers,
        input: ValueId,
    ) -> Result<ValueId, BuildError> {
        let size = self.graph.shape(input);
        let multiple = 1 << layers.encoders.len();
        let missing = |side: usize| side.next_multiple_of(multiple) - side;
        let (bottom, right) = (missing(size.height), missing(size.width));
        let padded = match bottom + right {
            0 => input,
            _ => self.push(Op::Pad { bottom, right }, &[input])?,
        };
        let mut value = self.convolution(&layers.intro, padded)?;
        let mut skips = Vec::with_capacity(layers.encoders.len());
        for level in &layers.encoders {
            value = self.blocks(&level.blocks, value)?;
            skips.push(value);
            value = self.convolution(&level.down, value)?;
        }
        value = self.blocks(&layers.middle, value)?;
        for (level, skip) in layers.decoders.iter().zip(skips.into_iter().rev()) {
            value = self.convolution(&level.up, value)?;
            value = self.push(Op::PixelShuffle { factor: 2 }, &[value])?;
            value = self.push(Op::Binary(Binary::Add), &[value, skip])?;
            value = self.blocks(&level.blocks, value)?;
        }
        value = self.convolution(&layers.ending, value)?;
        value = self.push(Op::Binary(Binary::Add), &[value, padded])?;
        if bottom + right == 0 {
            return Ok(value);
        }
        let (height, width) = (size.height, size.width);
        self.push(Op::Crop { height, width }, &[value])
    }

    fn blocks(&mut self, blocks: &[Block], mut value: ValueId) -> Result<ValueId, BuildError> {
        for block in blocks {
            value = self.block(block, value)?;
        }
        Ok(value)
    }

    fn block(&mut self, block: &Block, input: ValueId) -> Result<ValueId, BuildError> {
        let [conv1, conv2, conv3, attention, conv4, conv5] = block.convolutions();
        let mut value = self.layer_norm(&format!("{}.norm1", block.path), input)?;
        value = self.convolution(&conv1, value)?;
        value = self.convolution(&conv2, value)?;
        value = self.push(Op::Gate, &[value])?;
        let mean = self.push(Op::Mean, &[value])?;
        let weight = self.convolution(&attention, mean)?;
        value = self.push(Op::Binary(Binary::Multiply), &[value, weight])?;
        value = self.convolution(&conv3, value)?;
        let middle = self.residual(block, "beta", input, value)?;
        value = self.layer_norm(&format!("{}.norm2", block.path), middle)?;
        value = self.convolution(&conv4, value)?;
        value = self.push(Op::Gate, &[value])?;
        value = self.convolution(&conv5, value)?;
        self.residual(block, "gamma", middle, value)
    }

    fn layer_norm(&mut self, path: &str, input: ValueId) -> Result<ValueId, BuildError> {
        let op = Op::LayerNorm {
            weight: self.numbers(path, "weight")?,
            bias: self.numbers(path, "bias")?,
            eps: EPS,
        };
        self.push(op, &[input])
    }

    /// `input + scale[c] * value`
    fn residual(
        &mut self,
        block: &Block,
        scale: &str,
        input: ValueId,
        value: ValueId,
    ) -> Result<ValueId, BuildError> {
        let scale = self.numbers(&block.path, scale)?;
        let shift = vec![0.0; scale.len()].into();
        let scaled = self.push(Op::Affine { scale, shift }, &[value])?;
        self.push(Op::Binary(Binary::Add), &[input, scaled])
    }
}
