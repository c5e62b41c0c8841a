//! The tests: sessions as a user has them.

mod archive;
mod config;
