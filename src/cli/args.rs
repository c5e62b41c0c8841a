//! The command line: what it accepts and what `--help` says.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::digest::Sha256;
use crate::exec::DeviceChoice;
use crate::exec::cases::Choice;

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

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputType {
    /// As computed
    Float32,
    /// Rounded and clipped to 0..65535
    Uint16,
    /// Rounded and clipped to 0..255
    Uint8,
    /// The objects of a mask, numbered from 1
    Labels,
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
}

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

/// How numbers are kept between ops.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Precision {
    /// float32
    F32,
    /// float16, which a GPU reads and writes in half the time; sums are float32
    F16,
}

impl From<Precision> for crate::exec::gpu::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::Single,
            Precision::F16 => Self::Half,
        }
    }
}

/// A device's name, whatever it is: whether there is such a device is seen when it is opened.
fn parse_device(text: &str) -> Result<DeviceChoice, Infallible> {
    text.parse()
}

/// `A..B`, of which either end may be left out.
fn parse_frames(text: &str) -> Result<Range<usize>, String> {
    let wrong = || format!("expected frames such as 0..10, 5.. or ..10, found `{text}`");
    let (start, end) = text.split_once("..").ok_or_else(wrong)?;
    let number = |text: &str, missing: usize| match text {
        "" => Ok(missing),
        text => text.parse().map_err(|_| wrong()),
    };
    let range = number(start, 0)?..number(end, usize::MAX)?;
    match range.is_empty() {
        true => Err(format!("`{text}` has no frames: the last one is left out")),
        false => Ok(range),
    }
}

fn parse_share(text: &str) -> Result<f32, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| format!("expected a number from 0 to 1, found `{text}`"))
}

/// More threads than any machine that models are run on has. Each takes memory, and a system that is asked for too many
/// fails other programs too.
const MOST_THREADS: usize = 1024;

fn parse_threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads = text.parse().ok();
    let threads = threads.filter(|threads: &NonZeroUsize| threads.get() <= MOST_THREADS);
    threads.ok_or_else(|| format!("expected a number from 1 to {MOST_THREADS}, found `{text}`"))
}

fn parse_sha256(text: &str) -> Result<Sha256, String> {
    text.to_ascii_lowercase()
        .parse()
        .map_err(|error: crate::digest::ParseDigestError| error.to_string())
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

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle run rods.zip bf_focus -i bf.tif -o restored.tif --preview restored.png
  bundle run rods.zip segmentation -i bf.tif -o labels.tif --output-type labels
  bundle run rods.zip bf_focus -i bf.tif -o clear.tif --no-rescale
  bundle run rods.zip cell_classifier -i clear.tif --labels labels.tif -o cells.csv
  bundle run rods.zip pi_classification -i features.csv -o predictions.csv
  bundle run rods.zip bf_focus -i 'exp042/*.tif' -o restored/ --resume
  bundle run rods.zip bf_focus -i bf.tif -o restored.tif --device cpu --profile
Frames and channels are counted from 0, as in Python and HiTMicTools.")]
pub struct Run {
    /// A ZIP, or a project's config
    #[arg(value_name = "BUNDLE.zip|CONFIG")]
    pub target: PathBuf,
    /// The model's key, such as bf_focus
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// An image (TIFF, NPY, PNG), a table (CSV), or a pattern such as 'exp042/*.tif' (again for more)
    #[arg(short, long, value_name = "FILE", num_args = 1.., required_unless_present = "worklist")]
    pub input: Vec<PathBuf>,
    /// A text file with the path of an input in each line
    #[arg(long, value_name = "LIST.txt")]
    pub worklist: Option<PathBuf>,
    /// The result (.tif, .npy, .png or .csv), or a folder for the results of many inputs
    #[arg(short, long, value_name = "FILE|DIR")]
    pub output: PathBuf,
    /// The label image for a classifier of cells, or the folder of those of many inputs
    #[arg(long, value_name = "FILE|DIR")]
    pub labels: Option<PathBuf>,
    /// The channel to take, counted from 0
    #[arg(long, value_name = "N")]
    pub channel: Option<usize>,
    /// The frames to take, counted from 0, the last left out: 0..10, 5.., ..10
    #[arg(long, value_name = "A..B", value_parser = parse_frames)]
    pub frames: Option<Range<usize>>,
    /// Keep the range of numbers that the network gives, which pipelines do for brightfield
    #[arg(long)]
    pub no_rescale: bool,
    /// Make a mask of what is more probable than this [default: 0.5 for labels]
    #[arg(long, value_name = "P", value_parser = parse_share)]
    pub threshold: Option<f32>,
    /// The kind of numbers in the result [default: float32, or uint8 with --threshold]
    #[arg(long, value_name = "TYPE")]
    pub output_type: Option<OutputType>,
    /// Where to run: auto (a GPU if there is one), cpu, gpu, gpu:1, a PCI id or part of a GPU's name
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = parse_device)]
    pub device: DeviceChoice,
    /// How numbers are kept between ops; the CPU has f32 only [default: f16 if the config asks for half_precision and the
    /// device has it, else f32]
    #[arg(long, value_name = "PRECISION")]
    pub precision: Option<Precision>,
    /// How many threads to use on the CPU [default: the cores that this process may use]
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub threads: Option<NonZeroUsize>,
    /// Pass over outputs that an earlier run has finished with the same model, input and arguments
    #[arg(long)]
    pub resume: bool,
    /// Print what the device's time goes into, kernel by kernel (with -v, what each computes)
    #[arg(long)]
    pub profile: bool,
    /// A picture of the first frame, before and after; a folder for many inputs
    #[arg(long, value_name = "P.png|DIR")]
    pub preview: Option<PathBuf>,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle devices
  bundle devices --check                    # every kernel on every GPU: is the driver right?
  bundle devices --check --device gpu:1
  bundle devices --check --case transposed:7    # one case again")]
pub struct Devices {
    /// Run every kernel on random shapes and small networks, and compare with the CPU; 1 is the exit status if any is wrong
    #[arg(long)]
    pub check: bool,
    /// Check only this device: gpu, gpu:1, a PCI id or part of a name
    #[arg(long, value_name = "DEVICE", requires = "check", value_parser = parse_device)]
    pub device: Option<DeviceChoice>,
    /// Check only these cases: a family such as transposed, or one case, transposed:7 (again for more)
    #[arg(long, value_name = "FAMILY[:SEED]", requires = "check", action = ArgAction::Append)]
    pub case: Vec<Choice>,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  bundle test                         # the project here
  bundle test rods.zip
  bundle test bundle.toml --model bf_focus --save produced
  bundle test rods.zip --all-devices  # the CPU and every GPU, also against each other
  bundle test bundle.toml --record    # make the expected files of the models that have an input")]
pub struct Test {
    /// A ZIP, or a project's config; by default the config that `bundle build` takes
    #[arg(value_name = "BUNDLE.zip|CONFIG")]
    pub target: Option<PathBuf>,
    /// Test only this model (again for more)
    #[arg(long, value_name = "KEY", action = ArgAction::Append)]
    pub model: Vec<String>,
    /// Keep what the models gave in this folder; what failed is kept in any case
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
    /// Write what the models give as what is expected of them, never over another program's result; for a config only
    #[arg(long, conflicts_with_all = ["save", "all_devices", "precision"])]
    pub record: bool,
    /// Where to run: auto (a GPU if there is one), cpu, gpu, gpu:1, a PCI id or part of a GPU's name
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = parse_device)]
    pub device: DeviceChoice,
    /// Test on the CPU and on every GPU, programs that are none among them, and compare their results with each other
    #[arg(long, conflicts_with = "device")]
    pub all_devices: bool,
    /// How numbers are kept between ops; the CPU has f32 only
    #[arg(long, value_name = "PRECISION", default_value = "f32")]
    pub precision: Precision,
    /// How many threads to use on the CPU [default: the cores that this process may use]
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub threads: Option<NonZeroUsize>,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  bundle cache dir\n  bundle cache prune --max-size 100MB\n  bundle cache clear"
)]
pub struct CacheArgs {
    #[command(subcommand)]
    pub command: CacheCommand,
}

#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    /// Print where the cache is
    #[command(after_help = "Example:\n  du -sh \"$(bundle cache dir)\"")]
    Dir,
    /// Remove what was used longest ago
    #[command(after_help = "Example:\n  bundle cache prune --max-size 100MB")]
    Prune {
        /// How much may stay: bytes, or with kB, MB, GB, KiB, MiB, GiB
        #[arg(long, value_name = "SIZE", value_parser = parse_size)]
        max_size: u64,
        /// Report as JSON on standard output
        #[arg(long)]
        json: bool,
    },
    /// Remove all of it
    #[command(after_help = "Example:\n  bundle cache clear")]
    Clear,
}

fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits
        .trim()
        .parse()
        .map_err(|_| format!("expected a whole number of bytes, found `{text}`"))?;
    let unit: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" | "k" => 1000,
        "mb" | "m" => 1_000_000,
        "gb" | "g" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        other => {
            return Err(format!(
                "expected kB, MB, GB, KiB, MiB or GiB, found `{other}`"
            ));
        }
    };
    number
        .checked_mul(unit)
        .ok_or_else(|| format!("`{text}` is too large"))
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  bundle completions bash > ~/.local/share/bash-completion/completions/bundle"
)]
pub struct Completions {
    pub shell: clap_complete::Shell,
}
