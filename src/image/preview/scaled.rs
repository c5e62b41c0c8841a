//! A frame brought to the size and the grey levels in which it is shown.

/// How an image's pixels become a picture's: each shown as a square of pixels, or a square of them as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zoom {
    Enlarged(usize),
    Reduced(usize),
}

impl Zoom {
    /// Enlarged by a whole factor to about `target` pixels, or reduced by one to no more.
    pub fn to_fit(size: [usize; 2], target: usize) -> Self {
        let longest = size[0].max(size[1]).max(1);
        match longest > target {
            true => Self::Reduced(longest.div_ceil(target)),
            false => Self::Enlarged(target / longest),
        }
    }

    /// How long a side of so many pixels is in the picture.
    pub fn length(self, pixels: usize) -> usize {
        match self {
            Self::Enlarged(factor) => pixels * factor,
            Self::Reduced(factor) => pixels.div_ceil(factor),
        }
    }

    /// How many of the picture's pixels one of the image's is.
    pub fn factor(self) -> f64 {
        match self {
            Self::Enlarged(factor) => factor as f64,
            Self::Reduced(factor) => 1.0 / factor as f64,
        }
    }

    /// The image's pixels, along an axis of `length`, that the picture's pixel at `position` shows.
    fn source(self, position: usize, length: usize) -> std::ops::Range<usize> {
        match self {
            Self::Enlarged(factor) => position / factor..position / factor + 1,
            Self::Reduced(factor) => position * factor..((position + 1) * factor).min(length),
        }
    }

    /// What the picture's pixel in `row` and `column` shows of `values`: the mean of those that are numbers; NaN if
    /// none is.
    pub fn mean(self, values: &[f32], size: [usize; 2], row: usize, column: usize) -> f32 {
        let (mut sum, mut count) = (0.0f64, 0u32);
        for y in self.source(row, size[0]) {
            for x in self.source(column, size[1]) {
                let value = values[y * size[1] + x];
                if value.is_finite() {
                    sum += f64::from(value);
                    count += 1;
                }
            }
        }
        match count {
            0 => f32::NAN,
            count => (sum / f64::from(count)) as f32,
        }
    }

    /// The label that the picture's pixel shows: that of the middle of what it stands for.
    pub fn label(self, labels: &[u32], size: [usize; 2], row: usize, column: usize) -> u32 {
        let middle = |range: std::ops::Range<usize>| (range.start + range.end) / 2;
        let y = middle(self.source(row, size[0])).min(size[0] - 1);
        let x = middle(self.source(column, size[1])).min(size[1] - 1);
        labels[y * size[1] + x]
    }
}

/// The numbers that are shown black and white.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    pub black: f32,
    pub white: f32,
}

impl Stretch {
    /// From the 0.1st to the 99.9th percentile of the numbers, so that a few hot pixels do not darken the rest.
    pub fn of(values: &[f32]) -> Self {
        let mut numbers: Vec<f32> = values.iter().copied().filter(|v| v.is_finite()).collect();
        if numbers.is_empty() {
            return Self {
                black: 0.0,
                white: 1.0,
            };
        }
        let last = numbers.len() - 1;
        let mut rank = |share: f64| {
            let index = (last as f64 * share).round() as usize;
            *numbers.select_nth_unstable_by(index, f32::total_cmp).1
        };
        Self {
            black: rank(0.001),
            white: rank(0.999),
        }
    }

    /// The grey level of a number; `None` if it is not one.
    pub fn grey(self, value: f32) -> Option<u8> {
        if !value.is_finite() {
            return None;
        }
        let span = self.white - self.black;
        if span.is_nan() || span <= 0.0 {
            return Some(128);
        }
        Some((((value - self.black) / span).clamp(0.0, 1.0) * 255.0).round() as u8)
    }
}

impl std::fmt::Display for Stretch {
    /// `120 to 3400`, of four digits.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", digits(self.black), digits(self.white))
    }
}

/// A number with about four digits: `0.0123`, `1.5`, `30712`.
fn digits(value: f32) -> String {
    let size = f64::from(value.abs());
    if size != 0.0 && !(1e-4..1e7).contains(&size) {
        return format!("{value:.2e}");
    }
    let before = if size < 1.0 {
        0
    } else {
        size.log10() as usize + 1
    };
    let text = format!("{value:.*}", 4usize.saturating_sub(before));
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_enlarged_and_reduced_by_whole_factors() {
        assert_eq!(Zoom::to_fit([10, 16], 480), Zoom::Enlarged(30));
        assert_eq!(Zoom::to_fit([480, 3], 480), Zoom::Enlarged(1));
        assert_eq!(Zoom::to_fit([3, 481], 480), Zoom::Reduced(2));
        assert_eq!(Zoom::Reduced(3).length(7), 3);
        let values = [1.0, 2.0, 3.0, 4.0, f32::NAN, 6.0];
        let reduced = Zoom::Reduced(2);
        assert_eq!(reduced.mean(&values, [2, 3], 0, 0), 7.0 / 3.0);
        assert_eq!(reduced.mean(&values, [2, 3], 0, 1), 4.5);
        assert_eq!(Zoom::Enlarged(2).mean(&values, [2, 3], 1, 5), 3.0);
        assert_eq!(reduced.label(&[1, 2, 3, 4, 5, 6], [2, 3], 0, 0), 5);
        assert_eq!(reduced.label(&[1, 2, 3, 4, 5, 6], [2, 3], 0, 1), 6);
    }

    #[test]
    fn the_stretch_leaves_out_a_hot_pixel_and_what_is_no_number() {
        let mut values: Vec<f32> = (0..2000).map(|v| v as f32).collect();
        values[7] = 1e9;
        values[8] = f32::NAN;
        let stretch = Stretch::of(&values);
        assert_eq!(stretch.to_string(), "2 to 1998");
        assert_eq!(stretch.grey(1e9), Some(255));
        assert_eq!(stretch.grey(f32::NAN), None);
        assert_eq!(Stretch::of(&[3.0; 4]).grey(3.0), Some(128));
        assert_eq!(Stretch::of(&[f32::NAN]).grey(0.5), Some(128));
    }

    #[test]
    fn numbers_have_about_four_digits() {
        let texts = [0.0, 0.25, 0.012_345, 1.0, -31.4159, 30712.4, 2.5e9, 1e-7].map(digits);
        assert_eq!(
            texts,
            [
                "0", "0.25", "0.0123", "1", "-31.42", "30712", "2.50e9", "1.00e-7"
            ]
        );
    }
}
