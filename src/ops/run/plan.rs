//! What is done with each file: decided once from the arguments and the model, then done file by file.

use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use super::form::{Form, FormError, Makes};
use super::jobs::Job;
use super::{Error, Options, Outcome, Unit};
use crate::atomic::{self, AtomicFile};
use crate::digest::open_regular;
use crate::exec::{DeviceChoice, ExecError};
use crate::image::preview::{self, Preview};
use crate::image::{PixelType, Pixels, Reader, Roi, Writer, connected_components};
use crate::progress::Progress;
use crate::runner::{Cells, ClassifiedFrame, Images, Kind, Rows, Runner, Selection, TaskError};
use crate::tasks::picture::{Classes, Shown};
use crate::tasks::{FrameError, FrameOutput, Object};

/// What is done with each file.
pub(super) struct Plan<'a> {
    options: &'a Options,
    /// The form of images that are written.
    form: Form,
    makes: Makes,
    /// What a picture's title says of the model.
    title: String,
}

impl<'a> Plan<'a> {
    /// Decides.
    ///
    /// # Errors
    /// Fails if the arguments make no sense for the model.
    pub fn of(options: &'a Options, runner: &Runner) -> Result<Self, Error> {
        let makes = match &runner.kind {
            Kind::Images(images) if images.makes_probabilities() => Makes::Probabilities,
            _ => Makes::Image,
        };
        check_options(options, runner)?;
        let form = Form::of(options.form, makes).map_err(|error| Error::Form {
            model: options.model.clone(),
            error,
        })?;
        if !options.rescale && matches!(form, Form::Uint16 | Form::Uint8) {
            return Err(Error::Form {
                model: options.model.clone(),
                error: FormError::OwnRange,
            });
        }
        Ok(Self {
            options,
            form,
            makes,
            title: format!("{}: {}", options.model, runner.network),
        })
    }

    /// Complains of an output whose name is of a type that does not hold what is written.
    ///
    /// # Errors
    /// Fails if there is one.
    pub fn check_output(&self, runner: &Runner, job: &Job) -> Result<(), Error> {
        match runner.kind {
            Kind::Images(_) => self.form.check_name(&job.output, self.makes),
            Kind::Cells(_) | Kind::Rows(_) => Ok(()),
        }
        .map_err(|error| Error::Form {
            model: self.options.model.clone(),
            error,
        })
    }

    /// Complains of a file whose frames the device cannot hold. What else is wrong with it is said when it is run.
    ///
    /// # Errors
    /// Fails if it is such a file.
    pub fn check_size(&self, runner: &mut Runner, job: &Job) -> Result<(), Error> {
        let Kind::Images(images) = &mut runner.kind else {
            return Ok(());
        };
        let mut fits = || -> Result<(), TaskError> {
            let reader = Reader::open(&job.input)?;
            let selection = self.selection(&job.input, &reader)?;
            images.fits(&selection, reader.info().kind)
        };
        match fits() {
            Err(TaskError::Frame(FrameError::Exec(error @ ExecError::TooLarge { .. }))) => {
                Err(Error::TooLarge {
                    path: job.input.clone(),
                    error,
                })
            }
            _ => Ok(()),
        }
    }

    /// How many steps of a progress bar a file has; none if it cannot be read, which is said when it is run.
    pub fn steps(&self, runner: &mut Runner, job: &Job) -> u64 {
        let selected = || -> Result<Selection, TaskError> {
            let reader = Reader::open(&job.input)?;
            self.selection(&job.input, &reader)
        };
        match &mut runner.kind {
            Kind::Rows(_) => 1,
            Kind::Cells(_) => selected().map_or(0, |selection| selection.count() as u64),
            Kind::Images(images) => {
                let steps = selected().and_then(|selection| images.steps(&selection));
                steps.unwrap_or(0)
            }
        }
    }

    /// Runs the model on a file.
    ///
    /// # Errors
    /// Fails if the file is none that the model takes, or the disk or the device do; nothing is written then.
    pub fn run(
        &self,
        runner: &mut Runner,
        job: &Job,
        progress: &dyn Progress,
    ) -> Result<Outcome, TaskError> {
        match &mut runner.kind {
            Kind::Images(images) => self.images(images, job, progress),
            Kind::Cells(cells) => self.cells(cells, job, progress),
            Kind::Rows(model) => rows(model, &self.options.device, job, progress),
        }
    }

    fn selection(&self, path: &Path, reader: &Reader) -> Result<Selection, TaskError> {
        let frames = self.options.frames.as_ref();
        Ok(Selection::of(
            path,
            reader.info(),
            frames,
            self.options.channel,
        )?)
    }

    fn images(
        &self,
        images: &mut Images,
        job: &Job,
        progress: &dyn Progress,
    ) -> Result<Outcome, TaskError> {
        match (
            self.images_as(self.form, images, job, progress),
            self.form.widened(),
        ) {
            // Rare enough to begin again.
            (Err(TaskError::ManyObjects), Some(form)) => {
                self.images_as(form, images, job, progress)
            }
            (ran, _) => ran,
        }
    }

    fn images_as(
        &self,
        form: Form,
        images: &mut Images,
        job: &Job,
        progress: &dyn Progress,
    ) -> Result<Outcome, TaskError> {
        let mut reader = Reader::open(&job.input)?;
        let selection = self.selection(&job.input, &reader)?;
        let made = images.output(reader.info(), &selection)?;
        let mut shown = self.shown(job, &mut reader, &selection)?;
        let mut writer = Writer::create(&job.output, &form.info(&made))?;
        let segments = images.makes_probabilities();
        let mut picture = None;
        let mut clipped = Clipped::default();
        let mut take = |result: FrameOutput| {
            clipped.count(form, &result.planes);
            let planes = form.planes(&result.planes, selection.size[1]);
            let planes = planes.ok_or(TaskError::ManyObjects)?;
            for plane in &planes {
                writer.write(plane)?;
            }
            if let Some(shown) = shown.take() {
                picture = Some(match segments {
                    true => segmented(shown, form, result.planes, &planes),
                    false => shown.restored(written(&planes), self.options.rescale),
                });
            }
            Ok(())
        };
        images.run(&mut reader, &selection, &mut take, progress)?;
        writer.finish()?;
        draw(picture, job)?;
        Ok(Outcome::Done {
            count: selection.count() as u64,
            unit: Unit::Frame,
            warnings: clipped.warning(form).into_iter().collect(),
        })
    }

    fn cells(
        &self,
        cells: &mut Cells,
        job: &Job,
        progress: &dyn Progress,
    ) -> Result<Outcome, TaskError> {
        let no_labels = || TaskError::NoLabels {
            path: job.input.clone(),
        };
        let labels_path = job.labels.as_ref().ok_or_else(no_labels)?;
        let mut reader = Reader::open(&job.input)?;
        let mut labels = Reader::open(labels_path)?;
        let selection = self.selection(&job.input, &reader)?;
        let mut shown = self.shown(job, &mut reader, &selection)?;
        let names = cells.class_names();
        let mut warnings = Vec::new();
        let kind = reader.info().kind;
        if kind != PixelType::F32 {
            warnings.push(format!(
                "its numbers are {kind}, and the classifier takes them as they are: give it a scaled image if it was trained on one"
            ));
        }
        let (mut masks, mut pictures) = (0, 0);
        let mut picture = None;
        let mut take = |frame: ClassifiedFrame| {
            masks += usize::from(is_mask(&frame, selection.size[1]));
            pictures += usize::from(is_picture(&frame, selection.size));
            if let Some(shown) = shown.take() {
                let class = |object: &Object| (object.label, object.class);
                picture = Some(shown.classified(Classes {
                    labels: frame.labels,
                    classes: frame.objects.iter().map(class).collect(),
                    names: names.clone(),
                }));
            }
        };
        let count = write_table(&job.output, |output| {
            cells.run(
                (&job.input, &mut reader),
                (labels_path, &mut labels),
                &selection,
                output,
                &mut take,
                progress,
            )
        })?;
        draw(picture, job)?;
        if pictures > 0 {
            warnings.push(format!(
                "{} has labels that are strewn over {pictures} frame(s): it looks like an image, and not like numbered objects",
                labels_path.display()
            ));
        }
        if masks > 0 {
            warnings.push(format!(
                "{} has one label for many objects in {masks} frame(s): it looks like a mask; `--output-type labels` numbers objects",
                labels_path.display()
            ));
        }
        Ok(Outcome::Done {
            count,
            unit: Unit::Frame,
            warnings,
        })
    }

    /// What a picture shows of the first frame that is run, if one was asked for.
    fn shown(
        &self,
        job: &Job,
        reader: &mut Reader,
        selection: &Selection,
    ) -> Result<Option<Shown>, TaskError> {
        if job.preview.is_none() {
            return Ok(None);
        }
        let (frame, slice) = selection.place(0);
        let channel = selection.channels.start;
        let axes = reader.info().axes;
        let mut place = job
            .input
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for (name, number, of) in [
            ("frame", frame, axes.frames),
            ("slice", slice, axes.slices),
            ("channel", channel, axes.channels),
        ] {
            if of > 1 {
                place += &format!(", {name} {number} (of {of}, from 0)");
            }
        }
        Ok(Some(Shown {
            title: vec![self.title.clone(), place],
            size: selection.size,
            pixel: reader.info().calibration.pixel,
            input: reader.plane(frame, slice, channel)?.to_f32(),
        }))
    }
}

/// Numbers that a type of whole numbers does not hold.
#[derive(Default)]
struct Clipped {
    clipped: u64,
    all: u64,
}

impl Clipped {
    fn count(&mut self, form: Form, planes: &[Vec<f32>]) {
        let most = match form {
            Form::Uint16 => f32::from(u16::MAX),
            Form::Uint8 => f32::from(u8::MAX),
            _ => return,
        };
        // Half a step beyond is still rounded to the last number.
        let beyond = |v: &&f32| !(-0.5..=most + 0.5).contains(*v);
        for plane in planes {
            self.clipped += plane.iter().filter(beyond).count() as u64;
            self.all += plane.len() as u64;
        }
    }

    fn warning(&self, form: Form) -> Option<String> {
        let share = 100.0 * self.clipped as f64 / self.all.max(1) as f64;
        let kind = form.kind();
        (self.clipped > 0)
            .then(|| format!("{share:.2} % of its pixels are beyond {kind} and were clipped"))
    }
}

/// Whether a label image looks like a mask: one label, in several pieces.
fn is_mask(frame: &ClassifiedFrame, width: usize) -> bool {
    let inside = || {
        frame
            .labels
            .iter()
            .map(|label| *label != 0)
            .collect::<Vec<_>>()
    };
    frame.objects.len() == 1 && connected_components(&inside(), width).iter().max() > Some(&1)
}

/// Whether a label image looks like an image of a camera: many labels, most of which reach over a quarter of the frame.
fn is_picture(frame: &ClassifiedFrame, size: [usize; 2]) -> bool {
    let rois = Roi::all(&frame.labels, size[1]);
    let reaches = |roi: &&Roi| 4 * roi.rows.len() * roi.columns.len() > size[0] * size[1];
    rois.len() >= 16 && 2 * rois.iter().filter(reaches).count() > rois.len()
}

/// Complains of arguments that the model has no use for: they were meant for something.
fn check_options(options: &Options, runner: &Runner) -> Result<(), Error> {
    let Options { files, form, .. } = options;
    let given = [
        ("--labels", files.labels.is_some()),
        ("--no-rescale", !options.rescale),
        ("--output-type", form.kind.is_some()),
        ("--threshold", form.threshold.is_some()),
        ("--channel", options.channel.is_some()),
        ("--frames", options.frames.is_some()),
        ("--preview", files.preview.is_some()),
        ("--profile", options.profile),
    ];
    let (kind, useful): (_, &[&str]) = match &runner.kind {
        Kind::Images(images) if images.makes_probabilities() => (
            "which segments images",
            &[
                "--output-type",
                "--threshold",
                "--channel",
                "--frames",
                "--preview",
                "--profile",
            ],
        ),
        Kind::Images(_) => (
            "which restores images",
            // What is wrong with a threshold here has words of its own.
            &[
                "--no-rescale",
                "--output-type",
                "--threshold",
                "--channel",
                "--frames",
                "--preview",
                "--profile",
            ],
        ),
        Kind::Cells(_) => (
            "which classifies the objects of a label image",
            &[
                "--labels",
                "--channel",
                "--frames",
                "--preview",
                "--profile",
            ],
        ),
        Kind::Rows(_) => ("which classifies the rows of a table", &[]),
    };
    for (option, is_given) in given {
        if is_given && !useful.contains(&option) {
            return Err(Error::NotFor {
                option,
                model: options.model.clone(),
                kind,
            });
        }
    }
    match (&runner.kind, &files.labels) {
        (Kind::Cells(_), None) => Err(Error::NoLabels {
            model: options.model.clone(),
        }),
        _ => Ok(()),
    }
}

fn rows(
    rows: &Rows,
    device: &DeviceChoice,
    job: &Job,
    progress: &dyn Progress,
) -> Result<Outcome, TaskError> {
    let unreadable = |error| TaskError::File {
        path: job.input.clone(),
        error,
    };
    let input = open_regular(&job.input).map_err(unreadable)?;
    let summary = write_table(&job.output, |output| {
        rows.run(&job.input, BufReader::new(input), output, progress)
    })?;
    progress.step(1);
    Ok(Outcome::Done {
        count: summary.rows,
        unit: Unit::Row,
        warnings: match device {
            DeviceChoice::Auto | DeviceChoice::Cpu => Vec::new(),
            _ => vec![
                "tables are classified on the CPU, in float64, whatever `--device` says".to_owned(),
            ],
        },
    })
}

/// Writes a table, whole or not at all.
fn write_table<T>(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<T, TaskError>,
) -> Result<T, TaskError> {
    let failed = |error| TaskError::File {
        path: path.to_owned(),
        error,
    };
    let mut file = AtomicFile::create(path).map_err(failed)?;
    let mut buffer = BufWriter::new(file.file());
    let made = write(&mut buffer)?;
    buffer.flush().map_err(failed)?;
    drop(buffer);
    file.commit().map_err(failed)?;
    Ok(made)
}

/// What was written of a frame's first channel, rounded and clipped as it is.
fn written(planes: &[Pixels]) -> Vec<f32> {
    planes.first().map(Pixels::to_f32).unwrap_or_default()
}

/// Probabilities, or the mask or the objects that were made of them and written as `planes`.
fn segmented(shown: Shown, form: Form, result: Vec<Vec<f32>>, planes: &[Pixels]) -> Preview {
    match form {
        Form::Labels { .. } => shown.objects(written(planes).iter().map(|v| *v as u32).collect()),
        Form::Mask { threshold } => shown.mask(threshold, written(planes)),
        Form::Float32 | Form::Uint16 | Form::Uint8 => shown.probabilities(result),
    }
}

/// Draws a picture and writes it, whole or not at all, if one was asked for.
fn draw(picture: Option<Preview>, job: &Job) -> Result<(), TaskError> {
    let (Some(picture), Some(path)) = (picture, &job.preview) else {
        return Ok(());
    };
    let failed = |error| TaskError::File {
        path: path.to_owned(),
        error,
    };
    let bytes = preview::draw(&picture).map_err(|error| failed(error.into()))?;
    atomic::write(path, &bytes).map_err(failed)
}
