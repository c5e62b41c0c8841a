//! The commands that prove, show and open bundles.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::digest::Sha256;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle verify model_collection.zip --lock bundle.lock
  bundle verify model_collection.zip --sha256 $(cut -c1-64 model_collection.zip.sha256)
  bundle verify model_collection.zip    # against the lock inside it: self-consistent, origin unproven")]
pub struct Verify {
    /// The ZIP
    pub bundle: PathBuf,
    /// The lock that it must be what it says
    #[arg(long, value_name = "LOCK")]
    pub lock: Option<PathBuf>,
    /// The SHA-256 digest that the file must have
    #[arg(long, value_name = "HEX", value_parser = parse_sha256)]
    pub sha256: Option<Sha256>,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

fn parse_sha256(text: &str) -> Result<Sha256, String> {
    text.to_ascii_lowercase()
        .parse()
        .map_err(|error: crate::digest::ParseDigestError| error.to_string())
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle diff old.zip new.zip      # which tensors changed, and by how much
  bundle diff bundle.lock new.zip
The exit status is 0 if both hold the same, 1 if they differ.")]
pub struct Diff {
    /// A ZIP or a lockfile
    #[arg(value_name = "A")]
    pub old: PathBuf,
    /// The ZIP or lockfile to compare it with
    #[arg(value_name = "B")]
    pub new: PathBuf,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle show model_collection.zip
  bundle show model_collection.zip --model bf_focus --tensors
  bundle show bundle.lock --json")]
pub struct Show {
    /// A ZIP or a lockfile
    #[arg(value_name = "BUNDLE.zip|LOCK")]
    pub path: PathBuf,
    /// Show this model alone
    #[arg(long, value_name = "KEY")]
    pub model: Option<String>,
    /// List the tensors of a ZIP's models: name, type, shape
    #[arg(long)]
    pub tensors: bool,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle unpack model_collection.zip -d rods
  bundle unpack model_collection.zip -d rods --model bf_focus --model tracker")]
pub struct Unpack {
    /// The ZIP
    pub bundle: PathBuf,
    /// The folder to extract into; it is made if it is not there
    #[arg(short, long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Extract only this model's files (again for more; `tracker` for its settings)
    #[arg(long, value_name = "KEY", action = ArgAction::Append)]
    pub model: Vec<String>,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle card rods.zip                      # to standard output, without pictures
  bundle card rods.zip -o CARD.md           # and CARD.bf_focus.png, ... beside it
  bundle test rods.zip --json > tested.json && bundle card rods.zip --tested tested.json -o CARD.md")]
pub struct Card {
    /// The ZIP
    pub bundle: PathBuf,
    /// The page to write, with pictures beside it; an earlier page is replaced
    #[arg(short, long, value_name = "CARD.md")]
    pub output: Option<PathBuf>,
    /// What `bundle test --json` printed of this bundle, to be shown on the page
    #[arg(long, value_name = "TESTED.json")]
    pub tested: Option<PathBuf>,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}
