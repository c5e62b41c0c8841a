//! The tests: sessions as a user has them.

mod archive;
mod archive_damage;
mod archive_kit;
mod config;
