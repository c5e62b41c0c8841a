//! TOML to nodes.

use ::toml::Spanned;
use ::toml::de::{DeTable, DeValue};

use super::{Data, Entry, MAX_DEPTH, Node, int_too_large, too_deep};
use crate::config::problem::{Problem, Source};
use crate::value::Key;

pub(super) fn parse(source: &Source, problems: &mut Vec<Problem>) -> Option<Node> {
    let text: &str = source.inner();
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().unwrap_or(0..0);
        // An empty span is drawn as a point; a whole line is not wanted either.
        let problem = Problem::error(source, "this is not valid TOML").label(&at, error.message());
        problems.push(problem);
    }
    let mut reader = Reader { source, problems };
    let span = table.span();
    let data = reader.table(table.get_ref(), 0);
    Some(Node { data, span })
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
