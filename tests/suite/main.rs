//! The tests: sessions as a user has them.

mod archive;
mod archive_damage;
mod archive_foreign;
mod archive_kit;
mod archive_random;
mod build;
mod config;
mod hitmictools;
mod hostile;
mod layers;
mod lock;
mod program;
mod readme;
mod reproducible;
mod session;
mod verify;
