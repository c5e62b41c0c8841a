//! Tables of classes: numbers to names, and names to numbers.

use super::out_of_range;
use crate::config::context::Context;
use crate::config::tree::{Data, Entry};
use crate::value::{Key, Map, Value};

/// `0: single-cell`: class numbers to names.
pub(super) fn int_to_name(entries: &[Entry], what: &str, context: &mut Context<'_>) -> Value {
    let mut map = Map::new();
    for entry in entries {
        let Key::Int(number) = entry.key else {
            let found = context.text(&entry.key_span).to_owned();
            let problem = context.error(
                format!("{what} maps class numbers to names"),
                &entry.key_span,
                format!("expected a class number, found {found}"),
            );
            match (&entry.key, &entry.value.data) {
                (Key::String(text), _) if text.parse::<u32>().is_ok() => {
                    let number = text.parse::<u32>().unwrap_or_default();
                    problem.set_help(format!("write {number}, without quotes"));
                }
                (_, Data::Int(number)) => {
                    problem.set_help(format!("turn it round: {number} = \"{}\"", entry.key));
                }
                _ => {}
            }
            continue;
        };
        if number < 0 {
            let label = format!("expected a number of at least 0, found {number}");
            context.error(
                format!("{what} has an impossible class number"),
                &entry.key_span,
                label,
            );
        }
        match &entry.value.data {
            Data::String(name) => {
                map.insert(entry.key.clone(), Value::String(name.clone()));
            }
            _ => drop(context.wrong_type(what, &entry.value, "the class's name, as text")),
        }
    }
    Value::Map(map)
}

/// `oof: 0`: class names to numbers.
pub(super) fn name_to_int(entries: &[Entry], what: &str, context: &mut Context<'_>) -> Value {
    let mut map = Map::new();
    for entry in entries {
        if let Key::Int(number) = entry.key {
            let problem = context.error(
                format!("{what} maps class names to numbers"),
                &entry.key_span,
                "expected a class name, found a number",
            );
            if let Data::String(name) = &entry.value.data {
                problem.set_help(format!("turn it round: {name} = {number}"));
            }
            continue;
        }
        match entry.value.data {
            Data::Int(number) if number >= 0 => {
                map.insert(entry.key.clone(), Value::Int(number));
            }
            Data::Int(_) => drop(out_of_range(
                &entry.value,
                what,
                "a class number of at least 0",
                context,
            )),
            _ => drop(context.wrong_type(what, &entry.value, "the class's number")),
        }
    }
    Value::Map(map)
}
