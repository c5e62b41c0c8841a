//! The tests: sessions as a user has them.

mod archive;
mod archive_damage;
mod archive_foreign;
mod archive_kit;
mod archive_random;
mod config;
