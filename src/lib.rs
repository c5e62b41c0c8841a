//! Model bundles: declared, locked, built, verified.

pub mod archive;
pub mod atomic;
pub mod cli;
pub mod config;
pub mod created;
pub mod digest;
pub mod packed;
pub mod progress;
pub mod value;
pub mod yaml;
