//! `bundle check`.

use std::fmt::Write;

use super::args::Check;
use super::printer::{BOLD, Printer, count, plain_text};
use super::table::{Table, grouped};
use super::{Answer, Context, Json, Outcome, config, refusal_or_error};
use crate::ops::check::{Checked, Error, Options, Report, check};

pub fn run(args: Check, context: &Context) -> Outcome {
    let options = Options {
        target: config(args.target)?,
        pipeline: args.pipeline,
        analysis: args.analysis,
        allowed: args.allow_global,
    };
    let report = check(&options, &context.progress).map_err(|error| {
        // A config that is wrong is this command's answer.
        let is_answer = matches!(&error, Error::Config(error) if error.is_of_content());
        refusal_or_error(is_answer || error.is_refusal(), error)
    })?;
    let printer = &context.printer;
    if args.json {
        printer.json(&Json::new("check", &report))?;
    } else {
        printer.out(table(&report, printer))?;
    }
    for problem in &report.problems {
        match problem.is_error() {
            true => printer.error(problem),
            false => printer.warning(problem),
        }
    }
    conclude(&report, printer);
    Ok(if report.is_good() {
        Answer::Yes
    } else {
        Answer::No
    })
}

fn table(report: &Report, printer: &Printer) -> String {
    let mut table = Table::new(&["MODEL", "NETWORK", "TENSORS", "PARAMETERS", "RESULT"]);
    for model in &report.models {
        let dash = || "-".to_owned();
        table.row(vec![
            plain_text(&model.key),
            model
                .architecture
                .as_ref()
                .map_or_else(dash, |name| plain_text(name)),
            if model.tensors == 0 {
                dash()
            } else {
                model.tensors.to_string()
            },
            model.parameters.map_or_else(dash, grouped),
            result(model),
        ]);
    }
    table.align_right(2);
    table.align_right(3);
    let mut text = table.render(|title| printer.styled(BOLD, title), printer.width());
    if let Some(served) = &report.pipeline
        && !served.unused.is_empty()
    {
        let unused = plain_text(&served.unused.join(", "));
        let _ = writeln!(text, "\nnot used by {}: {unused}", plain_text(&served.name));
    }
    text
}

fn result(model: &Checked) -> String {
    let done = match model.architecture {
        Some(_) => "ok",
        // Safe to load, and no more is known.
        None => "not compared",
    };
    match (model.errors, model.warnings) {
        (0, 0) => done.to_owned(),
        (0, warnings) => format!("{done}, {}", count(warnings, "warning")),
        (errors, _) => count(errors, "error"),
    }
}

fn conclude(report: &Report, printer: &Printer) {
    let target = report.target.display();
    let models = count(report.models.len(), "model");
    let errors = report
        .problems
        .iter()
        .filter(|problem| problem.is_error())
        .count();
    let warnings = report.problems.len() - errors;
    let warned = match warnings {
        0 => String::new(),
        warnings => format!(", {}", count(warnings, "warning")),
    };
    match errors {
        0 => printer.status("Checked", format_args!("{target} ({models}{warned})")),
        errors => {
            let errors = count(errors, "error");
            printer.refusal("Failed", format_args!("{target} ({errors}{warned})"));
        }
    }
}
