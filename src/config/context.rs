//! What every part of the reading shares: where files are, and the list of complaints.

use std::path::Path;

use super::paths::{self, Surroundings};
use super::problem::{ConfigError, Problem, Source, Span, Warning};
use super::tree::{Data, Entry, Node};
use crate::value::Key;
pub(super) use crate::wording::nearest;

pub(super) struct Context<'a> {
    pub path: &'a Path,
    pub source: &'a Source,
    pub surroundings: &'a Surroundings,
    pub problems: Vec<Problem>,
    warnings: Vec<Warning>,
    strict: bool,
    /// The paths that were found in the working directory only.
    pub elsewhere: Vec<Span>,
}

impl<'a> Context<'a> {
    pub fn new(path: &'a Path, source: &'a Source, surroundings: &'a Surroundings) -> Self {
        Self {
            path,
            source,
            surroundings,
            problems: Vec::new(),
            warnings: Vec::new(),
            strict: false,
            elsewhere: Vec::new(),
        }
    }

    /// The folder of the config.
    pub fn folder(&self) -> &'a Path {
        paths::folder_of(self.path)
    }

    /// Whether the config is that of a packed bundle.
    pub fn is_packed(&self) -> bool {
        self.surroundings.packed_tracker.is_some()
    }

    /// A stretch of the config's text.
    pub fn text(&self, span: &Span) -> &'a str {
        self.source.inner().get(span.clone()).unwrap_or_default()
    }

    /// Whether what HiTMicTools' bundler takes is taken.
    pub fn is_lenient(&self) -> bool {
        self.surroundings.lenient
    }

    /// Adds an error with one label, which is a warning where what HiTMicTools' bundler takes is taken; the caller may
    /// add to it.
    pub fn error(
        &mut self,
        message: impl Into<String>,
        span: &Span,
        label: impl Into<String>,
    ) -> &mut Problem {
        match self.strict {
            true => self.refuse(message, span, label),
            false => self.complain(message, span, label),
        }
    }

    /// As [`Context::error`], within [`Context::strictly`] too.
    pub fn complain(
        &mut self,
        message: impl Into<String>,
        span: &Span,
        label: impl Into<String>,
    ) -> &mut Problem {
        let problem = Problem::error(self.source, message).label(span, label);
        self.add(problem)
    }

    /// Adds an error with one label of what HiTMicTools' bundler does not take either; the caller may add to it.
    pub fn refuse(
        &mut self,
        message: impl Into<String>,
        span: &Span,
        label: impl Into<String>,
    ) -> &mut Problem {
        let problem = Problem::error(self.source, message).label(span, label);
        push(&mut self.problems, problem)
    }

    /// Does something of which every error is one, whatever HiTMicTools' bundler takes.
    pub fn strictly<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.strict, true);
        let made = act(self);
        self.strict = before;
        made
    }

    /// Adds an error, which is a warning where what HiTMicTools' bundler takes is taken.
    pub fn add(&mut self, mut problem: Problem) -> &mut Problem {
        if self.is_lenient() {
            problem.forgive();
            return push(&mut self.warnings, problem);
        }
        push(&mut self.problems, problem)
    }

    /// Adds a warning with one label; the caller may add to it.
    pub fn warn(
        &mut self,
        message: impl Into<String>,
        span: &Span,
        label: impl Into<String>,
    ) -> &mut Problem {
        let problem = Problem::warning(self.source, message).label(span, label);
        push(&mut self.warnings, problem)
    }

    /// Complains of a value of the wrong type; invalid nodes have been complained of.
    pub fn wrong_type(&mut self, what: &str, node: &Node, expected: &str) -> Option<&mut Problem> {
        if matches!(node.data, Data::Invalid) {
            return None;
        }
        let label = format!("expected {expected}, found {}", node.describe());
        Some(self.error(format!("{what} has the wrong type"), &node.span, label))
    }

    /// Complains of the keys of a table that are none of `accepted`.
    pub fn unknown_keys(&mut self, entries: &[Entry], what: &str, accepted: &[&str]) {
        for entry in entries {
            let known = matches!(&entry.key, Key::String(x) if accepted.contains(&x.as_str()));
            if !known {
                self.unknown_key(entry, what, accepted);
            }
        }
    }

    pub fn unknown_key(&mut self, entry: &Entry, what: &str, accepted: &[&str]) {
        let name = entry.key.to_string();
        let label = match nearest(&name, accepted.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "not known here".to_owned(),
        };
        let help = match accepted {
            [] => format!("{what} takes no keys"),
            _ => format!("{what} accepts {}", listed(accepted)),
        };
        self.error(
            format!("unknown key `{name}` in {what}"),
            &entry.key_span,
            label,
        )
        .set_help(help);
    }

    /// Says what several places have in common, once.
    pub fn say_collected(&mut self) {
        let Some(first) = self.elsewhere.first().cloned() else {
            return;
        };
        let message = "paths lead to the working directory, not to the config's folder";
        let label = match self.elsewhere.len() - 1 {
            0 => "not beside the config".to_owned(),
            1 => "not beside the config, nor is 1 more".to_owned(),
            more => format!("not beside the config, nor are {more} more"),
        };
        self.warn(message, &first, label).set_help(
            "HiTMicTools looks there; paths relative to the config work from every directory",
        );
    }

    pub fn into_error(mut self) -> ConfigError {
        self.sort();
        ConfigError::Invalid {
            path: self.path.to_owned(),
            problems: self.problems,
            warnings: self.warnings,
        }
    }

    pub fn into_warnings(mut self) -> Vec<Warning> {
        self.sort();
        self.warnings
    }

    /// Puts complaints in the order of the text; those of other files follow.
    fn sort(&mut self) {
        let place = |problem: &Problem| {
            let own = problem.is_in(self.source);
            (!own, problem.spans().next().map_or(0, |span| span.start))
        };
        self.problems.sort_by_key(place);
        self.warnings.sort_by_key(place);
    }
}

fn push(problems: &mut Vec<Problem>, problem: Problem) -> &mut Problem {
    problems.push(problem);
    let last = problems.len() - 1;
    &mut problems[last]
}

/// Whether one of the keys is `wanted` misspelt, so that nothing more need be said of its absence.
pub(super) fn misspelt<'n>(
    mut entries: impl Iterator<Item = &'n Entry>,
    wanted: &str,
    accepted: &[&str],
) -> bool {
    entries.any(|entry| match &entry.key {
        Key::String(key) if accepted.contains(&key.as_str()) => false,
        key => nearest(&key.to_string(), accepted.iter().copied()) == Some(wanted),
    })
}

/// `a, b and c`, each in backticks.
pub(super) fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
