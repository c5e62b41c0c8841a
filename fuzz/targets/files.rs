//! The files that a config names and that are read: metadata in JSON, a tracker's settings in YAML and in JSON.
#![no_main]

use std::fs;

use model_bundle::config::Config;
use model_bundle::config::read_bundle_config;
use model_bundle::packed;
use model_bundle_fuzz::config::{accepted, load, project};
use model_bundle_fuzz::same_map;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    for (name, key) in [
        (
            "f.json",
            "[oof_detector]\nmodel_path = \"w.pth\"\nmodel_metadata",
        ),
        ("f.yml", "[tracker]\nconfig_path"),
        ("f.json", "[tracker]\nconfig_path"),
    ] {
        fs::write(project().join(name), data).expect("the file can be written");
        let text = format!("{key} = \"{name}\"\n");
        let Ok(config) = load("bundle.toml", text.as_bytes()) else {
            continue;
        };
        accepted(&config);
        metadata(&config);
        if let Some(tracker) = config.tracker.filter(|_| name == "f.json") {
            // A key of this kind of file is text, and stays text: what was written is read back as it is.
            let read = read_bundle_config(&tracker.yaml).expect("the settings are read back");
            let again = model_bundle::yaml::to_string(&read);
            assert_eq!(again.as_bytes(), tracker.yaml);
            fs::write(project().join("g.yml"), &tracker.yaml).expect("the file can be written");
            let again = load("bundle.toml", b"[tracker]\nconfig_path = \"g.yml\"\n");
            let again = again.expect("rewritten settings are accepted").tracker;
            let again = read_bundle_config(&again.expect("they are there").yaml);
            assert!(same_map(&read, &again.expect("they are read back")));
        }
    }
});

/// Packed metadata, packed again, stay as they are.
fn metadata(config: &Config) {
    for model in &config.models {
        let bytes = packed::model_metadata_json(model);
        fs::write(project().join("g.json"), &bytes).expect("the file can be written");
        let text = "[oof_detector]\nmodel_path = \"w.pth\"\nmodel_metadata = \"g.json\"\n";
        let again = load("again.toml", text.as_bytes()).expect("packed metadata are accepted");
        let [again] = again.models.as_slice() else {
            panic!("one model became several");
        };
        assert_eq!(packed::model_metadata_json(again), bytes);
    }
}
