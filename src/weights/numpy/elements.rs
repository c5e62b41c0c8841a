//! The elements of an array, or of one field of its records, decoded from their bytes.

use std::borrow::Cow;

use super::nodes::{Mismatch, Scalar, mismatch};
use super::{Array, Data, Dtype, Kind};

/// The largest array that is taken into memory, in bytes.
const LIMIT: u64 = 1 << 30;

/// Elements of one plain type, at equal distances in a run of bytes.
#[derive(Clone, Debug)]
pub struct Column<'a> {
    dtype: Dtype,
    bytes: Cow<'a, [u8]>,
    offset: u64,
    stride: u64,
    count: u64,
    /// The shape, if the first index runs fastest.
    fortran: Option<Vec<u64>>,
}

/// The values of a `classes_` attribute, in order.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Labels {
    Texts(Vec<String>),
    Ints(Vec<i64>),
    Bools(Vec<bool>),
    Floats(Vec<f64>),
}

impl Labels {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(list) => list.len(),
            Self::Ints(list) => list.len(),
            Self::Bools(list) => list.len(),
            Self::Floats(list) => list.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> Array<'a> {
    /// The elements in row-major order.
    ///
    /// # Errors
    /// Fails if they are records or objects, or cannot be read.
    pub fn column(&self) -> Result<Column<'a>, Mismatch> {
        if matches!(self.dtype.kind, Kind::Record(_)) {
            return Err(mismatch("an array of numbers or text", self.dtype.name()));
        }
        self.part(self.dtype.clone(), 0)
    }

    /// One field of an array of records. `None` if there is none of that name.
    ///
    /// # Errors
    /// Fails if it cannot be read.
    pub fn field(&self, name: &str) -> Result<Option<Column<'a>>, Mismatch> {
        let Kind::Record(fields) = &self.dtype.kind else {
            return Err(mismatch("an array of records", self.dtype.name()));
        };
        match fields.iter().find(|field| field.name == name) {
            Some(field) => self.part(field.dtype.clone(), field.offset).map(Some),
            None => Ok(None),
        }
    }

    fn part(&self, dtype: Dtype, offset: u64) -> Result<Column<'a>, Mismatch> {
        let bytes = match &self.data {
            Data::Bytes(bytes) => bytes.clone(),
            Data::Blob(blob) => Cow::Owned(blob.read(LIMIT).map_err(|error| {
                let expected = format!("an array of at most {LIMIT} bytes that can be read");
                mismatch(expected, format!("{} bytes ({error})", blob.size()))
            })?),
            Data::Objects(..) => {
                return Err(mismatch("an array of numbers or text", "one of objects"));
            }
        };
        Ok(Column {
            dtype,
            bytes,
            offset,
            stride: self.dtype.size,
            count: self.elements(),
            fortran: (self.fortran && self.shape.len() > 1).then(|| self.shape.clone()),
        })
    }

    /// Real numbers in row-major order.
    ///
    /// # Errors
    /// Fails if they are something else.
    pub fn floats(&self) -> Result<Vec<f64>, Mismatch> {
        self.column()?.floats()
    }

    /// Numbers without fractions in row-major order.
    ///
    /// # Errors
    /// Fails if they are something else.
    pub fn ints(&self) -> Result<Vec<i64>, Mismatch> {
        self.column()?.ints()
    }

    /// Texts in row-major order, be they numpy's or Python's.
    ///
    /// # Errors
    /// Fails if they are something else.
    pub fn texts(&self) -> Result<Vec<String>, Mismatch> {
        let Some((nodes, objects)) = self.objects() else {
            return self.column()?.texts();
        };
        let texts = objects.iter();
        texts
            .map(|object| nodes.text(*object).map(Cow::into_owned))
            .collect()
    }

    /// Labels of classes.
    ///
    /// # Errors
    /// Fails if they are of another type, or of several.
    pub fn labels(&self) -> Result<Labels, Mismatch> {
        let Some((nodes, objects)) = self.objects() else {
            let column = self.column()?;
            return match self.dtype.kind {
                Kind::Text => column.texts().map(Labels::Texts),
                Kind::Bool => column.bools().map(Labels::Bools),
                Kind::Int | Kind::UInt => column.ints().map(Labels::Ints),
                Kind::Float => column.floats().map(Labels::Floats),
                _ => Err(mismatch("texts, numbers or truths", self.dtype.name())),
            };
        };
        // An array of objects is what numpy makes of a pandas column.
        if let Ok(texts) = self.texts() {
            return Ok(Labels::Texts(texts));
        }
        let ints: Result<_, _> = objects.iter().map(|id| nodes.int(*id)).collect();
        if let Ok(ints) = ints {
            return Ok(Labels::Ints(ints));
        }
        let bools: Result<_, _> = objects.iter().map(|id| nodes.flag(*id)).collect();
        bools
            .map(Labels::Bools)
            .map_err(|_| mismatch("all labels to be texts, integers or truths", "others"))
    }
}

impl Scalar<'_> {
    /// The scalar as a column of one.
    pub fn column(&self) -> Column<'_> {
        Column {
            dtype: self.dtype.clone(),
            bytes: Cow::Borrowed(&self.bytes),
            offset: 0,
            stride: self.dtype.size,
            count: 1,
            fortran: None,
        }
    }
}

impl Column<'_> {
    /// The bytes of each element, in row-major order.
    fn each<T>(
        &self,
        mut decode: impl FnMut(&[u8]) -> Result<T, Mismatch>,
    ) -> Result<Vec<T>, Mismatch> {
        let size = self.dtype.size as usize;
        // What has no bytes could be claimed any number of times.
        let count = match self.stride {
            0 => return Err(mismatch("elements with bytes", self.dtype.name())),
            stride => self.count.min(self.bytes.len() as u64 / stride),
        };
        let mut all = Vec::with_capacity(count as usize);
        for index in 0..count {
            let index = match &self.fortran {
                Some(shape) => fortran_index(index, shape),
                None => index,
            };
            let start = (index * self.stride + self.offset) as usize;
            let bytes = self.bytes.get(start..start + size);
            all.push(decode(bytes.ok_or_else(|| {
                mismatch("bytes for every element", self.bytes.len())
            })?)?);
        }
        Ok(all)
    }

    /// Real numbers.
    pub fn floats(&self) -> Result<Vec<f64>, Mismatch> {
        let big = self.dtype.big_endian;
        match (&self.dtype.kind, self.dtype.size) {
            (Kind::Float, 2) => self.each(|b| Ok(half(u16::from_ne_bytes(native(b, big)?)))),
            (Kind::Float, 4) => self.each(|b| Ok(f64::from(f32::from_ne_bytes(native(b, big)?)))),
            (Kind::Float, 8) => self.each(|b| Ok(f64::from_ne_bytes(native(b, big)?))),
            (Kind::Int | Kind::UInt, _) => {
                Ok(self.ints()?.into_iter().map(|int| int as f64).collect())
            }
            _ => Err(mismatch("real numbers", self.dtype.name())),
        }
    }

    /// Numbers without fractions.
    pub fn ints(&self) -> Result<Vec<i64>, Mismatch> {
        let big = self.dtype.big_endian;
        match (&self.dtype.kind, self.dtype.size) {
            (Kind::Int, 1) => self.each(|b| Ok(i64::from(i8::from_ne_bytes(native(b, big)?)))),
            (Kind::Int, 2) => self.each(|b| Ok(i64::from(i16::from_ne_bytes(native(b, big)?)))),
            (Kind::Int, 4) => self.each(|b| Ok(i64::from(i32::from_ne_bytes(native(b, big)?)))),
            (Kind::Int, 8) => self.each(|b| Ok(i64::from_ne_bytes(native(b, big)?))),
            (Kind::UInt, 1) => self.each(|b| Ok(i64::from(u8::from_ne_bytes(native(b, big)?)))),
            (Kind::UInt, 2) => self.each(|b| Ok(i64::from(u16::from_ne_bytes(native(b, big)?)))),
            (Kind::UInt, 4) => self.each(|b| Ok(i64::from(u32::from_ne_bytes(native(b, big)?)))),
            (Kind::UInt, 8) => self.each(|b| {
                let number = u64::from_ne_bytes(native(b, big)?);
                i64::try_from(number).map_err(|_| mismatch("integers below 2^63", number))
            }),
            _ => Err(mismatch("integers", self.dtype.name())),
        }
    }

    /// Truths.
    pub fn bools(&self) -> Result<Vec<bool>, Mismatch> {
        match self.dtype.kind {
            Kind::Bool => self.each(|bytes| match bytes {
                [0] => Ok(false),
                [1] => Ok(true),
                _ => Err(mismatch("True or False as 1 or 0", format!("{bytes:?}"))),
            }),
            _ => Err(mismatch("truths", self.dtype.name())),
        }
    }

    /// Texts, without the zeros that pad them.
    pub fn texts(&self) -> Result<Vec<String>, Mismatch> {
        if self.dtype.kind != Kind::Text {
            return Err(mismatch("texts", self.dtype.name()));
        }
        self.each(|bytes| {
            let mut text = String::new();
            for bytes in bytes.chunks_exact(4) {
                let code = u32::from_ne_bytes(native(bytes, self.dtype.big_endian)?);
                let letter = char::from_u32(code);
                text.push(letter.ok_or_else(|| mismatch("Unicode characters", code))?);
            }
            text.truncate(text.trim_end_matches('\0').len());
            Ok(text)
        })
    }
}

/// Where the element at `index` in row-major order lies when the first index runs fastest.
fn fortran_index(mut index: u64, shape: &[u64]) -> u64 {
    let mut stride: u64 = shape.iter().product();
    let mut at = 0;
    for dim in shape.iter().rev() {
        stride /= dim;
        at += index % dim * stride;
        index /= dim;
    }
    at
}

/// The bytes of a number in this machine's order.
fn native<const N: usize>(bytes: &[u8], big_endian: bool) -> Result<[u8; N], Mismatch> {
    let mut array =
        <[u8; N]>::try_from(bytes).map_err(|_| mismatch(format!("{N} bytes"), bytes.len()))?;
    if big_endian != cfg!(target_endian = "big") {
        array.reverse();
    }
    Ok(array)
}

/// A half-precision number (IEEE 754 binary16).
fn half(bits: u16) -> f64 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let exponent = i32::from(bits >> 10 & 0x1f);
    let fraction = f64::from(bits & 0x3ff);
    sign * match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: Kind, size: u64, big_endian: bool, bytes: &[u8]) -> Column<'_> {
        Column {
            dtype: Dtype {
                kind,
                size,
                big_endian,
            },
            bytes: Cow::Borrowed(bytes),
            offset: 0,
            stride: size,
            count: bytes.len() as u64 / size,
            fortran: None,
        }
    }

    #[test]
    fn numbers_of_both_byte_orders_are_decoded() {
        let little = column(Kind::Int, 2, false, &[1, 0, 0xff, 0xff]);
        assert_eq!(little.ints().unwrap(), [1, -1]);
        let big = column(Kind::Int, 2, true, &[1, 0, 0xff, 0xfe]);
        assert_eq!(big.ints().unwrap(), [256, -2]);
        let big = column(Kind::Float, 4, true, &[0x3f, 0xc0, 0, 0]);
        assert_eq!(big.floats().unwrap(), [1.5]);
        let unsigned = column(Kind::UInt, 8, false, &[0xff; 8]);
        assert!(unsigned.ints().is_err());
        let bytes = [0, 0x3c, 0, 0xc0, 1, 0, 0, 0x7c, 0xff, 0x7b];
        let halves = column(Kind::Float, 2, false, &bytes).floats().unwrap();
        let wanted = [1.0, -2.0, 2_f64.powi(-24), f64::INFINITY, 65504.0];
        assert_eq!(halves, wanted);
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn texts_lose_their_padding_and_nothing_else() {
        let bytes = [0x61, 0, 0, 0, 0xe9, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            column(Kind::Text, 12, false, &bytes).texts().unwrap(),
            ["aé"]
        );
        let bad = column(Kind::Text, 4, false, &[0, 0xd8, 0, 0]);
        assert!(bad.texts().is_err());
        assert!(column(Kind::Bool, 1, false, &[2]).bools().is_err());
    }

    #[test]
    fn fortran_order_is_undone() {
        // numpy.arange(6).reshape(2, 3, order='C').tobytes('F')
        let mut column = column(Kind::UInt, 1, false, &[0, 3, 1, 4, 2, 5]);
        column.fortran = Some(vec![2, 3]);
        assert_eq!(column.ints().unwrap(), [0, 1, 2, 3, 4, 5]);
    }
}
