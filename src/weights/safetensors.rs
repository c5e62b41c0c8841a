use super::{WeightsError, tensor::Tensor};
use crate::blob::Blob;
pub fn looks_like(_: &[u8], _: u64) -> bool {
    false
}
pub fn read(_: &Blob) -> Result<Vec<Tensor>, WeightsError> {
    Ok(Vec::new())
}
