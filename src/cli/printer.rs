//! Where text goes: data to standard output, everything else to standard error, in colour where it is wanted.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use clap::builder::styling::{AnsiColor, Style};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use terminal_size::{Height, Width, terminal_size_of};

use super::args::{ColorWhen, Global};
use super::table::wrapped;

/// Prints what a command has to say.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    quiet: bool,
    verbose: bool,
    color_stdout: bool,
    color_stderr: bool,
    /// The columns of the terminal that each is, if it is one.
    width_stdout: Option<usize>,
    width_stderr: Option<usize>,
}

pub const GOOD: Style = AnsiColor::Green.on_default().bold();
pub const NOTE: Style = AnsiColor::Cyan.on_default().bold();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const DIM: Style = Style::new().dimmed();
pub const BOLD: Style = Style::new().bold();

impl Printer {
    /// A printer that obeys the flags, `NO_COLOR`, and whether there is a terminal.
    pub fn new(global: &Global) -> Self {
        let allowed = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let wanted = |terminal: bool| match global.color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            ColorWhen::Auto => terminal && allowed,
        };
        Self {
            quiet: global.quiet,
            verbose: global.verbose,
            color_stdout: wanted(io::stdout().is_terminal()),
            color_stderr: wanted(io::stderr().is_terminal()),
            width_stdout: terminal_size_of(io::stdout()).map(columns),
            width_stderr: terminal_size_of(io::stderr()).map(columns),
        }
    }

    /// Whether progress bars are wanted.
    pub fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether more is to be said.
    pub fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// The columns that tables on standard output have; no limit where it is no terminal.
    pub fn width(&self) -> Option<usize> {
        self.width_stdout
    }

    /// The same of standard error.
    pub fn width_aside(&self) -> Option<usize> {
        self.width_stderr
    }

    /// Writes data to standard output.
    ///
    /// # Errors
    /// Fails if standard output is closed.
    pub fn out(&self, text: impl Display) -> io::Result<()> {
        let mut out = io::stdout().lock();
        write!(out, "{text}")?;
        out.flush()
    }

    /// Writes `value` as JSON to standard output.
    ///
    /// # Errors
    /// Fails if standard output is closed.
    pub fn json(&self, value: &impl serde::Serialize) -> io::Result<()> {
        // Beyond ASCII there are only texts, in which an escape says the same.
        let mut json = String::new();
        for character in serde_json::to_string_pretty(value)?.chars() {
            if character != '\n' && is_obeyed(character) {
                json += &format!("\\u{:04x}", u32::from(character));
            } else {
                json.push(character);
            }
        }
        self.out(format_args!("{json}\n"))
    }

    /// Writes text that was asked for, and is no data, to standard error.
    pub fn aside(&self, text: impl Display) {
        // Nothing is lost that a program reads.
        let _ = write!(io::stderr().lock(), "{text}");
    }

    /// `text` in a style for standard output.
    pub fn styled(&self, style: Style, text: impl Display) -> String {
        paint(self.color_stdout, style, text)
    }

    /// `text` in a style for standard error.
    pub fn styled_aside(&self, style: Style, text: impl Display) -> String {
        paint(self.color_stderr, style, text)
    }

    /// Says what was done, a verb in front.
    pub fn status(&self, verb: &str, text: impl Display) {
        if !self.quiet {
            self.line(GOOD, verb, text);
        }
    }

    /// Says more, if that is wanted.
    pub fn detail(&self, verb: &str, text: impl Display) {
        if self.verbose {
            self.line(NOTE, verb, text);
        }
    }

    /// Says that the answer is no.
    pub fn refusal(&self, verb: &str, text: impl Display) {
        self.line(BAD, verb, text);
    }

    fn line(&self, style: Style, verb: &str, text: impl Display) {
        let verb = paint(self.color_stderr, style, format_args!("{verb:>10}"));
        // A closed standard error is no reason to stop.
        let text = self.fitted(&text.to_string());
        let _ = writeln!(io::stderr(), "{verb} {text}");
    }

    /// A text in the columns behind a verb, further lines indented as the first.
    fn fitted(&self, text: &str) -> String {
        let text = plain_text(text);
        match self.width_stderr {
            Some(width) => wrapped(text.split(' '), width.saturating_sub(INDENT))
                .join(&format!("\n{:INDENT$}", "")),
            None => text,
        }
    }

    /// Writes further lines to standard error, indented under the last status.
    pub fn note(&self, text: impl Display) {
        let text = self.fitted(&text.to_string());
        let _ = writeln!(io::stderr(), "{:INDENT$}{text}", "");
    }

    /// Renders an error.
    pub fn error(&self, diagnostic: &dyn Diagnostic) {
        self.render(diagnostic);
    }

    /// Renders a warning.
    pub fn warning(&self, diagnostic: &dyn Diagnostic) {
        if !self.quiet {
            self.render(diagnostic);
        }
    }

    fn render(&self, diagnostic: &dyn Diagnostic) {
        let width = self.width_stderr.unwrap_or(WIDEST).min(WIDEST);
        let text = harmless(diagnostic, self.color_stderr, width);
        let _ = write!(io::stderr(), "{text}");
    }
}

/// The columns before the text of a status: its verb, and a space.
const INDENT: usize = 11;

/// No text is set wider, as it could not be read.
pub const WIDEST: usize = 100;

/// None is set narrower either: what has less room is broken by the terminal.
const NARROWEST: usize = 40;

/// The columns of a terminal, as far as text is set for them.
fn columns((Width(columns), _): (Width, Height)) -> usize {
    usize::from(columns).max(NARROWEST)
}

/// A report without colour.
pub fn plain(diagnostic: &dyn Diagnostic) -> String {
    harmless(diagnostic, false, WIDEST)
}

/// A report in which nothing is shown that a terminal obeys, but for the colours.
fn harmless(diagnostic: &dyn Diagnostic, in_color: bool, width: usize) -> String {
    let message = diagnostic.to_string();
    let plain = rendered(GraphicalTheme::unicode_nocolor(), diagnostic, width);
    let is_harmless = |text: &str| !text.chars().any(|c| c != '\n' && is_obeyed(c));
    let text = match plain {
        // No message of ours has a second line: what follows would pass for another message.
        Some(plain) if !message.contains('\n') => match is_harmless(&plain) {
            true if !in_color => Some(plain),
            true => rendered(GraphicalTheme::unicode(), diagnostic, width),
            // The text of a file is shown there, or what was taken from one.
            false => Some(plain.lines().map(|line| plain_text(line) + "\n").collect()),
        },
        _ => None,
    };
    text.unwrap_or_else(|| format!("  × {}\n", plain_text(&message)))
}

fn rendered(theme: GraphicalTheme, diagnostic: &dyn Diagnostic, width: usize) -> Option<String> {
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_links(false);
    let mut text = String::new();
    handler.render_report(&mut text, diagnostic).ok()?;
    Some(text)
}

fn paint(color: bool, style: Style, text: impl Display) -> String {
    if color {
        format!("{style}{text}{style:#}")
    } else {
        text.to_string()
    }
}

/// Text from a file, made harmless for a terminal: control characters are shown, not obeyed, line ends among them.
pub fn plain_text(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        if is_obeyed(character) {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
    }
    plain
}

/// Whether a terminal does something else with a character than show it: controls, and marks that are not seen or turn the text.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A size as people read it: `393.2 kB`.
pub fn human_size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    match unit {
        0 => format!("{bytes} B"),
        _ => format!("{value:.1} {}", units[unit]),
    }
}

/// `1 file`, `2 files`.
pub fn count(number: usize, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}
