//! Configs, good and bad.

mod bad;
mod good;
mod lenient;
mod packed;
mod pyyaml;
mod rods;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use model_bundle::config::{Config, ConfigError, Surroundings};

/// A folder for one test, with the files it writes.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> &Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
        self
    }

    /// Loads a config as from another working directory, which has nothing in it.
    pub fn load(&self, name: &str) -> Result<Config, ConfigError> {
        self.load_from(name, "elsewhere")
    }

    pub fn load_from(&self, name: &str, directory: &str) -> Result<Config, ConfigError> {
        let surroundings = Surroundings {
            directory: self.path(directory),
            variable,
            ..Surroundings::of_process()
        };
        Config::load_in(&self.path(name), &surroundings)
    }

    /// A diagnostic as the user sees it, without the folder's name.
    pub fn render(&self, diagnostic: &dyn Diagnostic) -> String {
        let mut out = String::new();
        GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
            .with_width(110)
            .render_report(&mut out, diagnostic)
            .unwrap();
        let folder = format!("{}/", self.0.path().display());
        out.replace(&folder, "")
            .replace(folder.trim_end_matches('/'), "FOLDER")
    }

    /// Everything that the loading of a config says.
    pub fn says(&self, name: &str) -> String {
        match self.load(name) {
            Ok(config) => {
                let warnings = config.warnings.iter();
                warnings.map(|warning| self.render(warning)).collect()
            }
            Err(error) => self.render(&error),
        }
    }
}

/// The environment of the tests.
fn variable(name: &str) -> Option<OsString> {
    (name == "STORE").then(|| OsString::from("models"))
}

/// A file of `tests/fixtures/config`.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/config")
        .join(name)
}

/// A folder with the rods bundle's config, metadata and tracker, and stand-ins for its weights.
pub fn rods() -> Folder {
    let folder = Folder::new();
    for name in [
        "config_model_bundle.yml",
        "bundle.toml",
        "tracking_config.yml",
    ] {
        folder.write(name, fs::read(fixture("rods").join(name)).unwrap());
    }
    for entry in fs::read_dir(fixture("rods/metadata")).unwrap() {
        let entry = entry.unwrap();
        let name = format!("metadata/{}", entry.file_name().to_str().unwrap());
        folder.write(&name, fs::read(entry.path()).unwrap());
    }
    for name in [
        "bf_focus_v3.pth",
        "fl_focus_v3.pth",
        "unet_segm.pth",
        "resnet_classifier.pth",
        "pi_model_20251218.pkl",
        "oof_detector_rfdetr.pth",
        "sc_segmenter.pth",
    ] {
        folder.write(&format!("models/{name}"), "weights");
    }
    folder
}
