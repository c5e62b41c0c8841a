//! The parts of MONAI that networks are made of: layers by name, and blocks of them.

mod activation;
mod blocks;
mod norm;
mod style;

pub use activation::Activation;
pub(super) use blocks::{BATCHES, Place};
pub use blocks::{Block, Convolution, ResidualUnit, Step};
pub use norm::Norm;
pub use style::{Dropout, Letter, Ordering, Style};

use super::arguments::{Errors, Table};

/// The most channels a layer may have: far beyond any network, and small enough that sizes cannot overflow.
pub(super) const MAX_CHANNELS: u64 = 1 << 20;

/// Whether a layer overwrites its input: read, and without any effect on results.
fn inplace(table: &mut Table<'_>, errors: &mut Errors) -> Option<bool> {
    table.read("inplace", false, |x| x.bool(errors))
}
