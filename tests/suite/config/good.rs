//! What is accepted: the same in both syntaxes, put where the loader reads it, with the warnings it deserves.

use std::fs;

use model_bundle::config::{Config, template};
use model_bundle::packed;
use model_bundle::value::{Key, Map, Value};
use model_bundle::yaml;
use proptest::prelude::*;

use super::{Folder, fixture, rods};

/// Loads a TOML and a YAML text that are to say the same; gives the config of the first.
fn same(folder: &Folder, toml: &str, yaml: &str) -> Config {
    folder.write("pair.toml", toml).write("pair.yml", yaml);
    let load = |name| {
        folder
            .load(name)
            .unwrap_or_else(|error| panic!("{}", folder.render(&error)))
    };
    let (a, b) = (load("pair.toml"), load("pair.yml"));
    assert_eq!(a, b);
    let created = "2025-12-18 15:30:42".parse().unwrap();
    let (a_yml, b_yml) = (
        packed::config_yml(&a, created),
        packed::config_yml(&b, created),
    );
    let named = String::from_utf8(a_yml)
        .unwrap()
        .replace("pair.toml", "pair.yml");
    assert_eq!(named.as_bytes(), b_yml);
    a
}

#[test]
fn both_syntaxes_say_the_same() {
    let folder = rods();
    let config = same(
        &folder,
        r#"
            [bundle]
            name = "room_12"
            auto_date = false
            created = "2025-12-18 15:30:42"
            about = { version = "2.3", authors = ["A", "B"], url = "https://example.org" }

            [own]
            bundle_name = "NAFNet-own"
            model_path = "${STORE}/bf_focus_v3.pth"
            allow_globals = ["b.C", "a.B", "b.C"]
            model_args = { a = 1, b = 1.5, c = "yes", d = [true, [], {}], 0 = "zero", e = { "x y" = -0.0 }, f = 1e-10, g = inf }
            [own.test]
            input = "models/bf_focus_v3.pth"
            expected = "models/bf_focus_v3.pth"
            rtol = 1
            mismatch_ppm = 0.5

            [tracker]
            config_path = "tracking_config.yml"
        "#,
        r#"
bundle:
  name: room_12
  auto_date: false
  created: "2025-12-18 15:30:42"
  about: {version: "2.3", authors: [A, B], url: https://example.org}
own: &own
  bundle_name: NAFNet-own
  model_path: ${STORE}/bf_focus_v3.pth
  allow_globals: [b.C, a.B, b.C]
  inferer_args: null
  model_args:
    a: 1
    b: 1.5
    c: "yes"
    d:
    - true
    - []
    - {}
    0: zero
    e: {x y: -0.0}
    f: 1.0e-10
    g: .inf
  test: {input: models/bf_focus_v3.pth, expected: models/bf_focus_v3.pth, rtol: 1.0, mismatch_ppm: 0.5}
tracker: {config_path: tracking_config.yml}
"#,
    );
    assert_eq!((config.name.as_str(), config.auto_date), ("room_12", false));
    let own = &config.models[0];
    assert_eq!(own.weights.written, "${STORE}/bf_focus_v3.pth");
    assert_eq!(own.weights.path, folder.path("models/bf_focus_v3.pth"));
    assert_eq!(own.allow_globals, ["a.B", "b.C"]);
    assert_eq!(packed::weights_name(own), "models/NAFNet-own.pth");
    let names: Vec<String> = packed::test_files(own).into_iter().map(|x| x.0).collect();
    assert_eq!(names, ["tests/own/input.pth", "tests/own/expected.pth"]);
    assert_eq!(own.test.as_ref().unwrap().rtol, Some(1.0));
    let created = config.created.unwrap();
    insta::assert_snapshot!(String::from_utf8(packed::config_yml(&config, created)).unwrap());
}

/// Hard and random arguments, written in both syntaxes by our own writers, come back equal and unchanged.
#[test]
fn any_arguments_come_through_both_syntaxes() {
    let folder = rods();
    folder.write(
        "own.yml",
        "own: {bundle_name: own, model_path: models/bf_focus_v3.pth}\n",
    );
    let mut config = folder.load("own.yml").unwrap();
    for document in super::pyyaml::documents(300) {
        // TOML has no text of digits as a key, and NaN is not itself.
        let arguments = plain(&document);
        let model = Map::from_iter([
            ("bundle_name".into(), Value::String("own".to_owned())),
            (
                "model_path".into(),
                Value::String("models/bf_focus_v3.pth".to_owned()),
            ),
            ("model_args".into(), Value::Map(arguments.clone())),
        ]);
        let yaml = yaml::to_string(&Map::from_iter([("own".into(), Value::Map(model))]));
        config.models[0].model_args = Some(arguments);
        let toml = template::to_toml(&config);
        assert_eq!(same(&folder, &toml, &yaml), config);
    }
}

fn plain(map: &Map) -> Map {
    let entry =
        |(key, value): (&Key, &Value)| (Key::from_toml(&key.to_string()), plain_value(value));
    map.iter().map(entry).collect()
}

fn plain_value(value: &Value) -> Value {
    match value {
        Value::Float(x) if x.is_nan() => Value::Bool(false),
        Value::List(items) => Value::List(items.iter().map(plain_value).collect()),
        Value::Map(map) => Value::Map(plain(map)),
        other => other.clone(),
    }
}

#[test]
fn numbers_become_what_the_loader_asserts() {
    let folder = rods();
    let config = same(
        &folder,
        "[bf_focus]\nmodel_path = \"models/bf_focus_v3.pth\"\nmodel_metadata = \"metadata/bf_focus_v3.json\"\ninferer_args = { patch_size = 64, overlap_ratio = 0, scaler_args = { pmin = 1, pmax = 100, bit_depth = 12 } }\n",
        "bf_focus:\n  model_path: models/bf_focus_v3.pth\n  model_metadata: metadata/bf_focus_v3.json\n  inferer_args:\n    patch_size: 64\n    overlap_ratio: 0.0\n    half_precision:\n    scaler_args: {pmin: 1.0, pmax: 100, bit_depth: 12}\n",
    );
    let arguments = config.models[0].inferer_args.as_ref().unwrap();
    assert_eq!(arguments[&Key::from("overlap_ratio")], Value::Float(0.0));
    assert_eq!(arguments[&Key::from("patch_size")], Value::Int(64));
    assert!(config.warnings.is_empty());
}

#[test]
fn marks_and_line_ends_do_not_matter() {
    let folder = rods();
    for name in ["bundle.toml", "config_model_bundle.yml"] {
        let plain = folder.load(name).unwrap();
        let text = fs::read_to_string(folder.path(name)).unwrap();
        folder.write(name, format!("\u{FEFF}{}", text.replace('\n', "\r\n")));
        assert_eq!(folder.load(name).unwrap(), plain);
    }
}

/// A table that ends what could be moved: each argument beside its table arrives in it.
#[test]
fn misplaced_arguments_are_moved_where_the_loader_reads_them() {
    let folder = rods();
    let focus =
        "model_path = \"models/bf_focus_v3.pth\"\nmodel_metadata = \"metadata/bf_focus_v3.json\"\n";
    folder.write(
        "bundle.toml",
        format!(
            "[bf_focus]\n{focus}scaler_args = {{ pmin = 1, pmax = 99 }}\ninferer_args = {{ patch_size = 64, overlap_ratio = 0.25 }}\n\
             [cell_classifier]\nmodel_path = \"models/resnet_classifier.pth\"\nmodel_metadata = \"metadata/resnet_classifier.json\"\nclasses = {{ 0 = \"a\" }}\n"
        ),
    );
    let config = folder.load("bundle.toml").unwrap();
    let keys = |map: &Option<Map>| {
        map.iter()
            .flatten()
            .map(|x| x.0.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&config.models[0].inferer_args),
        ["patch_size", "overlap_ratio", "scaler_args"]
    );
    assert_eq!(keys(&config.models[1].model_args), ["classes"]);
    insta::assert_snapshot!(folder.says("bundle.toml"));
}

#[test]
fn warnings() {
    let folder = rods();
    folder
        .write("models/a.onnx", "weights")
        .write("models/a.safetensors", "weights")
        .write("metadata/empty.json", "{}")
        .write(
            "bundle.toml",
            r#"
[bf_focus]
model_path = "models/a.onnx"
model_metadata = "metadata/empty.json"
model_args = { width = 8 }
[bf_focus.inferer_args]
patch_size = 100
overlap_ratio = 0.75
scaler_args = { pmin = 1.0 }

[segmentation]
model_path = "models/a.safetensors"
inferer_args = { patch_size = 64, overlap_ratio = 0.25, scaler_args = { pmax = 99.0 } }

[fl_focus]
model_path = "models/fl_focus_v3.pth"
model_metadata = "metadata/fl_focus_v3.json"

[cell_classifier]
model_path = "models/resnet_classifier.pth"
model_metadata = "metadata/resnet_classifier.json"
model_args = { min_size = 32 }

[pi_classification]
model_path = "models/a.onnx"
inferer_args = {}

[oof_detector]
model_path = "models/a.onnx"
inferer_args = { patch_size = 500 }
"#,
        );
    insta::assert_snapshot!(folder.says("bundle.toml"));
}

#[test]
fn the_working_directory_is_searched_after_the_configs_folder() {
    let folder = rods();
    let text = fs::read_to_string(fixture("rods/config_model_bundle.yml")).unwrap();
    folder.write("configs/models.yml", text);
    let config = folder.load_from("configs/models.yml", ".").unwrap();
    assert_eq!(config.models[0].weights.written, "models/bf_focus_v3.pth");
    let said: String = config.warnings.iter().map(|x| folder.render(x)).collect();
    insta::assert_snapshot!(said);
    assert!(folder.load("configs/models.yml").is_err());
}

#[test]
fn json_settings_of_a_tracker_become_yaml() {
    let folder = rods();
    let motion = r#"{"name": "cell_motion", "measurements": 1, "states": 2, "prob_not_assign": 1e-10,
        "A": {"matrix": [1, 0, 0, 1]}, "H": {"matrix": [1.0, 0]}, "P": {"sigma": 150.0, "matrix": [1, 0, 0, 1]},
        "R": {"matrix": [1]}, "G": {"matrix": [0.5, 1]}}"#;
    let tracker = "[tracker]\nconfig_path = \"tracker.json\"\n";
    let legacy = format!(
        "{{\"TrackerConfig\": {{\"MotionModel\": {motion}, \"ObjectModel\": {{}}, \"HypothesisModel\": {{\"eta\": 1E-10, \"relax\": true}}}}}}"
    );
    let modern = format!("{{\"name\": \"on\", \"motion_model\": {motion}}}");
    folder.write("tracker.toml", tracker);
    let mut texts = Vec::new();
    for json in [legacy, modern] {
        folder.write("tracker.json", json);
        let config = folder.load("tracker.toml").unwrap();
        let yaml = packed::tracker_yml(config.tracker.as_ref().unwrap()).to_vec();
        texts.push(String::from_utf8(yaml).unwrap());
    }
    insta::assert_snapshot!(texts.join("---\n"));
}

#[test]
fn metadata_may_hold_numbers_of_any_size() {
    let folder = rods();
    let text = r#"{"model_type": "rfdetrbase", "seed": 12345678901234567890, "loss": 1e-400}"#;
    folder.write("metadata/oof_detector_rfdetr.json", text);
    let config = folder.load("bundle.toml").unwrap();
    let written = packed::model_metadata_json(config.model("oof_detector").unwrap());
    assert!(
        String::from_utf8(written)
            .unwrap()
            .contains("12345678901234567890")
    );
}

#[test]
fn metadata_keep_their_order_their_letters_and_their_numbers() {
    let source = r#"{"z": 1.10, "original_name": "old", "é": "日\u00e9\n", "n": [1e5, -0, 12345678901234567890], "e": {}, "l": []}"#;
    let source = serde_json::from_str(source).unwrap();
    let bytes = packed::metadata_json(Some(&source), "neu \"ü\".pth");
    insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
}

#[test]
fn a_config_written_as_toml_loads_to_its_equal() {
    let folder = rods();
    let config = folder.load("config_model_bundle.yml").unwrap();
    let text = template::to_toml(&config);
    folder.write("adopted.toml", &text);
    assert_eq!(folder.load("adopted.toml").unwrap(), config);
    insta::assert_snapshot!(text);

    folder.write(
        "own.yml",
        "bundle: {name: x, auto_date: false, created: '2025-12-18 15:30:42', about: {version: '1'}}\n\
         own:\n  bundle_name: own\n  model_path: models/bf_focus_v3.pth\n  allow_globals: [a.B]\n  inferer_args: {}\n  model_args: {a b: \"\\x01\\\"\\n\", c: [.inf, -.inf, 1.0e-7, 1], d: {e: {f: 1, g: [{}], 0: 1}}}\n\
         \x20 test: {input: frames.tif, expected: frames.tif, atol: 0.5}\n",
    );
    folder.write("frames.tif", "");
    let config = folder.load("own.yml").unwrap();
    folder.write("adopted.toml", template::to_toml(&config));
    assert_eq!(folder.load("adopted.toml").unwrap(), config);
}

#[test]
fn the_starter_loads_as_it_is_and_uncommented() {
    let folder = rods();
    folder.write("bundle.toml", template::starter());
    assert_eq!(folder.load("bundle.toml").unwrap().models.len(), 0);

    folder
        .write("frames/bf.tif", "")
        .write("expected/bf_focus.npy", "");
    let setting = |line: &str| {
        line.strip_prefix('#')
            .filter(|x| !x.starts_with(' '))
            .unwrap_or(line)
            .to_owned()
    };
    let text: Vec<String> = template::starter().lines().map(setting).collect();
    folder.write("bundle.toml", text.join("\n"));
    assert_eq!(folder.says("bundle.toml"), "");
    assert_eq!(folder.load("bundle.toml").unwrap().models.len(), 7);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// No bytes, and no change to a good config, make the reading do anything but succeed or complain.
    #[test]
    fn nothing_panics(
        name in prop_oneof![Just("bundle.toml"), Just("config_model_bundle.yml"), Just("tracking_config.yml"), Just("metadata/oof_detector_rfdetr.json")],
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..9, "[\\PC\n\t{}\\[\\]:&*!'\"#=-]{0,6}"), 1..4),
    ) {
        let folder = rods();
        let mut text = fs::read_to_string(fixture("rods").join(name)).unwrap();
        for (at, length, inserted) in cuts {
            let mut start = at.index(text.len().max(1)).min(text.len());
            while !text.is_char_boundary(start) {
                start -= 1;
            }
            let mut end = (start + length).min(text.len());
            while !text.is_char_boundary(end) {
                end += 1;
            }
            text.replace_range(start..end, &inserted);
        }
        folder.write(name, text);
        folder.says("bundle.toml");
        folder.says("config_model_bundle.yml");
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "(\\PC|[\n :\\-\\[\\]{}\"'&*#=]){0,80}") {
        let folder = Folder::new();
        for name in ["a.toml", "a.yml"] {
            folder.write(name, &bytes);
            folder.says(name);
            folder.write(name, &text);
            folder.says(name);
        }
    }
}
