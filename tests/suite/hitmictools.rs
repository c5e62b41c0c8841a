//! What HiTMicTools' own bundler makes of a config, and what we make of it: the same values, but for what is listed here.
//!
//! `fixtures/foreign/hitmictools_*.zip` are its ZIPs, kept by `tests/hitmictools/compare.py --keep`, and beside each, as
//! JSON, is what PyYAML reads in its YAML files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use insta::assert_snapshot;
use model_bundle::archive::Archive;
use model_bundle::config::read_bundle_config;
use model_bundle::value::{Key, Map, Value};
use model_bundle::yaml;
use serde_json::Value as Json;

use crate::session::{RODS, Run, Session, copy_sources};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures");

/// A ZIP that HiTMicTools' bundler wrote.
fn theirs(name: &str) -> PathBuf {
    Path::new(FIXTURES).join(format!("foreign/hitmictools_{name}.zip"))
}

/// The ZIP that we make of a config in this folder.
fn ours(folder: &Path, config: &str) -> (Session, PathBuf) {
    let session = Session::new();
    copy_sources(folder, &session.path(""));
    let zip = build(&session, config);
    (session, zip)
}

/// Some of the fixtures' weights are no more than a name.
fn build(session: &Session, config: &str) -> PathBuf {
    let mut command = session.command(&[
        "build",
        "-c",
        config,
        "-o",
        "ours.zip",
        "--no-auto-date",
        "--no-check",
    ]);
    command.env("SOURCE_DATE_EPOCH", "1766071842");
    Run::of(&mut command).ends(0);
    session.path("ours.zip")
}

/// A file in a bundle.
fn read(archive: &Archive, name: &str) -> Vec<u8> {
    let entry = archive.entry(name).unwrap_or_else(|| panic!("no {name}"));
    archive.read(entry, 1 << 20).unwrap()
}

/// The values of a YAML file in a bundle, as PyYAML reads them.
fn read_yaml(archive: &Archive, name: &str) -> Map {
    read_bundle_config(&read(archive, name)).unwrap()
}

fn read_json(archive: &Archive, name: &str) -> Json {
    serde_json::from_slice(&read(archive, name)).unwrap()
}

/// Every value that holds no other, with its type, by its path.
type Leaves = IndexMap<String, String>;

fn leaves_of(value: &Value, path: &str, leaves: &mut Leaves) {
    let leaf = match value {
        Value::Map(map) if !map.is_empty() => {
            for (key, item) in map {
                let key = match key {
                    Key::Int(number) => number.to_string(),
                    Key::String(text) if text.parse::<i64>().is_ok() => format!("{text:?}"),
                    Key::String(text) => text.clone(),
                };
                leaves_of(item, &format!("{path}.{key}"), leaves);
            }
            return;
        }
        Value::List(items) if !items.is_empty() => {
            for (position, item) in items.iter().enumerate() {
                leaves_of(item, &format!("{path}.{position}"), leaves);
            }
            return;
        }
        Value::Map(_) => "{}".to_owned(),
        Value::List(_) => "[]".to_owned(),
        Value::Bool(x) => x.to_string(),
        Value::Int(x) => x.to_string(),
        Value::Float(x) => yaml::float(*x),
        Value::String(x) => format!("{x:?}"),
    };
    leaves.insert(path.to_owned(), leaf);
}

/// The same of JSON. Python takes a number for a float if it has a point or an exponent.
fn leaves_of_json(value: &Json, path: &str, leaves: &mut Leaves) {
    let leaf = match value {
        Json::Object(map) if !map.is_empty() => {
            for (key, item) in map {
                leaves_of_json(item, &format!("{path}.{key}"), leaves);
            }
            return;
        }
        Json::Array(items) if !items.is_empty() => {
            for (position, item) in items.iter().enumerate() {
                leaves_of_json(item, &format!("{path}.{position}"), leaves);
            }
            return;
        }
        Json::Number(number) => match number.to_string() {
            text if text.contains(['.', 'e', 'E']) => yaml::float(text.parse().unwrap()),
            text if text == "-0" => "0".to_owned(),
            text => text,
        },
        leaf => leaf.to_string(),
    };
    leaves.insert(path.to_owned(), leaf);
}

/// A value as `typed` in compare.py spells it.
fn value_of(typed: &Json) -> Value {
    let (kind, content) = typed.as_object().unwrap().iter().next().unwrap();
    let text = content.as_str().unwrap_or_default();
    match kind.as_str() {
        "bool" => Value::Bool(content.as_bool().unwrap()),
        "int" => Value::Int(text.parse().unwrap()),
        "float" => Value::Float(f64::from_bits(u64::from_str_radix(text, 16).unwrap())),
        "str" => Value::String(text.to_owned()),
        "list" => Value::List(content.as_array().unwrap().iter().map(value_of).collect()),
        "map" => {
            let entries = content.as_array().unwrap().iter();
            let key = |typed: &Json| match value_of(typed) {
                Value::Int(number) => Key::Int(number),
                Value::String(text) => Key::String(text),
                other => panic!("{other:?} for a key"),
            };
            Value::Map(entries.map(|x| (key(&x[0]), value_of(&x[1]))).collect())
        }
        other => panic!("a {other}"),
    }
}

/// What was compared, and what differs, a line each.
#[derive(Default)]
struct Comparison {
    values: usize,
    lines: Vec<String>,
}

impl Comparison {
    /// Compares everything in two bundles.
    fn of(theirs: &Path, ours: &Path) -> Self {
        let (theirs, ours) = (Archive::open(theirs).unwrap(), Archive::open(ours).unwrap());
        let mut comparison = Self::default();
        comparison.yaml("config.yml", &theirs, &ours);
        comparison.yaml("config_tracker.yml", &theirs, &ours);
        let (there, here) = (
            read_yaml(&theirs, "config.yml"),
            read_yaml(&ours, "config.yml"),
        );
        assert!(there.keys().eq(here.keys()), "the models and their order");
        for key in there.keys().skip(1) {
            let path = |config: &Map, name: &str| {
                let Value::Map(model) = &config[key] else {
                    panic!("{key}");
                };
                match &model[&Key::from(name)] {
                    Value::String(path) => path.clone(),
                    other => panic!("{other:?}"),
                }
            };
            let metadata = path(&there, "model_metadata");
            assert_eq!(metadata, path(&here, "model_metadata"));
            comparison.json(&metadata, &theirs, &ours);
            let weights = (path(&there, "model_path"), path(&here, "model_path"));
            assert_eq!(read(&theirs, &weights.0), read(&ours, &weights.1), "{key}");
        }
        comparison.names(&theirs, &ours);
        comparison
    }

    fn leaves(&mut self, what: &str, there: &Leaves, here: &Leaves) {
        let paths: BTreeSet<&String> = there.keys().chain(here.keys()).collect();
        self.values += paths.len();
        for path in paths {
            let (there, here) = (there.get(path), here.get(path));
            if there != here {
                let show = |value: Option<&String>| value.map_or("nothing", |text| text).to_owned();
                let (there, here) = (show(there), show(here));
                self.lines
                    .push(format!("{what} {path}: {there} there, {here} here"));
            }
        }
    }

    fn yaml(&mut self, name: &str, theirs: &Archive, ours: &Archive) {
        let [there, here] = [theirs, ours].map(|archive| {
            let mut leaves = Leaves::new();
            leaves_of(&Value::Map(read_yaml(archive, name)), "", &mut leaves);
            leaves
        });
        self.leaves(name, &there, &here);
    }

    fn json(&mut self, name: &str, theirs: &Archive, ours: &Archive) {
        let [there, here] = [theirs, ours].map(|archive| {
            let mut leaves = Leaves::new();
            leaves_of_json(&read_json(archive, name), "", &mut leaves);
            leaves
        });
        self.leaves(name, &there, &here);
    }

    fn names(&mut self, theirs: &Archive, ours: &Archive) {
        let names = |archive: &Archive| -> BTreeSet<String> {
            let entries = archive.entries().iter();
            entries.map(|entry| entry.path.to_string()).collect()
        };
        let (there, here) = (names(theirs), names(ours));
        let only = |a: &BTreeSet<String>, b: &BTreeSet<String>, place: &str| -> Vec<String> {
            a.difference(b)
                .map(|name| format!("{name} is only {place}"))
                .collect()
        };
        self.lines.extend(only(&there, &here, "there"));
        self.lines.extend(only(&here, &there, "here"));
    }
}

/// The lines that differ, after the number of values compared.
impl std::fmt::Display for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} values\n{}", self.values, self.lines.join("\n"))
    }
}

#[test]
fn their_yaml_is_read_as_pyyaml_reads_it() {
    for name in ["rods", "odd"] {
        let archive = Archive::open(&theirs(name)).unwrap();
        let fixture = fs::read(theirs(name).with_extension("json")).unwrap();
        let fixture: IndexMap<String, Json> = serde_json::from_slice(&fixture).unwrap();
        assert_eq!(fixture.len(), 2);
        for (file, typed) in &fixture {
            let read = Value::Map(read_yaml(&archive, file));
            assert_eq!(read, value_of(typed), "{file} of {name}");
        }
    }
}

#[test]
fn the_example_holds_the_same_values() {
    let (_session, zip) = ours(Path::new(RODS), "config_model_bundle.yml");
    assert_snapshot!(Comparison::of(&theirs("rods"), &zip));
}

/// Settings in the wrong place, integers for floats, text that looks like numbers, ONNX, joblib, JSON for the tracker, a file
/// left behind by another run.
#[test]
fn an_odd_config_holds_the_same_values() {
    let folder = Path::new(FIXTURES).join("hitmictools/odd");
    let (_session, zip) = ours(&folder, "config_odd.yml");
    assert_snapshot!(Comparison::of(&theirs("odd"), &zip));
}

/// Their bundle, adopted and built, is their bundle again.
#[test]
fn their_bundles_are_built_again() {
    let mut text = String::new();
    for name in ["rods", "odd"] {
        let session = Session::new();
        let zip = theirs(name);
        let run = session
            .bundle(&["init", "--json", "--from", zip.to_str().unwrap()])
            .ends(0);
        text += &format!("== {name}\nnotes {:#}\n", run.json()["notes"]);
        text += &Comparison::of(&zip, &build(&session, "bundle.toml")).to_string();
        text += &format!("\nsources {:?}\n", session.names("models"));
    }
    assert_snapshot!(text);
}

/// HiTMicTools packs a file without an extension as `.pth`; a build wants to know its type.
#[test]
fn weights_without_an_extension_are_adopted_with_one() {
    let session = Session::new();
    let mut zip = zip::ZipWriter::new(File::create(session.path("a.zip")).unwrap());
    for (name, content) in [
        (
            "config.yml",
            "_bundle_metadata: {}\nsc_segmenter:\n  model_path: models/RFDETRSegm-sc_segmenter.pth\n  \
             model_metadata: metadata/RFDETRSegm-sc_segmenter.json\n",
        ),
        (
            "metadata/RFDETRSegm-sc_segmenter.json",
            "{\"original_name\": \"checkpoint_best\"}",
        ),
        ("models/RFDETRSegm-sc_segmenter.pth", "weights"),
    ] {
        zip.start_file(name, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    session.bundle(&["init", "--from", "a.zip"]).ends(0);
    assert_eq!(session.names("models"), ["checkpoint_best.pth"]);
    build(&session, "bundle.toml");
}
