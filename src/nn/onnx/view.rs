//! How a model sees a value: exporters reshape and transpose images between ops, and no number need move for it.

use std::fmt;

use crate::nn::graph::ValueId;
use crate::nn::op::Shape;

/// A value, its numbers in row-major order read as a tensor of shape `inner` whose axes are then put in another order.
#[derive(Clone, Debug)]
pub(super) struct View {
    pub id: ValueId,
    pub inner: Vec<usize>,
    /// For each axis that the model sees, the axis of `inner`.
    pub order: Vec<usize>,
}

impl View {
    /// A value as a batch of images.
    pub fn image(id: ValueId, shape: Shape, batch: usize) -> Self {
        Self::plain(id, vec![batch, shape.channels, shape.height, shape.width])
    }

    /// A value read in another shape.
    pub fn plain(id: ValueId, inner: Vec<usize>) -> Self {
        let order = (0..inner.len()).collect();
        Self { id, inner, order }
    }

    /// The shape that the model sees.
    pub fn dims(&self) -> Vec<usize> {
        self.order
            .iter()
            .filter_map(|at| self.inner.get(*at).copied())
            .collect()
    }

    /// Whether the axes are in the order of the numbers.
    pub fn in_order(&self) -> bool {
        self.order.iter().copied().eq(0..self.inner.len())
    }

    /// Whether, but for the order of axes, it is a batch of images of `shape`, or a batch of vectors.
    pub fn is_image(&self, shape: Shape, batch: usize) -> bool {
        self.inner == [batch, shape.channels, shape.height, shape.width]
            || (shape.pixels() == 1 && self.inner == [batch, shape.channels])
    }

    /// Whether, but for the order of axes, it has an axis for the batch, one for the channels, and any for the pixels.
    pub fn has_channels(&self, shape: Shape, batch: usize) -> bool {
        match self.inner.as_slice() {
            [first, channels, rest @ ..] => {
                (*first, *channels) == (batch, shape.channels)
                    && rest.iter().product::<usize>() == shape.pixels()
            }
            _ => false,
        }
    }

    /// The value, if the model sees it as it is.
    pub fn value(&self, shape: Shape, batch: usize) -> Option<ValueId> {
        (self.in_order() && self.is_image(shape, batch)).then_some(self.id)
    }

    /// The axis of the channels, as the model sees it, if there is one.
    pub fn channel_axis(&self, shape: Shape, batch: usize) -> Option<usize> {
        let channels = || self.order.iter().position(|at| *at == 1);
        self.has_channels(shape, batch).then(channels).flatten()
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.dims())?;
        match self.in_order() {
            true => Ok(()),
            false => write!(f, " with the axes {:?} of {:?}", self.order, self.inner),
        }
    }
}
