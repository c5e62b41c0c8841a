//! Files that `joblib.load` and `pickle.load` open: one pickle, perhaps compressed, perhaps with raw arrays inside.

mod compression;

pub use compression::{Compression, unpack};
