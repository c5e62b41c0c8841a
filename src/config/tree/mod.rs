//! One tree of nodes with their places in the text, read from TOML, YAML or JSON.

mod json;
mod toml;
mod yaml;

use super::problem::{Problem, Source, Span};
use crate::value::{Key, Map, Value};

/// Nesting deeper than this is refused: no config needs it, and what walks the tree may recurse.
const MAX_DEPTH: usize = 64;

/// A tree of more nodes is refused; YAML's aliases could otherwise multiply a small file without end.
const MAX_NODES: usize = 200_000;

/// A value and the stretch of text that it was read from.
#[derive(Clone, Debug)]
pub struct Node {
    pub data: Data,
    pub span: Span,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Data {
    Null,
    Bool(bool),
    Int(i64),
    /// An integer of JSON that an `i64` does not hold: metadata may have it, settings may not.
    LargeInt,
    Float(f64),
    String(String),
    /// A date or time of TOML, as written.
    Datetime(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// What has been complained about already; everything is content with it.
    Invalid,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Key,
    pub key_span: Span,
    pub value: Node,
}

/// The syntax of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    Toml,
    Yaml,
    /// YAML that PyYAML wrote, or that only PyYAML has to understand: what YAML 1.2 reads differently is no error.
    PyYaml,
    Json,
}

/// Reads `source` as `syntax`. What is wrong goes to `problems`; the tree holds whatever could be read, if anything.
pub fn parse(source: &Source, syntax: Syntax, problems: &mut Vec<Problem>) -> Option<Node> {
    match syntax {
        Syntax::Toml => toml::parse(source, problems),
        Syntax::Yaml => yaml::parse(source, yaml::Reading::Unambiguous, problems),
        Syntax::PyYaml => yaml::parse(source, yaml::Reading::PyYaml, problems),
        Syntax::Json => json::parse(source, problems),
    }
}

impl Node {
    /// What the node is, for a message: `a number`, `text`.
    pub fn describe(&self) -> &'static str {
        match &self.data {
            Data::Null => "null",
            Data::Bool(_) => "a truth value",
            Data::Int(_) => "an integer",
            Data::LargeInt => "a very large integer",
            Data::Float(_) => "a number with a point",
            Data::String(_) => "text",
            Data::Datetime(_) => "a date or time",
            Data::List(_) => "a list",
            Data::Map(_) => "a table",
            Data::Invalid => "something invalid",
        }
    }

    /// The entries, if the node is a map.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.data {
            Data::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The entry of a text key, unless its value is null.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        let entry = self.entries()?.iter().find(|entry| entry.is(key))?;
        (!matches!(entry.value.data, Data::Null)).then_some(entry)
    }

    /// The plain value; complains of each null and date, which no plain value is.
    pub fn to_value(&self, source: &Source, problems: &mut Vec<Problem>) -> Option<Value> {
        let value = match &self.data {
            Data::Bool(x) => Value::Bool(*x),
            Data::Int(x) => Value::Int(*x),
            Data::Float(x) => Value::Float(*x),
            Data::String(x) => Value::String(x.clone()),
            Data::List(items) => {
                let items = items.iter().filter_map(|x| x.to_value(source, problems));
                Value::List(items.collect())
            }
            Data::Map(_) => Value::Map(self.to_map(source, problems)),
            Data::Null => {
                let problem = Problem::error(source, "a null says nothing here")
                    .label(&self.span, "expected a value, found null")
                    .help("leave the key out, or give it a value; for the text, write \"null\"");
                problems.push(problem);
                return None;
            }
            Data::Datetime(text) => {
                let problem = Problem::error(source, "a date or time is no plain value")
                    .label(
                        &self.span,
                        "expected text or a number, found a date or time",
                    )
                    .help(format!("quote it: \"{text}\""));
                problems.push(problem);
                return None;
            }
            Data::LargeInt => {
                problems.push(int_too_large(source, &self.span));
                return None;
            }
            Data::Invalid => return None,
        };
        Some(value)
    }

    /// The plain values of a map's entries; empty if the node is no map.
    pub fn to_map(&self, source: &Source, problems: &mut Vec<Problem>) -> Map {
        let entries = self.entries().unwrap_or_default().iter();
        entries
            .filter_map(|entry| Some((entry.key.clone(), entry.value.to_value(source, problems)?)))
            .collect()
    }
}

impl Entry {
    /// Whether the key is this text.
    pub fn is(&self, key: &str) -> bool {
        matches!(&self.key, Key::String(text) if text == key)
    }
}

fn too_large(source: &Source, span: &Span) -> Problem {
    Problem::error(source, "the file holds too much for a config")
        .label(span, format!("more than {MAX_NODES} values by here"))
}

fn too_deep(source: &Source, span: &Span) -> Problem {
    Problem::error(source, "the nesting is too deep")
        .label(span, format!("more than {MAX_DEPTH} levels"))
}

fn int_too_large(source: &Source, span: &Span) -> Problem {
    Problem::error(source, "the integer is too large")
        .label(span, format!("expected {} to {}", i64::MIN, i64::MAX))
        .help("write it with a point for a float, or in quotes for the text")
}

fn duplicate(source: &Source, key: &str, first: &Span, again: &Span) -> Problem {
    Problem::error(source, format!("the key `{key}` is given twice"))
        .label(again, "and again here")
        .label(first, "first here")
        .help("keep one of the two")
}
