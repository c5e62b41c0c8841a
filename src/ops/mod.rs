//! What the program does: one straight-line function each, from options to a report. They never print and never
//! call one another.

pub mod build;
pub mod cache;
pub mod card;
pub mod check;
pub mod devices;
pub mod diff;
pub mod init;
pub mod lock;
pub mod pin;
pub mod run;
pub mod show;
pub mod test;
pub mod unpack;
pub mod verify;
