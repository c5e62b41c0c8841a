//! `bundle build`, and the two calls of HiTMicTools' old script.

use super::args::{Build, Create, CreateMbundle};
use super::printer::{count, human_size};
use super::{Answer, Context, Outcome, config, refusal_or_error};
use crate::cache::Cache;
use crate::ops::build::{Options, Outcome as Built, Report, build};
use crate::plan::{FilePlan, FileReason, OutputPlan};

pub fn run(args: Build, context: &Context) -> Outcome {
    let options = Options {
        config: config(args.config.named())?,
        output: args.output,
        auto_date: args.no_auto_date.then_some(false),
        locked: args.locked,
        dry_run: args.dry_run,
        force: args.force,
        check_architecture: !args.no_check,
        lenient: false,
    };
    perform(&options, args.explain, args.json, context)
}

pub fn create(args: Create, context: &Context) -> Outcome {
    perform(
        &by_script(args.config, args.output, false),
        false,
        false,
        context,
    )
}

pub fn create_mbundle(args: CreateMbundle, context: &Context) -> Outcome {
    let output = args.dir.join("model_collection.zip");
    perform(&by_script(args.config, output, true), false, false, context)
}

fn by_script(config: std::path::PathBuf, output: std::path::PathBuf, auto_date: bool) -> Options {
    Options {
        config,
        output: Some(output),
        auto_date: Some(auto_date),
        locked: false,
        dry_run: false,
        force: false,
        check_architecture: true,
        lenient: false,
    }
}

fn perform(options: &Options, explain: bool, json: bool, context: &Context) -> Outcome {
    let report = build(options, Cache::open(), &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
    for warning in &report.warnings {
        context.printer.warning(warning);
    }
    if explain || options.dry_run {
        print_plan(&report, explain, context);
    }
    print_outcome(&report, context);
    if json {
        context.printer.json(&super::Json::new("build", &report))?;
    }
    match report.outcome {
        Built::Built | Built::UpToDate => {
            if !json {
                context
                    .printer
                    .out(format_args!("{}\n", report.output.display()))?;
            }
            Ok(Answer::Yes)
        }
        Built::Planned => Ok(Answer::Yes),
        Built::Stale | Built::NotReproduced { .. } => Ok(Answer::No),
    }
}

/// One line a file: what is to be done with it, and why.
fn print_plan(report: &Report, all: bool, context: &Context) {
    let output = report.output.display().to_string();
    let paths = report.plan.files.iter().map(|file| file.path.as_str());
    let width = paths.chain([output.as_str()]).map(str::len).max();
    let width = width.unwrap_or(0);
    for FilePlan { path, reason, .. } in &report.plan.files {
        let verb = match reason {
            FileReason::Unchanged => "keep",
            FileReason::Touched | FileReason::RecordMissing | FileReason::RecordUnsettled => {
                "reread"
            }
            FileReason::New => "add",
            FileReason::ContentChanged { .. }
            | FileReason::ArgumentsChanged { .. }
            | FileReason::DateChanged => "update",
            FileReason::Removed => "remove",
        };
        if all || *reason != FileReason::Unchanged {
            context.printer.note(format_args!(
                "{verb:<6}  {:<width$}  {reason}",
                path.as_str()
            ));
        }
    }
    if let Some(reason) = &report.plan.output {
        let verb = match reason {
            OutputPlan::UpToDate => "keep",
            _ => "build",
        };
        context
            .printer
            .note(format_args!("{verb:<6}  {output:<width$}  {reason}"));
    }
}

fn print_outcome(report: &Report, context: &Context) {
    let printer = &context.printer;
    if let Some(problem) = &report.cache_problem {
        printer.detail("Cache", format_args!("not used: {problem}"));
    }
    let output = report.output.display();
    let lock = report.lock.display().to_string();
    let described = report.archive.map(|archive| {
        let sha256 = &archive.sha256.to_string()[..12];
        format!(
            "{output} ({}, {}, sha256 {sha256})",
            count(report.models, "model"),
            human_size(archive.size)
        )
    });
    let described = described.unwrap_or_else(|| output.to_string());
    match &report.outcome {
        Built::UpToDate => printer.status("Fresh", described),
        Built::Built => printer.status("Built", described),
        Built::Planned => {
            let verb = if report.plan.builds() {
                "would be built"
            } else {
                "is up to date"
            };
            printer.status(
                "Dry run",
                format_args!("{output} {verb}; nothing was written"),
            );
        }
        Built::Stale => super::lock::refuse(&report.plan, &lock, context),
        Built::NotReproduced { expected, found } => {
            printer.refusal(
                "Mismatch",
                format_args!("{output} would not be what {lock} pins:"),
            );
            printer.note(format_args!(
                "expected {} bytes, sha256 {}",
                expected.size, expected.sha256
            ));
            printer.note(format_args!(
                "found    {} bytes, sha256 {}",
                found.size, found.sha256
            ));
            printer.note("`[archive]` of the lock was edited, or another version of the canonical form wrote it");
        }
    }
}
