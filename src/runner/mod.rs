//! A model of a bundle or a project, made ready to run, whatever it is for.
//!
//! Its weights are read into memory and checked there ([`crate::fit`]), so that what is run is what was checked. Files
//! of weights are read and never executed; a pickle that names something harmful is refused all the same.

mod cells;
mod error;
mod images;
mod rows;
mod selection;

use std::num::NonZeroUsize;
use std::sync::Arc;

pub use cells::{Cells, ClassifiedFrame};
pub use error::{RunnerError, TaskError};
pub use images::Images;
pub use rows::Rows;
pub use selection::{Selection, SelectionError};

use crate::config::{Model, Problem};
use crate::digest::Digest;
use crate::exec::gpu::Precision;
use crate::exec::{DeviceChoice, ExecError, Executor, Profile, Session};
use crate::facts::Facts;
use crate::fit::{self, Fit, Role};
use crate::nn::{Network, Shape};
use crate::progress::Progress;
use crate::subject::Subject;
use crate::tasks::pi::PiClassifier;
use crate::tasks::{CellClassifier, ClassifyArgs, FrameArgs, Frames, Task, network};
use crate::weights::{self, Content, Weights};

/// A model that is ready to run.
pub struct Runner {
    /// What it is for.
    pub task: Task,
    /// The network or estimator, in a word: `NAFNet`.
    pub network: String,
    /// What runs it: `CPU, 8 threads, AVX-512`.
    pub device: String,
    /// The same without what does not change an answer: `CPU, AVX-512`.
    pub arithmetic: String,
    /// Whether the config asks for half precision.
    pub half_precision: bool,
    /// How numbers are kept between ops.
    pub precision: Precision,
    /// Whether a GPU runs it.
    pub on_gpu: bool,
    /// What decides its answers: the weights, the metadata, the arguments.
    pub recipe: String,
    /// Of the file of weights.
    pub digest: Digest,
    pub kind: Kind,
}

/// What goes in and what comes out.
pub enum Kind {
    /// Images in, images out.
    Images(Images),
    /// Images and label images in, a table out.
    Cells(Cells),
    /// A table in, a table out.
    Rows(Rows),
}

/// How a model is run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// What runs it.
    pub device: DeviceChoice,
    /// How numbers are kept between ops. By default in float16 if the config asks for half precision and the device has it,
    /// else in float32.
    pub precision: Option<Precision>,
    /// Of the CPU; by default as many as this process may use.
    pub threads: Option<NonZeroUsize>,
    /// Whether a restored image gets its input's range of numbers back.
    pub rescale: bool,
    /// Whether it is noted what the device's time goes into.
    pub profile: bool,
}

impl Setup {
    /// Opens the device, for a model whose config asks for half precision or does not.
    ///
    /// # Errors
    /// Fails if there is no such device, or it cannot be opened.
    pub fn open(&self, half: bool) -> Result<Box<dyn Executor>, RunnerError> {
        let open = |precision| self.device.open(precision, self.threads, self.profile);
        let opened = match self.precision {
            Some(precision) => open(precision),
            None if half => match open(Precision::Half) {
                Err(ExecError::NoHalf { .. }) => open(Precision::Single),
                opened => opened,
            },
            None => open(Precision::Single),
        };
        opened.map_err(|error| RunnerError::Device(error.into()))
    }
}

/// A model whose weights are read and checked.
struct Checked<'a> {
    model: &'a Model,
    task: Task,
    fit: Fit,
    weights: Weights,
    digest: Digest,
    /// Whether the config asks for half precision.
    half_precision: bool,
}

impl<'a> Checked<'a> {
    fn of(subject: &'a Subject, key: &str, progress: &dyn Progress) -> Result<Self, RunnerError> {
        let model = subject.model(key)?;
        let declared = fit::declared(model);
        let task = Task::of(model.kind, declared).map_err(|why| RunnerError::NotRun {
            model: key.to_owned(),
            network: declared.map_or_else(|| model.kind.to_string(), |kind| kind.to_string()),
            why,
        })?;
        let blob = subject.loaded_weights(model, progress)?;
        let path = &model.weights.path;
        let unreadable = |error| RunnerError::unreadable(&subject.config, model, &error);
        let weights = weights::read(&blob, path, progress).map_err(unreadable)?;
        let facts = Facts::of(&weights, path, progress).map_err(unreadable)?;
        let fit = checked(subject, model, &facts)?;
        let digest = blob
            .digest(path, progress)
            .map_err(|error| unreadable(error.into()))?;
        let failed = |error| RunnerError::Task {
            model: key.to_owned(),
            error: Box::new(error),
        };
        let half_precision = asks_for_half(task, model).map_err(failed)?;
        Ok(Self {
            model,
            task,
            fit,
            weights,
            digest,
            half_precision,
        })
    }

    fn on(self, executor: &dyn Executor, rescale: bool) -> Result<Runner, RunnerError> {
        let Self {
            model,
            task,
            fit,
            weights,
            digest,
            half_precision,
        } = self;
        let maker = Maker {
            model,
            network: fit.network.as_ref(),
            rescale,
            executor,
        };
        let made = maker.kind(task, weights);
        let kind = made.map_err(|error| RunnerError::Task {
            model: model.key.to_string(),
            error: Box::new(error),
        })?;
        let metadata = model.metadata.as_ref().map(|metadata| &metadata.json);
        let is_table = task == Task::Pi;
        let name = |executor: String| match is_table {
            true => "CPU, float64".to_owned(),
            false => executor,
        };
        Ok(Runner {
            task,
            network: fit.architecture.unwrap_or_else(|| model.kind.to_string()),
            device: name(executor.name()),
            arithmetic: name(executor.arithmetic()),
            half_precision,
            precision: match executor.is_half() {
                true => Precision::Half,
                false => Precision::Single,
            },
            on_gpu: executor.is_gpu() && !is_table,
            recipe: format!(
                "{digest} {metadata:?} {:?} {:?}",
                model.inferer_args, model.model_args
            ),
            digest,
            kind,
        })
    }
}

impl Runner {
    /// Makes the model `key` ready.
    ///
    /// # Errors
    /// Fails if there is no such model, models of its kind are not run, or its weights are damaged, harmful, or not of
    /// the network that is declared.
    pub fn load(
        subject: &Subject,
        key: &str,
        setup: Setup,
        progress: &dyn Progress,
    ) -> Result<Self, RunnerError> {
        let checked = Checked::of(subject, key, progress)?;
        // What is wrong with a model is said before a device is opened.
        let executor = setup.open(checked.half_precision)?;
        if checked.task == Task::Pi && executor.is_half() {
            let device = "a classifier of tables, which the CPU computes in float64,".to_owned();
            return Err(RunnerError::Device(ExecError::NoHalf { device }.into()));
        }
        checked.on(&*executor, setup.rescale)
    }

    /// Reads the weights of the model `key`, and checks all that can be checked before a device is opened; what it is for.
    ///
    /// # Errors
    /// As [`Runner::load`].
    pub fn check(
        subject: &Subject,
        key: &str,
        progress: &dyn Progress,
    ) -> Result<Task, RunnerError> {
        Ok(Checked::of(subject, key, progress)?.task)
    }

    /// Makes the model `key` ready on a device that is open; a restored image gets its input's range of numbers back.
    ///
    /// # Errors
    /// As [`Runner::load`].
    pub fn load_on(
        subject: &Subject,
        key: &str,
        executor: &dyn Executor,
        progress: &dyn Progress,
    ) -> Result<Self, RunnerError> {
        Checked::of(subject, key, progress)?.on(executor, true)
    }

    /// What the device did so far, if that was asked for and the model is one that a device runs.
    ///
    /// # Errors
    /// Fails if the device does.
    pub fn profile(&mut self) -> Result<Option<Profile>, TaskError> {
        let profile = match &mut self.kind {
            Kind::Images(images) => images.frames.profile(),
            Kind::Cells(cells) => cells.classifier.profile(),
            Kind::Rows(_) => Ok(None),
        };
        Ok(profile?)
    }

    /// What the steps of a progress bar are.
    pub fn steps(&self) -> &'static str {
        match self.kind {
            Kind::Images(_) => "windows",
            Kind::Cells(_) => "frames",
            Kind::Rows(_) => "tables",
        }
    }

    /// Runs the model on made-up numbers.
    ///
    /// # Errors
    /// Fails if it cannot be run, or gives something that is not finite or has not the right shape.
    pub fn smoke(&mut self, progress: &dyn Progress) -> Result<(), TaskError> {
        match &mut self.kind {
            Kind::Images(images) => images.smoke(progress),
            Kind::Cells(cells) => cells.smoke(progress),
            Kind::Rows(rows) => rows.smoke(),
        }
    }
}

/// What `bundle check` finds of a model, if it finds no error. Unknown pickle globals are none here, where nothing is
/// unpickled; harmful ones are.
fn checked(subject: &Subject, model: &Model, facts: &Facts) -> Result<Fit, RunnerError> {
    let unknown = facts
        .findings
        .iter()
        .filter_map(|finding| finding.allowable.clone());
    let allowed: Vec<String> = unknown.collect();
    let role = Role::Receiver { allowed: &allowed };
    let mut fit = fit::check(&subject.config, model, facts, role);
    let problems = std::mem::take(&mut fit.problems);
    let errors: Vec<Problem> = problems.into_iter().filter(Problem::is_error).collect();
    match errors.is_empty() {
        true => Ok(fit),
        false => Err(RunnerError::Unfit {
            model: model.key.to_string(),
            problems: errors,
        }),
    }
}

/// Whether a model's config asks for half precision.
fn asks_for_half(task: Task, model: &Model) -> Result<bool, TaskError> {
    match task {
        Task::Focus | Task::Segment => {
            let args = FrameArgs::read(task, model.inferer_args.as_ref())?;
            Ok(args.half_precision)
        }
        Task::Classify | Task::Pi => Ok(false),
    }
}

/// What a model is made ready from.
struct Maker<'a> {
    model: &'a Model,
    network: Option<&'a Network>,
    rescale: bool,
    executor: &'a dyn Executor,
}

impl Maker<'_> {
    fn kind(&self, task: Task, weights: Weights) -> Result<Kind, TaskError> {
        match task {
            Task::Focus | Task::Segment => {
                let args = FrameArgs::read(task, self.model.inferer_args.as_ref())?;
                Ok(Kind::Images(self.images(task, &weights, args)?))
            }
            Task::Classify => {
                let own = self.network.and_then(Network::min_size);
                let args = ClassifyArgs::read(self.model.model_args.as_ref(), own)?;
                let side = args.min_size;
                let (session, _) = self.session(&weights, side)?;
                let classifier = CellClassifier::new(session, args)?;
                Ok(Kind::Cells(Cells { classifier, side }))
            }
            Task::Pi => Ok(Kind::Rows(Rows(classifier(weights)?))),
        }
    }

    fn images(&self, task: Task, weights: &Weights, args: FrameArgs) -> Result<Images, TaskError> {
        let (session, input) = self.session(weights, args.patch_size)?;
        let frames = match task {
            Task::Segment => Frames::segment(session, args)?,
            _ => Frames::focus(session, args, self.rescale)?,
        };
        Ok(Images {
            frames,
            task,
            window: [input.channels, input.height, input.width],
        })
    }

    /// The network for squares of `side` pixels, and what goes into it.
    fn session(
        &self,
        weights: &Weights,
        side: usize,
    ) -> Result<(Box<dyn Session>, Shape), TaskError> {
        let program = Arc::new(network::load(weights, self.network, side)?);
        let input = program.input();
        Ok((self.executor.load(program)?, input))
    }
}

fn classifier(weights: Weights) -> Result<PiClassifier, TaskError> {
    match weights.content {
        Content::Estimator(estimator) => Ok(PiClassifier::from_estimator(*estimator)?),
        Content::Onnx(model) => Ok(PiClassifier::from_onnx(&model)?),
        _ => Err(TaskError::Shape {
            what: "the weights".to_owned(),
            expected: "a scikit-learn classifier, or one as ONNX".to_owned(),
            found: weights.format.to_string(),
        }),
    }
}
