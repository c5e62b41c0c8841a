//! Stacks that models gave, and what was expected of them.

use std::path::Path;

use super::{Comparison, Tolerance};
use crate::blob::Blob;
use crate::exec::cases::apart;
use crate::image::{Axes, ImageError, Info, Pixels, Reader, Writer};
use crate::progress::{Phase, Progress};
use crate::runner::{Images, Selection, TaskError};
use crate::subject::Vector;
use crate::tasks::FrameOutput;

/// A stack in memory: test vectors are small.
pub(super) struct Stack {
    info: Info,
    /// In the order of files: frames, slices, channels.
    planes: Vec<Vec<f32>>,
}

impl Stack {
    /// Writes it, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<(), ImageError> {
        let mut writer = Writer::create(path, &self.info)?;
        for plane in &self.planes {
            writer.write(&Pixels::F32(plane.into()))?;
        }
        writer.finish()
    }

    /// How far it is from another of the same shape, in parts of the largest number.
    pub fn apart(&self, other: &Self) -> f64 {
        let numbers = |stack: &Self| -> Vec<f32> { stack.planes.concat() };
        let wanted = numbers(other).into_iter().map(f64::from);
        apart(
            &numbers(self),
            &wanted.collect::<Vec<f64>>(),
            f64::MIN_POSITIVE,
        )
    }
}

/// Runs a model on a stack; `path` is only what messages call it.
pub(super) fn give(
    model: &mut Images,
    path: &Path,
    input: Blob,
    progress: &dyn Progress,
) -> Result<Stack, TaskError> {
    let mut reader = Reader::of_blob(path, input)?;
    let selection = Selection::of(path, reader.info(), None, None)?;
    let info = model.output(reader.info(), &selection)?;
    let _phase = Phase::of_steps(progress, "Testing", model.steps(&selection)?, "windows");
    let mut planes = Vec::new();
    let mut take = |result: FrameOutput| {
        planes.extend(result.planes);
        Ok(())
    };
    model.run(&mut reader, &selection, &mut take, progress)?;
    Ok(Stack { info, planes })
}

/// Compares a stack with the file of what is expected, pixel by pixel; `share` is as for [`tolerance`].
///
/// # Errors
/// Fails if the file is none, or its shape is another.
pub(super) fn compare(
    stack: &Stack,
    path: &Path,
    expected: Blob,
    vector: &Vector,
    share: f64,
) -> Result<(Comparison, Tolerance), TaskError> {
    let mut reader = Reader::of_blob(path, expected)?;
    let (given, wanted) = (stack.info.axes, reader.info().axes);
    let lengths = |axes: Axes| {
        [
            axes.frames,
            axes.slices,
            axes.channels,
            axes.height,
            axes.width,
        ]
    };
    if lengths(given) != lengths(wanted) {
        return Err(TaskError::Shape {
            what: "the shape of the result".to_owned(),
            expected: format!("{:?}, as {} has", wanted.shape(), path.display()),
            found: format!("{:?}", given.shape()),
        });
    }
    let places = (0..wanted.frames).flat_map(|frame| {
        (0..wanted.slices)
            .flat_map(move |slice| (0..wanted.channels).map(move |channel| (frame, slice, channel)))
    });
    let planes = places.map(|(frame, slice, channel)| {
        let plane = reader.plane(frame, slice, channel)?;
        Ok(((frame, slice, channel), plane.to_f32()))
    });
    let planes: Vec<(Place, Vec<f32>)> = planes.collect::<Result<_, ImageError>>()?;
    let numbers = planes.iter().flat_map(|(_, plane)| plane).copied();
    let tolerance = tolerance(vector, numbers, share);
    let mut comparison = Comparison::default();
    for (((frame, slice, channel), expected), found) in planes.iter().zip(&stack.planes) {
        let place = |at: usize| {
            let mut place = format!("frame {frame}");
            for (name, number, of) in [
                ("slice", slice, wanted.slices),
                ("channel", channel, wanted.channels),
            ] {
                if of > 1 {
                    place += &format!(", {name} {number}");
                }
            }
            format!(
                "{place}, row {}, column {}",
                at / wanted.width,
                at % wanted.width
            )
        };
        for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
            let (found, expected) = (f64::from(*found), f64::from(*expected));
            comparison.number(found, expected, &tolerance, || place(at));
        }
    }
    Ok((comparison, tolerance))
}

/// Frame, slice, channel.
type Place = (usize, usize, usize);

/// What the vector says, or else what suits the range of the expected numbers; at least the `share` of the range that a
/// device's precision loses.
pub(super) fn tolerance(
    vector: &Vector,
    expected: impl Iterator<Item = f32>,
    share: f64,
) -> Tolerance {
    let finite = expected.filter(|v| v.is_finite()).map(f64::from);
    let range = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    let span = (range.1 - range.0).max(0.0);
    Tolerance {
        rtol: vector.rtol.unwrap_or(Tolerance::RTOL),
        atol: vector
            .atol
            .unwrap_or(Tolerance::RANGE_SHARE * span)
            .max(share * span),
        mismatch_ppm: vector.mismatch_ppm.unwrap_or(0.0),
    }
}
