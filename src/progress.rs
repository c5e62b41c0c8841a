//! What long work reports to while it runs: the bars live in [`crate::cli`], the tests count bytes with it.

use std::path::Path;

/// Receives news of long work, from any thread.
pub trait Progress: Sync {
    /// A phase named `what` begins; it will read `bytes` bytes.
    fn begin(&self, _what: &str, _bytes: u64) {}

    /// `bytes` more bytes of `file` have been read.
    fn advance(&self, _file: &Path, _bytes: u64) {}

    /// A phase named `what` begins; it has so many steps of about the same length, which are `unit`: `windows`.
    fn begin_steps(&self, _what: &str, _steps: u64, _unit: &'static str) {}

    /// The steps from now on are of this file.
    fn turn_to(&self, _file: &Path) {}

    /// `steps` more steps are done.
    fn step(&self, _steps: u64) {}

    /// The phase has ended, well or badly.
    fn end(&self) {}

    /// Nothing happens until something else has: `what` it waits for.
    fn waiting(&self, _what: &str) {}

    /// Whether the user has asked to stop. Long loops look at it and give up with
    /// [`std::io::ErrorKind::Interrupted`], so that temporary files are removed on the way out.
    fn interrupted(&self) -> bool {
        false
    }
}

/// Reports nothing.
pub struct Silent;

impl Progress for Silent {}

/// Fails with [`std::io::ErrorKind::Interrupted`] if the user has asked to stop.
pub fn check_interrupt(progress: &dyn Progress) -> std::io::Result<()> {
    if progress.interrupted() {
        return Err(std::io::Error::new(
            std::io::ErrorKind::Interrupted,
            "interrupted",
        ));
    }
    Ok(())
}

/// A phase of work: it begins here and ends when the value is dropped, however that comes about.
#[must_use = "the phase ends when this is dropped"]
pub struct Phase<'a>(&'a dyn Progress);

impl<'a> Phase<'a> {
    /// Begins a phase named `what` that will read `bytes` bytes.
    pub fn begin(progress: &'a dyn Progress, what: &str, bytes: u64) -> Self {
        progress.begin(what, bytes);
        Self(progress)
    }

    /// Begins a phase named `what` of so many steps, which are `unit`.
    pub fn of_steps(
        progress: &'a dyn Progress,
        what: &str,
        steps: u64,
        unit: &'static str,
    ) -> Self {
        progress.begin_steps(what, steps, unit);
        Self(progress)
    }
}

impl Drop for Phase<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
