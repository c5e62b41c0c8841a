//! Writing a lock: the one canonical text, which is part of every canonical ZIP and so owned here to the byte.

use std::fmt::Write;

use crate::value::{Map, Value};

use super::{Layout, LockedFile, LockedModel, Lockfile, VERSION};

const HEADER: &str = "\
# What the bundle is made of, every file by its hash. Made by `bundle lock`: commit it, do not edit it.
";

impl Lockfile {
    /// The lock's canonical text.
    pub fn render(&self) -> String {
        let mut text = HEADER.to_owned();
        self.render_head(&mut text);
        if let Some(archive) = self.archive {
            text.push_str("\n[archive]\n");
            pair(&mut text, "size", &archive.size.to_string());
            pair(&mut text, "sha256", &string(&archive.sha256.to_string()));
        }
        if !self.about.is_empty() {
            text.push_str("\n[about]\n");
            pairs(&mut text, &self.about);
        }
        for (key, model) in &self.models {
            render_model(&mut text, key, model);
        }
        for file in &self.files {
            render_file(&mut text, file);
        }
        text
    }

    fn render_head(&self, text: &mut String) {
        pair(text, "version", &VERSION.to_string());
        let layout = match self.layout {
            Layout::Canonical => "1".to_owned(),
            Layout::Foreign => string("foreign"),
        };
        pair(text, "layout", &layout);
        pair(text, "config", &string(&self.config));
        if let Some(created) = self.created {
            pair(text, "created", &string(&created.to_string()));
        }
        let order: Vec<String> = self.models.keys().map(|key| string(key)).collect();
        pair(text, "order", &format!("[{}]", order.join(", ")));
    }
}

fn render_model(text: &mut String, model_key: &str, model: &LockedModel) {
    let table = format!("model.{}", key(model_key));
    let _ = writeln!(text, "\n[{table}]");
    if let Some(weights) = &model.weights {
        pair(text, "weights", &string(weights.as_str()));
    }
    if let Some(metadata) = &model.metadata {
        pair(text, "metadata", &string(metadata.as_str()));
    }
    let facts = &model.facts;
    if let Some(architecture) = &facts.architecture {
        pair(text, "architecture", &string(architecture));
    }
    if let Some(parameters) = facts.parameters {
        pair(text, "parameters", &parameters.to_string());
    }
    if let Some(dtype) = &facts.dtype {
        pair(text, "dtype", &string(dtype));
    }
    if let Some(tensors) = facts.tensors {
        pair(text, "tensors", &string(&tensors.to_string()));
    }
    globals(text, "globals", &facts.globals);
    globals(text, "allow_globals", &model.allow_globals);
    if let Some(arguments) = &facts.architecture_args {
        let _ = writeln!(text, "\n[{table}.architecture_args]");
        pairs(text, arguments);
    }
    for (name, arguments) in [
        ("inferer_args", &model.inferer_args),
        ("model_args", &model.model_args),
    ] {
        if let Some(arguments) = arguments {
            let _ = writeln!(text, "\n[{table}.{name}]");
            pairs(text, arguments);
        }
    }
    if let Some(test) = &model.test {
        let _ = writeln!(text, "\n[{table}.test]");
        pair(text, "input", &string(test.input.as_str()));
        pair(text, "expected", &string(test.expected.as_str()));
        if let Some(labels) = &test.labels {
            pair(text, "labels", &string(labels.as_str()));
        }
        pairs(text, &test.tolerances);
    }
}

/// A line for each, so that a new one is a line to review.
fn globals(text: &mut String, key: &str, names: &[String]) {
    if names.is_empty() {
        return;
    }
    let _ = writeln!(text, "{key} = [");
    for name in names {
        let _ = writeln!(text, "  {},", string(name));
    }
    text.push_str("]\n");
}

fn render_file(text: &mut String, file: &LockedFile) {
    text.push_str("\n[[file]]\n");
    pair(text, "path", &string(file.path.as_str()));
    if let Some(source) = &file.source {
        pair(text, "source", &string(source));
    }
    pair(text, "size", &file.contents.size.to_string());
    pair(text, "crc32", &string(&file.contents.crc32.to_string()));
    pair(text, "blake3", &string(&file.contents.blake3.to_string()));
}

fn pairs(text: &mut String, map: &Map) {
    for (name, item) in map {
        pair(text, &key(&name.to_string()), &value(item));
    }
}

fn pair(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{key} = {value}");
}

fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(bare) {
        name.to_owned()
    } else {
        string(name)
    }
}

pub(super) fn value(item: &Value) -> String {
    match item {
        Value::Bool(x) => x.to_string(),
        Value::Int(x) => x.to_string(),
        Value::Float(x) => float(*x),
        Value::String(x) => string(x),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(value).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) if map.is_empty() => "{}".to_owned(),
        Value::Map(map) => {
            let items: Vec<String> = map
                .iter()
                .map(|(name, item)| format!("{} = {}", key(&name.to_string()), value(item)))
                .collect();
            format!("{{ {} }}", items.join(", "))
        }
    }
}

/// The shortest text that reads back as `x`; Rust's own, which TOML reads, with `nan` in small letters.
fn float(x: f64) -> String {
    if x.is_nan() {
        "nan".to_owned()
    } else {
        format!("{x:?}")
    }
}

/// A TOML basic string.
fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            character if character.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", character as u32);
            }
            character => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
