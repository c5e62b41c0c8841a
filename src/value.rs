//! Plain data values: what a config's free-form arguments hold, independent of TOML, YAML and JSON.

use indexmap::IndexMap;
use serde::{Serialize, Serializer};

/// A value as all three syntaxes know it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    List(Vec<Value>),
    Map(Map),
}

/// A mapping in the order of its source.
pub type Map = IndexMap<Key, Value>;

/// A mapping's key. `class_dict` and `classes` have integer keys; TOML spells them as strings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Int(i64),
    String(String),
}

impl Key {
    /// The key that a TOML text means: a canonical decimal integer is an integer.
    pub fn from_toml(text: &str) -> Self {
        match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => Self::Int(number),
            _ => Self::String(text.to_owned()),
        }
    }
}

/// The map as TOML has it, at every depth: keys of digits are integers.
pub fn with_toml_keys(map: &Map) -> Map {
    fn value(item: &Value) -> Value {
        match item {
            Value::Map(map) => Value::Map(with_toml_keys(map)),
            Value::List(items) => Value::List(items.iter().map(value).collect()),
            leaf => leaf.clone(),
        }
    }
    map.iter()
        .map(|(key, item)| (Key::from_toml(&key.to_string()), value(item)))
        .collect()
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(number) => number.fmt(f),
            Self::String(text) => text.fmt(f),
        }
    }
}

impl Value {
    /// A JSON value; null, which no plain value is, as the text `None`, and a number that fits nothing else as a float.
    pub fn from_json(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::String("None".to_owned()),
            serde_json::Value::Bool(x) => Self::Bool(*x),
            serde_json::Value::Number(number) => number.as_i64().map_or_else(
                || Self::Float(number.as_f64().unwrap_or(f64::NAN)),
                Self::Int,
            ),
            serde_json::Value::String(x) => Self::String(x.clone()),
            serde_json::Value::Array(items) => {
                Self::List(items.iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(map) => {
                let entry =
                    |(key, item): (&String, _)| (Key::from(key.as_str()), Self::from_json(item));
                Self::Map(map.iter().map(entry).collect())
            }
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bool(x) => x.serialize(serializer),
            Self::Int(x) => x.serialize(serializer),
            Self::Float(x) => x.serialize(serializer),
            Self::String(x) => x.serialize(serializer),
            Self::List(x) => x.serialize(serializer),
            Self::Map(x) => x.serialize(serializer),
        }
    }
}

impl Serialize for Key {
    /// Keys are written as text: JSON and TOML know no others.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
