//! The numbers of an image, as its file has them.

use std::fmt;

/// The type of an image's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PixelType {
    U8,
    U16,
    I16,
    F32,
}

impl fmt::Display for PixelType {
    /// NumPy's name: `uint16`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::F32 => "float32",
        })
    }
}

/// Numbers of one type, in row-major order.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Pixels {
    U8(Vec<u8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    F32(Vec<f32>),
}

impl Pixels {
    /// Their type.
    pub fn kind(&self) -> PixelType {
        match self {
            Self::U8(_) => PixelType::U8,
            Self::U16(_) => PixelType::U16,
            Self::I16(_) => PixelType::I16,
            Self::F32(_) => PixelType::F32,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(list) => list.len(),
            Self::U16(list) => list.len(),
            Self::I16(list) => list.len(),
            Self::F32(list) => list.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hands each of `range` to `take`, in order, as float32.
    pub fn each(&self, range: std::ops::Range<usize>, mut take: impl FnMut(f32)) {
        match self {
            Self::U8(list) => list[range].iter().for_each(|v| take(f32::from(*v))),
            Self::U16(list) => list[range].iter().for_each(|v| take(f32::from(*v))),
            Self::I16(list) => list[range].iter().for_each(|v| take(f32::from(*v))),
            Self::F32(list) => list[range].iter().for_each(|v| take(*v)),
        }
    }

    /// All of them as float32.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut all = Vec::with_capacity(self.len());
        self.each(0..self.len(), |value| all.push(value));
        all
    }
}
