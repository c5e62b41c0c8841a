//! `bundle` alone: what it sees here, and the likely next command.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::args::Cli;
use super::printer::{count, plain_text};
use super::{Answer, Context, Outcome, refusal_or_error};
use crate::cache::Cache;
use crate::ops::build::{Options, Report, build};
use crate::plan::{LockPlan, OutputPlan};
use crate::project::find_config;

pub fn run(context: &Context) -> Outcome {
    let Ok(config) = find_config(".".as_ref()) else {
        return without_config(context);
    };
    let options = Options {
        config,
        output: None,
        auto_date: None,
        locked: false,
        dry_run: true,
        force: false,
        check_architecture: true,
        lenient: false,
    };
    let report = build(&options, Cache::open(), &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
    for warning in &report.warnings {
        context.printer.warning(warning);
    }
    let printer = &context.printer;
    let config = options.config.display();
    let models = count(report.models, "model");
    printer.status("Config", format_args!("{config} ({models})"));
    printer.status("Lock", lock(&report));
    printer.status("Bundle", bundle(&report));
    printer.status("Next", next(&report, &options.config));
    Ok(Answer::Yes)
}

/// A folder that is no project: the bundles in it, or how to begin.
fn without_config(context: &Context) -> Outcome {
    let is_zip =
        |path: &PathBuf| path.extension().is_some_and(|end| end == "zip") && path.is_file();
    let entries = std::fs::read_dir(".").into_iter().flatten().flatten();
    let mut zips: Vec<PathBuf> = entries
        .map(|entry| entry.file_name().into())
        .filter(is_zip)
        .collect();
    zips.sort();
    let printer = &context.printer;
    match zips.first() {
        None => printer.out(Cli::command().render_help())?,
        Some(zip) => {
            let zip = plain_text(&zip.display().to_string());
            printer.status("Config", "there is none here or above");
            printer.status(
                "Found",
                format_args!("{} ({zip})", count(zips.len(), "ZIP")),
            );
            printer.status(
                "Next",
                format_args!("bundle check {zip}, or bundle show {zip}"),
            );
        }
    }
    Ok(Answer::Yes)
}

fn lock(report: &Report) -> String {
    let lock = report.lock.display();
    match &report.plan.lock {
        LockPlan::UpToDate => format!("{lock} is up to date"),
        LockPlan::Missing => "there is none yet".to_owned(),
        LockPlan::Stale { changes } => {
            format!(
                "{lock} is not up to date ({})",
                count(changes.len(), "change")
            )
        }
    }
}

fn bundle(report: &Report) -> String {
    let output = report.output.display();
    match &report.plan.output {
        Some(OutputPlan::Missing) => format!("{output} is not there yet"),
        Some(OutputPlan::Altered { .. }) => format!("{output} is not what the lock says"),
        Some(_) if report.plan.builds() => format!("{output} is not up to date"),
        _ => format!("{output} is up to date"),
    }
}

fn next(report: &Report, config: &Path) -> String {
    let (lock, output) = (report.lock.display(), report.output.display());
    match &report.plan.lock {
        LockPlan::Stale { .. } => {
            "bundle lock --check   (what changed), or bundle build".to_owned()
        }
        _ if report.models == 0 => format!("name the models in {}", config.display()),
        _ if report.plan.builds() => "bundle build".to_owned(),
        _ => format!("bundle verify {output} --lock {lock}, or bundle test {output}"),
    }
}
