//! A tensor in a file: name, dtype, shape, and where its bytes are.

use std::fmt;

use crate::blob::Blob;

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

impl Tensor {
    /// The product of the shape: how many elements it has.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

/// The strides of a tensor whose elements lie in row-major order without gaps.
pub fn contiguous_strides(shape: &[u64]) -> Vec<u64> {
    let mut strides = vec![1; shape.len()];
    for index in (1..shape.len()).rev() {
        strides[index - 1] = strides[index] * shape[index].max(1);
    }
    strides
}
