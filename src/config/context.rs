//! What every part of the reading shares: where files are, and the list of complaints.

use std::path::Path;

use strsim::damerau_levenshtein;

use super::paths::{self, Surroundings};
use super::problem::{ConfigError, Problem, Source, Span, Warning};
use super::tree::{Data, Entry, Node};
use crate::value::Key;

pub(super) struct Context<'a> {
    pub path: &'a Path,
    pub source: &'a Source,
    pub surroundings: &'a Surroundings,
    pub problems: Vec<Problem>,
    warnings: Vec<Warning>,
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
            elsewhere: Vec::new(),
        }
    }

    /// The folder of the config.
    pub fn folder(&self) -> &'a Path {
        paths::folder_of(self.path)
    }

    /// A stretch of the config's text.
    pub fn text(&self, span: &Span) -> &'a str {
        self.source.inner().get(span.clone()).unwrap_or_default()
    }

    /// Adds an error with one label; the caller may add to it.
    pub fn error(
        &mut self,
        message: impl Into<String>,
        span: &Span,
        label: impl Into<String>,
    ) -> &mut Problem {
        let problem = Problem::error(self.source, message).label(span, label);
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
        let Some((first, rest)) = self.elsewhere.split_first() else {
            return;
        };
        let message = "found in the working directory, not beside the config";
        let mut warning =
            Problem::warning(self.source, message).label(first, "not beside the config");
        for span in rest {
            warning = warning.label(span, "");
        }
        let help = "HiTMicTools looks in the working directory; paths relative to the config work from every directory";
        self.warnings.push(warning.help(help));
    }

    pub fn into_error(mut self) -> ConfigError {
        self.problems.sort_by_key(|problem| {
            let own = problem.is_in(self.source);
            (!own, problem.spans().next().map_or(0, |span| span.start))
        });
        ConfigError::Invalid {
            path: self.path.to_owned(),
            problems: self.problems,
            warnings: self.warnings,
        }
    }

    pub fn into_warnings(self) -> Vec<Warning> {
        self.warnings
    }
}

fn push(problems: &mut Vec<Problem>, problem: Problem) -> &mut Problem {
    problems.push(problem);
    let last = problems.len() - 1;
    &mut problems[last]
}

/// The name that is nearest to `name`, if one is near enough to have been meant.
pub(super) fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let folded = name.to_lowercase().replace('-', "_");
    names
        .map(|candidate| {
            let other = candidate.to_lowercase().replace('-', "_");
            (damerau_levenshtein(&folded, &other), candidate)
        })
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.chars().count() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
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
