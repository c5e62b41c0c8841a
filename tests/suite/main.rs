//! The tests: sessions as a user has them.

mod archive;
mod archive_damage;
mod archive_foreign;
mod archive_kit;
mod archive_random;
mod build;
mod check;
mod config;
mod hitmictools;
mod hostile;
mod images;
mod layers;
mod lock;
mod model_args;
mod networks;
mod pickle_files;
mod pickle_hostile;
mod pickle_innocent;
mod pickle_kit;
mod pickles;
mod program;
mod readme;
mod reproducible;
mod session;
mod verify;
mod weights_differ;
