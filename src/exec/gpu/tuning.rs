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
    /// How many blocks of results a thread computes, one after another, if it norms what it reads.
    pub(super) normed_blocks: usize,
    /// Rows, and pixels of each, of a thread of depthwise convolutions.
    pub(super) depthwise: [usize; 2],
    /// Up to so many vectors of channels the first half of NAFNet's block is one kernel.
    pub(super) spread_vectors: usize,
    /// The pixels of one of its threads.
    pub(super) spread_pixels: usize,
    /// Up to so many the second half is: deeper in a network there are too few pixels to share out.
    pub(super) mix_vectors: usize,
    /// Its workgroups: the first that fits a workgroup's memory.
    pub(super) mix: &'static [MixForm],
    /// Whether threads exchange the weights that they read (`shaders/shared/exchange.wgsl`), and how many threads a
    /// workgroup has then at the most.
    pub(super) exchange: Option<usize>,
}

/// A workgroup of the second half of NAFNet's block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MixForm {
    /// Threads along x and y.
    pub(super) threads: [usize; 2],
    /// Of a thread.
    pub(super) pixels: usize,
}

const fn mix(slots: usize, rows: usize, pixels: usize) -> MixForm {
    MixForm {
        threads: [slots, rows],
        pixels,
    }
}

/// Fewer pixels would read the weights too often for what they compute.
const MIX: &[MixForm] = &[mix(16, 4, 4), mix(8, 8, 4), mix(4, 16, 4)];

/// Its threads exchange all weights, so that all pairs of vectors are theirs.
const EXCHANGING_MIX: &[MixForm] = &[mix(8, 1, 8), mix(8, 1, 4)];

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
    /// That of a kind of adapter with so much memory for a workgroup, in bytes. `exchanges`: whether its threads can
    /// exchange numbers as `shaders/shared/exchange.wgsl` has it.
    pub(crate) fn of(kind: AdapterKind, workgroup_bytes: usize, exchanges: bool) -> Self {
        match kind {
            AdapterKind::Software if exchanges => Self::exchanging(workgroup_bytes),
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
            normed_blocks: 1,
            depthwise: [1, 4],
            spread_vectors: 16,
            spread_pixels: 8,
            mix_vectors: 32,
            mix: MIX,
            exchange: None,
        }
    }

    /// The same with weights that are loaded once for the threads of a subgroup. For a block of 16 vectors those of 4 pixels
    /// and 4 vectors have the fewest loads: 4 of pixels, and 16 of weights for 8 threads.
    fn exchanging(workgroup_bytes: usize) -> Self {
        Self {
            registers: Block {
                pixels: 4,
                vectors: 4,
            },
            most_rows: 1,
            normed_blocks: 8,
            depthwise: [4, 4],
            mix: EXCHANGING_MIX,
            exchange: Some(8),
            ..Self::software(workgroup_bytes)
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
            normed_blocks: 1,
            depthwise: [1, 4],
            spread_vectors: 16,
            spread_pixels: 4,
            mix_vectors: 32,
            mix: MIX,
            exchange: None,
        }
    }
}
