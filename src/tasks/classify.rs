//! Classification of cells: label images and images in, a class for each object out.

use std::borrow::Cow;

use rayon::prelude::*;

use super::args::ClassifyArgs;
use super::cause::of_no_number;
use crate::exec::{ExecError, Profile, Session};
use crate::image::{Pixels, Roi, ScaleError, check_finite};
use crate::progress::Progress;

/// How many numbers go into a batch at most, whatever `batch_size` says: 256 regions of 32x32, enough for every thread,
/// and few enough to stop soon when the user asks to. The results do not depend on it.
const MOST_IN_BATCH: usize = 1 << 18;

/// A network that classifies objects. It is used for any number of frames.
pub struct CellClassifier {
    session: Box<dyn Session>,
    args: ClassifyArgs,
}

/// An object of a label image, classified.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub label: u32,
    /// The most probable class; the first of them if there are several.
    pub class: usize,
    /// Of each class.
    pub probabilities: Vec<f32>,
}

/// Why objects were not classified.
#[derive(Debug, thiserror::Error)]
pub enum ClassifyError {
    #[error("{what}: expected {expected}, found {found}")]
    Unfit {
        what: &'static str,
        expected: String,
        found: String,
    },
    #[error(transparent)]
    NotFinite(#[from] ScaleError),
    /// What comes out of a finite region is not: no class is the most probable.
    #[error(
        "label {label}: expected a finite probability of each class, found {value} for class {class}: {cause}"
    )]
    Probability {
        label: u32,
        class: usize,
        value: f32,
        /// What may be the reason.
        cause: &'static str,
    },
    #[error(transparent)]
    Exec(#[from] ExecError),
}

impl CellClassifier {
    /// A classifier with HiTMicTools' arguments.
    ///
    /// # Errors
    /// Fails if the network does not take squares of `min_size` with one channel, or gives no vector.
    pub fn new(session: Box<dyn Session>, args: ClassifyArgs) -> Result<Self, ClassifyError> {
        let (input, output) = (session.program().input(), session.program().output());
        let side = args.min_size;
        if (input.channels, input.height, input.width) != (1, side, side) {
            return Err(ClassifyError::Unfit {
                what: "what the network takes",
                expected: format!("[1, {side}, {side}]: one channel, and `min_size` as sides"),
                found: input.to_string(),
            });
        }
        if output.pixels() != 1 {
            return Err(ClassifyError::Unfit {
                what: "what the network gives",
                expected: "one number for each class".to_owned(),
                found: output.to_string(),
            });
        }
        Ok(Self { session, args })
    }

    /// What the device did so far ([`Session::profile`]).
    ///
    /// # Errors
    /// Fails if the device does.
    pub fn profile(&mut self) -> Result<Option<Profile>, ExecError> {
        self.session.profile()
    }

    /// How many classes the network tells apart.
    pub fn classes(&self) -> usize {
        self.session.program().output().channels
    }

    /// What a class is called; one that the config does not name is called as HiTMicTools does.
    pub fn class_name(&self, class: usize) -> Cow<'_, str> {
        match self.args.classes.get(&class) {
            Some(name) => Cow::Borrowed(name),
            None => Cow::Owned(format!("Unknown_Class_{class}")),
        }
    }

    /// The objects of a frame, by ascending label. Both images are `[height, width]`; the image's numbers are not
    /// scaled, as in HiTMicTools. Each object is a step of `progress`.
    ///
    /// # Errors
    /// Fails if the images do not have the same size, a number or a result is not finite, the device fails, or the user
    /// asks to stop.
    pub fn frame(
        &mut self,
        labels: &[u32],
        image: &Pixels,
        width: usize,
        progress: &dyn Progress,
    ) -> Result<Vec<Object>, ClassifyError> {
        if labels.len() != image.len() || width == 0 || !labels.len().is_multiple_of(width) {
            return Err(ClassifyError::Unfit {
                what: "the label image",
                expected: format!("as many pixels as the image, {}", image.len()),
                found: labels.len().to_string(),
            });
        }
        check_finite(image, width)?;
        let side = self.args.min_size;
        let rois = Roi::all(labels, width);
        let batch = self
            .args
            .batch_size
            .min(MOST_IN_BATCH / (side * side))
            .max(1);
        let mut objects = Vec::with_capacity(rois.len());
        for rois in rois.chunks(batch) {
            // A label that is strewn over a large frame takes a while to cut out.
            let cut = |roi: &Roi| match progress.interrupted() {
                true => Err(ExecError::Interrupted),
                false => Ok(roi.square(labels, image, width, side)),
            };
            let squares: Vec<Vec<f32>> = rois.par_iter().map(cut).collect::<Result<_, _>>()?;
            let results = self.session.run(&squares.concat(), rois.len())?;
            for (roi, numbers) in rois.iter().zip(results.chunks_exact(self.classes())) {
                objects.push(Object::of(roi.label, numbers, self.session.is_half())?);
            }
            progress.step(rois.len() as u64);
        }
        Ok(objects)
    }
}

impl Object {
    /// From what the network gives for each class; `half`: whether it kept numbers in float16.
    fn of(label: u32, numbers: &[f32], half: bool) -> Result<Self, ClassifyError> {
        let probabilities = softmax(numbers);
        // Minus infinity is a class that is out of the question, if not all are.
        let is_at_fault = |number: &f32| number.is_nan() || *number == f32::INFINITY;
        let at_fault = numbers.iter().position(is_at_fault);
        let undefined = || probabilities.iter().position(|p| !p.is_finite());
        if let Some(class) = at_fault.or_else(undefined) {
            return Err(ClassifyError::Probability {
                label,
                class,
                value: numbers[class],
                cause: of_no_number(half),
            });
        }
        let mut class = 0;
        for (other, probability) in probabilities.iter().enumerate() {
            if *probability > probabilities[class] {
                class = other;
            }
        }
        Ok(Self {
            label,
            class,
            probabilities,
        })
    }
}

/// `exp(v) / sum of exp(v)`, in float32, shifted so that nothing overflows.
fn softmax(numbers: &[f32]) -> Vec<f32> {
    let largest = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = numbers.iter().map(|v| (v - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_of_large_numbers_do_not_overflow_and_the_first_of_equals_wins() {
        let object = Object::of(7, &[-500.0, 500.0, 500.0, 100.0], false).unwrap();
        assert_eq!(object.probabilities, [0.0, 0.5, 0.5, 0.0]);
        assert_eq!((object.label, object.class), (7, 1));
    }

    #[test]
    fn what_is_no_probability_is_named_and_wins_nothing() {
        for (numbers, found) in [
            ([1.0, f32::NAN, 2.0], "found NaN for class 1"),
            ([1.0, 2.0, f32::INFINITY], "found inf for class 2"),
            ([f32::NEG_INFINITY; 3], "found -inf for class 0"),
        ] {
            let error = Object::of(7, &numbers, false).unwrap_err().to_string();
            assert!(error.starts_with("label 7: expected a finite"), "{error}");
            assert!(error.contains(found), "{error}");
            assert!(error.contains("weights are damaged"), "{error}");
            assert!(!error.contains("float16"), "{error}");
        }
        // The range of float16 is looked at first.
        let error = Object::of(7, &[f32::NAN], true).unwrap_err().to_string();
        assert!(error.contains("`--precision f32`"), "{error}");
        // A class that is out of the question is no fault.
        let sure = Object::of(7, &[f32::NEG_INFINITY, f32::MAX, f32::MIN], false).unwrap();
        assert_eq!(sure.probabilities, [0.0, 1.0, 0.0]);
    }
}
