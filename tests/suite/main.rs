//! The tests: sessions as a user has them.

mod archive;
mod archive_damage;
mod archive_foreign;
mod archive_kit;
mod archive_random;
mod build;
mod config;
mod hitmictools;
mod layers;
mod lock;
mod pickle_hostile;
mod pickle_innocent;
mod pickle_kit;
mod pickles;
mod program;
mod readme;
mod reproducible;
mod session;
mod verify;
