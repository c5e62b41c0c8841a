//! The tests: sessions as a user has them.

mod archive;
mod archive_kit;
mod build;
mod config;
mod layers;
mod lock;
mod program;
mod reproducible;
mod session;
mod verify;
