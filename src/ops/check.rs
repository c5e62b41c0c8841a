//! `bundle check`: schema, pickle audit, weights against their networks, and whether an analysis is served.

use std::io;
use std::path::PathBuf;

use serde::Serialize;

use crate::config::{Analysis, Config, ConfigError, Model, Problem};
use crate::facts::Facts;
use crate::fit::{self, Fit, Role};
use crate::lockfile::LockedFacts;
use crate::progress::{Phase, Progress};
use crate::subject::{Subject, SubjectError};
use crate::value::Map;
use crate::weights::WeightsError;

/// What to check.
#[derive(Clone, Debug)]
pub struct Options {
    /// A config, or a ZIP.
    pub target: PathBuf,
    /// The pipeline that the bundle must serve.
    pub pipeline: Option<String>,
    /// HiTMicTools' run config that the bundle must serve.
    pub analysis: Option<PathBuf>,
    /// Pickle globals that the user trusts. A config's own word counts for a config alone.
    pub allowed: Vec<String>,
}

/// What was found.
#[derive(Debug, Serialize)]
pub struct Report {
    pub target: PathBuf,
    pub models: Vec<Checked>,
    /// The pipeline that was asked about, and the models that it does not load.
    pub pipeline: Option<Served>,
    /// Errors and warnings, in the order of the config.
    pub problems: Vec<Problem>,
}

/// One model.
#[derive(Debug, Serialize)]
pub struct Checked {
    pub key: String,
    /// The container, if the file could be read.
    pub format: Option<String>,
    pub architecture: Option<String>,
    pub architecture_args: Option<Map>,
    pub tensors: usize,
    pub parameters: Option<u64>,
    pub globals: Vec<String>,
    pub errors: usize,
    pub warnings: usize,
}

/// A pipeline, and what of the bundle it leaves unused.
#[derive(Debug, Serialize)]
pub struct Served {
    pub name: String,
    pub unused: Vec<String>,
}

impl Report {
    /// Whether nothing is wrong; warnings do not count.
    pub fn is_good(&self) -> bool {
        !self.problems.iter().any(Problem::is_error)
    }
}

/// Why nothing could be checked.
pub type Error = SubjectError;

/// Checks a config with its files, or a ZIP. Nothing is taken from the cache.
///
/// # Errors
/// Fails if something cannot be read, or the config is so wrong that there is nothing to check. What is wrong with the
/// weights is no error but in the report.
pub fn check(options: &Options, progress: &dyn Progress) -> Result<Report, Error> {
    let target = &options.target;
    let subject = match Subject::open(target) {
        Err(
            Error::Config(ConfigError::Invalid {
                problems, warnings, ..
            })
            | Error::Packed(ConfigError::Invalid {
                problems, warnings, ..
            }),
        ) => {
            return Ok(Report {
                target: target.clone(),
                models: Vec::new(),
                pipeline: None,
                problems: [problems, warnings].concat(),
            });
        }
        subject => subject?,
    };
    let allowed = &options.allowed;
    let role = match subject.is_bundle() {
        true => Role::Receiver { allowed },
        false => Role::Producer,
    };
    let mut config = subject.config.clone();
    if matches!(role, Role::Producer) {
        for model in &mut config.models {
            model.allow_globals.extend(options.allowed.iter().cloned());
        }
    }
    let mut report = Report {
        target: target.clone(),
        models: Vec::new(),
        pipeline: None,
        problems: config.warnings.clone(),
    };
    for model in &config.models {
        let checked = check_model(
            &subject,
            &config,
            model,
            role,
            &mut report.problems,
            progress,
        )?;
        report.models.push(checked);
    }
    serve(options, &config, &mut report)?;
    for model in &mut report.models {
        let own = |problem: &&Problem| problem.model() == Some(&model.key);
        let (errors, warnings): (Vec<_>, Vec<_>) = report
            .problems
            .iter()
            .filter(own)
            .partition(|problem| problem.is_error());
        (model.errors, model.warnings) = (errors.len(), warnings.len());
    }
    Ok(report)
}

fn check_model(
    subject: &Subject,
    config: &Config,
    model: &Model,
    role: Role,
    problems: &mut Vec<Problem>,
    progress: &dyn Progress,
) -> Result<Checked, Error> {
    let blob = subject.weights(model, progress)?;
    let path = &model.weights.path;
    let _phase = Phase::begin(progress, "Checking", blob.size());
    let mut checked = Checked {
        key: model.key.to_string(),
        format: None,
        architecture: None,
        architecture_args: None,
        tensors: 0,
        parameters: None,
        globals: Vec::new(),
        errors: 0,
        warnings: 0,
    };
    match Facts::derive(&blob, path, progress) {
        Ok(facts) => {
            let mut fit = fit::check(config, model, &facts, role);
            problems.append(&mut fit.problems);
            problems.extend(against_lock(subject, config, model, &fit));
            checked.format = Some(facts.format);
            checked.tensors = facts.tensors.len();
            checked.architecture = fit.architecture;
            checked.architecture_args = fit.architecture_args;
            checked.parameters = fit.parameters;
            checked.globals = fit.globals;
        }
        Err(WeightsError::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
            let path = path.clone();
            return Err(Error::Read { path, error });
        }
        Err(error) => problems.push(fit::unreadable(config, model, &error)),
    }
    Ok(checked)
}

/// Complains if the lock inside the bundle says of the weights what they are not.
fn against_lock(subject: &Subject, config: &Config, model: &Model, fit: &Fit) -> Option<Problem> {
    let locked = &subject.lock.as_ref()?.models.get(model.key.as_str())?.facts;
    let mut found = LockedFacts::from(fit);
    // Locks of foreign bundles, and those made without the check, do not say it.
    if locked.architecture.is_none() {
        found.architecture = None;
        found.architecture_args = None;
    }
    (*locked != found).then(|| {
        let message = format!(
            "`{}`: the lock inside the bundle says of it what it is not",
            model.weights.written
        );
        let mut problem = Problem::error(&config.source, message)
            .label(&model.weights.span, "these weights")
            .help("the lock was edited, or made by another version; `bundle build` makes it anew");
        problem.set_model(model.key.as_str());
        problem
    })
}

/// Whether the bundle has what a pipeline and an analysis need.
fn serve(options: &Options, config: &Config, report: &mut Report) -> Result<(), Error> {
    let analysis = options.analysis.as_deref().map(Analysis::load).transpose();
    let analysis = analysis.map_err(|error| match error {
        ConfigError::Read { path, source } => Error::Read {
            path,
            error: source,
        },
        error => Error::Config(error),
    })?;
    if let Some(analysis) = &analysis {
        report
            .problems
            .extend(analysis.problems(config, &options.target));
    }
    let mut names: Vec<String> = options.pipeline.iter().cloned().collect();
    if let Some(pipeline) = analysis.and_then(|analysis| analysis.pipeline) {
        names.push(pipeline);
    }
    if let Some(name) = &options.pipeline {
        report
            .problems
            .extend(crate::config::pipeline_problems(config, name));
    }
    for needed in names
        .iter()
        .filter_map(|name| crate::config::pipeline(name))
    {
        for problem in &mut report.problems {
            if problem.model().is_some_and(|model| needed.contains(&model)) {
                problem.insist_on_loading();
            }
        }
    }
    report.pipeline = names.into_iter().next().and_then(|name| {
        let needed = crate::config::pipeline(&name)?;
        let keys = config.models.iter().map(|model| model.key.as_str());
        let unused = keys
            .filter(|key| !needed.contains(key))
            .map(str::to_owned)
            .collect();
        Some(Served { name, unused })
    });
    Ok(())
}
