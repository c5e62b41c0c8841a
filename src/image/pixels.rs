//! The numbers of an image, as its file has them.

use std::borrow::Cow;
use std::fmt;

/// The type of an image's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum PixelType {
    U8,
    U16,
    I16,
    U32,
    I32,
    F32,
}

impl PixelType {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
        }
    }
}

impl fmt::Display for PixelType {
    /// NumPy's name: `uint16`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::I16 => "int16",
            Self::U32 => "uint32",
            Self::I32 => "int32",
            Self::F32 => "float32",
        })
    }
}

/// Numbers of one type, in row-major order: their own, or lent by whoever holds the image.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Pixels<'a> {
    U8(Cow<'a, [u8]>),
    U16(Cow<'a, [u16]>),
    I16(Cow<'a, [i16]>),
    U32(Cow<'a, [u32]>),
    I32(Cow<'a, [i32]>),
    F32(Cow<'a, [f32]>),
}

/// A number that is no label: negative, broken, or too large; where it stands, and what it is.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "expected whole numbers from 0 to 4294967295 as labels, found {value} at position {position}"
)]
#[allow(missing_docs)]
pub struct NoLabel {
    pub position: usize,
    pub value: f64,
}

impl Pixels<'_> {
    /// Their type.
    pub fn kind(&self) -> PixelType {
        match self {
            Self::U8(_) => PixelType::U8,
            Self::U16(_) => PixelType::U16,
            Self::I16(_) => PixelType::I16,
            Self::U32(_) => PixelType::U32,
            Self::I32(_) => PixelType::I32,
            Self::F32(_) => PixelType::F32,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::U8(list) => list.len(),
            Self::U16(list) => list.len(),
            Self::I16(list) => list.len(),
            Self::U32(list) => list.len(),
            Self::I32(list) => list.len(),
            Self::F32(list) => list.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same with numbers of its own: lent ones are copied.
    pub fn into_owned(self) -> Pixels<'static> {
        match self {
            Self::U8(list) => Pixels::U8(list.into_owned().into()),
            Self::U16(list) => Pixels::U16(list.into_owned().into()),
            Self::I16(list) => Pixels::I16(list.into_owned().into()),
            Self::U32(list) => Pixels::U32(list.into_owned().into()),
            Self::I32(list) => Pixels::I32(list.into_owned().into()),
            Self::F32(list) => Pixels::F32(list.into_owned().into()),
        }
    }

    /// Hands each of `range` to `take`, in order, as float32.
    pub fn each(&self, range: std::ops::Range<usize>, mut take: impl FnMut(f32)) {
        match self {
            Self::U8(list) => list[range].iter().for_each(|v| take(f32::from(*v))),
            Self::U16(list) => list[range].iter().for_each(|v| take(f32::from(*v))),
            Self::I16(list) => list[range].iter().for_each(|v| take(f32::from(*v))),
            Self::U32(list) => list[range].iter().for_each(|v| take(*v as f32)),
            Self::I32(list) => list[range].iter().for_each(|v| take(*v as f32)),
            Self::F32(list) => list[range].iter().for_each(|v| take(*v)),
        }
    }

    /// All of them as float32. 32-bit integers beyond 2^24 are rounded to the nearest.
    pub fn to_f32(&self) -> Vec<f32> {
        let mut all = Vec::with_capacity(self.len());
        self.each(0..self.len(), |value| all.push(value));
        all
    }

    /// All of them as labels, exactly.
    ///
    /// # Errors
    /// Fails at the first that is negative, not whole, or beyond 32 bits.
    pub fn to_labels(&self) -> Result<Vec<u32>, NoLabel> {
        match self {
            Self::U8(list) => Ok(list.iter().map(|v| u32::from(*v)).collect()),
            Self::U16(list) => Ok(list.iter().map(|v| u32::from(*v)).collect()),
            Self::U32(list) => Ok(list.to_vec()),
            Self::I16(list) => labels(list, |v| u32::try_from(v).ok()),
            Self::I32(list) => labels(list, |v| u32::try_from(v).ok()),
            Self::F32(list) => labels(list, |v| {
                let label = v as u32;
                // 2^32 itself is clipped to the largest label, which is then taken for it.
                (label as f32 == v && v < 4_294_967_296.0).then_some(label)
            }),
        }
    }

    /// Float32 numbers as numbers of that type: rounded, halves to the even neighbour, clipped to what the type holds;
    /// what is no number becomes 0. Float32 stays as it is.
    pub fn rounded(kind: PixelType, values: &[f32]) -> Pixels<'static> {
        let whole = values.iter().map(|v| v.round_ties_even());
        // `as` clips, and makes 0 of NaN.
        match kind {
            PixelType::U8 => Pixels::U8(whole.map(|v| v as u8).collect()),
            PixelType::U16 => Pixels::U16(whole.map(|v| v as u16).collect()),
            PixelType::I16 => Pixels::I16(whole.map(|v| v as i16).collect()),
            PixelType::U32 => Pixels::U32(whole.map(|v| v as u32).collect()),
            PixelType::I32 => Pixels::I32(whole.map(|v| v as i32).collect()),
            PixelType::F32 => Pixels::F32(values.to_vec().into()),
        }
    }

    /// Appends their bytes to `out`, the lowest of each number first.
    pub(super) fn put_bytes(&self, out: &mut Vec<u8>) {
        out.reserve(self.len() * self.kind().size());
        match self {
            Self::U8(list) => out.extend_from_slice(list),
            Self::U16(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
            Self::I16(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
            Self::U32(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
            Self::I32(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
            Self::F32(list) => list.iter().for_each(|v| out.extend(v.to_le_bytes())),
        }
    }
}

fn labels<T: Copy + Into<f64>>(
    list: &[T],
    label: impl Fn(T) -> Option<u32>,
) -> Result<Vec<u32>, NoLabel> {
    let each = list.iter().enumerate().map(|(position, value)| {
        label(*value).ok_or_else(|| NoLabel {
            position,
            value: (*value).into(),
        })
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_rounded_to_even_and_clipped() {
        let values = [
            0.5,
            1.5,
            2.5,
            -0.5,
            -1.0,
            254.5,
            255.5,
            1e9,
            f32::NAN,
            f32::INFINITY,
            f32::NEG_INFINITY,
        ];
        let bytes = vec![0, 2, 2, 0, 0, 254, 255, 255, 0, 255, 0];
        assert_eq!(
            Pixels::rounded(PixelType::U8, &values),
            Pixels::U8(bytes.into())
        );
        let signed = vec![0, 2, 2, 0, -1, 254, 256, 32767, 0, 32767, -32768];
        assert_eq!(
            Pixels::rounded(PixelType::I16, &values),
            Pixels::I16(signed.into())
        );
        let Pixels::F32(same) = Pixels::rounded(PixelType::F32, &values) else {
            panic!("the type is another");
        };
        assert!(
            same.iter()
                .zip(&values)
                .all(|(a, b)| a.to_bits() == b.to_bits())
        );
    }

    #[test]
    fn labels_stay_exact_or_are_refused() {
        let large = Pixels::U32(vec![0, 16_777_217, u32::MAX].into());
        assert_eq!(large.to_labels().unwrap(), [0, 16_777_217, u32::MAX]);
        assert_eq!(
            Pixels::F32(vec![0.0, 3.0].into()).to_labels().unwrap(),
            [0, 3]
        );
        for (pixels, value) in [
            (Pixels::I16(vec![1, -1].into()), -1.0),
            (Pixels::I32(vec![1, i32::MIN].into()), f64::from(i32::MIN)),
            (Pixels::F32(vec![1.0, 0.5].into()), 0.5),
            (
                Pixels::F32(vec![1.0, 4_294_967_296.0].into()),
                4_294_967_296.0,
            ),
        ] {
            let refused = pixels.to_labels().unwrap_err();
            assert_eq!((refused.position, refused.value), (1, value));
        }
        assert!(Pixels::F32(vec![f32::NAN].into()).to_labels().is_err());
    }
}
