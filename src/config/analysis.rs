//! Which models a HiTMicTools analysis needs: its pipelines, and its own run config.

use std::path::Path;

use super::catalogue::PIPELINES;
use super::context::nearest;
use super::files::Disk;
use super::problem::{ConfigError, Problem, Source, Span};
use super::tree::{self, Data, Node, Syntax};
use super::{Config, read};

/// The keys of the models that a pipeline loads; `None` for a pipeline that HiTMicTools does not have.
pub fn pipeline(name: &str) -> Option<&'static [&'static str]> {
    let found = PIPELINES.iter().find(|(known, _)| *known == name);
    found.map(|(_, models)| *models)
}

/// What a bundle lacks for a pipeline, or that there is no such pipeline.
pub fn pipeline_problems(config: &Config, name: &str) -> Vec<Problem> {
    match pipeline(name) {
        None => vec![unknown(&config.source, name)],
        Some(needed) => missing(config, needed)
            .map(|key| Problem::error(&config.source, lacks(name, key)).help(HOW_TO_ADD))
            .collect(),
    }
}

const HOW_TO_ADD: &str = "add the model to the config, or choose a pipeline that does without it";

fn lacks(pipeline: &str, key: &str) -> String {
    format!("the pipeline `{pipeline}` loads `{key}`, which the bundle does not have")
}

fn missing<'a>(config: &'a Config, needed: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let needed = needed.iter().copied();
    needed.filter(|key| config.model(key).is_none())
}

fn unknown(source: &Source, name: &str) -> Problem {
    let names = PIPELINES.iter().map(|(name, _)| *name);
    let known: Vec<String> = names.clone().map(|name| format!("`{name}`")).collect();
    let problem = Problem::error(source, format!("HiTMicTools has no pipeline `{name}`"));
    match nearest(name, names) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("it has {}", known.join(", "))),
    }
}

/// What HiTMicTools' run config asks of a bundle: `pipeline_setup.name` and `tracking`, `tracking.config_path`,
/// `models.model_collection`.
#[derive(Clone, Debug)]
pub struct Analysis {
    source: Source,
    /// The name of the pipeline.
    pub pipeline: Option<String>,
    pipeline_span: Span,
    tracks: Option<Span>,
    has_own_tracker: bool,
    collection: Option<(String, Span)>,
}

impl Analysis {
    /// Reads the run config at `path`, as PyYAML does.
    ///
    /// # Errors
    /// Fails if it cannot be read, or is no YAML.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let source = read(path, &Disk)?;
        let mut problems = Vec::new();
        let root = tree::parse(&source, Syntax::PyYaml, &mut problems);
        let (Some(root), true) = (root, problems.is_empty()) else {
            return Err(ConfigError::Invalid {
                path: path.to_owned(),
                problems,
                warnings: Vec::new(),
            });
        };
        let setup = root.get("pipeline_setup").map(|entry| &entry.value);
        let name = setup.and_then(|setup| setup.get("name"));
        let text = |node: &Node| match &node.data {
            Data::String(text) => Some(text.clone()),
            _ => None,
        };
        let start = 0..1.min(source.inner().len());
        let tracks = setup.and_then(|setup| setup.get("tracking"));
        let tracks = tracks.filter(|entry| matches!(entry.value.data, Data::Bool(true)));
        let tracking = root.get("tracking").map(|entry| &entry.value);
        let collection = root
            .get("models")
            .and_then(|models| models.value.get("model_collection"));
        Ok(Self {
            pipeline: name.and_then(|entry| text(&entry.value)),
            pipeline_span: name.map_or(start, |entry| entry.value.span.clone()),
            tracks: tracks.map(|entry| entry.key_span.clone()),
            has_own_tracker: tracking.is_some_and(|tracking| tracking.get("config_path").is_some()),
            collection: collection
                .and_then(|entry| Some((text(&entry.value)?, entry.value.span.clone()))),
            source,
        })
    }

    /// What the bundle at `path`, of this config, lacks for the analysis.
    pub fn problems(&self, config: &Config, path: &Path) -> Vec<Problem> {
        let mut problems = Vec::new();
        match self.pipeline.as_deref().map(|name| (name, pipeline(name))) {
            None => problems.push(
                Problem::error(&self.source, "the analysis names no pipeline")
                    .label(&self.pipeline_span, "expected `pipeline_setup.name`")
                    .help(
                        "this is HiTMicTools' run config, the file that `hitmictools run -c` takes",
                    ),
            ),
            Some((name, None)) => {
                let problem = unknown(&self.source, name);
                problems.push(problem.label(&self.pipeline_span, "this one"));
            }
            Some((name, Some(needed))) => problems.extend(missing(config, needed).map(|key| {
                Problem::error(&self.source, lacks(name, key))
                    .label(&self.pipeline_span, format!("loads `{key}`"))
                    .help(HOW_TO_ADD)
            })),
        }
        if let Some(span) = &self.tracks
            && config.tracker.is_none()
            && !self.has_own_tracker
        {
            let problem = Problem::error(
                &self.source,
                "the analysis tracks cells, and the bundle has no tracker",
            );
            problems.push(
                problem
                    .label(span, "needs the tracker's settings")
                    .help("add `tracker.config_path` to the bundle's config, or `tracking.config_path` to the analysis"),
            );
        }
        problems.extend(self.collection_problem(path));
        problems
    }

    /// HiTMicTools opens `models.model_collection` relative to the working directory, and only a `.zip`.
    fn collection_problem(&self, bundle: &Path) -> Option<Problem> {
        let Some((named, span)) = &self.collection else {
            let problem = Problem::warning(&self.source, "the analysis names no bundle");
            return Some(problem.help("models:\n  model_collection: path/to/bundle.zip"));
        };
        if !named.ends_with(".zip") {
            let problem =
                Problem::error(&self.source, "HiTMicTools takes only a `.zip` for a bundle");
            return Some(problem.label(span, "expected a name that ends in `.zip`"));
        }
        let is_zip = bundle
            .extension()
            .is_some_and(|extension| extension == "zip");
        let there = std::fs::canonicalize(named);
        let problem = match there {
            Err(_) => Problem::warning(
                &self.source,
                "the analysis names a bundle that is not there",
            )
            .label(span, "relative to the working directory")
            .help("run this where the analysis runs, or put the bundle there"),
            Ok(there)
                if is_zip && std::fs::canonicalize(bundle).is_ok_and(|bundle| bundle != there) =>
            {
                Problem::warning(&self.source, "the analysis names another bundle")
                    .label(span, format!("not `{}`", bundle.display()))
                    .help("name the bundle that was checked")
            }
            Ok(_) => return None,
        };
        Some(problem)
    }
}
