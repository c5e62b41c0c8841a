//! `lock`, `build`, `verify`, `check` and `diff`: each gives the report that the command prints as JSON, and its warnings.

use std::ffi::OsString;
use std::path::PathBuf;

use model_bundle::cache::Cache;
use model_bundle::cli::{main_with, plain_report};
use model_bundle::config::Problem;
use model_bundle::digest::Sha256;
use model_bundle::ops;
use pyo3::prelude::*;
use serde::Serialize;

use crate::errors::{Kind, Raised, plain};
use crate::work;

/// A report as JSON, and each problem in one line and as the command prints it.
type Reported = (String, Vec<(String, String)>);

/// A report as JSON, and sentences.
type Told = (String, Vec<String>);

/// The command, with these arguments; its exit status.
#[pyfunction]
pub fn run_command(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| main_with(arguments))
}

fn json(py: Python<'_>, report: &impl Serialize) -> PyResult<String> {
    serde_json::to_string(report).map_err(|error| plain(py, Kind::Config, error))
}

fn reported(py: Python<'_>, report: &impl Serialize, problems: &[Problem]) -> PyResult<Reported> {
    let texts = problems.iter().map(|problem| {
        let message = problem.message().to_owned();
        (message, plain_report(problem))
    });
    Ok((json(py, report)?, texts.collect()))
}

/// Brings the lock up to date.
#[pyfunction]
pub fn lock(
    py: Python<'_>,
    config: PathBuf,
    check: bool,
    check_architecture: bool,
) -> PyResult<Reported> {
    let options = ops::lock::Options {
        config,
        check,
        check_architecture,
    };
    let made = work::run(py, |progress| {
        ops::lock::lock(&options, Cache::open(), progress)
    })?;
    let report = made.map_err(|error| error.raised(py))?;
    reported(py, &report, &report.warnings)
}

/// What to build.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct BuildOptions {
    config: PathBuf,
    output: Option<PathBuf>,
    auto_date: Option<bool>,
    locked: bool,
    dry_run: bool,
    force: bool,
    check_architecture: bool,
    lenient: bool,
}

/// Brings lock and ZIP up to date.
#[pyfunction]
pub fn build(py: Python<'_>, options: BuildOptions) -> PyResult<Reported> {
    let options = ops::build::Options {
        config: options.config,
        output: options.output,
        auto_date: options.auto_date,
        locked: options.locked,
        dry_run: options.dry_run,
        force: options.force,
        check_architecture: options.check_architecture,
        lenient: options.lenient,
    };
    let made = work::run(py, |progress| {
        ops::build::build(&options, Cache::open(), progress)
    })?;
    let report = made.map_err(|error| error.raised(py))?;
    reported(py, &report, &report.warnings)
}

/// A SHA-256 in hexadecimal.
///
/// # Errors
/// Fails if it is none.
pub fn sha256(py: Python<'_>, text: &str) -> PyResult<Sha256> {
    let parsed = text.to_ascii_lowercase().parse::<Sha256>();
    parsed.map_err(|error| plain(py, Kind::Config, error))
}

/// Compares a bundle with a lock, a digest, or itself; the texts of the differences beside the report.
#[pyfunction]
pub fn verify(
    py: Python<'_>,
    bundle: PathBuf,
    lock: Option<PathBuf>,
    sha256: Option<&str>,
) -> PyResult<Told> {
    let options = ops::verify::Options {
        bundle,
        lock,
        sha256: sha256.map(|text| self::sha256(py, text)).transpose()?,
    };
    let made = work::run(py, |progress| ops::verify::verify(&options, progress))?;
    let report = made.map_err(|error| error.raised(py))?;
    let differences = report.differences.iter().map(ToString::to_string);
    Ok((json(py, &report)?, differences.collect()))
}

/// Checks a config or a bundle; the texts of the problems beside the report.
#[pyfunction]
pub fn check(
    py: Python<'_>,
    target: PathBuf,
    pipeline: Option<String>,
    analysis: Option<PathBuf>,
    allowed: Vec<String>,
) -> PyResult<Reported> {
    let options = ops::check::Options {
        target,
        pipeline,
        analysis,
        allowed,
    };
    let made = work::run(py, |progress| ops::check::check(&options, progress))?;
    let report = made.map_err(|error| error.raised(py))?;
    reported(py, &report, &report.problems)
}

/// Compares two bundles or locks; the texts of the changes beside the report.
#[pyfunction]
pub fn diff(py: Python<'_>, old: PathBuf, new: PathBuf) -> PyResult<Told> {
    let made = work::run(py, |progress| ops::diff::diff(&old, &new, progress))?;
    let report = made.map_err(|error| error.raised(py))?;
    let changes = report.changes.iter().map(ToString::to_string);
    Ok((json(py, &report)?, changes.collect()))
}
