//! TOML to nodes.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::{Data, Entry, MAX_DEPTH, Node, duplicate, int_too_large, too_deep};
use crate::config::problem::{MOST_SHOWN, Problem, Source, Span};
use crate::value::Key;

pub(super) fn parse(source: &Source, problems: &mut Vec<Problem>) -> Option<Node> {
    let text: &str = source.inner();
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut complaints = Vec::new();
    let mut reader = Reader {
        source,
        problems: &mut complaints,
    };
    let span = table.span();
    let data = reader.table(table.get_ref(), 0);
    let root = Node { data, span };
    let mut usable = true;
    for (nth, error) in errors.iter().enumerate() {
        let at = error.span().unwrap_or(0..0);
        if error.message() == DUPLICATE_KEY {
            problems.push(twice(source, &root, &at, nth < MOST_SHOWN));
        } else {
            usable = false;
            problems
                .push(Problem::error(source, "this is not valid TOML").label(&at, error.message()));
        }
    }
    // What a damaged text seems to say is not worth complaining of.
    usable.then(|| {
        problems.append(&mut complaints);
        root
    })
}

/// How the parser calls a key or table that is given twice.
const DUPLICATE_KEY: &str = "duplicate key";

/// Says that the key at `again` is given twice, with its first place where that can be told and is worth a walk through the text.
fn twice(source: &Source, root: &Node, again: &Span, is_shown: bool) -> Problem {
    let text: &str = source.inner();
    let name = text.get(again.clone()).unwrap_or_default();
    let first = || first_line(text, again).or_else(|| first_key(text, root, name, again));
    let first = is_shown.then(first).flatten();
    match first {
        Some(first) => duplicate(source, name, &first, again),
        None => Problem::error(source, format!("the key `{name}` is given twice"))
            .label(again, "given before")
            .help("keep one of the two"),
    }
}

/// The place of a header that stands, word for word, on an earlier line.
fn first_line(text: &str, again: &Span) -> Option<Span> {
    let start = text.get(..again.start)?.rfind('\n').map_or(0, |at| at + 1);
    let header = text.get(start..)?.lines().next()?.trim_end();
    if !header.starts_with('[') {
        return None;
    }
    let mut at = 0;
    for line in text.get(..start)?.split_inclusive('\n') {
        if line.trim_end() == header {
            let shift = again.start - start;
            return Some(at + shift..at + shift + again.len());
        }
        at += line.len();
    }
    None
}

/// The place of the last key of this name before `again`, not counting inline tables that `again` is outside of.
fn first_key(text: &str, node: &Node, name: &str, again: &Span) -> Option<Span> {
    let inline = text
        .get(node.span.clone())
        .is_some_and(|x| x.starts_with('{'));
    if inline && !(node.span.start < again.start && again.end < node.span.end) {
        return None;
    }
    let before = |entry: &&Entry| entry.key_span.start < again.start;
    let entries = node.entries().unwrap_or_default().iter().filter(before);
    let found = entries.filter_map(|entry| {
        let here = text.get(entry.key_span.clone()) == Some(name);
        let inner = first_key(text, &entry.value, name, again);
        inner.or_else(|| here.then(|| entry.key_span.clone()))
    });
    found.max_by_key(|span| span.start)
}

struct Reader<'a> {
    source: &'a Source,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, depth: usize) -> Data {
        let entries = table.iter().map(|(key, value)| Entry {
            key: Key::from_toml(key.get_ref()),
            key_span: key.span(),
            value: self.node(value, depth + 1),
        });
        Data::Map(entries.collect())
    }

    fn node(&mut self, value: &Spanned<DeValue<'_>>, depth: usize) -> Node {
        let span = value.span();
        if depth > MAX_DEPTH {
            self.problems.push(too_deep(self.source, &span));
            let data = Data::Invalid;
            return Node { data, span };
        }
        let data = match value.get_ref() {
            DeValue::String(text) => Data::String(text.to_string()),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => Data::Int(number),
                    Err(_) => {
                        self.problems.push(int_too_large(self.source, &span));
                        Data::Invalid
                    }
                }
            }
            DeValue::Float(number) => number.as_str().parse().map_or(Data::Invalid, Data::Float),
            DeValue::Boolean(x) => Data::Bool(*x),
            DeValue::Datetime(x) => Data::Datetime(x.to_string()),
            DeValue::Array(items) => {
                Data::List(items.iter().map(|x| self.node(x, depth + 1)).collect())
            }
            DeValue::Table(table) => self.table(table, depth),
        };
        Node { data, span }
    }
}
