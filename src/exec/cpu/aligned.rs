//! Numbers that begin at a cache line, so that vectors of 64 bytes never lie across two.

use std::collections::TryReserveError;
use std::ops::{Deref, DerefMut};

/// The bytes of a cache line, and of the longest vector.
const LINE: usize = 64;

/// A list of zeros, to be filled, whose first number begins at a cache line.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// So many zeros.
    pub(super) fn zeros(len: usize) -> Result<Self, TryReserveError> {
        let spare = LINE / size_of::<f32>();
        let mut data = Vec::new();
        data.try_reserve_exact(len.saturating_add(spare))?;
        data.resize(len + spare, 0.0);
        // Never more than `spare`, but the standard library does not promise it.
        let start = data.as_ptr().align_offset(LINE).min(spare);
        Ok(Self { data, start, len })
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}
