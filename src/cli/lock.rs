//! `bundle lock`.

use super::args::Lock;
use super::printer::count;
use std::path::Path;

use super::{Answer, Context, Outcome, config, refusal_or_error};
use crate::cache::Cache;
use crate::ops::lock::{Options, Report, lock};
use crate::ops::pin::pin;
use crate::plan::{LockPlan, Plan};

pub fn run(args: Lock, context: &Context) -> Outcome {
    if let Some(bundle) = &args.from {
        return pin_foreign(bundle, args.json, context);
    }
    let options = Options {
        config: config(args.config.named())?,
        check: args.check,
        check_architecture: !args.no_check,
    };
    let report = lock(&options, Cache::open(), &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
    for warning in &report.warnings {
        context.printer.warning(warning);
    }
    print(&report, context);
    if args.json {
        context.printer.json(&super::Json::new("lock", &report))?;
    }
    let up_to_date = report.written || report.plan.lock_is_up_to_date();
    Ok(if up_to_date { Answer::Yes } else { Answer::No })
}

fn pin_foreign(bundle: &Path, json: bool, context: &Context) -> Outcome {
    let report = pin(bundle, &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
    let printer = &context.printer;
    let lock = report.lock.display();
    let verb = if report.written { "Locked" } else { "Fresh" };
    let (files, models) = (count(report.files, "file"), count(report.models, "model"));
    printer.status(verb, format_args!("{lock} ({models}, {files})"));
    for note in &report.notes {
        printer.status("Note", note);
    }
    if json {
        printer.json(&super::Json::new("lock", &report))?;
    }
    Ok(Answer::Yes)
}

fn print(report: &Report, context: &Context) {
    let printer = &context.printer;
    if let Some(problem) = &report.cache_problem {
        printer.detail("Cache", format_args!("not used: {problem}"));
    }
    let lock = report.lock.display();
    let models = count(report.models, "model");
    if report.written {
        printer.status("Locked", format_args!("{lock} ({models})"));
        if let LockPlan::Stale { changes } = &report.plan.lock {
            changes
                .iter()
                .for_each(|change| printer.detail("Changed", change));
        }
    } else if report.plan.lock_is_up_to_date() {
        printer.status("Fresh", format_args!("{lock} is up to date ({models})"));
    } else {
        refuse(&report.plan, &lock.to_string(), context);
    }
}

/// Says that the lock is not up to date, and every reason.
pub fn refuse(plan: &Plan, lock: &str, context: &Context) {
    let printer = &context.printer;
    match &plan.lock {
        LockPlan::UpToDate => {}
        LockPlan::Missing => printer.refusal("Missing", format_args!("{lock} is not there")),
        LockPlan::Stale { changes } => {
            printer.refusal("Stale", format_args!("{lock} is not up to date:"));
            changes.iter().for_each(|change| printer.note(change));
        }
    }
    printer.note("run `bundle lock` and commit the result");
}
