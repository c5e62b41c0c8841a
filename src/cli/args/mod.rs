//! The command line: what it accepts and what `--help` says.

mod bundles;
mod cache;
mod models;
mod project;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use bundles::{Card, Diff, Show, Unpack, Verify};
pub use cache::{CacheArgs, CacheCommand};
pub use models::{Devices, OutputType, Run, Test};
pub use project::{Build, Check, Create, CreateMbundle, Init, Lock};

/// Build, verify, inspect and run bundles of microscopy models.
///
/// A config (`bundle.toml`, or HiTMicTools' YAML) says what a bundle is made of, `bundle.lock` pins every byte of
/// it, and the ZIP comes out the same on every machine. Alone in a project, `bundle` says what it sees and what is next.
#[derive(Debug, Parser)]
#[command(name = "bundle", version, max_term_width = 100, after_help = EXAMPLE)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub global: Global,
}

const EXAMPLE: &str = "\
Example:
  bundle init --from config_model_bundle.yml   # adopt HiTMicTools' YAML
  bundle build                                 # bundle.lock and model_collection_DATE.zip
  bundle verify model_collection_DATE.zip --lock bundle.lock

Exit status: 0 done; 1 the answer is no (stale, mismatch, damaged bundle); 2 the command could not run; 130 interrupted.";

/// What every command takes.
#[derive(Clone, Copy, Debug, Args)]
pub struct Global {
    /// Leave out what was done, warnings and progress: standard error has errors alone, standard output stays as it is
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: ColorWhen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a project: a commented bundle.toml, or one made from a YAML config or a ZIP
    Init(Init),
    /// Resolve the config into the lockfile
    Lock(Lock),
    /// Bring the lockfile and the ZIP up to date, and print the ZIP's path
    Build(Build),
    /// Build under exactly the name given (HiTMicTools' old script)
    Create(Create),
    /// Build DIR/model_collection_DATE.zip (HiTMicTools' old script)
    CreateMbundle(CreateMbundle),
    /// Prove that a ZIP is what its lock says, and nothing else
    Verify(Verify),
    /// Check the weights: safe to load, of the declared network, enough for an analysis
    Check(Check),
    /// Show what a ZIP or a lockfile holds
    Show(Show),
    /// Compare two ZIPs or lockfiles: models, arguments, tensors
    Diff(Diff),
    /// Write the page that describes a bundle, in Markdown, with pictures of its test vectors
    Card(Card),
    /// Extract a ZIP safely
    Unpack(Unpack),
    /// Run a model on images or tables
    Run(Run),
    /// Run every model on its stored test vector and compare
    Test(Test),
    /// Show what can run models here, tried out
    Devices(Devices),
    /// Look after the local cache
    Cache(CacheArgs),
    /// Print shell completions
    Completions(Completions),
    /// Write manual pages, one for each command
    Man(ManArgs),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  bundle completions bash > ~/.local/share/bash-completion/completions/bundle"
)]
pub struct Completions {
    /// The shell that will read them
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle man | man -l -                  # the page of the program
  bundle man ~/.local/share/man/man1     # all pages; then: man bundle-run")]
pub struct ManArgs {
    /// The folder to write all pages into; without it, the program's page goes to standard output
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
