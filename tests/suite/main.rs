//! The tests: sessions as a user has them.

mod archive;
mod archive_damage;
mod archive_foreign;
mod archive_kit;
<<<<<<< HEAD
mod build;
=======
mod archive_random;
>>>>>>> archive
mod config;
mod layers;
mod lock;
mod program;
mod reproducible;
mod session;
mod verify;
