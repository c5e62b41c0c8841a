//! How many numbers may be made of a model's constants: what a hostile model costs is bounded by its size.

use super::call::Call;
use super::constant::{Constant, elements};
use super::error::{OnnxError, Result};
use crate::weights::onnx::{AttributeValue, Constant as Held, Model};
use crate::weights::tensor::Tensor;

/// What every model may use.
const LEAST: u64 = 1 << 22;

/// How many times as many numbers as the model holds may be made of them.
const TIMES: u64 = 6;

/// How many numbers may still be made.
#[derive(Debug)]
pub(super) struct Budget {
    most: u64,
    left: u64,
}

impl Budget {
    /// That of a model.
    pub fn of(model: &Model) -> Self {
        let held = model.graph.nodes.iter().flat_map(|node| &node.attributes);
        let held = held.map(|attribute| match &attribute.value {
            AttributeValue::Tensor(Held::Numbers(tensor)) => tensor.elements(),
            _ => 0,
        });
        let held = held.chain(model.graph.initialisers.iter().map(Tensor::elements));
        let held = held.fold(0, u64::saturating_add);
        let most = LEAST.saturating_add(held.saturating_mul(TIMES));
        Self { most, left: most }
    }

    /// Takes as many numbers as are about to be made; `None` is beyond counting.
    pub fn spend(&mut self, call: &Call<'_>, count: Option<usize>) -> Result<usize> {
        let left = count.and_then(|count| self.left.checked_sub(count as u64));
        match (count, left) {
            (Some(count), Some(left)) => {
                // Each node costs something, so that many small ones are bounded too.
                self.left = left.saturating_sub(1);
                Ok(count)
            }
            _ => Err(OnnxError::Large {
                node: call.called(),
                most: self.most,
            }),
        }
    }

    /// Reads a constant of the file, which holds all its numbers.
    pub fn load(&mut self, tensor: &Tensor) -> Result<Constant> {
        let unreadable = |source| OnnxError::Read {
            name: tensor.name.escape_debug().to_string(),
            source,
        };
        let side = |side: &u64| usize::try_from(*side).ok();
        let shape: Option<Vec<usize>> = tensor.shape.iter().map(side).collect();
        let shape = shape.filter(|shape| elements(shape).is_some());
        let (Some(shape), Some(left)) = (shape, self.left.checked_sub(tensor.elements())) else {
            let message = format!(
                "its shape is beyond any use, or constants are read again and again: more than {} numbers",
                self.most
            );
            return Err(unreadable(std::io::Error::other(message)));
        };
        self.left = left;
        Ok(match tensor.dtype.is_float() {
            true => {
                let numbers = tensor.numbers(|number| number as f32);
                Constant::floats(shape, numbers.map_err(unreadable)?)
            }
            false => {
                let numbers = tensor.numbers(|number| number as i64);
                Constant::ints(shape, numbers.map_err(unreadable)?)
            }
        })
    }
}
