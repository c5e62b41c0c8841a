//! The commands that make and check a project.

use std::path::PathBuf;

use clap::{ArgAction, Args};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle init                                   # a commented bundle.toml to fill in
  bundle init --from config_model_bundle.yml    # the same bundle as HiTMicTools' YAML
  bundle init --from model_collection.zip -d rods   # unpack a ZIP into sources and a config")]
pub struct Init {
    /// A HiTMicTools YAML config, or a ZIP, to adopt
    #[arg(long, value_name = "CONFIG.yml|BUNDLE.zip")]
    pub from: Option<PathBuf>,
    /// The folder to start the project in; a config is always adopted beside itself
    #[arg(short, long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ConfigArg {
    /// The config; by default bundle.toml, bundle.yml or config_model_bundle.yml (or .yaml), here or above
    #[arg(value_name = "CONFIG", conflicts_with = "config")]
    pub named: Option<PathBuf>,
    /// The same, as `hitmictools bundle` takes it
    #[arg(
        short,
        long,
        short_alias = 'i',
        visible_alias = "input",
        value_name = "CONFIG"
    )]
    pub config: Option<PathBuf>,
}

impl ConfigArg {
    /// The config that was named, either way.
    pub fn named(self) -> Option<PathBuf> {
        self.named.or(self.config)
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle lock
  bundle lock --check            # for CI: exit status 1 and a list of changes if the lock is stale
  bundle lock --from OLD.zip     # pin a ZIP that others made in OLD.lock")]
pub struct Lock {
    #[command(flatten)]
    pub config: ConfigArg,
    /// Write nothing; fail if the lock is stale
    #[arg(long)]
    pub check: bool,
    /// Lock weights that do not fit their declared network; the pickle audit is not skipped
    #[arg(long)]
    pub no_check: bool,
    /// Pin a ZIP that others made, in a lock beside it
    #[arg(long, value_name = "OLD.zip", conflicts_with_all = ["named", "config", "check", "no_check"])]
    pub from: Option<PathBuf>,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle build
  bundle build -i config.yml -o my.zip                 # my_20251218.zip, as `hitmictools bundle`
  bundle build -i config.yml -o my.zip --no-auto-date  # my.zip
  bundle build --locked                                # for CI: refuse a stale lock
  bundle build --dry-run --explain                     # what would be done, and why")]
pub struct Build {
    #[command(flatten)]
    pub config: ConfigArg,
    /// The ZIP to write; the lock's date is put into its name
    #[arg(short, long, value_name = "OUT.zip")]
    pub output: Option<PathBuf>,
    /// Refuse a lock that is not up to date, and write none
    #[arg(long)]
    pub locked: bool,
    /// Leave the date out of the ZIP's name
    #[arg(long)]
    pub no_auto_date: bool,
    /// Say for each file why it was or was not done again
    #[arg(long)]
    pub explain: bool,
    /// Write nothing; say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Replace an output that is no bundle
    #[arg(long)]
    pub force: bool,
    /// Pack weights that do not fit their declared network; the pickle audit is not skipped
    #[arg(long)]
    pub no_check: bool,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  bundle create -i config_model_bundle.yml -o model_collection_scsegm.zip"
)]
pub struct Create {
    /// The config
    #[arg(
        short = 'i',
        long = "input",
        visible_alias = "config",
        value_name = "CONFIG"
    )]
    pub config: PathBuf,
    /// The ZIP to write, under exactly this name
    #[arg(short, long, value_name = "OUT.zip")]
    pub output: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  bundle create-mbundle -i config_model_bundle.yml -d release")]
pub struct CreateMbundle {
    /// The config
    #[arg(
        short = 'i',
        long = "input",
        visible_alias = "config",
        value_name = "CONFIG"
    )]
    pub config: PathBuf,
    /// The folder of the ZIP
    #[arg(short, long, value_name = "DIR")]
    pub dir: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle check                                       # the project here: its config and weights
  bundle check model_collection.zip                  # a bundle that was received
  bundle check model_collection.zip --pipeline ASCT_scsegm
  bundle check model_collection.zip --for run.yml    # HiTMicTools' own run config")]
pub struct Check {
    /// A config or a ZIP; by default the config that `bundle build` takes
    #[arg(value_name = "CONFIG|BUNDLE.zip")]
    pub target: Option<PathBuf>,
    /// The HiTMicTools pipeline that the bundle must serve
    #[arg(long, value_name = "NAME")]
    pub pipeline: Option<String>,
    /// The HiTMicTools run config that the bundle must serve
    #[arg(long = "for", value_name = "ANALYSIS.yml")]
    pub analysis: Option<PathBuf>,
    /// A pickle global that you trust (again for more); what the bundle's maker allowed does not count here
    #[arg(long, value_name = "MODULE.NAME", action = ArgAction::Append)]
    pub allow_global: Vec<String>,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}
