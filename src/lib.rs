//! Bundles of microscopy models: declared in a config, pinned by a lockfile, built to the byte, verified.
//!
//! # The map of the house
//!
//! Imports go down this list only; a test (`tests/suite/layers.rs`) guards it.
//!
//! | module | what it owns |
//! |---|---|
//! | [`cli`] | flags -> options -> one operation -> printing; the only place that prints, exits, or renders a report |
//! | [`ops`] | the operations, one straight-line function each: [`ops::build`], [`ops::verify`], ... |
//! | [`project`] | a project on disk: config, lock, and what the cache knows of its files |
//! | [`runner`] | a model of a bundle or a project, made ready to run, whatever it is for |
//! | [`subject`] | a bundle or a project, whichever a path turns out to be: its config, and the bytes of its models' files |
//! | [`resolve`] | config + files -> lock, and where the bytes of every entry come from |
//! | [`plan`] | what is up to date, what is not, and why: one pure decision that `build`, `--dry-run`, `--explain` and `lock --check` share |
//! | [`inspect`] | a ZIP or a lock, whichever a path turns out to be |
//! | [`adopt`] | other people's bundles, read as what they would have been locked as |
//! | [`lockfile`] | the lock: its types, its one text, its reading, what differs between two |
//! | [`packed`] | the small files that a build writes into the bundle: `config.yml`, metadata, tracker settings |
//! | [`fit`] | whether weights are safe to load, and of the network that config and metadata declare |
//! | [`facts`] | what must be known of a file of weights to lock and check it, kept under its content's digest |
//! | [`tasks`] | what models are for: images, label images or tables in, images or tables out |
//! | [`exec`] | what runs networks: the CPU, and GPUs with the kernels of `shaders/` |
//! | [`nn`] | the networks: their arguments, the tensors they have, what differs from those of a file; the ops they are made of |
//! | [`weights`] | what files of weights hold, read without running them; the audit of their pickles |
//! | [`config`] | TOML and YAML -> one spanned tree -> a checked [`config::Config`], all errors at once; the catalogue of model keys |
//! | [`image`] | stacks in and out of files; scaling, windows |
//! | [`archive`] | the ZIP: its canonical form, written and verified to the byte, and a strict reader of anyone's |
//! | [`cache`] | what earlier runs learnt of files: stamps, digests and facts |
//! | [`yaml`] | YAML as PyYAML reads it: which scalars it takes for what, and a writer that it gives back unchanged |
//! | [`value`], [`created`], [`atomic`], [`wording`], [`npy`] | plain values; the creation date; files that appear whole or not at all; which name was meant; headers of NPY files |
//! | [`blob`] | bytes that can be read at any position, of a file or in memory |
//! | [`digest`], [`progress`] | digests and hashing over all cores; what long work reports to |
//!
//! `bundle build` goes cli -> [`ops::build`] -> [`project`] (config, lock, cache) -> [`resolve`] ([`facts`], [`fit`]) -> [`plan`] -> [`archive`] -> cli.
//! `bundle verify` goes cli -> [`ops::verify`] -> [`lockfile`] -> [`archive`] -> cli.
//! `bundle run` goes cli -> [`ops::run`] -> [`runner`] ([`subject`], [`fit`], [`weights`]) -> [`tasks`] ([`image`], [`nn`], [`exec`]) -> cli.
//! `bundle check` goes cli -> [`ops::check`] -> [`facts`] ([`weights`] read anew) -> [`fit`] ([`nn`]) -> cli.

pub mod adopt;
pub mod archive;
pub mod atomic;
pub mod blob;
pub mod cache;
pub mod cli;
pub mod config;
pub mod created;
pub mod digest;
pub mod exec;
pub mod facts;
pub mod fit;
pub mod image;
pub mod inspect;
pub mod lockfile;
pub mod nn;
pub mod npy;
pub mod ops;
pub mod packed;
pub mod plan;
pub mod progress;
pub mod project;
pub mod resolve;
pub mod runner;
pub mod subject;
pub mod tasks;
pub mod value;
pub mod weights;
pub mod wording;
pub mod yaml;
