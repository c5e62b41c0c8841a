//! Progress on a terminal: one bar with bytes and rate; and the wish to stop, from Ctrl-C.

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

/// Draws one bar at a time, on a terminal only.
pub struct Bars {
    printer: Printer,
    visible: bool,
    current: Mutex<Option<ProgressBar>>,
}

impl Bars {
    pub fn new(printer: Printer) -> Self {
        Self {
            printer,
            visible: printer.shows_progress(),
            current: Mutex::new(None),
        }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<ProgressBar>> {
        self.current
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Progress for Bars {
    fn begin(&self, what: &str, bytes: u64) {
        if !self.visible || bytes < SHOWN_FROM {
            return;
        }
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        let template = "{prefix:>10} [{bar:30}] {decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what.to_owned());
        *self.current() = Some(bar);
    }

    fn advance(&self, _file: &Path, bytes: u64) {
        if self.visible
            && let Some(bar) = self.current().as_ref()
        {
            bar.inc(bytes);
        }
    }

    fn end(&self) {
        if let Some(bar) = self.current().take() {
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
