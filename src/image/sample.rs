//! The number types that files of images have, and how they become [`Pixels`].

use std::borrow::Cow;

use half::f16;

use super::pixels::{PixelType, Pixels};

/// The type of a number in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
}

impl Sample {
    /// Bytes of one.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
        }
    }

    /// What it becomes: the next type that holds its values. 64-bit integers must fit into 32 bits, since they are labels;
    /// float64 is rounded to float32.
    pub fn kind(self) -> PixelType {
        match self {
            Self::Bool | Self::U8 => PixelType::U8,
            Self::U16 => PixelType::U16,
            Self::I8 | Self::I16 => PixelType::I16,
            Self::U32 | Self::U64 => PixelType::U32,
            Self::I32 | Self::I64 => PixelType::I32,
            Self::F16 | Self::F32 | Self::F64 => PixelType::F32,
        }
    }

    /// The numbers in `bytes`, each with its lowest byte first.
    ///
    /// # Errors
    /// The first number that does not fit into 32 bits.
    pub fn pixels(self, bytes: &[u8]) -> Result<Pixels<'static>, String> {
        Ok(match self {
            Self::Bool => Pixels::U8(bytes.iter().map(|v| u8::from(*v != 0)).collect()),
            Self::U8 => Pixels::U8(bytes.to_vec().into()),
            Self::I8 => Pixels::I16(bytes.iter().map(|v| i16::from(*v as i8)).collect()),
            Self::U16 => Pixels::U16(each(bytes, u16::from_le_bytes)),
            Self::I16 => Pixels::I16(each(bytes, i16::from_le_bytes)),
            Self::U32 => Pixels::U32(each(bytes, u32::from_le_bytes)),
            Self::I32 => Pixels::I32(each(bytes, i32::from_le_bytes)),
            Self::U64 => Pixels::U32(narrowed(bytes, u64::from_le_bytes)?),
            Self::I64 => Pixels::I32(narrowed(bytes, i64::from_le_bytes)?),
            Self::F16 => Pixels::F32(each(bytes, |v| f16::from_le_bytes(v).to_f32())),
            Self::F32 => Pixels::F32(each(bytes, f32::from_le_bytes)),
            Self::F64 => Pixels::F32(each(bytes, |v| f64::from_le_bytes(v) as f32)),
        })
    }
}

fn each<const N: usize, T: Clone>(
    bytes: &[u8],
    number: impl Fn([u8; N]) -> T,
) -> Cow<'static, [T]> {
    let (whole, _) = bytes.as_chunks::<N>();
    whole.iter().map(|bytes| number(*bytes)).collect()
}

fn narrowed<T: Copy + TryInto<U> + std::fmt::Display, U: Clone>(
    bytes: &[u8],
    number: impl Fn([u8; 8]) -> T,
) -> Result<Cow<'static, [U]>, String> {
    let (whole, _) = bytes.as_chunks::<8>();
    let narrow = |bytes: &[u8; 8]| {
        let value = number(*bytes);
        value.try_into().map_err(|_| value.to_string())
    };
    whole.iter().map(narrow).collect()
}

/// Turns the bytes of each number of `size` bytes around.
pub(super) fn swap(bytes: &mut [u8], size: usize) {
    if size > 1 {
        bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_beyond_32_bits_are_refused() {
        let bytes = [7i64.to_le_bytes(), (1i64 << 31).to_le_bytes()].concat();
        assert_eq!(Sample::I64.pixels(&bytes), Err("2147483648".to_owned()));
        assert_eq!(
            Sample::U64.pixels(&bytes),
            Ok(Pixels::U32(vec![7, 1 << 31].into()))
        );
        assert_eq!(Sample::I8.pixels(&[255]), Ok(Pixels::I16(vec![-1].into())));
    }
}
