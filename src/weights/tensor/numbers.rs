//! The numbers that a tensor's bytes stand for.

use std::io::{self, Read};

use super::{DType, Tensor};

/// A number that may be complex.
pub(super) type Number = (f64, f64);

/// Elements converted at a time.
const PIECE: u64 = 16 << 10;

impl Tensor {
    /// Its elements in row-major order, each converted from double precision (exact but for integers beyond 2^53); of
    /// complex numbers, the real part. Who asks has bounded [`Tensor::elements`]: that many are kept.
    ///
    /// # Errors
    /// Fails if they cannot be read.
    pub fn numbers<T>(&self, convert: impl Fn(f64) -> T) -> io::Result<Vec<T>> {
        let mut reader = self.reader()?;
        let (mut bytes, mut piece, mut all) = (Vec::new(), Vec::new(), Vec::new());
        let mut left = self.elements();
        while left > 0 {
            let count = left.min(PIECE);
            bytes.resize((count * self.dtype.size()) as usize, 0);
            reader.read_exact(&mut bytes)?;
            piece.clear();
            decode(self.dtype, &bytes, &mut piece);
            all.extend(piece.iter().map(|(real, _)| convert(*real)));
            left -= count;
        }
        Ok(all)
    }
}

/// The numbers that little-endian bytes stand for.
pub(super) fn decode(dtype: DType, bytes: &[u8], out: &mut Vec<Number>) {
    macro_rules! real {
        ($type:ty, $value:expr) => {{
            const SIZE: usize = size_of::<$type>();
            let (chunks, _) = bytes.as_chunks::<SIZE>();
            let value = $value;
            out.extend(
                chunks
                    .iter()
                    .map(|chunk| (value(<$type>::from_le_bytes(*chunk)), 0.0)),
            );
        }};
    }
    macro_rules! complex {
        ($type:ty, $value:expr) => {{
            const SIZE: usize = size_of::<$type>();
            let (chunks, _) = bytes.as_chunks::<SIZE>();
            let (pairs, _) = chunks.as_chunks::<2>();
            let value = $value;
            out.extend(pairs.iter().map(|[real, imaginary]| {
                let part = |chunk| value(<$type>::from_le_bytes(chunk));
                (part(*real), part(*imaginary))
            }));
        }};
    }
    match dtype {
        DType::F64 => real!(f64, |x| x),
        DType::F32 => real!(f32, f64::from),
        DType::F16 => real!(u16, |x| F16.value(x)),
        DType::BF16 => real!(u16, |x: u16| f64::from(f32::from_bits(u32::from(x) << 16))),
        DType::F8E4M3FN => real!(u8, |x: u8| E4M3FN.value(x.into())),
        DType::F8E4M3FNUZ => real!(u8, |x: u8| E4M3FNUZ.value(x.into())),
        DType::F8E5M2 => real!(u8, |x: u8| E5M2.value(x.into())),
        DType::F8E5M2FNUZ => real!(u8, |x: u8| E5M2FNUZ.value(x.into())),
        DType::I64 => real!(i64, |x| x as f64),
        DType::I32 => real!(i32, f64::from),
        DType::I16 => real!(i16, f64::from),
        DType::I8 => real!(i8, f64::from),
        DType::U64 => real!(u64, |x| x as f64),
        DType::U32 => real!(u32, f64::from),
        DType::U16 => real!(u16, f64::from),
        DType::U8 | DType::Bool => real!(u8, f64::from),
        DType::C128 => complex!(f64, |x| x),
        DType::C64 => complex!(f32, f64::from),
        DType::C32 => complex!(u16, |x| F16.value(x)),
    }
}

/// A floating-point format of at most 16 bits: IEEE 754's binary16, and the 8-bit ones of "FP8 Formats for Deep
/// Learning" (Micikevicius et al. 2022) and "8-bit Numerical Formats for Deep Neural Networks" (Noune et al. 2022).
struct Small {
    exponent: u32,
    mantissa: u32,
    bias: i32,
    special: Special,
}

/// Which patterns are no finite number.
#[derive(Clone, Copy, PartialEq)]
enum Special {
    /// The largest exponent: infinity with mantissa zero, else NaN.
    Ieee,
    /// `FN`: the largest exponent with the largest mantissa is NaN; there is no infinity.
    Finite,
    /// `FNUZ`: what would be negative zero is NaN; there is no infinity.
    UnsignedZero,
}

const F16: Small = small(5, 10, 15, Special::Ieee);
const E4M3FN: Small = small(4, 3, 7, Special::Finite);
const E4M3FNUZ: Small = small(4, 3, 8, Special::UnsignedZero);
const E5M2: Small = small(5, 2, 15, Special::Ieee);
const E5M2FNUZ: Small = small(5, 2, 16, Special::UnsignedZero);

const fn small(exponent: u32, mantissa: u32, bias: i32, special: Special) -> Small {
    Small {
        exponent,
        mantissa,
        bias,
        special,
    }
}

impl Small {
    fn value(&self, bits: u16) -> f64 {
        let bits = u32::from(bits);
        let highest = (1 << self.exponent) - 1;
        let mantissa = bits & ((1 << self.mantissa) - 1);
        let exponent = bits >> self.mantissa & highest;
        let negative = bits >> (self.mantissa + self.exponent) & 1 == 1;
        let full = mantissa == (1 << self.mantissa) - 1;
        let magnitude = match self.special {
            Special::Ieee if exponent == highest && mantissa == 0 => f64::INFINITY,
            Special::Ieee if exponent == highest => f64::NAN,
            Special::Finite if exponent == highest && full => f64::NAN,
            Special::UnsignedZero if negative && exponent == 0 && mantissa == 0 => f64::NAN,
            _ => {
                // Subnormal numbers have the exponent of the smallest normal ones, and no leading one.
                let leading = u32::from(exponent != 0) << self.mantissa;
                let power = exponent.max(1) as i32 - self.bias - self.mantissa as i32;
                f64::from(leading | mantissa) * power_of_two(power)
            }
        };
        if negative { -magnitude } else { magnitude }
    }
}

/// 2 to a power that a normal double has.
fn power_of_two(power: i32) -> f64 {
    f64::from_bits(((1023 + power) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::tensor::contiguous_strides;

    #[test]
    fn small_floats_have_the_values_of_their_papers() {
        let table = [
            (&F16, 0x3c00, 1.0),
            (&F16, 0x7bff, 65504.0),
            (&F16, 0x0001, 2.0_f64.powi(-24)),
            (&F16, 0xfc00, f64::NEG_INFINITY),
            (&E4M3FN, 0x7e, 448.0),
            (&E4M3FN, 0x01, 2.0_f64.powi(-9)),
            (&E4M3FN, 0x80, -0.0),
            (&E4M3FNUZ, 0x7f, 240.0),
            (&E4M3FNUZ, 0x01, 2.0_f64.powi(-10)),
            (&E5M2, 0x7b, 57344.0),
            (&E5M2, 0x7c, f64::INFINITY),
            (&E5M2, 0x01, 2.0_f64.powi(-16)),
            (&E5M2FNUZ, 0x7f, 57344.0),
            (&E5M2FNUZ, 0x01, 2.0_f64.powi(-17)),
        ];
        for (format, bits, value) in table {
            assert_eq!(format.value(bits), value, "{bits:#x}");
        }
        for (format, bits) in [
            (&F16, 0x7c01),
            (&E4M3FN, 0xff),
            (&E4M3FNUZ, 0x80),
            (&E5M2, 0x7d),
            (&E5M2FNUZ, 0x80),
        ] {
            assert!(format.value(bits).is_nan(), "{bits:#x}");
        }
    }

    #[test]
    fn numbers_are_converted_in_row_major_order() {
        let shape = [200, 300];
        let bytes = (0..60_000_u16)
            .flat_map(u16::to_be_bytes)
            .collect::<Vec<u8>>();
        let tensor = Tensor {
            name: "t".to_owned(),
            dtype: DType::U16,
            shape: vec![300, 200],
            strides: contiguous_strides(&shape).into_iter().rev().collect(),
            storage: bytes.into(),
            offset: 0,
            big_endian: true,
        };
        let numbers = tensor.numbers(|number| number as f32).unwrap();
        assert_eq!(numbers.len(), 60_000);
        assert_eq!(numbers[..3], [0.0, 300.0, 600.0]);
        assert_eq!(numbers[200], 1.0);
    }
}
