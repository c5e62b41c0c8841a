//! The learnt numbers of a network, packed for its kernels.

use super::record::LANES;

/// A list of vectors that grows.
#[derive(Debug, Default)]
pub(super) struct Constants {
    numbers: Vec<f32>,
}

impl Constants {
    /// Adds numbers, filled up to whole vectors with zeros; gives the first vector's position.
    pub(super) fn push(&mut self, numbers: &[f32]) -> u32 {
        let at = self.position();
        self.numbers.extend_from_slice(numbers);
        let filled = self.numbers.len().next_multiple_of(LANES);
        self.numbers.resize(filled, 0.0);
        at
    }

    /// The position of what is added next, in vectors.
    pub(super) fn position(&self) -> u32 {
        // A network's numbers are bounded by what a device can bind, which is checked before they are uploaded.
        (self.numbers.len() / LANES) as u32
    }

    /// Adds one number. Whole vectors are up to the caller.
    pub(super) fn push_one(&mut self, number: f32) {
        self.numbers.push(number);
    }

    pub(super) fn finish(self) -> Vec<f32> {
        self.numbers
    }
}
