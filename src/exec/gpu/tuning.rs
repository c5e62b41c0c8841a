//! How kernels are cut for a kind of adapter: a table, since what fits one kind is far from the best of another.
//!
//! Nothing is tried out on a device: every row of the table is tested on every device, so that no result depends on which
//! is taken but in its last bits.

use super::device::AdapterKind;

/// The pixels and vectors of results of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) pixels: usize,
    pub(super) vectors: usize,
}

/// Dense convolutions whose inputs and weights a workgroup shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) block: Block,
    /// Blocks of results that a workgroup has at the most, and how many there must be for it to be worth it.
    pub(super) most_rows: usize,
    pub(super) fewest_rows: usize,
}

/// How kernels are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    /// The memory of a workgroup, in bytes.
    pub(super) workgroup_bytes: usize,
    /// Of dense convolutions whose threads share nothing.
    pub(super) registers: Block,
    /// Blocks of results, or vectors of channels, that a workgroup has at the most where its threads share nothing.
    pub(super) most_rows: usize,
    pub(super) tile: Option<Tile>,
    /// Up to so many vectors of channels the halves of NAFNet's block are a kernel each.
    pub(super) spread_vectors: usize,
    /// The pixels of a thread of the first half.
    pub(super) spread_pixels: usize,
    pub(super) mix_vectors: usize,
}

impl Block {
    pub(super) const SINGLE: Self = Self {
        pixels: 1,
        vectors: 1,
    };

    /// The same amount of numbers where each result is the product of two.
    pub(super) fn gated(self, gate: bool) -> Self {
        Self {
            vectors: if gate {
                (self.vectors / 2).max(1)
            } else {
                self.vectors
            },
            ..self
        }
    }

    /// No more vectors than there are results.
    pub(super) fn fitting(self, results: usize) -> Self {
        Self {
            vectors: self.vectors.min(results.next_power_of_two()),
            ..self
        }
    }
}

impl Tuning {
    /// That of a kind of adapter with so much memory for a workgroup, in bytes.
    pub(crate) fn of(kind: AdapterKind, workgroup_bytes: usize) -> Self {
        match kind {
            AdapterKind::Software => Self::software(workgroup_bytes),
            AdapterKind::Integrated => Self::shared(workgroup_bytes, 4),
            _ => Self::shared(workgroup_bytes, 8),
        }
    }

    /// Each load is made number by number, from memory that is all alike: nothing is gained by sharing. Larger blocks in
    /// registers take fewer loads, and longer to compile.
    fn software(workgroup_bytes: usize) -> Self {
        Self {
            workgroup_bytes,
            registers: Block {
                pixels: 8,
                vectors: 2,
            },
            most_rows: 4,
            tile: None,
            spread_vectors: 16,
            spread_pixels: 8,
            mix_vectors: usize::MAX,
        }
    }

    /// Graphics processors: what is read is shared. A workgroup computes 64 channels of 64 pixels, or of 32 where fewer
    /// threads share a processor's registers.
    fn shared(workgroup_bytes: usize, pixels: usize) -> Self {
        Self {
            workgroup_bytes,
            registers: Block {
                pixels: 4,
                vectors: 2,
            },
            most_rows: 4,
            tile: Some(Tile {
                block: Block { pixels, vectors: 2 },
                most_rows: 8,
                fewest_rows: 4,
            }),
            spread_vectors: 16,
            spread_pixels: 4,
            mix_vectors: usize::MAX,
        }
    }
}
