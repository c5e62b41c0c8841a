//! Configs written for the user: a commented one to start from, and one that says what another config says.

use std::fmt::Write;

use super::{Config, DEFAULT_NAME, Model};
use crate::value::{Key, Map, Value};
use crate::yaml;

/// A commented `bundle.toml` to start from. Lines that begin with `#` and a letter are settings to uncomment.
pub fn starter() -> &'static str {
    include_str!("starter.toml")
}

/// A `bundle.toml` that loads to an equal config from the same folder.
///
/// One thing TOML cannot say: a key of digits is an integer there, even where quotes made it text in YAML.
pub fn to_toml(config: &Config) -> String {
    let mut out = String::from("# What goes into the bundle. Paths are relative to this file.\n");
    write_bundle(&mut out, config);
    for model in &config.models {
        write_model(&mut out, model);
    }
    if let Some(tracker) = &config.tracker {
        out.push_str("\n[tracker]\n");
        write_text(&mut out, "config_path", &tracker.file.written);
    }
    out
}

fn write_bundle(out: &mut String, config: &Config) {
    let mut table = Map::new();
    if config.name != DEFAULT_NAME {
        table.insert("name".into(), Value::String(config.name.clone()));
    }
    if !config.auto_date {
        table.insert("auto_date".into(), Value::Bool(false));
    }
    if let Some(created) = config.created {
        table.insert("created".into(), Value::String(created.to_string()));
    }
    if !table.is_empty() {
        write_table(out, "bundle", &table);
    }
    if !config.about.is_empty() {
        write_table(out, "bundle.about", &config.about);
    }
}

fn write_model(out: &mut String, model: &Model) {
    let key = model.key.as_str();
    let _ = writeln!(out, "\n[{key}]");
    if model.kind == super::ModelKind::Custom {
        write_text(out, "bundle_name", &model.bundle_name);
    }
    write_text(out, "model_path", &model.weights.written);
    if let Some(metadata) = &model.metadata {
        write_text(out, "model_metadata", &metadata.file.written);
    }
    if !model.allow_globals.is_empty() {
        let globals = model.allow_globals.iter().cloned().map(Value::String);
        write_entry(
            out,
            &"allow_globals".into(),
            &Value::List(globals.collect()),
        );
    }
    for (name, arguments) in [
        ("inferer_args", &model.inferer_args),
        ("model_args", &model.model_args),
    ] {
        if let Some(arguments) = arguments {
            write_table(out, &format!("{key}.{name}"), arguments);
        }
    }
    if let Some(test) = &model.test {
        let mut table = Map::new();
        let files = [
            ("input", Some(&test.input)),
            ("expected", Some(&test.expected)),
            ("labels", test.labels.as_ref()),
        ];
        for (name, file) in files {
            table.extend(file.map(|file| (name.into(), Value::String(file.written.clone()))));
        }
        for (name, x) in [
            ("rtol", test.rtol),
            ("atol", test.atol),
            ("mismatch_ppm", test.mismatch_ppm),
        ] {
            table.extend(x.map(|x| (name.into(), Value::Float(x))));
        }
        write_table(out, &format!("{key}.test"), &table);
    }
}

/// Writes a table under its header; a table at its end gets a header of its own, any other stands in line.
fn write_table(out: &mut String, path: &str, table: &Map) {
    let _ = writeln!(out, "\n[{path}]");
    let last = table.len().saturating_sub(1);
    for (position, (key, value)) in table.iter().enumerate() {
        match value {
            Value::Map(inner) if position == last && inner.len() > 2 => {
                write_table(out, &format!("{path}.{}", toml_key(key)), inner);
            }
            _ => write_entry(out, key, value),
        }
    }
}

fn write_text(out: &mut String, key: &str, text: &str) {
    let _ = writeln!(out, "{key} = {}", quoted(text));
}

fn write_entry(out: &mut String, key: &Key, value: &Value) {
    let _ = writeln!(out, "{} = {}", toml_key(key), in_line(value));
}

fn in_line(value: &Value) -> String {
    match value {
        Value::Bool(x) => x.to_string(),
        Value::Int(x) => x.to_string(),
        Value::Float(x) if x.is_finite() => yaml::float(*x),
        // `inf` and `nan`, without YAML's point.
        Value::Float(x) => x.to_string().to_lowercase(),
        Value::String(x) => quoted(x),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(in_line).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) if map.is_empty() => "{}".to_owned(),
        Value::Map(map) => {
            let entry = |(key, value)| format!("{} = {}", toml_key(key), in_line(value));
            let entries: Vec<String> = map.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

fn toml_key(key: &Key) -> String {
    let text = key.to_string();
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !text.is_empty() && text.bytes().all(bare) {
        text
    } else {
        quoted(&text)
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            '\n' => write!(out, "\\n"),
            '\t' => write!(out, "\\t"),
            '\r' => write!(out, "\\r"),
            c if c.is_control() => write!(out, "\\u{:04X}", u32::from(c)),
            c => write!(out, "{c}"),
        };
    }
    out.push('"');
    out
}
