//! Progress on a terminal: one bar with bytes or steps, and rate; and the wish to stop, from Ctrl-C.

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::printer::{Printer, plain_text};
use crate::progress::Progress;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// What comes sooner than this after the first signal is the same one: `timeout` and batch systems send it to the program,
/// and then to its group.
const SAME_SIGNAL: Duration = Duration::from_millis(500);

/// Makes Ctrl-C and a polite kill stop the work at the next slice, so that temporary files are removed; a second
/// one stops the program at once.
pub fn catch_interrupts() {
    let mut first = None;
    // Without the handler the program still runs; it just leaves a temporary file when it is interrupted.
    let _ = ctrlc::set_handler(move || {
        INTERRUPTED.store(true, Ordering::Relaxed);
        if first.get_or_insert_with(Instant::now).elapsed() >= SAME_SIGNAL {
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
    /// Their name: `windows`.
    Steps(&'static str),
}

impl Unit {
    /// What a bar says, in a line that fits a terminal of `columns`.
    fn template(self, columns: usize) -> String {
        let done = match self {
            Self::Bytes => {
                "{decimal_bytes} of {decimal_total_bytes}, {decimal_bytes_per_sec}{left}".to_owned()
            }
            Self::Steps(unit) => format!("{{human_pos}} of {{human_len}} {unit}{{rate}}{{left}}"),
        };
        // Half of the room is for the file's name, which is cut to what there is.
        match (columns.saturating_sub(WORDS) / 2).min(LONGEST) {
            bar @ SHORTEST.. => format!("{{prefix:>10}} [{{bar:{bar}}}] {done}  {{wide_msg}}"),
            _ if columns >= WORDS => format!("{{prefix:>10}} {done}"),
            _ => "{prefix:>10} {percent} %".to_owned(),
        }
    }

    fn style(self, columns: usize) -> Option<ProgressStyle> {
        let style = ProgressStyle::with_template(&self.template(columns)).ok()?;
        let style = style.with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
            let _ = write!(out, "{}", rate(state.pos(), state.per_sec()));
        });
        let style = style.with_key("left", |state: &ProgressState, out: &mut dyn Write| {
            let _ = write!(out, "{}", left(state.pos(), state.eta()));
        });
        Some(style.progress_chars("=> "))
    }
}

/// The length of a bar, in letters.
const LONGEST: usize = 30;
const SHORTEST: usize = 6;
/// The room that the words around a bar need: `   Running [] 123,456 of 1,234,567 windows, 123/s, 12h left  `.
const WORDS: usize = 62;

/// How many steps a second, of about three digits; nothing before the first.
fn rate(done: u64, per_second: f64) -> String {
    match per_second {
        _ if done == 0 => String::new(),
        rate if rate >= 10.0 => format!(", {rate:.0}/s"),
        rate if rate >= 1.0 => format!(", {rate:.1}/s"),
        rate => format!(", {rate:.2}/s"),
    }
}

/// How long it will take; nothing before the first step.
fn left(done: u64, left: Duration) -> String {
    match done {
        0 => String::new(),
        _ => format!(", {:#} left", HumanDuration(left)),
    }
}

/// How wide the terminal is.
fn columns() -> usize {
    terminal_size::terminal_size_of(io::stderr()).map_or(80, |(width, _)| usize::from(width.0))
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
        if let Some(style) = unit.style(columns()) {
            bar.set_style(style);
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

    fn begin_steps(&self, what: &str, steps: u64, unit: &'static str) {
        if self.visible {
            self.show(what, steps, Unit::Steps(unit));
        }
    }

    fn turn_to(&self, file: &Path) {
        if let Some((bar, _)) = self.current().as_ref() {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            bar.set_message(plain_text(&name));
        }
    }

    fn step(&self, steps: u64) {
        if self.visible
            && let Some((bar, Unit::Steps(_))) = self.current().as_ref()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_fits_its_terminal() {
        let windows = Unit::Steps("windows");
        let line = |columns| windows.template(columns);
        assert!(line(200).starts_with("{prefix:>10} [{bar:30}] {human_pos}"));
        assert!(line(80).starts_with("{prefix:>10} [{bar:9}] {human_pos} of {human_len} windows"));
        assert!(line(80).ends_with("{wide_msg}"));
        assert_eq!(
            line(65),
            "{prefix:>10} {human_pos} of {human_len} windows{rate}{left}"
        );
        assert_eq!(line(30), "{prefix:>10} {percent} %");
        for columns in [0, 30, 65, 80] {
            assert!(windows.style(columns).is_some() && Unit::Bytes.style(columns).is_some());
        }
    }

    #[test]
    fn rates_and_times_are_short_and_wait_for_the_first_step() {
        assert_eq!(rate(0, 0.0) + &left(0, Duration::ZERO), "");
        assert_eq!(
            rate(4, 69.6248) + &left(4, Duration::from_secs(90)),
            ", 70/s, 2m left"
        );
        assert_eq!(rate(4, 1.26) + &rate(4, 0.042), ", 1.3/s, 0.04/s");
    }
}
