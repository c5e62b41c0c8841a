//! How far two tensors of one shape are apart.

use std::io::{self, Read};
use std::path::Path;

use super::numbers::{Number, decode};
use super::{DType, Tensor};
use crate::progress::{Progress, check_interrupt};

/// How far the elements of two tensors are apart, in double precision. Two NaNs are equal, and so are two infinities of
/// one sign.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Distance {
    /// The largest difference.
    pub max: f64,
    /// The mean of the differences.
    pub mean: f64,
    /// Elements that are NaN in one tensor only; they do not count in the other two.
    pub nan: u64,
}

/// Elements compared at a time.
const PIECE: u64 = 16 << 10;

/// Compares two tensors, which may have different dtypes; `None` if their shapes differ. `path` is only what `progress`
/// is told.
///
/// # Errors
/// Fails if they cannot be read, or the user asked to stop.
pub fn distance(
    a: &Tensor,
    b: &Tensor,
    path: &Path,
    progress: &dyn Progress,
) -> io::Result<Option<Distance>> {
    if a.shape != b.shape {
        return Ok(None);
    }
    let mut sides = [Side::new(a)?, Side::new(b)?];
    let (mut max, mut total, mut counted, mut nan) = (0.0_f64, 0.0, 0_u64, 0);
    let mut left = a.elements();
    while left > 0 {
        check_interrupt(progress)?;
        let count = left.min(PIECE);
        for side in &mut sides {
            progress.advance(path, side.read(count)?);
        }
        let [a, b] = &sides;
        // Summed piece by piece, so that small differences are not lost in a large sum.
        let mut sum = 0.0;
        for difference in a.values.iter().zip(&b.values).map(|(a, b)| apart(*a, *b)) {
            match difference {
                Some(difference) => {
                    max = max.max(difference);
                    sum += difference;
                    counted += 1;
                }
                None => nan += 1,
            }
        }
        total += sum;
        left -= count;
    }
    let mean = if counted == 0 {
        0.0
    } else {
        total / counted as f64
    };
    Ok(Some(Distance { max, mean, nan }))
}

/// How far two numbers are apart; `None` if one of them is no number.
fn apart(a: Number, b: Number) -> Option<f64> {
    fn part(a: f64, b: f64) -> f64 {
        if a == b || (a.is_nan() && b.is_nan()) {
            0.0
        } else {
            (a - b).abs()
        }
    }
    let difference = match (part(a.0, b.0), part(a.1, b.1)) {
        (real, 0.0) => real,
        (real, imaginary) => real.hypot(imaginary),
    };
    (!difference.is_nan()).then_some(difference)
}

/// One of the tensors: its elements as they come.
struct Side<'a> {
    dtype: DType,
    reader: super::TensorReader<'a>,
    bytes: Vec<u8>,
    values: Vec<Number>,
}

impl<'a> Side<'a> {
    fn new(tensor: &'a Tensor) -> io::Result<Self> {
        Ok(Self {
            dtype: tensor.dtype,
            reader: tensor.reader()?,
            bytes: Vec::new(),
            values: Vec::new(),
        })
    }

    /// Reads the next elements, and says how many bytes they have.
    fn read(&mut self, count: u64) -> io::Result<u64> {
        let size = count * self.dtype.size();
        self.bytes.resize(size as usize, 0);
        self.reader.read_exact(&mut self.bytes)?;
        self.values.clear();
        decode(self.dtype, &self.bytes, &mut self.values);
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_oddities_are_not_apart() {
        let inf = f64::INFINITY;
        assert_eq!(apart((f64::NAN, 0.0), (f64::NAN, 0.0)), Some(0.0));
        assert_eq!(apart((f64::NAN, 0.0), (1.0, 0.0)), None);
        assert_eq!(apart((inf, 0.0), (inf, 0.0)), Some(0.0));
        assert_eq!(apart((inf, 0.0), (-inf, 0.0)), Some(inf));
        assert_eq!(apart((3.0, 1.0), (0.0, 5.0)), Some(5.0));
    }
}
