//! Values on their way through a model: matrices of numbers, integers or texts.
//!
//! Numbers in single precision are kept in double, and rounded after every operation: for sums, products, quotients
//! and roots of single precision that gives the same bits as computing in it, since double has more than twice its digits.

use std::sync::Arc;

/// An array of one or two dimensions, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Value {
    pub shape: Vec<usize>,
    pub data: Data,
}

/// The elements of a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Reals(Precision, Vec<f64>),
    Ints(Vec<i64>),
    Texts(Vec<Arc<str>>),
}

/// The precision of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precision {
    Single,
    Double,
}

impl Precision {
    pub fn round(self, number: f64) -> f64 {
        match self {
            Self::Single => f64::from(number as f32),
            Self::Double => number,
        }
    }
}

impl Data {
    pub fn len(&self) -> usize {
        match self {
            Self::Reals(_, list) => list.len(),
            Self::Ints(list) => list.len(),
            Self::Texts(list) => list.len(),
        }
    }

    /// What the elements are, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Reals(Precision::Single, _) => "float32",
            Self::Reals(Precision::Double, _) => "float64",
            Self::Ints(_) => "integers",
            Self::Texts(_) => "strings",
        }
    }

    /// The elements at these places, which are within it.
    pub fn pick(&self, places: impl Iterator<Item = usize>) -> Self {
        fn picked<T: Clone>(list: &[T], places: impl Iterator<Item = usize>) -> Vec<T> {
            places
                .filter_map(|place| list.get(place).cloned())
                .collect()
        }
        match self {
            Self::Reals(precision, list) => Self::Reals(*precision, picked(list, places)),
            Self::Ints(list) => Self::Ints(picked(list, places)),
            Self::Texts(list) => Self::Texts(picked(list, places)),
        }
    }
}

impl Value {
    pub fn reals(shape: Vec<usize>, precision: Precision, numbers: Vec<f64>) -> Self {
        let data = Data::Reals(precision, numbers);
        Self { shape, data }
    }

    pub fn ints(shape: Vec<usize>, numbers: Vec<i64>) -> Self {
        let data = Data::Ints(numbers);
        Self { shape, data }
    }

    /// Rows and columns; one dimension is a single row, a lone number a row of one.
    pub fn matrix(&self) -> (usize, usize) {
        match *self.shape {
            [] => (1, 1),
            [columns] => (1, columns),
            [rows, columns] => (rows, columns),
            // No value has more dimensions.
            _ => (0, 0),
        }
    }
}
