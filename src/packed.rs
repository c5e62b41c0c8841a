//! The files that a build writes into a bundle, as bytes, and the names of all of them.

use serde_json::ser::{PrettyFormatter, Serializer};

use crate::config::{Config, Model, SourceFile, Tracker};
use crate::created::Created;
use crate::value::{Key, Map, Value};
use crate::yaml;

/// The name of the configuration that HiTMicTools reads first.
pub const CONFIG_NAME: &str = "config.yml";

/// The name of the tracker's settings.
pub const TRACKER_NAME: &str = "config_tracker.yml";

/// The name of a model's weights in the archive; the source's extension is kept.
pub fn weights_name(model: &Model) -> String {
    format!("models/{}.{}", model.bundle_name, model.extension)
}

/// The name of a model's metadata in the archive.
pub fn metadata_name(model: &Model) -> String {
    format!("metadata/{}.json", model.bundle_name)
}

/// The name of a test file in the archive: `tests/<key>/<role>.<ext>`, the role being `input`, `expected` or `labels`.
pub fn test_name(model: &Model, role: &str, file: &SourceFile) -> String {
    let extension = file.extension().unwrap_or_default();
    format!("tests/{}/{role}.{extension}", model.key)
}

/// A model's test files with their names in the archive.
pub fn test_files(model: &Model) -> Vec<(String, &SourceFile)> {
    let Some(test) = &model.test else {
        return Vec::new();
    };
    let files = [
        ("input", Some(&test.input)),
        ("expected", Some(&test.expected)),
        ("labels", test.labels.as_ref()),
    ];
    files
        .into_iter()
        .filter_map(|(role, file)| Some((test_name(model, role, file?), file?)))
        .collect()
}

/// `config.yml`: `_bundle_metadata`, then the models in the order of the config.
pub fn config_yml(config: &Config, created: Created) -> Vec<u8> {
    let mut about = Map::new();
    about.insert("creation_date".into(), Value::String(created.to_string()));
    let name = config
        .path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    about.insert("source_config".into(), Value::String(name.into_owned()));
    if !config.about.is_empty() {
        about.insert("about".into(), Value::Map(config.about.clone()));
    }
    let mut root = Map::new();
    root.insert("_bundle_metadata".into(), Value::Map(about));
    for model in &config.models {
        root.insert(Key::from(model.key.as_str()), Value::Map(entry(model)));
    }
    yaml::to_string(&root).into_bytes()
}

/// A model's entry in `config.yml`.
fn entry(model: &Model) -> Map {
    let mut map = Map::new();
    map.insert("model_path".into(), Value::String(weights_name(model)));
    map.insert("model_metadata".into(), Value::String(metadata_name(model)));
    for (key, arguments) in [
        ("inferer_args", &model.inferer_args),
        ("model_args", &model.model_args),
    ] {
        if let Some(arguments) = arguments {
            map.insert(key.into(), Value::Map(arguments.clone()));
        }
    }
    map
}

/// `metadata/<name>.json`: the source's object with `original_name`, replaced in its place or added at the end.
///
/// Two spaces of indent, no escapes that JSON does not demand, no line end after the last brace: what Python's
/// `json.dump(..., indent=2, ensure_ascii=False)` writes.
pub fn metadata_json(
    source: Option<&serde_json::Map<String, serde_json::Value>>,
    original_name: &str,
) -> Vec<u8> {
    let mut object = source.cloned().unwrap_or_default();
    object.insert("original_name".to_owned(), original_name.into());
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, PrettyFormatter::new());
    // Maps of text to JSON values always serialize, and a vector takes all bytes.
    let written = serde::Serialize::serialize(&object, &mut serializer);
    debug_assert!(written.is_ok());
    bytes
}

/// `metadata/<name>.json` of a model.
pub fn model_metadata_json(model: &Model) -> Vec<u8> {
    let source = model.metadata.as_ref().map(|metadata| &metadata.json);
    metadata_json(source, model.weights.name())
}

/// `config_tracker.yml`.
pub fn tracker_yml(tracker: &Tracker) -> &[u8] {
    &tracker.yaml
}
