//! YAML to nodes, with PyYAML's reading in mind: what YAML 1.2 reads differently is an error, where that is asked for.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{self, Event, Parser, ScalarStyle};

use super::{
    Data, Entry, MAX_DEPTH, MAX_NODES, Node, duplicate, int_too_large, too_deep, too_large,
};
use crate::config::problem::{Problem, Source, Span};
use crate::value::Key;
use crate::yaml::{self, Ambiguity, Plain};

/// The bytes of text whose copy costs as much as that of a node.
const TEXT_OF_A_NODE: usize = 64;

/// What to do with plain scalars that PyYAML and YAML 1.2 read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Complain of them.
    Unambiguous,
    /// Take PyYAML's word.
    PyYaml,
}

pub(super) fn parse(
    source: &Source,
    reading: Reading,
    problems: &mut Vec<Problem>,
) -> Option<Node> {
    let mut reader = Reader {
        source,
        reading,
        problems,
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        documents: 0,
        nodes: 0,
    };
    let options = granit_parser::options! {
        emit_comments: false,
        // As PyYAML does.
        block_scalar_eof_without_line_feed: true,
    };
    let text: &str = source.inner();
    if let Some(problem) = unprintable(source, text) {
        reader.problems.push(problem);
        return None;
    }
    for step in Parser::new_from_str_with_options(text, options) {
        match step {
            Ok((event, span)) => reader.event(event, &span).ok()?,
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(0).min(text.len());
                let problem = Problem::error(source, "this is not valid YAML");
                reader.problems.push(problem.label(&(at..at), error.info()));
                return None;
            }
        }
    }
    let end = text.len();
    Some(reader.root.unwrap_or(Node {
        data: Data::Map(Vec::new()),
        span: end..end,
    }))
}

/// Whether the reading goes on.
type Step = Result<(), Stopped>;

/// The reading has ended; why has been said.
struct Stopped;

/// A list or map whose end has not come yet.
struct Open {
    data: Data,
    /// The key that waits for its value; `None` inside: an invalid key.
    key: Option<(Option<Key>, Span)>,
    /// The texts of the keys so far, and where they stand.
    seen: HashMap<String, Span>,
    anchor: usize,
    start: usize,
}

struct Reader<'a> {
    source: &'a Source,
    reading: Reading,
    problems: &'a mut Vec<Problem>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
}

impl Reader<'_> {
    fn stop(&mut self, problem: Problem) -> Step {
        self.problems.push(problem);
        Err(Stopped)
    }

    /// Takes one event in.
    fn event(&mut self, event: Event<'_>, place: &granit_parser::Span) -> Step {
        let span = place.byte_range().unwrap_or(0..0);
        if let Some(tag) = place.tag_span() {
            self.refuse_tag(tag.byte_range().unwrap_or(0..0));
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let problem = Problem::error(self.source, "a config is one YAML document")
                        .label(&span, "a second one begins here")
                        .help("remove this line, or put the documents into files of their own");
                    return self.stop(problem);
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                if self.awaits_key() {
                    let key = self.key(&text, plain, &span);
                    self.expect_value(key, span);
                } else {
                    let data = self.scalar(&text, plain, &span);
                    self.finish(Node { data, span }, anchor)?;
                }
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(Data::List(Vec::new()), anchor, span)?;
            }
            Event::MappingStart(_, anchor, _) => {
                self.begin(Data::Map(Vec::new()), anchor, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let span = open.start..span.end.max(open.start);
                    let data = open.data;
                    self.finish(Node { data, span }, open.anchor)?;
                }
            }
            Event::Alias(id) => self.alias(id, span)?,
            _ => {}
        }
        Ok(())
    }

    fn refuse_tag(&mut self, span: Span) {
        let problem = Problem::error(self.source, "tags are not supported")
            .label(&span, "a tag")
            .help("remove it; quote the value if it is text");
        self.problems.push(problem);
    }

    fn awaits_key(&self) -> bool {
        matches!(
            self.open.last(),
            Some(Open {
                data: Data::Map(_),
                key: None,
                ..
            })
        )
    }

    fn expect_value(&mut self, key: Option<Key>, span: Span) {
        if let Some(open) = self.open.last_mut() {
            open.key = Some((key, span));
        }
    }

    fn begin(&mut self, data: Data, anchor: usize, span: Span) -> Step {
        if self.open.len() >= MAX_DEPTH {
            return self.stop(too_deep(self.source, &span));
        }
        if self.awaits_key() {
            let problem = Problem::error(self.source, "a key is a text or an integer")
                .label(&span, "expected a key, found a list or table");
            return self.stop(problem);
        }
        let start = span.start;
        self.open.push(Open {
            data,
            key: None,
            seen: HashMap::new(),
            anchor,
            start,
        });
        Ok(())
    }

    /// Puts a complete node where it belongs.
    fn finish(&mut self, node: Node, anchor: usize) -> Step {
        self.nodes += 1;
        if anchor != 0 {
            self.nodes += weight(&node);
        }
        if self.nodes > MAX_NODES {
            return self.stop(too_large(self.source, &node.span));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open {
                data: Data::List(items),
                ..
            }) => items.push(node),
            Some(Open {
                data: Data::Map(entries),
                key,
                seen,
                ..
            }) => {
                if let Some((Some(key), key_span)) = key.take() {
                    let name = key.to_string();
                    if let Some(first) = seen.get(&name) {
                        let mut problem = duplicate(self.source, &name, first, &key_span);
                        if !entries.iter().any(|entry| entry.key == key) {
                            problem = problem.help(
                                "keep one of the two: a lockfile cannot tell a number from a text of the same digits",
                            );
                        }
                        self.problems.push(problem);
                        return Ok(());
                    }
                    seen.insert(name, key_span.clone());
                    entries.push(Entry {
                        key,
                        key_span,
                        value: node,
                    });
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn alias(&mut self, id: usize, span: Span) -> Step {
        if self.awaits_key() {
            let problem = Problem::error(self.source, "a key is a text or an integer")
                .label(&span, "expected a key, found an alias");
            return self.stop(problem);
        }
        let Some(node) = self.anchors.get(&id) else {
            let problem = Problem::error(self.source, "the alias stands inside its own anchor")
                .label(&span, "a value cannot hold itself");
            return self.stop(problem);
        };
        if self.open.len() + depth(node) > MAX_DEPTH {
            return self.stop(too_deep(self.source, &span));
        }
        self.nodes += weight(node);
        if self.nodes > MAX_NODES {
            return self.stop(too_large(self.source, &span));
        }
        let node = node.clone();
        self.finish(node, 0)
    }

    fn key(&mut self, text: &str, plain: bool, span: &Span) -> Option<Key> {
        if !plain {
            return Some(Key::String(text.to_owned()));
        }
        if text == "<<" {
            let problem = Problem::error(self.source, "merge keys are not supported")
                .label(span, "`<<` merges another table into this one")
                .help("write the keys out; a whole value can be repeated with `&name` and `*name`");
            self.problems.push(problem);
            return None;
        }
        if let Some(ambiguity) = self.ambiguity(text) {
            let help = format!("quote it: \"{text}\"");
            self.problems
                .push(ambiguous(self.source, text, ambiguity, span).help(help));
            return None;
        }
        match self.scalar(text, plain, span) {
            Data::String(text) => Some(Key::String(text)),
            Data::Int(number) => Some(Key::Int(number)),
            Data::Invalid => None,
            other => {
                let found = Node {
                    data: other,
                    span: span.clone(),
                };
                let problem = Problem::error(self.source, "a key is a text or an integer")
                    .label(span, format!("found {}", found.describe()))
                    .help(format!("quote it: \"{text}\""));
                self.problems.push(problem);
                None
            }
        }
    }

    /// How a plain scalar is ambiguous, if that matters.
    fn ambiguity(&self, text: &str) -> Option<Ambiguity> {
        let ambiguity = yaml::ambiguity(text)?;
        let matters = match self.reading {
            Reading::Unambiguous => true,
            // Dates and YAML's own signs are no plain values, whoever reads them.
            Reading::PyYaml => matches!(ambiguity.pyyaml, Plain::Timestamp | Plain::Special),
        };
        matters.then_some(ambiguity)
    }

    fn scalar(&mut self, text: &str, plain: bool, span: &Span) -> Data {
        if !plain {
            return Data::String(text.to_owned());
        }
        if let Some(ambiguity) = self.ambiguity(text) {
            let problem = ambiguous(self.source, text, ambiguity, span);
            self.problems.push(problem.help(ambiguity.advice(text)));
            return Data::Invalid;
        }
        match yaml::pyyaml(text) {
            Plain::Null => Data::Null,
            Plain::Bool(x) => Data::Bool(x),
            Plain::Int(Some(x)) => Data::Int(x),
            Plain::Int(None) => {
                self.problems.push(int_too_large(self.source, span));
                Data::Invalid
            }
            Plain::Float(x) => Data::Float(x),
            Plain::String | Plain::Timestamp | Plain::Special => Data::String(text.to_owned()),
        }
    }
}

/// Complains of the first character that PyYAML's reader does not let into a YAML text.
fn unprintable(source: &Source, text: &str) -> Option<Problem> {
    let printable = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{A0}'..='\u{FFFD}' | '\u{1_0000}'..);
    let (at, c) = text.char_indices().find(|&(_, c)| !printable(c))?;
    let code = u32::from(c);
    let problem = Problem::error(source, "a character that YAML does not allow")
        .label(&(at..at + c.len_utf8()), format!("U+{code:04X}"))
        .help(format!(
            "remove it, or write it in double quotes as \"\\u{code:04X}\""
        ));
    Some(problem)
}

/// Says that PyYAML reads a plain scalar otherwise than YAML 1.2.
fn ambiguous(source: &Source, text: &str, ambiguity: Ambiguity, span: &Span) -> Problem {
    let message = format!("`{text}` means different things to different versions of YAML");
    let Ambiguity { pyyaml, core } = ambiguity;
    let readings = format!("{pyyaml} to PyYAML, which HiTMicTools uses; {core} to YAML 1.2");
    Problem::error(source, message).label(span, readings)
}

/// What a copy of a tree costs, in nodes: long texts count for several.
fn weight(node: &Node) -> usize {
    let text = |text: &str| text.len() / TEXT_OF_A_NODE;
    1 + match &node.data {
        Data::List(items) => items.iter().map(weight).sum(),
        Data::Map(entries) => entries
            .iter()
            .map(|entry| {
                let key = match &entry.key {
                    Key::String(key) => text(key),
                    Key::Int(_) => 0,
                };
                key + weight(&entry.value)
            })
            .sum(),
        Data::String(x) => text(x),
        _ => 0,
    }
}

/// How many levels a tree has.
fn depth(node: &Node) -> usize {
    1 + match &node.data {
        Data::List(items) => items.iter().map(depth).max().unwrap_or(0),
        Data::Map(entries) => entries.iter().map(|x| depth(&x.value)).max().unwrap_or(0),
        _ => 0,
    }
}
