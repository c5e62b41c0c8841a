//! Stacks of images and label images through a classifier, frame by frame, into a table.

use std::io::Write;
use std::path::Path;

use super::images::pattern;
use super::{Selection, TaskError};
use crate::image::{Pixels, Reader};
use crate::progress::Progress;
use crate::tasks::table::{TableError, Writer, repr_single};
use crate::tasks::{CellClassifier, Object};

/// A model that classifies the objects of label images.
pub struct Cells {
    pub(super) classifier: CellClassifier,
    /// The side of the square that the network takes.
    pub(super) side: usize,
}

/// A frame whose objects were classified.
pub struct ClassifiedFrame {
    /// Its number in the stack.
    pub frame: usize,
    pub image: Pixels<'static>,
    pub labels: Vec<u32>,
    pub objects: Vec<Object>,
}

impl Cells {
    /// The names of the classes, in the network's order.
    pub fn class_names(&self) -> Vec<String> {
        let names = (0..self.classifier.classes()).map(|class| self.classifier.class_name(class));
        names.map(|name| name.into_owned()).collect()
    }

    /// The objects of a frame that is in memory, by ascending label; both images are `[height, width]`. Each object is a
    /// step of `progress`.
    ///
    /// # Errors
    /// Fails as [`CellClassifier::frame`].
    pub fn frame(
        &mut self,
        labels: &[u32],
        image: &Pixels,
        width: usize,
        progress: &dyn Progress,
    ) -> Result<Vec<Object>, TaskError> {
        Ok(self.classifier.frame(labels, image, width, progress)?)
    }

    /// Classifies the objects of what was selected, and writes a row for each: `frame,label,class,p0,p1,...`, frames
    /// as the stack counts them; of a stack with slices, `frame,slice,label,...`. `take` sees each frame after its rows. Returns how many frames there were.
    ///
    /// # Errors
    /// Fails if the two stacks do not have the same frames and size, one cannot be read, or the user asked to stop.
    pub fn run(
        &mut self,
        (path, images): (&Path, &mut Reader),
        (labels_path, labels): (&Path, &mut Reader),
        selection: &Selection,
        output: &mut dyn Write,
        take: &mut dyn FnMut(ClassifiedFrame),
        progress: &dyn Progress,
    ) -> Result<u64, TaskError> {
        check_stacks((path, images), (labels_path, labels), selection)?;
        let table = |error| TaskError::Table(TableError::Write(error));
        let has_slices = images.info().axes.slices > 1;
        let place: &[&str] = if has_slices {
            &["frame", "slice"]
        } else {
            &["frame"]
        };
        let columns = place.iter().chain(&["label", "class"]);
        let columns = columns.map(|name| (*name).to_owned());
        let columns =
            columns.chain((0..self.classifier.classes()).map(|class| format!("p{class}")));
        let mut writer = Writer::new(output, columns).map_err(table)?;
        let quiet = Quiet(progress);
        for index in 0..selection.count() {
            let (frame, slice) = selection.place(index);
            let image = images.plane(frame, slice, selection.channels.start)?;
            let plane = labels.plane(frame, slice, 0)?;
            let found = plane.to_labels().map_err(|error| TaskError::Labels {
                path: labels_path.to_owned(),
                frame,
                what: error.to_string(),
            })?;
            let width = selection.size[1];
            let objects = self.classifier.frame(&found, &image, width, &quiet);
            let objects = objects.map_err(|error| TaskError::Cells {
                path: path.to_owned(),
                frame,
                error,
            })?;
            for object in &objects {
                let class = self.classifier.class_name(object.class).into_owned();
                let place = [Some(frame), has_slices.then_some(slice)]
                    .into_iter()
                    .flatten();
                let place = place.map(|number| number.to_string());
                let cells = place.chain([object.label.to_string(), class]);
                let numbers = object.probabilities.iter().map(|p| repr_single(*p));
                writer.row(cells.chain(numbers)).map_err(table)?;
            }
            take(ClassifiedFrame {
                frame,
                image,
                labels: found,
                objects,
            });
            progress.step(1);
        }
        Ok(selection.count() as u64)
    }

    /// Runs the network on one square of made-up numbers.
    pub(super) fn smoke(&mut self, progress: &dyn Progress) -> Result<(), TaskError> {
        let side = self.side;
        let image = Pixels::F32(pattern(side * side, 0).into());
        let labels = vec![1; side * side];
        self.classifier.frame(&labels, &image, side, progress)?;
        Ok(())
    }
}

/// The label image of a stack has its frames, its slices and its size, and one channel; the network takes one channel.
fn check_stacks(
    (path, images): (&Path, &Reader),
    (labels_path, labels): (&Path, &Reader),
    selection: &Selection,
) -> Result<(), TaskError> {
    let (image, label) = (images.info().axes, labels.info().axes);
    if selection.channels.len() != 1 {
        return Err(TaskError::Shape {
            what: path.display().to_string(),
            expected: "one channel; choose it with --channel, counted from 0".to_owned(),
            found: format!("{} channels", selection.channels.len()),
        });
    }
    let shape = |axes: crate::image::Axes, channels: usize| {
        format!(
            "{} frames, {} slices, {channels} channel(s) of {} x {}",
            axes.frames, axes.slices, axes.height, axes.width
        )
    };
    let (expected, found) = (shape(image, 1), shape(label, label.channels));
    match expected == found {
        true => Ok(()),
        false => Err(TaskError::Shape {
            what: format!(
                "{}, the labels of {}",
                labels_path.display(),
                path.display()
            ),
            expected,
            found,
        }),
    }
}

/// Counts no steps: the bar counts frames, since nobody knows how many objects there will be.
struct Quiet<'a>(&'a dyn Progress);

impl Progress for Quiet<'_> {
    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}
