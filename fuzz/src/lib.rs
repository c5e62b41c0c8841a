//! What the targets share: folders in memory, and equality in which NaN equals itself and order counts.

use std::path::Path;

use model_bundle::config::{Config, Model};
use model_bundle::value::{Key, Map, Value};
use tempfile::TempDir;

pub mod config;

/// A new folder, in memory where the system has such.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("bundle-fuzz.");
    if memory.is_dir() {
        builder.tempdir_in(memory)
    } else {
        builder.tempdir()
    }
    .expect("a folder can be made")
}

/// Whether two maps have the same keys in the same order, with the same values to the last bit.
pub fn same_map(a: &Map, b: &Map) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|((ka, va), (kb, vb))| ka == kb && same_value(va, vb))
}

fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => {
            a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
        }
        (Value::List(a), Value::List(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Map(a), Value::Map(b)) => same_map(a, b),
        _ => a == b,
    }
}

/// The map as TOML can say it: a key of digits is an integer there. `None` if two keys become one by that.
pub fn as_toml_has_it(map: &Map) -> Option<Map> {
    let mut out = Map::new();
    for (key, value) in map {
        let key = Key::from_toml(&key.to_string());
        if out.insert(key, value_as_toml_has_it(value)?).is_some() {
            return None;
        }
    }
    Some(out)
}

fn value_as_toml_has_it(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Map(map) => Value::Map(as_toml_has_it(map)?),
        Value::List(items) => {
            let items: Option<_> = items.iter().map(value_as_toml_has_it).collect();
            Value::List(items?)
        }
        leaf => leaf.clone(),
    })
}

/// Whether `b` says what `a` does, but for keys of digits, which are integers in `b`.
pub fn same_config(a: &Config, b: &Config) -> bool {
    (&a.name, a.auto_date, a.created) == (&b.name, b.auto_date, b.created)
        && same_map(&a.about, &b.about)
        && a.tracker == b.tracker
        && a.models.len() == b.models.len()
        && a.models
            .iter()
            .zip(&b.models)
            .all(|(a, b)| same_model(a, b))
}

fn same_model(a: &Model, b: &Model) -> bool {
    let arguments = |a: &Option<Map>, b: &Option<Map>| match (a, b) {
        (Some(a), Some(b)) => as_toml_has_it(a).is_some_and(|a| same_map(&a, b)),
        _ => a.is_none() && b.is_none(),
    };
    let without_arguments = |model: &Model| Model {
        inferer_args: None,
        model_args: None,
        ..model.clone()
    };
    without_arguments(a) == without_arguments(b)
        && arguments(&a.inferer_args, &b.inferer_args)
        && arguments(&a.model_args, &b.model_args)
}
