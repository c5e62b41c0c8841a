//! `bundle run`: one model on images or tables, file by file.

mod form;
mod jobs;
mod plan;
mod profile;
mod record;

use std::fs;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;

pub use form::{Asked, FormError, OutputType};
pub use jobs::{Job, JobError, Named};
use plan::Plan;
pub use profile::{Kernel, Profile};
use record::{Recipe, Record};

use crate::atomic::folder_of;
use crate::digest::Digest;
use crate::exec::gpu::Precision;
use crate::exec::{DeviceChoice, ExecError};
use crate::progress::{Phase, Progress};
use crate::runner::{Kind, Runner, RunnerError, Setup, TaskError};
use crate::subject::{Subject, SubjectError};

/// What to run, on what.
#[derive(Clone, Debug)]
pub struct Options {
    /// A ZIP, or a config.
    pub target: PathBuf,
    /// The model's key.
    pub model: String,
    pub files: Named,
    /// The one channel to take, from 0.
    pub channel: Option<usize>,
    /// The frames to take, from 0; open ranges end at [`usize::MAX`].
    pub frames: Option<Range<usize>>,
    /// Whether a restored image gets its input's range of numbers back.
    pub rescale: bool,
    pub form: Asked,
    pub device: DeviceChoice,
    /// How numbers are kept between ops; by default as the config asks for, where the device can.
    pub precision: Option<Precision>,
    /// Of the CPU; by default as many as this process may use.
    pub threads: Option<NonZeroUsize>,
    /// Whether outputs that are finished are passed over.
    pub resume: bool,
    /// Whether it is noted what the device's time goes into.
    pub profile: bool,
}

/// What was run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub target: PathBuf,
    pub model: String,
    /// The network or estimator.
    pub network: String,
    pub device: String,
    /// Whether the config asks for half precision, which was not used.
    pub half_precision_ignored: bool,
    /// Whether that is so because the GPU has no float16.
    #[serde(skip)]
    pub lacks_half_precision: bool,
    /// One for each input, in the order in which they were named.
    pub files: Vec<FileReport>,
    /// What the device's time went into, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

/// What came of one input.
#[derive(Debug, Serialize)]
pub struct FileReport {
    pub input: PathBuf,
    pub output: PathBuf,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<PathBuf>,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How one input ended.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The output is written; `count` frames or rows were run.
    Done {
        count: u64,
        unit: Unit,
        /// What may not be what was meant.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
    /// An earlier run has finished it.
    Skipped,
    /// Nothing is written.
    Failed { message: String },
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Frame,
    Row,
}

impl Report {
    /// Whether every input was run.
    pub fn is_good(&self) -> bool {
        let failed = |file: &FileReport| matches!(file.outcome, Outcome::Failed { .. });
        !self.files.iter().any(failed)
    }
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Subject(#[from] SubjectError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Runner(#[from] RunnerError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Jobs(#[from] JobError),
    #[error("`{model}`: {error}")]
    #[diagnostic(help("see `bundle run --help`, and `docs/run.md` for what each model writes"))]
    Form { model: String, error: FormError },
    #[error("{option} is not for `{model}`, {kind}")]
    #[diagnostic(help("leave it out; see `bundle run --help`"))]
    NotFor {
        option: &'static str,
        model: String,
        kind: &'static str,
    },
    #[error("`{model}` classifies the objects of a label image, and none was named")]
    #[diagnostic(help(
        "name it with `--labels labels.tif`; `bundle run ... segmentation --output-type labels` makes one"
    ))]
    NoLabels { model: String },
    /// A frame that the device cannot hold.
    #[error("{}: {error}", path.display())]
    TooLarge { path: PathBuf, error: ExecError },
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// Whether the contents of the bundle are at fault, and not the command.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Subject(error) => error.is_refusal(),
            Self::Runner(error) => error.is_refusal(),
            _ => false,
        }
    }
}

/// The file types that are written, the first one into folders.
const IMAGES: &[&str] = &["tif", "tiff", "npy", "png"];
const TABLES: &[&str] = &["csv"];

/// Runs a model. A file that cannot be run is in the report, and the others are run.
///
/// # Errors
/// Fails before any work if the model or the arguments are at fault, and between files if the user asked to stop.
pub fn run(options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    let subject = Subject::open(&options.target)?;
    let setup = Setup {
        device: options.device.clone(),
        precision: options.precision,
        threads: options.threads,
        rescale: options.rescale,
        profile: options.profile,
    };
    let mut runner = Runner::load(&subject, &options.model, setup, progress)?;
    let plan = Plan::of(options, &runner)?;
    let types = match runner.kind {
        Kind::Images(_) => IMAGES,
        Kind::Cells(_) | Kind::Rows(_) => TABLES,
    };
    let planned = jobs::plan(&options.files, &options.model, types, &options.target)?;
    for job in &planned.jobs {
        plan.check_output(&runner, job)?;
    }
    let recipe = options.recipe(&runner);
    let waiting = |job: &Job| !(options.resume && is_finished(job, &recipe));
    let jobs = planned.jobs.into_iter();
    let jobs: Vec<(Job, bool)> = jobs
        .map(|job| {
            let waits = waiting(&job);
            (job, waits)
        })
        .collect();
    let ignored = runner.half_precision && runner.precision == Precision::Single;
    let mut report = Report {
        target: options.target.clone(),
        model: options.model.clone(),
        network: runner.network.clone(),
        device: runner.device.clone(),
        half_precision_ignored: ignored,
        lacks_half_precision: ignored && options.precision.is_none() && runner.on_gpu,
        files: Vec::new(),
        profile: None,
    };
    for (job, _) in jobs.iter().filter(|(_, waits)| *waits) {
        plan.check_size(&mut runner, job)?;
    }
    let waiting = jobs.iter().filter(|(_, waits)| *waits);
    let steps = waiting.map(|(job, _)| plan.steps(&mut runner, job)).sum();
    let _phase = Phase::of_steps(progress, "Running", steps, runner.steps());
    let keeps_records = planned.in_folder || options.resume;
    for (job, waits) in jobs {
        let outcome = match waits {
            false => Outcome::Skipped,
            true => {
                let made_from = recipe.of_files(job.files());
                progress.turn_to(&job.input);
                let done = run_job(&plan, &mut runner, &job, progress);
                // A file that was finished when the user asked to stop is finished.
                if let (true, Ok(_), Ok(made_from)) = (keeps_records, &done, made_from) {
                    remember(&job, &recipe, made_from);
                }
                if progress.interrupted() {
                    return Err(Error::Interrupted);
                }
                done.unwrap_or_else(|error| Outcome::Failed {
                    message: error.to_string(),
                })
            }
        };
        report.files.push(FileReport {
            input: job.input,
            output: job.output,
            preview: job.preview,
            outcome,
        });
    }
    let profile = runner.profile().map_err(RunnerError::Device)?;
    report.profile = profile.as_ref().map(Profile::of);
    Ok(report)
}

impl Options {
    /// What decides an output besides its own files.
    fn recipe(&self, runner: &Runner) -> Recipe {
        let half = match runner.precision {
            Precision::Single => "",
            Precision::Half => " float16",
        };
        let arguments = format!(
            "{:?} {:?} {} {:?}{half}",
            self.channel, self.frames, self.rescale, self.form
        );
        Recipe::new(&[&self.model, &runner.recipe, &arguments])
    }
}

fn run_job(
    plan: &Plan,
    runner: &mut Runner,
    job: &Job,
    progress: &dyn Progress,
) -> Result<Outcome, TaskError> {
    for path in std::iter::once(&job.output).chain(&job.preview) {
        fs::create_dir_all(folder_of(path)).map_err(|error| TaskError::File {
            path: folder_of(path).to_owned(),
            error,
        })?;
    }
    Record::forget(&job.output);
    plan.run(runner, job, progress)
}

/// Whether an earlier run has made all that a job makes, from the same.
fn is_finished(job: &Job, recipe: &Recipe) -> bool {
    let drawn = job.preview.as_ref().is_none_or(|preview| preview.is_file());
    let made_from = recipe.of_files(job.files());
    drawn && made_from.is_ok_and(|made_from| Record::proves(&job.output, made_from))
}

/// Notes that a job is finished that began with these files. Without the note it is only done again, as it must be if
/// one of them has changed on the way.
fn remember(job: &Job, recipe: &Recipe, made_from: Digest) {
    if recipe
        .of_files(job.files())
        .is_ok_and(|now| now == made_from)
    {
        let _ = Record::write(&job.output, made_from);
    }
}
