//! A state dict: tensors by name, read when they are asked for.

use std::collections::BTreeMap;

use super::BuildError;
use crate::weights::tensor::Tensor;

/// The tensors of a file of weights, one wrapper level taken off, by name.
#[derive(Clone, Debug)]
pub struct StateDict<'a>(BTreeMap<&'a str, &'a Tensor>);

impl<'a> StateDict<'a> {
    pub fn new(tensors: &'a [Tensor]) -> Self {
        let named = |tensor: &'a Tensor| (tensor.name.as_str(), tensor);
        Self(tensors.iter().map(named).collect())
    }

    pub(super) fn tensors(&self) -> impl Iterator<Item = &'a Tensor> {
        self.0.values().copied()
    }

    /// The numbers of a tensor, in row-major order, converted to single precision. That it is there, and how many they
    /// are, has been checked.
    pub(super) fn numbers(&self, name: &str) -> Result<Vec<f32>, BuildError> {
        let unreadable = |source| BuildError::Read {
            name: name.to_owned(),
            source,
        };
        let tensor = self.0.get(name).ok_or_else(|| {
            unreadable(std::io::Error::new(
                std::io::ErrorKind::NotFound,
                "there is no such tensor",
            ))
        })?;
        if !tensor.dtype.is_float() {
            return Err(BuildError::Unfit {
                what: format!("`{name}`"),
                expected: "floating-point numbers".to_owned(),
                found: tensor.dtype.to_string(),
            });
        }
        let single = |number: f64| number as f32;
        tensor.numbers(single).map_err(unreadable)
    }
}
