//! What is wrong with a config: every complaint with its place, what was expected and found, and a next step.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use miette::{
    Diagnostic, LabeledSpan, MietteError, MietteSpanContents, NamedSource, Severity, SourceCode,
    SourceSpan, SpanContents,
};

/// A stretch of a source text, in bytes.
pub type Span = Range<usize>;

/// A text that problems point into, with the name of its file.
pub type Source = NamedSource<Arc<str>>;

/// One error or warning, with its places in a source text.
#[derive(Clone, Debug)]
pub struct Problem {
    message: String,
    labels: Vec<LabeledSpan>,
    help: Option<String>,
    severity: Severity,
    source: Source,
    model: Option<String>,
    blocks_loading: bool,
    of_missing_file: bool,
}

/// Something that the config does and probably should not.
pub type Warning = Problem;

impl Problem {
    /// An error in `source`.
    pub fn error(source: &Source, message: impl Into<String>) -> Self {
        Self::new(source, Severity::Error, message.into())
    }

    /// A warning about `source`.
    pub fn warning(source: &Source, message: impl Into<String>) -> Self {
        Self::new(source, Severity::Warning, message.into())
    }

    fn new(source: &Source, severity: Severity, message: String) -> Self {
        Self {
            message,
            labels: Vec::new(),
            help: None,
            severity,
            source: source.clone(),
            model: None,
            blocks_loading: false,
            of_missing_file: false,
        }
    }

    /// Adds a place; the first is the one to look at.
    #[must_use]
    pub fn label(mut self, span: &Span, text: impl Into<String>) -> Self {
        let text = Some(text.into()).filter(|text| !text.is_empty());
        let label = LabeledSpan::new_with_span(text, span.clone());
        self.labels.push(label);
        self
    }

    /// Sets the next step.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Sets the next step.
    pub fn set_help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    /// Whether the problem is in this text, and not in a file that it names.
    pub(super) fn is_in(&self, source: &Source) -> bool {
        Arc::ptr_eq(self.source.inner(), source.inner())
    }

    /// Whether it is an error, and not a warning.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Says which model it is about.
    pub fn set_model(&mut self, key: &str) -> &mut Self {
        self.model = Some(key.to_owned());
        self
    }

    /// The key of the model that it is about, if it is about one.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Says that HiTMicTools cannot load the model for it, although it is packed.
    pub fn set_blocks_loading(&mut self) -> &mut Self {
        self.blocks_loading = true;
        self
    }

    /// Says that a file is not there.
    pub fn set_of_missing_file(&mut self) -> &mut Self {
        self.of_missing_file = true;
        self
    }

    /// Whether a file is not there.
    pub fn is_of_missing_file(&self) -> bool {
        self.of_missing_file
    }

    /// Makes an error of a warning if HiTMicTools cannot load the model for it.
    pub fn insist_on_loading(&mut self) {
        if self.blocks_loading {
            self.severity = Severity::Error;
        }
    }

    /// Makes a warning of an error.
    pub fn forgive(&mut self) {
        self.severity = Severity::Warning;
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where in its file it is wrong, in bytes; the first place is the one to look at.
    pub fn spans(&self) -> impl Iterator<Item = Span> {
        self.labels
            .iter()
            .map(|label| label.offset()..label.offset() + label.len())
    }
}

impl Serialize for Problem {
    /// Severity, message, what stands at its place, help, the model, and where: file, line and column from 1.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Problem", 8)?;
        let severity = if self.is_error() { "error" } else { "warning" };
        fields.serialize_field("severity", severity)?;
        fields.serialize_field("message", &self.message)?;
        let label = self.labels.first().and_then(LabeledSpan::label);
        fields.serialize_field("label", &label)?;
        fields.serialize_field("help", &self.help)?;
        fields.serialize_field("model", &self.model)?;
        fields.serialize_field("file", self.source.name())?;
        let place = self.spans().next().map(|span| {
            let text = self.source.inner();
            let before = text.get(..span.start).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before
                .rsplit('\n')
                .next()
                .unwrap_or_default()
                .chars()
                .count()
                + 1;
            (line, column)
        });
        fields.serialize_field("line", &place.map(|(line, _)| line))?;
        fields.serialize_field("column", &place.map(|(_, column)| column))?;
        fields.end()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

/// Longer lines are not shown whole: a JSON file may be one line of megabytes, and reports do not reach that far.
const LONGEST_LINE: usize = 1000;

/// So many bytes before and behind a place in a long line are shown, and at most so many of the place itself.
const SHOWN_AROUND: usize = 60;
const SHOWN_OF_PLACE: usize = 400;

impl SourceCode for Problem {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let whole = self.source.read_span(span, before, after)?;
        let mut lines = whole.data().split(|byte| *byte == b'\n');
        // Without lines around it, only the place itself is asked for.
        if before == 0 || lines.all(|line| line.len() <= LONGEST_LINE) {
            return Ok(whole);
        }
        let text = self.source.inner();
        let place = span.offset().min(text.len());
        let line = text[..boundary_before(text, place)]
            .rfind('\n')
            .map_or(0, |end| end + 1);
        let line_end = text[line..].find('\n').map_or(text.len(), |end| line + end);
        let first = boundary_before(text, place.saturating_sub(SHOWN_AROUND).max(line));
        let wanted = place + span.len().min(SHOWN_OF_PLACE) + SHOWN_AROUND;
        let end = boundary_before(text, wanted.min(line_end)).max(first);
        let lines_before = text[..line].matches('\n').count();
        Ok(Box::new(MietteSpanContents::new_named(
            self.source.name().to_owned(),
            &text.as_bytes()[first..end],
            (first, end - first).into(),
            lines_before,
            first - line,
            1,
        )))
    }
}

/// The last position up to `at` where a character begins.
fn boundary_before(text: &str, at: usize) -> usize {
    let is_boundary = |at: &usize| text.is_char_boundary(*at);
    (0..=at).rev().find(is_boundary).unwrap_or(0)
}

/// Why a config could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the config `{}`", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the config `{}` has {size} bytes; at most {limit} are read", path.display())]
    TooLarge {
        path: PathBuf,
        size: u64,
        limit: u64,
    },
    #[error("the config `{}` is not UTF-8: byte {offset} (line {line}) begins no character", path.display())]
    NotUtf8 {
        path: PathBuf,
        offset: usize,
        line: usize,
    },
    #[error("`{}` is no config by its name, which ends in neither `.toml` nor `.yml` nor `.yaml`", path.display())]
    UnknownSyntax { path: PathBuf },
    /// Everything that is wrong with the file, in the order of its text.
    #[error("{}", summary(path, problems))]
    Invalid {
        path: PathBuf,
        problems: Vec<Problem>,
        warnings: Vec<Warning>,
    },
}

impl ConfigError {
    /// Whether the file's content is at fault, and not its absence or its name.
    pub fn is_of_content(&self) -> bool {
        match self {
            Self::Invalid { .. } | Self::NotUtf8 { .. } | Self::TooLarge { .. } => true,
            Self::Read { .. } | Self::UnknownSyntax { .. } => false,
        }
    }
}

/// More errors than a person reads are counted, and not shown: each costs a walk through the text.
pub(super) const MOST_SHOWN: usize = 200;

fn summary(path: &std::path::Path, problems: &[Problem]) -> String {
    let path = path.display();
    match problems {
        [_] => format!("`{path}` has an error"),
        _ if problems.len() > MOST_SHOWN => format!(
            "`{path}` has {} errors, of which these are the first {MOST_SHOWN}",
            problems.len()
        ),
        _ => format!("`{path}` has {} errors", problems.len()),
    }
}

impl Diagnostic for ConfigError {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "`bundle init` writes a config to start from; `-c CONFIG` names another"
            }
            Self::NotUtf8 { .. } => "save the file as UTF-8",
            Self::UnknownSyntax { .. } => {
                "name the config; ZIPs and lockfiles are for `bundle show` and `bundle verify`"
            }
            Self::TooLarge { .. } => "is this the config, or a model?",
            _ => return None,
        };
        Some(Box::new(help))
    }

    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        match self {
            Self::Invalid { problems, .. } => {
                let shown = problems.iter().take(MOST_SHOWN);
                Some(Box::new(shown.map(|x| x as &dyn Diagnostic)))
            }
            _ => None,
        }
    }
}
