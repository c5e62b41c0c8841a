//! Progress on a terminal: one bar with bytes or steps, and rate; and the wish to stop, from Ctrl-C.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::printer::Printer;
use crate::progress::Progress;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Makes Ctrl-C and a polite kill stop the work at the next slice, so that temporary files are removed; a second
/// one stops the program at once.
pub fn catch_interrupts() {
    // Without the handler the program still runs; it just leaves a temporary file when it is interrupted.
    let _ = ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
}

/// What takes less than this many bytes is over before a bar could be read.
const SHOWN_FROM: u64 = 32 << 20;

/// What a bar counts.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Bytes,
    Steps,
}

impl Unit {
    fn template(self) -> &'static str {
        match self {
            Self::Bytes => {
                "{prefix:>10} [{bar:30}] {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left"
            }
            Self::Steps => {
                "{prefix:>10} [{bar:30}] {human_pos} of {human_len}, {per_sec}, {eta} left"
            }
        }
    }
}

/// Draws one bar at a time, on a terminal only.
pub struct Bars {
    printer: Printer,
    visible: bool,
    current: Mutex<Option<(ProgressBar, Unit)>>,
}

impl Bars {
    pub fn new(printer: Printer) -> Self {
        Self {
            printer,
            visible: printer.shows_progress(),
            current: Mutex::new(None),
        }
    }

    fn show(&self, what: &str, length: u64, unit: Unit) {
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template(unit.template()) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what.to_owned());
        *self.current() = Some((bar, unit));
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<(ProgressBar, Unit)>> {
        self.current
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Progress for Bars {
    fn begin(&self, what: &str, bytes: u64) {
        if self.visible && bytes >= SHOWN_FROM {
            self.show(what, bytes, Unit::Bytes);
        }
    }

    fn advance(&self, _file: &Path, bytes: u64) {
        if self.visible
            && let Some((bar, Unit::Bytes)) = self.current().as_ref()
        {
            bar.inc(bytes);
        }
    }

    fn begin_steps(&self, what: &str, steps: u64) {
        if self.visible {
            self.show(what, steps, Unit::Steps);
        }
    }

    fn step(&self, steps: u64) {
        if self.visible
            && let Some((bar, Unit::Steps)) = self.current().as_ref()
        {
            bar.inc(steps);
        }
    }

    fn end(&self) {
        if let Some((bar, _)) = self.current().take() {
            bar.finish_and_clear();
        }
    }

    fn waiting(&self, what: &str) {
        self.printer.status("Waiting", what);
    }

    fn interrupted(&self) -> bool {
        INTERRUPTED.load(Ordering::Relaxed)
    }
}
