//! Bundles that are open, and their models, which run on arrays.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::Duration;

use model_bundle::config::{Model as Declared, read_bundle_config};
use model_bundle::exec::gpu::Precision;
use model_bundle::exec::{DeviceChoice, ExecError};
use model_bundle::image::Blending;
use model_bundle::progress::Progress;
use model_bundle::runner::{Images, Kind as Made, Runner, Setup, TaskError};
use model_bundle::subject::{Given, Subject};
use model_bundle::tasks::{FrameInput, FrameOutput, Object};
use numpy::ndarray::Array;
use numpy::{IntoPyArray, PyArray1, PyArray2, PyArray4, PyReadonlyArray1};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{Stack, View};
use crate::errors::{Kind, Raised, plain};
use crate::operations;
use crate::values;
use crate::work::{self, Reporter};

/// A bundle that is open.
#[pyclass(frozen)]
pub struct Bundle {
    subject: Arc<Subject>,
}

#[pymethods]
impl Bundle {
    /// Opens the ZIP at `path`, which must have the digest, if one is given.
    #[new]
    fn new(py: Python<'_>, path: PathBuf, sha256: Option<&str>) -> PyResult<Self> {
        let sha256 = sha256
            .map(|text| operations::sha256(py, text))
            .transpose()?;
        let opened = work::run(py, |progress| match sha256 {
            Some(sha256) => Subject::open_anchored(&path, sha256, progress),
            None => Subject::open(&path),
        })?;
        let subject = opened.map_err(|error| error.raised(py))?;
        if !subject.is_bundle() {
            let message = format!(
                "{} is no bundle but a config: `model_bundle.build` makes a bundle of it",
                path.display()
            );
            return Err(plain(py, Kind::Config, message));
        }
        Ok(Self {
            subject: Arc::new(subject),
        })
    }

    /// The keys of its models, in the order of its config.
    fn keys(&self) -> Vec<String> {
        let models = self.subject.config.models.iter();
        models.map(|model| model.key.to_string()).collect()
    }

    /// The model of a key.
    fn model(&self, py: Python<'_>, key: &str) -> PyResult<Model> {
        let model = self.subject.model(key).map_err(|error| error.raised(py))?;
        Ok(Model {
            key: model.key.to_string(),
            subject: Arc::clone(&self.subject),
            opened: Mutex::new(None),
        })
    }

    /// `config.yml` as a dictionary.
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let bytes = self.subject.config.source.inner().as_bytes();
        settings(py, bytes)
    }

    /// The tracker's settings as a dictionary, if there are any.
    fn tracker<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let tracker = self.subject.config.tracker.as_ref();
        tracker
            .map(|tracker| settings(py, &tracker.yaml))
            .transpose()
    }
}

fn settings<'py>(py: Python<'py>, yaml: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let map = read_bundle_config(yaml).map_err(|message| plain(py, Kind::Refused, message))?;
    values::dictionary(py, &map)
}

/// A model, opened on a device when it first runs.
#[pyclass(frozen)]
pub struct Model {
    subject: Arc<Subject>,
    key: String,
    opened: Mutex<Option<Opened>>,
}

/// A model on a device, in the process that opened it: neither its threads nor a GPU are there in a fork.
struct Opened {
    process: u32,
    how: How,
    runner: Runner,
}

/// How a model is run.
#[derive(Clone, Debug, PartialEq, FromPyObject)]
#[pyo3(from_item_all)]
pub struct How {
    device: String,
    /// Whether numbers are kept in float16; `None` leaves it to the model's own `half_precision`, and to the device.
    half: Option<bool>,
    threads: Option<NonZeroUsize>,
}

impl How {
    fn setup(&self) -> Setup {
        let device = self.device.parse::<DeviceChoice>();
        Setup {
            device: device.unwrap_or_else(|never| match never {}),
            precision: self.half.map(|half| match half {
                true => Precision::Half,
                false => Precision::Single,
            }),
            threads: self.threads,
            rescale: true,
            profile: false,
        }
    }
}

impl Model {
    fn declared(&self, py: Python<'_>) -> PyResult<&Declared> {
        self.subject
            .model(&self.key)
            .map_err(|error| error.raised(py))
    }

    /// Waits until no other thread runs the model.
    fn turn(&self, progress: &Reporter) -> Result<MutexGuard<'_, Option<Opened>>, Trouble> {
        loop {
            match self.opened.try_lock() {
                Ok(place) => return Ok(place),
                Err(TryLockError::Poisoned(place)) => return Ok(place.into_inner()),
                Err(TryLockError::WouldBlock) if progress.interrupted() => {
                    return Err(TaskError::from(ExecError::Interrupted).into());
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Opens the model, if it is not open in this process and as it is wanted.
    fn open(
        &self,
        place: &mut Option<Opened>,
        how: How,
        progress: &Reporter,
    ) -> Result<(), Trouble> {
        let process = std::process::id();
        match place.take() {
            Some(opened) if opened.process != process => {
                // What it would wait for is in the parent.
                std::mem::forget(opened);
            }
            Some(opened) if opened.how == how => {
                *place = Some(opened);
                return Ok(());
            }
            _ => {}
        }
        // Only the steps of the work itself are told.
        let quiet = Stoppable(progress);
        let runner = Runner::load(&self.subject, &self.key, how.setup(), &quiet);
        *place = Some(Opened {
            process,
            how,
            runner: runner.map_err(|error| Trouble::Runner(Box::new(error)))?,
        });
        Ok(())
    }

    /// Does something with the model on its device, which is opened first if it is not.
    fn with<R: Send>(
        &self,
        py: Python<'_>,
        how: How,
        callback: Option<&Py<PyAny>>,
        act: impl FnOnce(&mut Made, &Reporter) -> Result<R, Trouble> + Send,
    ) -> PyResult<R> {
        let done = work::run_apart(py, callback, |progress| {
            // The turn is waited for here: work on the shared threads must not wait for it.
            let mut turn = self.turn(progress)?;
            let place = &mut *turn;
            progress.install(move || {
                self.open(place, how, progress)?;
                match place {
                    Some(opened) => act(&mut opened.runner.kind, progress),
                    None => Err(Trouble::Kind),
                }
            })
        })?;
        done.map_err(|trouble| trouble.raised(py, &self.key))
    }
}

/// Passes on only the wish to stop.
struct Stoppable<'a>(&'a Reporter);

impl Progress for Stoppable<'_> {
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}

/// Why a model was not run.
enum Trouble {
    Runner(Box<model_bundle::runner::RunnerError>),
    Task(Box<TaskError>),
    /// The model is for something else.
    Kind,
    /// There is no room for the result.
    Memory,
}

impl From<TaskError> for Trouble {
    fn from(error: TaskError) -> Self {
        Self::Task(Box::new(error))
    }
}

impl Trouble {
    fn raised(self, py: Python<'_>, key: &str) -> PyErr {
        match self {
            Self::Runner(error) => error.raised(py),
            Self::Task(error) => error.raised(py),
            Self::Kind => plain(py, Kind::Input, format!("`{key}` is for something else")),
            Self::Memory => PyMemoryError::new_err("there is no room for the result"),
        }
    }
}

/// `inferer_args` and `model_args`.
type Arguments<'py> = (Option<Bound<'py, PyDict>>, Option<Bound<'py, PyDict>>);

/// Of each object the frame, the label, the class and the probabilities; and the names of the classes.
type Classified<'py> = (
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray1<i64>>,
    Bound<'py, PyArray2<f32>>,
    Vec<String>,
);

/// Of a classifier of rows the features' names, how many there are, and the classes.
type Columns = (Option<Vec<String>>, usize, Vec<String>);

/// The class of each row, and the probabilities of all classes, row by row.
type Predicted<'py> = (Bound<'py, PyArray1<i64>>, Bound<'py, PyArray1<f64>>);

#[pymethods]
impl Model {
    /// A model whose weights are in memory.
    #[staticmethod]
    fn given(
        py: Python<'_>,
        key: String,
        name: String,
        weights: Vec<u8>,
        metadata: Option<String>,
        inferer_args: Option<&Bound<'_, PyDict>>,
        model_args: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let given = Given {
            key: key.clone(),
            name,
            weights: weights.into(),
            metadata,
            inferer_args: inferer_args.map(values::map).transpose()?,
            model_args: model_args.map(values::map).transpose()?,
        };
        let subject = Subject::of_model(given).map_err(|error| error.raised(py))?;
        let model = Self {
            subject: Arc::new(subject),
            key,
            opened: Mutex::new(None),
        };
        let checked = work::run(py, |progress| {
            Runner::check(&model.subject, &model.key, progress).map(drop)
        })?;
        checked.map_err(|error| error.raised(py))?;
        Ok(model)
    }

    /// The task, the network and the text of the JSON metadata.
    fn facts(&self, py: Python<'_>) -> PyResult<(&'static str, String, Option<String>)> {
        let model = self.declared(py)?;
        let metadata = model.metadata.as_ref();
        let task =
            match model_bundle::tasks::Task::of(model.kind, model_bundle::fit::declared(model)) {
                Ok(model_bundle::tasks::Task::Focus) => "focus",
                Ok(model_bundle::tasks::Task::Segment) => "segmentation",
                Ok(model_bundle::tasks::Task::Classify) => "classification",
                Ok(model_bundle::tasks::Task::Pi) => "table",
                Err(_) => "none",
            };
        Ok((
            task,
            model.kind.to_string(),
            metadata.map(|metadata| metadata.source.inner().to_string()),
        ))
    }

    /// The arguments in the config: `inferer_args` and `model_args`.
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Arguments<'py>> {
        let model = self.declared(py)?;
        let table = |map: &Option<_>| {
            map.as_ref()
                .map(|map| values::dictionary(py, map))
                .transpose()
        };
        Ok((table(&model.inferer_args)?, table(&model.model_args)?))
    }

    /// Reads and checks the weights, as running the model does first.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        let checked = work::run(py, |progress| {
            Runner::check(&self.subject, &self.key, progress).map(drop)
        })?;
        checked.map_err(|error| error.raised(py))
    }

    /// Runs it on `[T, C, H, W]`; with `raw`, the result stays as the network gives it. `gaussian` is whether the middle
    /// of a window counts most, or all of it the same; `None` is the task's own way.
    fn predict<'py>(
        &self,
        py: Python<'py>,
        images: &Bound<'py, PyAny>,
        how: How,
        raw: bool,
        gaussian: Option<bool>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyArray4<f32>>> {
        let stack = Stack::of(images)?;
        let view = stack.view();
        let [frames, _, height, width] = view.shape();
        let blending = gaussian.map(|gaussian| match gaussian {
            true => Blending::Gaussian,
            false => Blending::Constant,
        });
        let (channels, numbers) = self.with(py, how, progress.as_ref(), |made, progress| {
            let Made::Images(images) = made else {
                return Err(Trouble::Kind);
            };
            images.keep_raw(raw);
            images.blend(blending);
            run_frames(images, view, progress)
        })?;
        let shape = (frames, channels, height, width);
        let array = Array::from_shape_vec(shape, numbers);
        Ok(array
            .map_err(|_| Trouble::Memory.raised(py, &self.key))?
            .into_pyarray(py))
    }

    /// Classifies the objects of `[T, 1, H, W]` label images: the frame, label and class of each, its probabilities,
    /// and the names of all classes.
    fn classify<'py>(
        &self,
        py: Python<'py>,
        labels: &Bound<'py, PyAny>,
        images: &Bound<'py, PyAny>,
        how: How,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Classified<'py>> {
        let (labels, stack) = (Stack::of(labels)?, Stack::of(images)?);
        let (labels, view) = (labels.view(), stack.view());
        let (objects, names) = self.with(py, how, progress.as_ref(), |made, progress| {
            let Made::Cells(cells) = made else {
                return Err(Trouble::Kind);
            };
            let [frames, _, _, width] = view.shape();
            let mut objects: Vec<(usize, Object)> = Vec::new();
            for frame in 0..frames {
                let found = labels.plane(frame, 0).to_labels();
                let found = found.map_err(|error| TaskError::Shape {
                    what: format!("the label image, frame {frame}"),
                    expected: "labels".to_owned(),
                    found: error.to_string(),
                })?;
                let each = cells.frame(&found, &view.plane(frame, 0), width, progress)?;
                objects.extend(each.into_iter().map(|object| (frame, object)));
            }
            Ok((objects, cells.class_names()))
        })?;
        let column = |number: &dyn Fn(&(usize, Object)) -> i64| {
            let numbers: Vec<i64> = objects.iter().map(number).collect();
            PyArray1::from_vec(py, numbers)
        };
        let of_frame = column(&|(frame, _)| *frame as i64);
        let label = column(&|(_, object)| i64::from(object.label));
        let class = column(&|(_, object)| object.class as i64);
        let numbers = objects.iter().flat_map(|(_, object)| &object.probabilities);
        let shape = (objects.len(), names.len());
        let all = Array::from_shape_vec(shape, numbers.copied().collect());
        let all = all.map_err(|_| Trouble::Memory.raised(py, &self.key))?;
        Ok((of_frame, label, class, all.into_pyarray(py), names))
    }

    /// What a classifier of rows takes and gives: its features' names, how many there are, its classes.
    fn rows(&self, py: Python<'_>) -> PyResult<Columns> {
        self.with(py, self.anyhow(), None, |made, _| {
            let Made::Rows(rows) = made else {
                return Err(Trouble::Kind);
            };
            let model = rows.classifier();
            let features = model.features().map(<[String]>::to_vec);
            Ok((features, model.width(), model.classes().to_vec()))
        })
    }

    /// Where the features are among columns of these names.
    fn columns(&self, py: Python<'_>, names: Vec<String>) -> PyResult<Vec<usize>> {
        let found = self.with(py, self.anyhow(), None, |made, _| {
            let Made::Rows(rows) = made else {
                return Err(Trouble::Kind);
            };
            Ok(rows.classifier().columns(&names, "the table".as_ref()))
        })?;
        found.map_err(|error| error.raised(py))
    }

    /// Classifies rows, one after another: the class of each, and the probabilities of all classes.
    fn predict_rows<'py>(
        &self,
        py: Python<'py>,
        rows: PyReadonlyArray1<'py, f64>,
    ) -> PyResult<Predicted<'py>> {
        let rows = rows.as_slice()?;
        let found = self.with(py, self.anyhow(), None, |made, _| {
            let Made::Rows(model) = made else {
                return Err(Trouble::Kind);
            };
            Ok(model.classifier().predict(rows))
        })?;
        let found = found.map_err(|error| error.raised(py))?;
        let labels = found.labels.iter().map(|label| *label as i64).collect();
        Ok((
            PyArray1::from_vec(py, labels),
            PyArray1::from_vec(py, found.probabilities),
        ))
    }
}

impl Model {
    /// Estimators do not care what runs them.
    fn anyhow(&self) -> How {
        How {
            device: "cpu".to_owned(),
            half: Some(false),
            threads: None,
        }
    }
}

/// Runs every frame; how many channels came out, and their numbers, frame by frame.
fn run_frames(
    images: &mut Images,
    view: View<'_>,
    progress: &Reporter,
) -> Result<(usize, Vec<f32>), Trouble> {
    let [frames, channels, height, width] = view.shape();
    let size = [height, width];
    let made = images.output_channels(channels)?;
    progress.expect(images.windows(channels, size)? * frames as u64);
    let mut numbers: Vec<f32> = Vec::new();
    let mut frame = 0;
    let mut next = || {
        let planes = (frame < frames).then(|| (0..channels).map(|c| view.plane(frame, c)));
        let input = planes.map(|planes| FrameInput {
            frame,
            planes: planes.collect(),
            size,
        });
        frame += 1;
        Ok(input)
    };
    let count = frames * made * height * width;
    let one = frames * made == 1;
    if !one && numbers.try_reserve_exact(count).is_err() {
        return Err(Trouble::Memory);
    }
    let mut take = |output: FrameOutput| {
        for plane in output.planes {
            match one {
                true => numbers = plane,
                false => numbers.extend_from_slice(&plane),
            }
        }
        Ok(())
    };
    images.run_frames(&mut next, &mut take, progress)?;
    Ok((made, numbers))
}
