//! Values as YAML that every version reads alike: block style, insertion order, always the same bytes.
//!
//! The text is part of the canonical archive, so this is our own writer and not a library's, whose style
//! could change from one version to the next. The layout is PyYAML's `default_flow_style=False`.

use std::fmt::Write;

use super::resolve::{Plain, core_schema, pyyaml};
use crate::value::{Key, Map, Value};

/// The longest key that YAML takes without the explicit `? ` form is 1024 characters; ours are shorter.
const LONGEST_SIMPLE_KEY: usize = 512;

/// The document that holds `map`.
pub fn to_string(map: &Map) -> String {
    let mut out = String::new();
    if map.is_empty() {
        out.push_str("{}\n");
    } else {
        write_map(&mut out, map, 0);
    }
    out
}

/// Writes the entries of a map that is not empty, the first of them at the current column.
fn write_map(out: &mut String, map: &Map, indent: usize) {
    for (position, (key, value)) in map.iter().enumerate() {
        if position > 0 {
            push_indent(out, indent);
        }
        let key = match key {
            Key::Int(number) => number.to_string(),
            Key::String(text) => scalar(text),
        };
        if key.len() > LONGEST_SIMPLE_KEY {
            out.push_str("? ");
            out.push_str(&key);
            out.push('\n');
            push_indent(out, indent);
        } else {
            out.push_str(&key);
        }
        out.push(':');
        write_value(out, value, indent);
    }
}

/// Writes what follows `key:`, line end included.
fn write_value(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Map(map) if !map.is_empty() => {
            out.push('\n');
            push_indent(out, indent + 2);
            write_map(out, map, indent + 2);
        }
        // As PyYAML does, a list stands in the column of its key.
        Value::List(items) if !items.is_empty() => {
            out.push('\n');
            push_indent(out, indent);
            write_list(out, items, indent);
        }
        leaf => {
            out.push(' ');
            write_leaf(out, leaf);
        }
    }
}

/// Writes the items of a list that is not empty, the first of them at the current column.
fn write_list(out: &mut String, items: &[Value], indent: usize) {
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            push_indent(out, indent);
        }
        out.push_str("- ");
        match item {
            Value::Map(map) if !map.is_empty() => write_map(out, map, indent + 2),
            Value::List(items) if !items.is_empty() => write_list(out, items, indent + 2),
            leaf => write_leaf(out, leaf),
        }
    }
}

fn write_leaf(out: &mut String, value: &Value) {
    match value {
        Value::Bool(x) => out.push_str(if *x { "true" } else { "false" }),
        Value::Int(x) => out.push_str(&x.to_string()),
        Value::Float(x) => out.push_str(&float(*x)),
        Value::String(x) => out.push_str(&scalar(x)),
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
    out.push('\n');
}

fn push_indent(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A float as YAML 1.1 and 1.2 both read it back to the last bit: with a point, and a sign before the exponent.
///
/// The form is PyYAML's: positional from 1e-4 up to 1e16, else with an exponent of at least two digits.
pub fn float(x: f64) -> String {
    if x.is_nan() {
        return ".nan".to_owned();
    }
    if x.is_infinite() {
        return if x > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let shortest = format!("{x:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let point = |text: &str| if text.contains('.') { "" } else { ".0" };
    if (-4..16).contains(&exponent) {
        let positional = x.to_string();
        return format!("{positional}{}", point(&positional));
    }
    format!("{mantissa}{}e{exponent:+03}", point(mantissa))
}

/// A text as a scalar on one line: plain where no reader could take it for anything else, else in quotes.
pub fn scalar(text: &str) -> String {
    if is_plain(text) {
        text.to_owned()
    } else if text.chars().all(is_plainly_printable) {
        format!("'{}'", text.replace('\'', "''"))
    } else {
        double_quoted(text)
    }
}

fn is_plain(text: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '/' | '.');
    let inner = |c: char| {
        word(c)
            || matches!(
                c,
                ' ' | '-' | '+' | '(' | ')' | '=' | ':' | '@' | '%' | ';' | '$'
            )
    };
    // A letter alone may be a truth value to readers that follow the 1.1 specification.
    text.starts_with(word)
        && text.chars().all(|c| inner(c) && is_plainly_printable(c))
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.starts_with("...")
        && !matches!(text, "y" | "Y" | "n" | "N")
        && pyyaml(text) == Plain::String
        && core_schema(text) == Plain::String
}

/// Characters that stand for themselves: printable ASCII. HiTMicTools opens the file in the encoding of its machine, which
/// is not UTF-8 everywhere, so all others are escaped, as PyYAML escapes them.
fn is_plainly_printable(c: char) -> bool {
    matches!(c, ' '..='~')
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        let code = u32::from(c);
        // Writing to a `String` cannot fail.
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            '\n' => write!(out, "\\n"),
            '\t' => write!(out, "\\t"),
            '\r' => write!(out, "\\r"),
            c if is_plainly_printable(c) => write!(out, "{c}"),
            _ if code < 0x100 => write!(out, "\\x{code:02X}"),
            _ if code < 0x1_0000 => write!(out, "\\u{code:04X}"),
            _ => write!(out, "\\U{code:08X}"),
        };
    }
    out.push('"');
    out
}
