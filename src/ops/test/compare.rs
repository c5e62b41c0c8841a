//! How near a result is to what was expected: `|found - expected| <= atol + rtol * |expected|`, a few mismatches allowed.

use serde::Serialize;

/// How near results must be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tolerance {
    /// Of the expected number.
    pub rtol: f64,
    /// In the units of the numbers.
    pub atol: f64,
    /// How many of a million elements may be further off.
    pub mismatch_ppm: f64,
}

impl Tolerance {
    /// A thousandth of the number, where the config says nothing.
    pub const RTOL: f64 = 1e-3;
    /// This share of the range of the expected numbers, where the config says nothing: near zero, where a share of the
    /// number itself is too strict.
    pub const RANGE_SHARE: f64 = 1e-4;
    /// This share of the range is allowed to results of float16, whatever the config says. Of the example's networks, the
    /// segmentation is furthest off, in single pixels by 3e-3.
    pub const HALF_SHARE: f64 = 5e-3;
}

/// A result, compared element by element.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    elements: u64,
    mismatches: u64,
    largest: Option<Largest>,
}

/// The element that is furthest off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Largest {
    /// The absolute difference; none where only one of the two is a number.
    pub error: Option<f64>,
    /// In words: `frame 0, row 17, column 40`.
    #[serde(rename = "where")]
    pub place: String,
    pub found: String,
    pub expected: String,
}

impl Comparison {
    /// Compares two numbers. Two that are no numbers are equal, and so are equal infinities.
    pub fn number(
        &mut self,
        found: f64,
        expected: f64,
        tolerance: &Tolerance,
        place: impl FnOnce() -> String,
    ) {
        self.elements += 1;
        if found == expected || (found.is_nan() && expected.is_nan()) {
            return;
        }
        let error = (found - expected).abs();
        let allowed = tolerance.atol + tolerance.rtol * expected.abs();
        // An infinite number would allow everything.
        let is_near = error <= allowed && expected.is_finite();
        self.mismatches += u64::from(!is_near);
        let error = error.is_finite().then_some(error);
        self.note(error, place, || (found.to_string(), expected.to_string()));
    }

    /// Compares two texts or labels, which are equal or are not.
    pub fn exact(&mut self, found: &str, expected: &str, place: impl FnOnce() -> String) {
        self.elements += 1;
        if found == expected {
            return;
        }
        self.mismatches += 1;
        self.note(None, place, || (found.to_owned(), expected.to_owned()));
    }

    /// Keeps the element that is furthest off; what has no distance is further off than what has.
    fn note(
        &mut self,
        error: Option<f64>,
        place: impl FnOnce() -> String,
        values: impl FnOnce() -> (String, String),
    ) {
        let is_further = match (&self.largest, error) {
            (None, _) => true,
            (Some(Largest { error: None, .. }), _) => false,
            (Some(_), None) => true,
            (
                Some(Largest {
                    error: Some(old), ..
                }),
                Some(new),
            ) => new > *old,
        };
        if is_further {
            let (found, expected) = values();
            let place = place();
            self.largest = Some(Largest {
                error,
                place,
                found,
                expected,
            });
        }
    }

    pub fn elements(&self) -> u64 {
        self.elements
    }

    pub fn mismatches(&self) -> u64 {
        self.mismatches
    }

    /// Whether no more elements are off than may be.
    pub fn passes(&self, tolerance: &Tolerance) -> bool {
        self.mismatches as f64 * 1e6 <= tolerance.mismatch_ppm * self.elements as f64
    }

    /// The element that is furthest off, if any is off at all.
    pub fn into_largest(self) -> Option<Largest> {
        self.largest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLERANCE: Tolerance = Tolerance {
        rtol: 1e-2,
        atol: 0.5,
        mismatch_ppm: 0.0,
    };

    fn compared(pairs: &[(f64, f64)]) -> Comparison {
        let mut comparison = Comparison::default();
        for (index, (found, expected)) in pairs.iter().enumerate() {
            comparison.number(*found, *expected, &TOLERANCE, || format!("at {index}"));
        }
        comparison
    }

    #[test]
    fn elements_may_be_off_by_both_tolerances_together() {
        let near = compared(&[(101.5, 100.0), (0.5, 0.0), (-98.5, -100.0)]);
        assert!(near.passes(&TOLERANCE));
        assert_eq!(near.into_largest().unwrap().place, "at 0");
        assert_eq!(compared(&[(101.51, 100.0)]).mismatches(), 1);
        // The share is of what is expected, not of what is found.
        assert_eq!(compared(&[(100.0, 98.505)]).mismatches(), 1);
    }

    #[test]
    fn what_is_no_number_matches_only_its_like() {
        let (nan, inf) = (f64::NAN, f64::INFINITY);
        assert_eq!(
            compared(&[(nan, nan), (inf, inf), (-inf, -inf)]).mismatches(),
            0
        );
        let odd = compared(&[
            (1.0, 50.0),
            (nan, 1.0),
            (1.0, nan),
            (1.0, inf),
            (inf, 1.0),
            (-inf, inf),
        ]);
        assert_eq!(odd.mismatches(), 6);
        let largest = odd.into_largest().unwrap();
        assert_eq!((largest.error, largest.place.as_str()), (None, "at 1"));
    }

    #[test]
    fn mismatches_are_counted_in_parts_per_million() {
        let mut comparison = Comparison::default();
        for index in 0..1000 {
            let found = if index < 2 { "clump" } else { "noise" };
            comparison.exact(found, "noise", || format!("line {index}"));
        }
        let allows = |mismatch_ppm| {
            comparison.passes(&Tolerance {
                mismatch_ppm,
                ..TOLERANCE
            })
        };
        assert!(allows(2000.0) && !allows(1999.0));
        let largest = comparison.clone().into_largest().unwrap();
        assert_eq!(
            (largest.place.as_str(), largest.found.as_str()),
            ("line 0", "clump")
        );
        // What expects nothing is met by nothing.
        assert!(Comparison::default().passes(&TOLERANCE));
    }
}
