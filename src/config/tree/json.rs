//! JSON to nodes: serde_json decides what is valid, and a walk over the valid text finds places and duplicate keys.

use std::collections::HashMap;

use super::{Data, Entry, MAX_DEPTH, Node, duplicate, too_deep};
use crate::config::problem::{Problem, Source, Span};
use crate::value::Key;

/// The key by which serde_json's `arbitrary_precision` disguises a number as a map.
const DISGUISED_NUMBER: &str = "$serde_json::private::Number";

pub(super) fn parse(source: &Source, problems: &mut Vec<Problem>) -> Option<Node> {
    let text: &str = source.inner();
    if let Err(error) = serde_json::from_str::<serde_json::Value>(text) {
        let at = offset(text, error.line(), error.column());
        let message = error.to_string();
        // The place is in the label; serde_json repeats it in words.
        let what = message.rsplit_once(" at line ").map_or(&*message, |x| x.0);
        problems.push(Problem::error(source, "this is not valid JSON").label(&(at..at), what));
        return None;
    }
    let mut walk = Walk {
        source,
        problems,
        text,
        at: 0,
    };
    Some(walk.node(0))
}

/// The byte offset of a line and column as serde_json counts them: both from 1, the column in bytes.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let start: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    let mut at = (start + column.saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A walk over a text that is known to be valid JSON.
struct Walk<'a> {
    source: &'a Source,
    problems: &'a mut Vec<Problem>,
    text: &'a str,
    at: usize,
}

impl Walk<'_> {
    fn node(&mut self, depth: usize) -> Node {
        let start = self.peek_at();
        if depth > MAX_DEPTH {
            // What follows is not looked at.
            self.at = self.text.len();
            let span = start..start + 1;
            self.problems.push(too_deep(self.source, &span));
            let data = Data::Invalid;
            return Node { data, span };
        }
        let data = match self.peek() {
            b'{' => self.map(depth),
            b'[' => self.list(depth),
            b'"' => Data::String(self.string()),
            _ => self.word(),
        };
        let span = start..self.at;
        Node { data, span }
    }

    /// The next byte that is not white space; 0 at the end.
    fn peek(&mut self) -> u8 {
        let at = self.peek_at();
        self.text.as_bytes().get(at).copied().unwrap_or(0)
    }

    fn peek_at(&mut self) -> usize {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|x| x.is_ascii_whitespace()).count();
        self.at
    }

    fn skip(&mut self) {
        self.at = (self.at + 1).min(self.text.len());
    }

    fn list(&mut self, depth: usize) -> Data {
        let mut items = Vec::new();
        self.skip();
        loop {
            match self.peek() {
                b']' | 0 => break self.skip(),
                b',' => self.skip(),
                _ => items.push(self.node(depth + 1)),
            }
        }
        Data::List(items)
    }

    fn map(&mut self, depth: usize) -> Data {
        let mut entries = Vec::new();
        let mut seen: HashMap<String, Span> = HashMap::new();
        self.skip();
        loop {
            match self.peek() {
                b'}' | 0 => break self.skip(),
                b'"' => {}
                _ => {
                    self.skip();
                    continue;
                }
            }
            let start = self.at;
            let key = self.string();
            let key_span = start..self.at;
            if self.peek() == b':' {
                self.skip();
            }
            let value = self.node(depth + 1);
            self.check_key(&key, &key_span, seen.get(&key));
            if seen.insert(key.clone(), key_span.clone()).is_none() {
                let key = Key::String(key);
                entries.push(Entry {
                    key,
                    key_span,
                    value,
                });
            }
        }
        Data::Map(entries)
    }

    fn check_key(&mut self, key: &str, span: &Span, first: Option<&Span>) {
        if let Some(first) = first {
            let problem = duplicate(self.source, key, first, span);
            self.problems.push(problem);
        }
        if key == DISGUISED_NUMBER {
            let problem = Problem::error(self.source, "this key cannot be kept")
                .label(span, "reserved by the JSON reader")
                .help("rename the key");
            self.problems.push(problem);
        }
    }

    fn string(&mut self) -> String {
        let start = self.at;
        let bytes = self.text.as_bytes();
        self.skip();
        while let Some(&byte) = bytes.get(self.at) {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        self.at = self.at.min(bytes.len());
        serde_json::from_str(&self.text[start..self.at]).unwrap_or_default()
    }

    fn word(&mut self) -> Data {
        let start = self.at;
        let rest = &self.text.as_bytes()[start..];
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
        self.at += rest
            .iter()
            .take_while(|byte| is_word(byte))
            .count()
            .max(1)
            .min(rest.len());
        match &self.text[start..self.at] {
            "null" => Data::Null,
            "true" => Data::Bool(true),
            "false" => Data::Bool(false),
            number if number.contains(['.', 'e', 'E']) => {
                number.parse().map_or(Data::Invalid, Data::Float)
            }
            number => number.parse().map_or(Data::LargeInt, Data::Int),
        }
    }
}
