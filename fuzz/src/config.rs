//! A project with small files of every kind, and what must hold of every config that is accepted in it.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use model_bundle::archive::{BundlePath, Layout};
use model_bundle::cache::{Clock, Records};
use model_bundle::config::{
    Config, ConfigError, Model, Surroundings, read_bundle_config, template,
};
use model_bundle::created::Created;
use model_bundle::lockfile::Lockfile;
use model_bundle::packed;
use model_bundle::progress::Silent;
use model_bundle::resolve::{Means, ResolveError, resolve};
use model_bundle::value::{Key, Map, Value};

use crate::{folder, same_config, same_map};

/// The rods example's files, which the seeds name.
const TEXTS: [(&str, &[u8]); 7] = [
    (
        "tracking_config.yml",
        include_bytes!("../../examples/rods/tracking_config.yml"),
    ),
    (
        "metadata/bf_focus_v3.json",
        include_bytes!("../../examples/rods/metadata/bf_focus_v3.json"),
    ),
    (
        "metadata/fl_focus_v3.json",
        include_bytes!("../../examples/rods/metadata/fl_focus_v3.json"),
    ),
    (
        "metadata/oof_detector_rfdetr.json",
        include_bytes!("../../examples/rods/metadata/oof_detector_rfdetr.json"),
    ),
    (
        "metadata/resnet_classifier.json",
        include_bytes!("../../examples/rods/metadata/resnet_classifier.json"),
    ),
    (
        "metadata/sc_segmenter.json",
        include_bytes!("../../examples/rods/metadata/sc_segmenter.json"),
    ),
    (
        "metadata/unet_segm.json",
        include_bytes!("../../examples/rods/metadata/unet_segm.json"),
    ),
];

/// Stand-ins for what is packed unread; short names, so that mutations find them.
const STAND_INS: [&str; 14] = [
    "models/bf_focus_v3.pth",
    "models/fl_focus_v3.pth",
    "models/oof_detector_rfdetr.pth",
    "models/pi_model_20251218.pkl",
    "models/resnet_classifier.pth",
    "models/sc_segmenter.pth",
    "models/unet_segm.pth",
    "frames/bf.tif",
    "expected/bf_focus.npy",
    "w.pth",
    "w.onnx",
    "w.pkl",
    "i.tif",
    "e.npy",
];

/// The project's folder, made once in this process.
pub fn project() -> &'static PathBuf {
    static PROJECT: OnceLock<PathBuf> = OnceLock::new();
    PROJECT.get_or_init(|| {
        let root = folder().keep();
        let stand_ins = STAND_INS.map(|name| (name, &b"weights"[..]));
        let small = [("m.json", &b"{\"model_args\": {}}"[..])];
        for (name, bytes) in TEXTS.into_iter().chain(stand_ins).chain(small) {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("it lies in the project"))
                .and_then(|()| fs::write(&path, bytes))
                .expect("the project can be written");
        }
        root
    })
}

/// Loads `text` as the project's file `name`.
pub fn load(name: &str, text: &[u8]) -> Result<Config, ConfigError> {
    let path = project().join(name);
    fs::write(&path, text).expect("the config can be written");
    let surroundings = Surroundings {
        directory: project().join("models"),
        variable: |name| (name == "STORE").then(|| OsString::from("models")),
        ..Surroundings::of_process()
    };
    Config::load_in(&path, &surroundings)
}

/// Loads a config, and checks what must hold: of its messages if it is refused, of all that is made from it if not.
pub fn check(name: &str, text: &[u8]) {
    match load(name, text) {
        Ok(config) => accepted(&config),
        Err(error) => refused(&error),
    }
}

fn refused(error: &ConfigError) {
    assert!(!error.to_string().is_empty());
    if let ConfigError::Invalid { problems, .. } = error {
        assert!(!problems.is_empty());
        for problem in problems {
            assert!(!problem.message().is_empty());
        }
    }
}

/// All that is made from an accepted config says what the config does.
pub fn accepted(config: &Config) {
    let created: Created = "2025-12-18 15:30:42".parse().expect("a date");
    let yaml = packed::config_yml(config, config.created.unwrap_or(created));
    let read = read_bundle_config(&yaml).expect("config.yml is read back");
    let expected = expected_config_yml(config, config.created.unwrap_or(created));
    assert!(same_map(&read, &expected), "config.yml says something else");

    let toml = template::to_toml(config);
    let again = load("again.toml", toml.as_bytes());
    let again = again.unwrap_or_else(|error| panic!("{error}\n{toml}"));
    assert!(same_config(config, &again), "another config:\n{toml}");
    lock(config);
}

/// What `config.yml` is to hold.
fn expected_config_yml(config: &Config, created: Created) -> Map {
    let text = |text: &str| Value::String(text.to_owned());
    let name = config.path.file_name().and_then(|name| name.to_str());
    let mut about = Map::from_iter([
        ("creation_date".into(), text(&created.to_string())),
        ("source_config".into(), text(name.expect("a name of ours"))),
    ]);
    if !config.about.is_empty() {
        about.insert("about".into(), Value::Map(config.about.clone()));
    }
    let mut root = Map::from_iter([("_bundle_metadata".into(), Value::Map(about))]);
    for model in &config.models {
        let Model {
            key, bundle_name, ..
        } = model;
        let mut map = Map::from_iter([
            (
                Key::from("model_path"),
                text(&format!("models/{bundle_name}.{}", model.extension)),
            ),
            (
                Key::from("model_metadata"),
                text(&format!("metadata/{bundle_name}.json")),
            ),
        ]);
        let tables = [
            ("inferer_args", &model.inferer_args),
            ("model_args", &model.model_args),
        ];
        for (name, table) in tables {
            map.extend(table.clone().map(|table| (name.into(), Value::Map(table))));
        }
        root.insert(key.as_str().into(), Value::Map(map));
    }
    root
}

/// The lock of an accepted config is read back as the same content, and an archive can be laid out from it.
fn lock(config: &Config) {
    let means = Means {
        old: None,
        cache: None,
        check_architecture: false,
        clock: &Clock::default,
    };
    let resolved = resolve(config, &mut Records::default(), means, &Silent);
    // A config may name any file for weights, and what is in it may be refused.
    if resolved.as_ref().is_err_and(ResolveError::is_refusal) {
        return;
    }
    let lock = resolved.expect("an accepted config is resolved").lock;
    let text = lock.render();
    let read = Lockfile::parse(text.as_bytes());
    let read = read.unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert!(lock.same_content(&read), "another lock:\n{text}");
    assert_eq!(lock.changes(&read), []);
    Layout::new(&lock.entries()).expect("the entries' names stand together");
    assert!(
        lock.files
            .iter()
            .all(|file| BundlePath::new(file.path.as_str()).is_ok())
    );
}
