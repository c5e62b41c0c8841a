//! Any values, written by the crate's writers of YAML and of locks, are read back as they were.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use model_bundle::config::read_bundle_config;
use model_bundle::lockfile::{ArchivePin, Layout, LockedModel, Lockfile};
use model_bundle::value::{Key, Map, Value};
use model_bundle::yaml::{self, Plain};
use model_bundle_fuzz::{as_toml_has_it, same_map};

#[derive(Arbitrary, Debug)]
enum Any {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Any>),
    Map(Vec<(AnyKey, Any)>),
}

#[derive(Arbitrary, Debug)]
enum AnyKey {
    Int(i64),
    Text(String),
}

/// Deeper values are refused when they are read.
const DEEPEST: usize = 50;

fn value(any: &Any, depth: usize) -> Value {
    match any {
        Any::Bool(x) => Value::Bool(*x),
        Any::Int(x) => Value::Int(*x),
        Any::Float(x) => Value::Float(*x),
        Any::Text(x) => Value::String(x.clone()),
        Any::List(_) | Any::Map(_) if depth == DEEPEST => Value::Bool(false),
        Any::List(items) => Value::List(items.iter().map(|x| value(x, depth + 1)).collect()),
        Any::Map(entries) => Value::Map(map(entries, depth + 1)),
    }
}

fn map(entries: &[(AnyKey, Any)], depth: usize) -> Map {
    let key = |key: &AnyKey| match key {
        AnyKey::Int(x) => Key::Int(*x),
        AnyKey::Text(x) => Key::String(x.clone()),
    };
    let entries = entries.iter().map(|(k, x)| (key(k), value(x, depth)));
    entries.collect()
}

libfuzzer_sys::fuzz_target!(|entries: Vec<(AnyKey, Any)>| {
    let map = map(&entries, 0);
    // A number and a text of the same digits are no two keys: a lock could not tell them apart.
    let Some(in_toml) = as_toml_has_it(&map) else {
        return;
    };
    let text = yaml::to_string(&map);
    let read = read_bundle_config(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert!(same_map(&map, &read), "read back as {read:?}:\n{text}");
    leaves(&map);
    lock(in_toml);
});

fn leaves(map: &Map) {
    for value in map.values() {
        match value {
            Value::Float(x) => {
                let text = yaml::float(*x);
                for read in [yaml::pyyaml(&text), yaml::core_schema(&text)] {
                    let Plain::Float(y) = read else {
                        panic!("{text} is read as {read:?}");
                    };
                    assert!(x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()));
                }
            }
            Value::Map(map) => leaves(map),
            _ => {}
        }
    }
}

fn lock(map: Map) {
    let model = LockedModel {
        inferer_args: Some(map.clone()),
        ..LockedModel::default()
    };
    let lock = Lockfile {
        layout: Layout::Foreign,
        config: "any.zip".to_owned(),
        created: None,
        // Only with it does a lock pin what others made.
        archive: Some(ArchivePin {
            size: 22,
            sha256: [0; 32].into(),
        }),
        about: Map::new(),
        models: [("any".to_owned(), model)].into_iter().collect(),
        files: Vec::new(),
    };
    let text = lock.render();
    let read = Lockfile::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let arguments = read.models["any"].inferer_args.as_ref();
    assert!(same_map(&map, arguments.expect("they are there")), "{text}");
    assert!(lock.same_content(&read));
}
