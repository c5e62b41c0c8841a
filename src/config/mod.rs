//! What a bundle is made of, read from `bundle.toml` or HiTMicTools' YAML, with everything that is wrong with it found at once.

mod analysis;
mod args;
mod bundle;
pub mod catalogue;
mod context;
mod files;
mod foreign;
mod metadata;
mod model;
mod paths;
mod problem;
pub mod template;
mod test_vector;
mod tracker;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::created::Created;
use crate::value::Map;
pub use analysis::{Analysis, pipeline, pipeline_problems};
pub use catalogue::{ModelKey, ModelKind};
use context::Context;
pub use files::{Disk, Files, Kind as FileKind};
pub use foreign::read_bundle_config;
pub use paths::Surroundings;
pub use problem::{ConfigError, Problem, Source, Span, Warning};
use tree::{Data, Node, Syntax};

/// A larger config is refused; one of a hundred models has some 50 KB.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// The name of a bundle whose config gives none, as HiTMicTools' `create-mbundle` calls it.
pub const DEFAULT_NAME: &str = "model_collection";

/// A config that has been checked: every path leads to a file, every argument is one that the loader takes.
///
/// TOML and YAML that say the same give equal configs but for `path`, `source`, spans and warnings.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file, as given.
    pub path: PathBuf,
    /// The file's text, for later errors that point into it.
    pub source: Source,
    /// The stem of the ZIP.
    pub name: String,
    /// Whether the ZIP's name carries the creation date.
    pub auto_date: bool,
    /// The pinned creation date.
    pub created: Option<Created>,
    /// What the config tells about the bundle, of the keys `version`, `description`, `authors`, `license`, `doi`, `commit` and `url`.
    pub about: Map,
    /// The models, in the order of the config.
    pub models: Vec<Model>,
    pub tracker: Option<Tracker>,
    /// What is allowed but probably not meant, each said once.
    pub warnings: Vec<Warning>,
}

/// A model as the config declares it.
#[derive(Clone, Debug)]
pub struct Model {
    pub key: ModelKey,
    /// Where the key stands in the config.
    pub key_span: Span,
    pub kind: ModelKind,
    /// The stem of its files in the archive.
    pub bundle_name: String,
    pub weights: SourceFile,
    /// The extension of the weights, without the point, as written.
    pub extension: String,
    pub metadata: Option<Metadata>,
    /// Arguments for the loader. Numbers that the catalogue calls floats are floats here, however they were written:
    /// `overlap_ratio = 0` fails in HiTMicTools, and `1` equals `1.0` in Python everywhere else.
    pub inferer_args: Option<Map>,
    pub model_args: Option<Map>,
    pub test: Option<Test>,
    /// Pickle globals that the config lets the weights use, sorted, each once.
    pub allow_globals: Vec<String>,
}

/// A file that the config names.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The path as in the config, with `/` between its parts and `${NAME}` unexpanded: what the lockfile stores.
    pub written: String,
    /// The path to open: expanded, and joined to the folder that it is relative to.
    pub path: PathBuf,
    /// Where the config names it.
    pub span: Span,
}

/// A model's JSON metadata.
#[derive(Clone, Debug)]
pub struct Metadata {
    pub file: SourceFile,
    /// The object, in the file's order; numbers keep all their digits.
    pub json: serde_json::Map<String, serde_json::Value>,
    /// The file's text, for later errors that point into it.
    pub source: Source,
}

impl PartialEq for Metadata {
    /// Equal if they say the same.
    fn eq(&self, other: &Self) -> bool {
        (&self.file, &self.json) == (&other.file, &other.json)
    }
}

/// A test vector: what the model must answer to an input.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    pub input: SourceFile,
    pub expected: SourceFile,
    pub labels: Option<SourceFile>,
    pub rtol: Option<f64>,
    pub atol: Option<f64>,
    pub mismatch_ppm: Option<f64>,
}

/// btrack's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracker {
    pub file: SourceFile,
    /// What the bundle's `config_tracker.yml` holds: a YAML file byte for byte, or a JSON file's values as YAML.
    pub yaml: Vec<u8>,
}

impl SourceFile {
    /// The file's extension, without the point, if it is one that a name in an archive can carry: letters and digits.
    pub fn extension(&self) -> Option<&str> {
        let extension = self.path.extension()?.to_str()?;
        let valid = extension.len() <= 16 && extension.bytes().all(|x| x.is_ascii_alphanumeric());
        (valid && !extension.is_empty()).then_some(extension)
    }

    /// The file's name without its folders.
    pub fn name(&self) -> &str {
        self.path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }
}

impl PartialEq for SourceFile {
    /// Equal wherever the config names it.
    fn eq(&self, other: &Self) -> bool {
        (&self.written, &self.path) == (&other.written, &other.path)
    }
}

impl Eq for SourceFile {}

impl PartialEq for Model {
    /// Equal wherever it stands in the config.
    fn eq(&self, other: &Self) -> bool {
        let names = |x: &Self| {
            (
                x.key.clone(),
                x.kind,
                x.bundle_name.clone(),
                x.extension.clone(),
            )
        };
        names(self) == names(other)
            && (&self.weights, &self.metadata) == (&other.weights, &other.metadata)
            && (&self.inferer_args, &self.model_args) == (&other.inferer_args, &other.model_args)
            && (&self.test, &self.allow_globals) == (&other.test, &other.allow_globals)
    }
}

impl PartialEq for Config {
    /// Equal if they make the same bundle: the name of the config, its text and the warnings do not count.
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.auto_date, self.created) == (&other.name, other.auto_date, other.created)
            && self.about == other.about
            && self.models == other.models
            && self.tracker == other.tracker
    }
}

impl Config {
    /// Reads and checks the config at `path`.
    ///
    /// # Errors
    /// [`ConfigError`], with everything that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::load_in(path, &Surroundings::of_process())
    }

    /// Reads and checks the config at `path`, as a process with these surroundings would.
    ///
    /// # Errors
    /// [`ConfigError`], with everything that is wrong.
    pub fn load_in(path: &Path, surroundings: &Surroundings) -> Result<Self, ConfigError> {
        let syntax = match path.extension().and_then(|x| x.to_str()) {
            Some(x) if x.eq_ignore_ascii_case("toml") => Syntax::Toml,
            // HiTMicTools' bundler reads whatever it is given as YAML.
            _ if surroundings.lenient => Syntax::PyYaml,
            Some(x) if x.eq_ignore_ascii_case("yml") || x.eq_ignore_ascii_case("yaml") => {
                Syntax::Yaml
            }
            _ => {
                let path = path.to_owned();
                return Err(ConfigError::UnknownSyntax { path });
            }
        };
        Self::load_as(path, syntax, surroundings)
    }

    /// Reads and checks the `config.yml` of a packed bundle, at `path` in `files`, as HiTMicTools' loader does: with PyYAML,
    /// its own `_bundle_metadata` passed over. A model that the catalogue does not know is named by its weights; the tracker's settings,
    /// if there are any, are the file `tracker` beside the config.
    ///
    /// # Errors
    /// [`ConfigError`], with everything that is wrong.
    pub fn load_packed(
        path: &Path,
        tracker: &str,
        files: Arc<dyn Files>,
    ) -> Result<Self, ConfigError> {
        let surroundings = Surroundings {
            directory: paths::folder_of(path).to_owned(),
            variable: |_| None,
            files,
            packed_tracker: Some(tracker.to_owned()),
            records_tests: false,
            lenient: false,
        };
        Self::load_as(path, Syntax::PyYaml, &surroundings)
    }

    fn load_as(
        path: &Path,
        syntax: Syntax,
        surroundings: &Surroundings,
    ) -> Result<Self, ConfigError> {
        let source = read(path, &*surroundings.files)?;
        let shared = source.clone();
        let mut context = Context::new(path, &shared, surroundings);
        let root = tree::parse(&source, syntax, &mut context.problems);
        let Some(root) = root else {
            return Err(context.into_error());
        };
        let parts = Parts::read(&root, &mut context);
        context.say_collected();
        if !context.problems.is_empty() {
            return Err(context.into_error());
        }
        Ok(Self {
            path: path.to_owned(),
            source,
            name: parts.bundle.name,
            auto_date: parts.bundle.auto_date,
            created: parts.bundle.created,
            about: parts.bundle.about,
            models: parts.models,
            tracker: parts.tracker,
            warnings: context.into_warnings(),
        })
    }

    /// The folder that relative paths are relative to.
    pub fn folder(&self) -> &Path {
        paths::folder_of(&self.path)
    }

    /// The model of a key.
    pub fn model(&self, key: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.key.as_str() == key)
    }
}

/// What the top-level tables say.
struct Parts {
    bundle: bundle::Bundle,
    models: Vec<Model>,
    tracker: Option<Tracker>,
}

impl Parts {
    fn read(root: &Node, context: &mut Context<'_>) -> Self {
        let mut parts = Self {
            bundle: bundle::Bundle::default(),
            models: Vec::new(),
            tracker: None,
        };
        let entries = match &root.data {
            Data::Map(entries) => entries.as_slice(),
            Data::Null | Data::Invalid => &[],
            _ => {
                let found = format!("expected a table of models, found {}", root.describe());
                context.refuse("this is not a bundle config", &root.span, found);
                &[]
            }
        };
        for entry in entries {
            match &entry.key {
                key if *key == "bundle".into() => parts.bundle = bundle::read(entry, context),
                key if *key == "tracker".into() => parts.tracker = tracker::read(entry, context),
                key if *key == "_bundle_metadata".into() && context.is_packed() => {}
                _ => parts.models.extend(model::read(entry, context)),
            }
        }
        if let Some(name) = &context.surroundings.packed_tracker {
            parts.tracker = tracker::read_packed(name, context);
        }
        model::check_names(&parts.models, context);
        if parts.models.is_empty() && context.problems.is_empty() {
            let span = root.span.start..root.span.start;
            context
                .warn("the config declares no model", &span, "")
                .set_help(
                    "HiTMicTools refuses a bundle without models; add a table such as [bf_focus]",
                );
        }
        parts
    }
}

/// Reads the text of a config, without a byte order mark.
fn read(path: &Path, files: &dyn Files) -> Result<Source, ConfigError> {
    let fail = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = files.read_at_most(path, MAX_CONFIG_BYTES).map_err(fail)?;
    let size = bytes.len() as u64;
    if size > MAX_CONFIG_BYTES {
        let size = fs::metadata(path).map_or(size, |x| x.len().max(size));
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
            size,
            limit: MAX_CONFIG_BYTES,
        });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        let before = &error.as_bytes()[..offset];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        ConfigError::NotUtf8 {
            path: path.to_owned(),
            offset,
            line,
        }
    })?;
    Ok(named(path, &text))
}

/// A text for problems to point into.
fn named(path: &Path, text: &str) -> Source {
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    Source::new(path.display().to_string(), Arc::from(text))
}
