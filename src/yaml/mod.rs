//! YAML as PyYAML reads it: which type a plain scalar has there, and a writer whose output it reads back unchanged.

mod resolve;
mod write;

pub use resolve::{Ambiguity, Plain, ambiguity, core_schema, pyyaml};
pub use write::{float, scalar, to_string};
