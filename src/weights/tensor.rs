//! A tensor in a file: name, dtype, shape, and where its bytes are.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::Path;

pub(in crate::weights) use digest::combine;
pub use digest::{data_digest, tensor_digest};
pub use distance::{Distance, distance};
pub use reader::TensorReader;

mod digest;
mod distance;
mod numbers;
mod reader;
#[cfg(test)]
mod tests;

use crate::blob::Blob;
use crate::progress::{Progress, check_interrupt};

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum DType {
    F64,
    F32,
    F16,
    BF16,
    F8E4M3FN,
    F8E4M3FNUZ,
    F8E5M2,
    F8E5M2FNUZ,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
    C128,
    C64,
    C32,
}

impl DType {
    /// Bytes of one element.
    pub fn size(self) -> u64 {
        match self {
            Self::C128 => 16,
            Self::F64 | Self::I64 | Self::U64 | Self::C64 => 8,
            Self::F32 | Self::I32 | Self::U32 | Self::C32 => 4,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::F8E4M3FN
            | Self::F8E4M3FNUZ
            | Self::F8E5M2
            | Self::F8E5M2FNUZ
            | Self::I8
            | Self::U8
            | Self::Bool => 1,
        }
    }

    /// Bytes that change places between byte orders: those of a complex number's parts.
    pub fn swap_size(self) -> u64 {
        match self {
            Self::C128 | Self::C64 | Self::C32 => self.size() / 2,
            _ => self.size(),
        }
    }

    /// Whether elements are real numbers with a fraction.
    pub fn is_float(self) -> bool {
        match self {
            Self::F64
            | Self::F32
            | Self::F16
            | Self::BF16
            | Self::F8E4M3FN
            | Self::F8E4M3FNUZ
            | Self::F8E5M2
            | Self::F8E5M2FNUZ => true,
            Self::I64
            | Self::I32
            | Self::I16
            | Self::I8
            | Self::U64
            | Self::U32
            | Self::U16
            | Self::U8
            | Self::Bool
            | Self::C128
            | Self::C64
            | Self::C32 => false,
        }
    }

    /// PyTorch's name without `torch.`: `float32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F64 => "float64",
            Self::F32 => "float32",
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F8E4M3FN => "float8_e4m3fn",
            Self::F8E4M3FNUZ => "float8_e4m3fnuz",
            Self::F8E5M2 => "float8_e5m2",
            Self::F8E5M2FNUZ => "float8_e5m2fnuz",
            Self::I64 => "int64",
            Self::I32 => "int32",
            Self::I16 => "int16",
            Self::I8 => "int8",
            Self::U64 => "uint64",
            Self::U32 => "uint32",
            Self::U16 => "uint16",
            Self::U8 => "uint8",
            Self::Bool => "bool",
            Self::C128 => "complex128",
            Self::C64 => "complex64",
            Self::C32 => "complex32",
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A tensor in a file. Its reader has checked that every element lies within `storage`.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<u64>,
    /// The bytes that hold its elements, and perhaps those of other tensors.
    pub storage: Blob,
    /// Where in `storage` the first element is, in elements.
    pub offset: u64,
    /// Elements from one index to the next, for each dimension of `shape`.
    pub strides: Vec<u64>,
    pub big_endian: bool,
}

/// Bytes of a tensor that are streamed at a time.
const PIECE: usize = 256 << 10;

impl Tensor {
    /// The product of the shape: how many elements it has.
    pub fn elements(&self) -> u64 {
        if self.shape.contains(&0) {
            return 0;
        }
        self.shape
            .iter()
            .fold(1, |count: u64, size| count.saturating_mul(*size))
    }

    /// How many bytes its elements take, one after another.
    pub fn size(&self) -> u64 {
        self.elements().saturating_mul(self.dtype.size())
    }

    /// Says whether all elements lie within the storage; readers of files ask before they give a tensor away.
    ///
    /// # Errors
    /// Says in a sentence what does not fit.
    pub fn check(&self) -> Result<(), String> {
        if self.shape.len() != self.strides.len() {
            return Err(format!(
                "it has {} dimensions and {} strides",
                self.shape.len(),
                self.strides.len()
            ));
        }
        if self.shape.contains(&0) {
            return Ok(());
        }
        let item = self.dtype.size();
        let size = self
            .shape
            .iter()
            .try_fold(item, |size, count| size.checked_mul(*count));
        let last = || {
            let mut dimensions = self.shape.iter().zip(&self.strides);
            dimensions.try_fold(self.offset, |last, (count, stride)| {
                last.checked_add((count - 1).checked_mul(*stride)?)
            })
        };
        let end = size.and_then(|_| last()?.checked_add(1)?.checked_mul(item));
        match end {
            Some(end) if end <= self.storage.size() => Ok(()),
            Some(end) => Err(format!(
                "its elements reach up to byte {end} of a storage of {} bytes",
                self.storage.size()
            )),
            None => Err("its elements reach beyond what 64 bits count".to_owned()),
        }
    }

    /// Where its bytes are in the storage, if they lie there in row-major order without gaps.
    pub fn contiguous(&self) -> Option<Range<u64>> {
        self.check().ok()?;
        let size = self.size();
        if size == 0 {
            return Some(0..0);
        }
        let mut expected = 1_u64;
        for (count, stride) in self.shape.iter().zip(&self.strides).rev() {
            if *count != 1 && *stride != expected {
                return None;
            }
            expected = expected.saturating_mul(*count);
        }
        let start = self.offset.checked_mul(self.dtype.size())?;
        Some(start..start.checked_add(size)?)
    }

    /// Whether its bytes are as a little-endian machine would write them.
    pub fn little_endian(&self) -> bool {
        !self.big_endian || self.dtype.swap_size() == 1
    }

    /// Reads its elements in row-major order, as little-endian bytes.
    ///
    /// # Errors
    /// Fails if they do not all lie within the storage.
    pub fn reader(&self) -> io::Result<TensorReader<'_>> {
        TensorReader::new(self)
    }

    /// Hands its elements to `take`, in row-major order, as little-endian bytes, in pieces of whole elements.
    /// `path` is only what `progress` is told.
    ///
    /// # Errors
    /// Fails if they cannot be read, `take` fails, or the user asked to stop.
    pub fn stream(
        &self,
        path: &Path,
        progress: &dyn Progress,
        take: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut reader = self.reader()?;
        let mut left = self.size();
        let mut buffer = vec![0; usize::try_from(left).map_or(PIECE, |left| left.min(PIECE))];
        while left > 0 {
            check_interrupt(progress)?;
            let count = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            let piece = buffer.get_mut(..count).unwrap_or_default();
            io::Read::read_exact(&mut reader, piece)?;
            progress.advance(path, count as u64);
            take(piece)?;
            left -= count as u64;
        }
        Ok(())
    }
}

/// The strides of a tensor whose elements lie in row-major order without gaps.
pub fn contiguous_strides(shape: &[u64]) -> Vec<u64> {
    let mut strides = vec![1_u64; shape.len()];
    for index in (1..shape.len()).rev() {
        strides[index - 1] = strides[index].saturating_mul(shape[index].max(1));
    }
    strides
}
