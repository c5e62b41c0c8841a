//! The `[bundle]` table: name, date, and what the bundle tells about itself.

use super::DEFAULT_NAME;
use super::catalogue::is_windows_device;
use super::context::Context;
use super::tree::{Data, Entry, Node};
use crate::created::Created;
use crate::value::{Key, Map, Value};

const KEYS: &[&str] = &["name", "auto_date", "created", "about"];
const ABOUT_KEYS: &[&str] = &[
    "version",
    "description",
    "authors",
    "license",
    "doi",
    "commit",
    "url",
];

/// What the `[bundle]` table says.
pub(super) struct Bundle {
    pub name: String,
    pub auto_date: bool,
    pub created: Option<Created>,
    pub about: Map,
}

impl Default for Bundle {
    fn default() -> Self {
        Self {
            name: DEFAULT_NAME.to_owned(),
            auto_date: true,
            created: None,
            about: Map::new(),
        }
    }
}

pub(super) fn read(entry: &Entry, context: &mut Context<'_>) -> Bundle {
    let node = &entry.value;
    let mut bundle = Bundle::default();
    if matches!(node.data, Data::Null) {
        return bundle;
    }
    let Some(entries) = node.entries() else {
        context.wrong_type("`bundle`", node, "a table");
        return bundle;
    };
    context.unknown_keys(entries, "`bundle`", KEYS);
    if let Some(entry) = node.get("name") {
        bundle.name = name(&entry.value, context).unwrap_or(bundle.name);
    }
    if let Some(entry) = node.get("auto_date") {
        match entry.value.data {
            Data::Bool(x) => bundle.auto_date = x,
            _ => drop(context.wrong_type("`bundle.auto_date`", &entry.value, "`true` or `false`")),
        }
    }
    bundle.created = node
        .get("created")
        .and_then(|entry| created(&entry.value, context));
    if let Some(entry) = node.get("about") {
        bundle.about = about(&entry.value, context);
    }
    bundle
}

fn name(node: &Node, context: &mut Context<'_>) -> Option<String> {
    let Data::String(text) = &node.data else {
        context.wrong_type("`bundle.name`", node, "text");
        return None;
    };
    if let Some(stem) = text.strip_suffix(".zip") {
        context
            .error(
                "`bundle.name` is the name without `.zip`",
                &node.span,
                "expected no extension",
            )
            .set_help(format!("write \"{stem}\""));
        return None;
    }
    let forbidden = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c);
    let valid = !text.is_empty()
        && text.len() <= 200
        && !text.contains(forbidden)
        && !text.starts_with(['.', ' ', '-'])
        && !text.ends_with(['.', ' '])
        && !is_windows_device(text);
    if !valid {
        context
            .error("`bundle.name` cannot name a file", &node.span, "expected the stem of the ZIP's name")
            .set_help("no `/ \\ : * ? \" < > |`, no point, space or dash in front, no point or space at the end, at most 200 bytes");
        return None;
    }
    Some(text.clone())
}

fn created(node: &Node, context: &mut Context<'_>) -> Option<Created> {
    let text = match &node.data {
        Data::String(text) => text,
        Data::Datetime(text) => {
            context
                .error(
                    "`bundle.created` is text",
                    &node.span,
                    "expected text, found a date or time",
                )
                .set_help(format!("quote it: \"{}\"", text.replace('T', " ")));
            return None;
        }
        _ => {
            context.wrong_type("`bundle.created`", node, "text");
            return None;
        }
    };
    text.parse()
        .map_err(|_| {
            context
                .error(
                    "`bundle.created` is no date",
                    &node.span,
                    "expected \"YYYY-MM-DD HH:MM:SS\"",
                )
                .set_help("the time is UTC; an example: \"2025-12-18 15:30:42\"");
        })
        .ok()
}

fn about(node: &Node, context: &mut Context<'_>) -> Map {
    let Some(entries) = node.entries() else {
        context.wrong_type("`bundle.about`", node, "a table");
        return Map::new();
    };
    context.unknown_keys(entries, "`bundle.about`", ABOUT_KEYS);
    let mut about = Map::new();
    for entry in entries {
        let Key::String(key) = &entry.key else {
            continue;
        };
        let what = format!("`bundle.about.{key}`");
        let value = match &entry.value.data {
            Data::String(text) => Some(Value::String(text.clone())),
            Data::Null => None,
            Data::List(items) if key == "authors" => Some(authors(items, &what, context)),
            _ => {
                let expected = if key == "authors" {
                    "text, or a list of texts"
                } else {
                    "text"
                };
                let written = context.text(&entry.value.span).to_owned();
                if let Some(problem) = context.wrong_type(&what, &entry.value, expected) {
                    problem.set_help(format!("quote it: \"{written}\""));
                }
                None
            }
        };
        about.extend(value.map(|value| (entry.key.clone(), value)));
    }
    about
}

fn authors(items: &[Node], what: &str, context: &mut Context<'_>) -> Value {
    let texts = items.iter().filter_map(|item| match &item.data {
        Data::String(text) => Some(Value::String(text.clone())),
        _ => {
            context.wrong_type(what, item, "text");
            None
        }
    });
    Value::List(texts.collect())
}
