//! The commands that run models.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};

use crate::exec::DeviceChoice;
use crate::exec::cases::Choice;

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
