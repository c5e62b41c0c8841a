//! Tables of features through a classifier, into a table of predictions.

use std::io::{Read, Write};
use std::path::Path;

use super::TaskError;
use crate::progress::Progress;
use crate::tasks::pi::{PiClassifier, Summary, classify_table};

/// A model that classifies rows of features.
pub struct Rows(pub(super) PiClassifier);

impl Rows {
    /// The classifier, for rows that are in memory.
    pub fn classifier(&self) -> &PiClassifier {
        &self.0
    }

    /// Classifies every row of a CSV table; `path` is only what messages are told.
    ///
    /// # Errors
    /// Fails if the table is none that the model takes, or cannot be read or written, or the user asked to stop.
    pub fn run(
        &self,
        path: &Path,
        input: impl Read,
        output: &mut dyn Write,
        progress: &dyn Progress,
    ) -> Result<Summary, TaskError> {
        Ok(classify_table(&self.0, input, path, output, progress)?)
    }

    /// Classifies a row of zeros.
    pub(super) fn smoke(&self) -> Result<(), TaskError> {
        let found = self.0.predict(&vec![0.0; self.0.width()])?;
        let expected = self.0.classes().len();
        let right = found.labels.len() == 1 && found.probabilities.len() == expected;
        match right && found.probabilities.iter().all(|p| p.is_finite()) {
            true => Ok(()),
            false => Err(TaskError::NotFinite),
        }
    }
}
