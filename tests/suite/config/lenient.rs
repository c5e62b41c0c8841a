//! Configs as HiTMicTools' bundler takes them: what is wrong is said, and packed.

use model_bundle::config::{Config, ConfigError, Surroundings};
use model_bundle::packed;

use super::Folder;

/// A config of one network, with files beside it.
fn folder(config: &str) -> Folder {
    let folder = Folder::new();
    folder.write("w.pth", "weights");
    folder.write("m.json", "{}");
    folder.write("models_info.yml", config);
    folder
}

fn load(folder: &Folder) -> Result<Config, ConfigError> {
    let surroundings = Surroundings {
        directory: folder.path("elsewhere"),
        lenient: true,
        ..Surroundings::of_process()
    };
    Config::load_in(&folder.path("models_info.yml"), &surroundings)
}

#[test]
fn what_the_bundler_takes_is_warned_of_and_packed_as_it_is() {
    let folder = folder(
        "bf_focus:\n  model_path: w.pth\n  model_metadata: none.json\n  note: mine\n  inferer_args:\n    patch_size: large\n    own: [1, 2.5]\n    scaler_args: {clip: 3}\nmine: {model_path: w.pth}\nfl_focus: {model_metadata: m.json}\ntracker: {config_path: none.yml}\n",
    );
    let config = load(&folder).unwrap();
    let said: Vec<&str> = config
        .warnings
        .iter()
        .map(|warning| warning.message())
        .collect();
    insta::assert_snapshot!(said.join("\n"));
    assert!(config.warnings.iter().all(|warning| !warning.is_error()));
    assert!(config.tracker.is_none());
    let created = "2025-12-18 09:30:00".parse().unwrap();
    let packed = String::from_utf8(packed::config_yml(&config, created)).unwrap();
    let (_, models) = packed.split_once("bf_focus:\n").unwrap();
    insta::assert_snapshot!(models);
    // The strict reading of the same.
    let Err(ConfigError::Invalid { problems, .. }) = folder.load("models_info.yml") else {
        panic!("it is no valid config");
    };
    assert!(problems.len() > 5);
}

#[test]
fn what_the_bundler_cannot_pack_is_refused() {
    for (config, says) in [
        (
            "bf_focus: {model_path: none.pth}",
            "`bf_focus.model_path`: no such file",
        ),
        (
            "bf_focus: {model_path: .}",
            "`bf_focus.model_path`: expected a file, found a folder",
        ),
        ("bf_focus:\n", "`bf_focus` has the wrong type"),
        ("- bf_focus\n", "this is not a bundle config"),
        (
            "bf_focus: {model_path: w.pth, model_metadata: w.pth}",
            "this is not valid JSON",
        ),
        ("bf_focus: {model_path: [}", "this is not valid YAML"),
    ] {
        let Err(ConfigError::Invalid { problems, .. }) = load(&folder(config)) else {
            panic!("{config} is taken");
        };
        assert_eq!(problems[0].message(), says, "{config}");
        assert_eq!(
            problems[0].is_of_missing_file(),
            says.ends_with("no such file")
        );
    }
}

#[test]
fn files_are_looked_for_where_the_bundler_looks_first() {
    let folder = folder("bf_focus: {model_path: w.pth, model_metadata: m.json}");
    folder.write("elsewhere/w.pth", "others");
    let config = load(&folder).unwrap();
    let model = &config.models[0];
    assert_eq!(model.weights.path, folder.path("elsewhere/w.pth"));
    let metadata = model.metadata.as_ref().unwrap();
    assert_eq!(metadata.file.path, folder.path("m.json"));
    let strict = folder.load("models_info.yml").unwrap();
    assert_eq!(strict.models[0].weights.path, folder.path("w.pth"));
}

#[test]
fn a_tracker_that_cannot_be_read_is_copied() {
    let folder = folder("bf_focus: {model_path: w.pth}\ntracker: {config_path: t.cfg}\n");
    folder.write("t.cfg", "a: [");
    let config = load(&folder).unwrap();
    assert_eq!(config.tracker.unwrap().yaml, b"a: [");
    assert!(!config.warnings.is_empty());
}
