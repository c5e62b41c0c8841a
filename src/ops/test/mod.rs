//! `bundle test`: every model against its stored test vector, or on numbers made up where it has none.

mod compare;
mod devices;
mod images;
mod kept;
mod recorded;
mod tables;

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use compare::{Comparison, Largest, Tolerance};
pub use devices::{Between, OnDevice, Report as DevicesReport, test_on_all};

use crate::archive;
use crate::config::Model;
use crate::digest::{Digest, Sha256};
use crate::exec::gpu::Precision;
use crate::exec::{DeviceChoice, Executor};
use crate::progress::Progress;
use crate::runner::{Kind, Runner, RunnerError, Setup, TaskError};
use crate::subject::{Subject, SubjectError, Vector};

/// What to test.
#[derive(Clone, Debug)]
pub struct Options {
    /// A ZIP, or a config.
    pub target: PathBuf,
    /// The models to test; all if it is empty.
    pub models: Vec<String>,
    /// Where everything that models gave is kept.
    pub save: Option<PathBuf>,
    /// Whether what models give becomes what is expected of them.
    pub record: bool,
    pub device: DeviceChoice,
    /// How numbers are kept between ops.
    pub precision: Precision,
    /// Of the CPU; by default as many as this process may use.
    pub threads: Option<NonZeroUsize>,
}

impl Options {
    /// Makes the folder ready that everything is kept in, if there is one.
    fn claim(&self) -> Result<(), Error> {
        self.save.as_deref().map_or(Ok(()), kept::claim)
    }

    fn setup(&self) -> Setup {
        Setup {
            device: self.device.clone(),
            // Vectors are compared in what is asked for, whatever the config says.
            precision: Some(self.precision),
            threads: self.threads,
            rescale: true,
            profile: false,
        }
    }
}

/// A device that is open, and what depends on it.
struct Bench<'a> {
    executor: &'a dyn Executor,
    precision: Precision,
    /// The folder, inside the one where things are kept, of what models gave on this device.
    folder: Option<String>,
}

impl Bench<'_> {
    /// How far results may always be off, in parts of the range of the expected numbers: what float16 loses.
    fn share(&self) -> f64 {
        match self.precision {
            Precision::Single => 0.0,
            Precision::Half => Tolerance::HALF_SHARE,
        }
    }
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub target: PathBuf,
    /// Of the ZIP, if it is one.
    pub sha256: Option<Sha256>,
    pub device: String,
    pub models: Vec<Tested>,
}

/// One model.
#[derive(Debug, Serialize)]
pub struct Tested {
    pub key: String,
    /// The network or estimator.
    pub network: Option<String>,
    /// Where what it gave is kept.
    pub kept: Option<PathBuf>,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// What became of a model's test.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Verdict {
    /// It gave what was expected.
    Passed {
        elements: u64,
        mismatches: u64,
        tolerance: Tolerance,
        largest: Option<Largest>,
    },
    /// It gave something else.
    Failed {
        elements: u64,
        mismatches: u64,
        tolerance: Tolerance,
        largest: Option<Largest>,
    },
    /// It has no test vector; it ran, and gave finite numbers of the right shape.
    Smoke,
    /// It could not be run on its input, or its answer has another shape than what was expected.
    Broken { message: String },
    /// Models of this kind are not run here.
    NotRun { why: String },
    /// What it gave is now expected of it.
    Recorded { expected: PathBuf },
    /// It was not run: what is expected of it is there, and `--record` did not write it.
    NotRecorded { expected: PathBuf },
}

impl Verdict {
    /// Whether it did not give what was asked for. What cannot be run has not failed, nor passed.
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. } | Self::Broken { .. } | Self::NotRecorded { .. }
        )
    }

    /// The element that is furthest off, where elements were compared.
    pub fn largest(&self) -> Option<&Largest> {
        match self {
            Self::Passed { largest, .. } | Self::Failed { largest, .. } => largest.as_ref(),
            _ => None,
        }
    }

    fn of(comparison: Comparison, tolerance: Tolerance) -> Self {
        let (elements, mismatches) = (comparison.elements(), comparison.mismatches());
        let passed = comparison.passes(&tolerance);
        let largest = comparison.into_largest();
        match passed {
            true => Self::Passed {
                elements,
                mismatches,
                tolerance,
                largest,
            },
            false => Self::Failed {
                elements,
                mismatches,
                tolerance,
                largest,
            },
        }
    }
}

impl Report {
    /// Whether nothing failed.
    pub fn is_good(&self) -> bool {
        !self.models.iter().any(|model| model.verdict.is_failure())
    }
}

/// Why nothing was tested.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum Error {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Subject(#[from] SubjectError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Runner(#[from] RunnerError),
    #[error("{} is a bundle, in which nothing can be recorded", path.display())]
    #[diagnostic(help("name the config that it is built from"))]
    RecordInBundle { path: PathBuf },
    #[error("{} has no model with a test to record", path.display())]
    #[diagnostic(help(
        "give a model `test = {{ input = \"frames/a.tif\", expected = \"expected/a.npy\" }}`: `expected` is written"
    ))]
    NothingToRecord { path: PathBuf },
    #[error("cannot read {}: {error}", path.display())]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{} has files in it that `bundle test` did not write", path.display())]
    #[diagnostic(help(
        "name a folder that is new or empty: what models give would be written over them"
    ))]
    Occupied { path: PathBuf },
    #[error("cannot write {}: {message}", path.display())]
    Write { path: PathBuf, message: String },
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

/// Where what failed is kept, if nothing else is said.
const KEPT: &str = "bundle-test";

/// Tests models. What is wrong with one is in the report, and the others are tested.
///
/// # Errors
/// Fails if there is nothing to test, what was given cannot be kept, or the user asked to stop.
pub fn test(options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    let subject = match options.record {
        true if crate::inspect::is_zip(&options.target).map_err(SubjectError::from)? => {
            let path = options.target.clone();
            return Err(Error::RecordInBundle { path });
        }
        true => Subject::open_to_record(&options.target)?,
        false => Subject::open(&options.target)?,
    };
    options.claim()?;
    let models = chosen(options, &subject)?;
    let executor = options.setup().open(false)?;
    let bench = Bench {
        executor: &*executor,
        precision: options.precision,
        folder: None,
    };
    let mut report = Report {
        target: options.target.clone(),
        sha256: sha256(&subject, options, progress)?,
        device: executor.name(),
        models: Vec::new(),
    };
    for model in models {
        let (tested, _) = test_model(options, &subject, model, &bench, progress)?;
        report.models.push(tested);
    }
    Ok(report)
}

/// The digest of the ZIP that is tested, so that a report tells of what it is.
fn sha256(
    subject: &Subject,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Option<Sha256>, Error> {
    if !subject.is_bundle() {
        return Ok(None);
    }
    let path = &options.target;
    let digest = archive::sha256_file(path, progress).map_err(|error| Error::Read {
        path: path.clone(),
        error,
    })?;
    Ok(Some(digest))
}

/// The models that were asked for; to record, those that have an input.
fn chosen<'a>(options: &Options, subject: &'a Subject) -> Result<Vec<&'a Model>, Error> {
    let mut models = Vec::new();
    for key in &options.models {
        models.push(subject.model(key)?);
    }
    if options.models.is_empty() {
        models.extend(&subject.config.models);
    }
    if options.record {
        models.retain(|model| model.test.is_some());
        if models.is_empty() {
            let path = options.target.clone();
            return Err(Error::NothingToRecord { path });
        }
    }
    Ok(models)
}

/// Tests a model on a device; also what it gave, if it has a vector.
fn test_model(
    options: &Options,
    subject: &Subject,
    model: &Model,
    bench: &Bench<'_>,
    progress: &dyn Progress,
) -> Result<(Tested, Option<Answer>), Error> {
    let key = model.key.as_str();
    let mut tested = Tested {
        key: key.to_owned(),
        network: None,
        kept: None,
        verdict: Verdict::Smoke,
    };
    let mut runner = match Runner::load_on(subject, key, bench.executor, progress) {
        Ok(runner) => runner,
        Err(RunnerError::NotRun { network, .. }) => {
            tested.verdict = Verdict::NotRun {
                why: format!("{network} is packaged and checked, but not run yet"),
            };
            tested.network = Some(network);
            return Ok((tested, None));
        }
        Err(error) if error.is_refusal() => {
            let message = error.in_one_line();
            tested.verdict = Verdict::Broken { message };
            return Ok((tested, None));
        }
        Err(error) => return Err(error.into()),
    };
    tested.network = Some(runner.network.clone());
    let outcome = match subject.vector(model) {
        None => runner.smoke(progress).map(|()| (Verdict::Smoke, None)),
        Some(vector) => on_vector(options, subject, &mut runner, &vector, bench, progress),
    };
    if progress.interrupted() {
        return Err(Error::Interrupted);
    }
    let (verdict, given) = outcome.unwrap_or_else(|error| {
        let message = error.to_string();
        (Verdict::Broken { message }, None)
    });
    tested.verdict = verdict;
    if let Some(given) = &given {
        keep(options, &runner, &mut tested, given, bench)?;
    }
    Ok((tested, given.map(|given| given.answer)))
}

/// What a model gave, and the digest of its input.
struct Given {
    answer: Answer,
    input: Digest,
}

enum Answer {
    Images(images::Stack),
    Table(Vec<u8>),
}

impl Answer {
    fn write(&self, path: &Path) -> Result<(), Error> {
        let failed = |message: String| Error::Write {
            path: path.to_owned(),
            message,
        };
        let folder = crate::atomic::folder_of(path);
        fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        match self {
            Self::Images(stack) => stack.write(path).map_err(|error| failed(error.to_string())),
            Self::Table(bytes) => {
                crate::atomic::write(path, bytes).map_err(|error| failed(error.to_string()))
            }
        }
    }
}

/// Runs a model on its test's input, and compares what it gives with what is expected, unless that is to be recorded.
fn on_vector(
    options: &Options,
    subject: &Subject,
    runner: &mut Runner,
    vector: &Vector,
    bench: &Bench<'_>,
    progress: &dyn Progress,
) -> Result<(Verdict, Option<Given>), TaskError> {
    let expected = vector.expected.path.clone();
    if options.record && !recorded::may_replace(&expected) {
        return Ok((Verdict::NotRecorded { expected }, None));
    }
    let given = give(subject, runner, vector, progress)?;
    if options.record {
        return Ok((Verdict::Recorded { expected }, Some(given)));
    }
    let expected = subject.vector_file(&vector.expected, progress)?;
    let path = &vector.expected.path;
    let (comparison, tolerance) = match &given.answer {
        Answer::Images(stack) => images::compare(stack, path, expected, vector, bench.share())?,
        Answer::Table(bytes) => tables::compare(bytes, path, expected, vector, bench.share())?,
    };
    Ok((Verdict::of(comparison, tolerance), Some(given)))
}

fn give(
    subject: &Subject,
    runner: &mut Runner,
    vector: &Vector,
    progress: &dyn Progress,
) -> Result<Given, TaskError> {
    let input = subject.vector_file(&vector.input, progress)?;
    let path = &vector.input.path;
    let unreadable = |error| TaskError::File {
        path: path.clone(),
        error,
    };
    let digest = input.digest(path, progress).map_err(unreadable)?;
    let answer = match &mut runner.kind {
        Kind::Images(model) => images::give(model, path, input, progress).map(Answer::Images),
        Kind::Cells(model) => {
            let labels = vector.labels.as_ref();
            let labels = labels.ok_or_else(|| TaskError::NoLabels { path: path.clone() })?;
            let blob = subject.vector_file(labels, progress)?;
            tables::of_cells(model, (path, input), (&labels.path, blob), progress)
                .map(Answer::Table)
        }
        Kind::Rows(model) => tables::of_rows(model, path, input, progress).map(Answer::Table),
    };
    Ok(Given {
        answer: answer?,
        input: digest,
    })
}

/// Writes what a model gave, where that is asked for or it failed.
fn keep(
    options: &Options,
    runner: &Runner,
    tested: &mut Tested,
    given: &Given,
    bench: &Bench<'_>,
) -> Result<(), Error> {
    if let Verdict::Recorded { expected } = &tested.verdict {
        given.answer.write(expected)?;
        let origin = recorded::Origin {
            model: &tested.key,
            network: &runner.network,
            device: &runner.arithmetic,
            weights: runner.digest,
            input: given.input,
        };
        return recorded::write(expected, &origin);
    }
    let failed = matches!(tested.verdict, Verdict::Failed { .. });
    let root = match &options.save {
        Some(folder) => folder.as_path(),
        None if failed => Path::new(KEPT),
        None => return Ok(()),
    };
    let extension = match given.answer {
        Answer::Images(_) => "npy",
        Answer::Table(_) => "csv",
    };
    let folder = match &bench.folder {
        None => root.to_owned(),
        Some(of_device) => root.join(of_device),
    };
    kept::claim(root)?;
    let path = folder.join(format!("{}.{extension}", tested.key));
    given.answer.write(&path)?;
    tested.kept = Some(path);
    Ok(())
}
