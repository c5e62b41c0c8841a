//! Constants of any number of dimensions, in row-major order.

use std::sync::Arc;

use super::call::Call;
use super::error::{OnnxError, Result};

/// A tensor of numbers that do not depend on the image.
#[derive(Clone, Debug)]
pub(super) struct Constant {
    pub shape: Vec<usize>,
    pub numbers: Numbers,
}

/// Integers, booleans among them, or numbers with a fraction.
#[derive(Clone, Debug)]
pub(super) enum Numbers {
    Ints(Arc<[i64]>),
    Floats(Arc<[f32]>),
}

impl Constant {
    pub fn ints(shape: Vec<usize>, numbers: Vec<i64>) -> Self {
        let numbers = Numbers::Ints(numbers.into());
        Self { shape, numbers }
    }

    pub fn floats(shape: Vec<usize>, numbers: Vec<f32>) -> Self {
        let numbers = Numbers::Floats(numbers.into());
        Self { shape, numbers }
    }

    pub fn list(numbers: Vec<i64>) -> Self {
        Self::ints(vec![numbers.len()], numbers)
    }

    pub fn len(&self) -> usize {
        match &self.numbers {
            Numbers::Ints(numbers) => numbers.len(),
            Numbers::Floats(numbers) => numbers.len(),
        }
    }

    /// Its numbers with a fraction; integers are converted.
    pub fn to_floats(&self) -> Arc<[f32]> {
        match &self.numbers {
            Numbers::Ints(numbers) => numbers.iter().map(|number| *number as f32).collect(),
            Numbers::Floats(numbers) => numbers.clone(),
        }
    }

    /// Its numbers, if they are integers.
    pub fn integers(&self) -> Option<&[i64]> {
        match &self.numbers {
            Numbers::Ints(numbers) => Some(numbers),
            Numbers::Floats(_) => None,
        }
    }

    /// The number that all of its elements are.
    pub fn uniform(&self) -> Option<f32> {
        let same = |first: f32, mut rest: Box<dyn Iterator<Item = f32> + '_>| {
            rest.all(|other| other == first).then_some(first)
        };
        match &self.numbers {
            Numbers::Ints(numbers) => {
                let first = *numbers.first()? as f32;
                same(first, Box::new(numbers.iter().map(|number| *number as f32)))
            }
            Numbers::Floats(numbers) => same(*numbers.first()?, Box::new(numbers.iter().copied())),
        }
    }

    /// The same numbers in another shape, which has as many.
    pub fn reshaped(&self, shape: Vec<usize>) -> Self {
        Self {
            shape,
            numbers: self.numbers.clone(),
        }
    }

    /// The elements at these places, in another shape.
    pub fn gathered(&self, shape: Vec<usize>, places: &[usize]) -> Self {
        let numbers = match &self.numbers {
            Numbers::Ints(numbers) => Numbers::Ints(
                places
                    .iter()
                    .filter_map(|at| numbers.get(*at).copied())
                    .collect(),
            ),
            Numbers::Floats(numbers) => Numbers::Floats(
                places
                    .iter()
                    .filter_map(|at| numbers.get(*at).copied())
                    .collect(),
            ),
        };
        Self { shape, numbers }
    }
}

/// How many elements a shape has; `None` beyond any use, also where a side is 0 and others are large.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    let mut sides = shape.iter().map(|side| (*side).max(1));
    let product = sides.try_fold(1_usize, |all, side| all.checked_mul(side))?;
    match shape.contains(&0) {
        true => (product <= 1 << 20).then_some(0),
        false => (product <= 1 << 40).then_some(product),
    }
}

/// The axis that a possibly negative number names.
pub(super) fn axis(call: &Call<'_>, axis: i64, rank: usize) -> Result<usize> {
    let counted = match axis < 0 {
        true => axis.checked_add(rank as i64),
        false => Some(axis),
    };
    let found = counted.and_then(|axis| usize::try_from(axis).ok());
    found
        .filter(|axis| *axis < rank)
        .ok_or_else(|| -> OnnxError {
            let expected = format!("one of {rank} axes");
            call.form("axis", expected, axis.to_string())
        })
}

/// The shape of two that are broadcast against each other.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let side = |shape: &[usize], at: usize| match (at + shape.len()).checked_sub(rank) {
        Some(at) => shape.get(at).copied().unwrap_or(1),
        None => 1,
    };
    let both = (0..rank).map(|at| match (side(a, at), side(b, at)) {
        (a, b) if a == b => Some(a),
        (1, other) | (other, 1) => Some(other),
        _ => None,
    });
    both.collect()
}

/// For each element of `wide`, in order, the place of the element of `shape` that is broadcast to it.
pub(super) fn places(shape: &[usize], wide: &[usize]) -> Vec<usize> {
    let lead = wide.len().saturating_sub(shape.len());
    let mut strides = vec![0; wide.len()];
    let mut stride = 1;
    for (at, side) in shape.iter().enumerate().rev() {
        if let Some(place) = strides.get_mut(lead + at) {
            *place = if *side == 1 { 0 } else { stride };
        }
        stride *= side;
    }
    walk(wide, &strides)
}

/// The places of all elements of a shape, in row-major order, with these strides.
pub(super) fn walk(shape: &[usize], strides: &[usize]) -> Vec<usize> {
    if shape.contains(&0) {
        return Vec::new();
    }
    let mut all = vec![0];
    for (side, stride) in shape.iter().zip(strides) {
        let inner = |base: &usize| {
            let base = *base;
            (0..*side).map(move |at| base + at * stride)
        };
        all = all.iter().flat_map(inner).collect();
    }
    all
}

/// The strides of a shape in row-major order.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for at in (1..shape.len()).rev() {
        strides[at - 1] = strides[at] * shape[at];
    }
    strides
}
