//! What is done to a frame's numbers before a network sees them, and undone after.
//!
//! Source: HiTMicTools' `ImageScaler`, which computes in float32 with PyTorch.

use rayon::prelude::*;

use super::Pixels;
use super::percentile::percentiles;

/// PyTorch's `torch.finfo(torch.float32).eps`, which HiTMicTools adds to a span that may be 0.
const EPS: f32 = f32::EPSILON;

/// How the numbers of a channel are scaled: HiTMicTools' `scale_method` with its `scaler_args`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScaleMethod {
    /// Not at all.
    None,
    /// From one percentile to another becomes 0 to 1 (`range01`).
    Range01(Percentiles),
    /// Mean 0, standard deviation 1 (`zscore`).
    ZScore,
    /// [`ScaleMethod::Range01`], then [`ScaleMethod::ZScore`] (`combined`).
    Combined(Percentiles),
    /// What a camera of so many bits can give becomes 0 to 1 (`fixed_range`). At most 32.
    FixedRange { bit_depth: u32 },
}

/// The percentiles between which an image's numbers lie, in percent: `0 <= pmin < pmax <= 100`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Percentiles {
    pub pmin: f64,
    pub pmax: f64,
    /// Whether what lies beyond is moved to 0 or 1.
    pub clip: bool,
}

impl Default for Percentiles {
    /// HiTMicTools' defaults.
    fn default() -> Self {
        Self {
            pmin: 1.0,
            pmax: 99.8,
            clip: true,
        }
    }
}

/// A scaling whose parameters are known: the numbers of one channel of one frame, in float32.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Scaling {
    /// Done first.
    pub range: Option<Range>,
    /// Done second.
    pub standard: Option<Standard>,
}

/// `(v - low) / (span + eps)`, clipped to 0..=1 if `clip`; back by `v * span + low`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Range {
    pub low: f32,
    pub span: f32,
    pub eps: f32,
    pub clip: bool,
}

/// `(v - mean) / (deviation + 1e-6)`; back by `v * deviation + mean`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct Standard {
    pub mean: f32,
    pub deviation: f32,
}

/// Numbers from which no scaling can be computed. HiTMicTools gives an image of NaN there.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ScaleError {
    /// Positions count from 0.
    #[error("row {row}, column {column} is {value}: expected a finite number")]
    NotFinite {
        row: usize,
        column: usize,
        value: f32,
    },
    /// Their spread is more than a float32 can be.
    #[error("the numbers lie too far apart for float32")]
    TooWide,
}

impl ScaleMethod {
    /// How a plane, `[height, width]`, is scaled: one channel of one frame.
    ///
    /// # Errors
    /// Fails if one of its numbers is not finite, whatever the method, or if they lie too far apart.
    pub fn of(&self, plane: &Pixels, width: usize) -> Result<Scaling, ScaleError> {
        check_finite(plane, width)?;
        let mut scaling = Scaling::default();
        match self {
            Self::None | Self::ZScore => {}
            Self::FixedRange { bit_depth } => {
                scaling.range = Some(Range {
                    low: 0.0,
                    span: (2_f64.powi((*bit_depth).min(32) as i32) - 1.0) as f32,
                    eps: 0.0,
                    clip: false,
                });
            }
            Self::Range01(limits) | Self::Combined(limits) => {
                let shares = [limits.pmin / 100.0, limits.pmax / 100.0];
                let [low, high] = percentiles(plane, width, shares);
                scaling.range = Some(Range {
                    low,
                    span: high - low,
                    eps: EPS,
                    clip: limits.clip,
                });
            }
        }
        if matches!(self, Self::ZScore | Self::Combined(_)) {
            scaling.standard = Some(standard(plane, width, &scaling));
        }
        scaling.finite()
    }
}

impl Scaling {
    /// What the network sees.
    pub fn forward(&self, value: f32) -> f32 {
        let mut value = value;
        if let Some(range) = &self.range {
            value = (value - range.low) / (range.span + range.eps);
            if range.clip {
                value = value.clamp(0.0, 1.0);
            }
        }
        if let Some(standard) = &self.standard {
            value = (value - standard.mean) / (standard.deviation + 1e-6);
        }
        value
    }

    /// What the network's result is in the frame's numbers.
    pub fn back(&self, value: f32) -> f32 {
        let mut value = value;
        if let Some(standard) = &self.standard {
            value = value * standard.deviation + standard.mean;
        }
        if let Some(range) = &self.range {
            value = value * range.span + range.low;
        }
        value
    }

    fn finite(self) -> Result<Self, ScaleError> {
        let range = self.range.is_none_or(|range| range.span.is_finite());
        let standard = self
            .standard
            .is_none_or(|x| x.mean.is_finite() && x.deviation.is_finite());
        if range && standard {
            Ok(self)
        } else {
            Err(ScaleError::TooWide)
        }
    }
}

/// Fails if one of a plane's numbers is NaN or infinite.
///
/// # Errors
/// Names the first one.
pub fn check_finite(plane: &Pixels, width: usize) -> Result<(), ScaleError> {
    let Pixels::F32(list) = plane else {
        return Ok(());
    };
    match list.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(index) => Err(ScaleError::NotFinite {
            row: index / width,
            column: index % width,
            value: list[index],
        }),
    }
}

/// The mean and the unbiased standard deviation of a plane's numbers, once `scaling` is done to them.
///
/// They are summed in float64, so that they hardly depend on the order; PyTorch's `mean` sums float32, which differs by
/// its rounding. The deviation of a single number, which PyTorch calls NaN, is 0.
fn standard(plane: &Pixels, width: usize, scaling: &Scaling) -> Standard {
    let count = plane.len();
    // Row by row, and the rows in their order: the same bits for any number of threads.
    let sum = |term: &(dyn Fn(f64) -> f64 + Sync)| -> f64 {
        let rows: Vec<f64> = (0..count / width)
            .into_par_iter()
            .map(|row| {
                let mut sum = 0.0;
                plane.each(row * width..(row + 1) * width, |value| {
                    sum += term(f64::from(scaling.forward(value)));
                });
                sum
            })
            .collect();
        rows.iter().sum()
    };
    let mean = sum(&|value| value) / count as f64;
    let squares = sum(&|value| (value - mean).powi(2));
    Standard {
        mean: mean as f32,
        deviation: (squares / (count.max(2) - 1) as f64).sqrt() as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHODS: [ScaleMethod; 5] = [
        ScaleMethod::None,
        ScaleMethod::Range01(Percentiles {
            pmin: 1.0,
            pmax: 99.8,
            clip: true,
        }),
        ScaleMethod::ZScore,
        ScaleMethod::Combined(Percentiles {
            pmin: 0.0,
            pmax: 100.0,
            clip: false,
        }),
        ScaleMethod::FixedRange { bit_depth: 12 },
    ];

    #[test]
    fn constant_images_and_single_pixels_are_scaled_to_numbers_and_back() {
        for method in METHODS {
            for (value, size) in [
                (4095.0, [3, 5]),
                (0.1, [7, 1]),
                (-2.5, [1, 1]),
                (0.0, [1, 9]),
            ] {
                let plane = Pixels::F32(vec![value; size[0] * size[1]].into());
                let scaling = method.of(&plane, size[1]).unwrap();
                let seen = scaling.forward(value);
                assert!(seen.is_finite(), "{method:?} of {value}: {seen}");
                let back = scaling.back(seen);
                assert!(
                    (back - value).abs() <= 1e-6 * value.abs(),
                    "{method:?}: {back}"
                );
            }
        }
    }

    #[test]
    fn a_number_that_is_not_finite_is_named_with_its_place() {
        for method in METHODS {
            let plane = Pixels::F32(vec![1.0, 1.0, 1.0, 1.0, f32::INFINITY, 1.0].into());
            let error = method.of(&plane, 3).unwrap_err();
            let expected = "row 1, column 1 is inf: expected a finite number";
            assert_eq!(error.to_string(), expected, "{method:?}");
        }
    }

    #[test]
    fn numbers_that_lie_too_far_apart_are_no_nan_later() {
        let far = Pixels::F32(vec![f32::MIN, f32::MIN, f32::MAX, f32::MAX].into());
        let found = METHODS[3].of(&far, 2);
        assert_eq!(found, Err(ScaleError::TooWide));
    }
}
