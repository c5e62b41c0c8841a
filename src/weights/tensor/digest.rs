//! The tensor digest: what identifies a set of tensors, however the file that holds them is laid out.
//!
//! `docs/format.md` defines it; it never changes.

use std::io;
use std::path::Path;

use rayon::prelude::*;

use super::Tensor;
use crate::digest::Digest;
use crate::progress::Progress;

/// The digest of a set of tensors: their names, dtypes, shapes and elements. `path` is only what `progress` is told.
///
/// # Errors
/// Fails if the tensors cannot be read, or the user asked to stop.
pub fn tensor_digest(
    tensors: &[Tensor],
    path: &Path,
    progress: &dyn Progress,
) -> io::Result<Digest> {
    let data: Vec<Digest> = tensors
        .par_iter()
        .map(|tensor| data_digest(tensor, path, progress))
        .collect::<io::Result<_>>()?;
    Ok(combine(tensors, &data))
}

/// The digest of one tensor's elements: of their little-endian bytes in row-major order.
///
/// # Errors
/// Fails if they cannot be read, or the user asked to stop.
pub fn data_digest(tensor: &Tensor, path: &Path, progress: &dyn Progress) -> io::Result<Digest> {
    if let Some(range) = tensor.contiguous().filter(|_| tensor.little_endian()) {
        let bytes = tensor.storage.slice(range);
        let bytes = bytes.ok_or(io::ErrorKind::UnexpectedEof)?;
        return bytes.digest(path, progress);
    }
    let mut hasher = blake3::Hasher::new();
    tensor.stream(path, progress, &mut |piece| {
        hasher.update(piece);
        Ok(())
    })?;
    Ok(Digest::finish(&hasher))
}

/// The digest of tensors of which the elements' digests are known.
pub(in crate::weights) fn combine(tensors: &[Tensor], data: &[Digest]) -> Digest {
    let mut sorted: Vec<(&Tensor, &Digest)> = tensors.iter().zip(data).collect();
    sorted.sort_by(|(a, _), (b, _)| a.name.as_bytes().cmp(b.name.as_bytes()));
    let mut hasher = blake3::Hasher::new();
    let text = |hasher: &mut blake3::Hasher, text: &str| {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for (tensor, data) in sorted {
        text(&mut hasher, &tensor.name);
        text(&mut hasher, tensor.dtype.name());
        hasher.update(&(tensor.shape.len() as u64).to_le_bytes());
        for size in &tensor.shape {
            hasher.update(&size.to_le_bytes());
        }
        hasher.update(data.as_bytes());
    }
    Digest::finish(&hasher)
}
