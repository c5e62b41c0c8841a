//! `bundle test`.

use super::args::Test;
use super::printer::{BOLD, Printer, count, plain_text};
use super::table::Table;
use super::{Answer, Context, Json, Outcome, config, refusal_or_error, test_devices};
use crate::ops::test::{Options, Report, Tested, Verdict, test};

pub fn run(args: Test, context: &Context) -> Outcome {
    let (all, json) = (args.all_devices, args.json);
    let options = Options {
        target: config(args.target)?,
        models: args.model,
        save: args.save,
        record: args.record,
        device: args.device,
        precision: args.precision.into(),
        threads: args.threads,
    };
    if all {
        return test_devices::run(&options, json, context);
    }
    let report = test(&options, &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
    let printer = &context.printer;
    if json {
        printer.json(&Json::new("test", &report))?;
    } else {
        printer.out(table(&report, printer))?;
    }
    explain(&report.models, "", printer);
    conclude(&report, printer);
    Ok(match report.is_good() {
        true => Answer::Yes,
        false => Answer::No,
    })
}

fn table(report: &Report, printer: &Printer) -> String {
    let mut table = Table::new(&["MODEL", "NETWORK", "RESULT", "LARGEST ERROR", "WHERE"]);
    for model in &report.models {
        let dash = || "-".to_owned();
        let largest = model.verdict.largest();
        let error = match (&model.verdict, largest) {
            (Verdict::Passed { .. } | Verdict::Failed { .. }, None) => "0".to_owned(),
            (_, None) => dash(),
            (_, Some(largest)) => match largest.error {
                Some(error) => format!("{error:.1e}"),
                None => format!(
                    "{}, not {}",
                    plain_text(&largest.found),
                    plain_text(&largest.expected)
                ),
            },
        };
        table.row(vec![
            plain_text(&model.key),
            model.network.as_deref().map_or_else(dash, plain_text),
            result(&model.verdict).to_owned(),
            error,
            largest.map_or_else(dash, |largest| largest.place.clone()),
        ]);
    }
    table.render(|title| printer.styled(BOLD, title), printer.width())
}

pub(super) fn result(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed { .. } => "ok",
        Verdict::Failed { .. } => "FAILED",
        Verdict::Smoke => "smoke",
        Verdict::Broken { .. } => "BROKEN",
        Verdict::NotRun { .. } => "not run",
        Verdict::Recorded { .. } => "recorded",
        Verdict::NotRecorded { .. } => "not recorded",
    }
}

/// What a table has no room for; `on` names the device, if there are several.
pub(super) fn explain(models: &[Tested], on: &str, printer: &Printer) {
    for Tested {
        key, verdict, kept, ..
    } in models
    {
        match verdict {
            Verdict::Failed {
                mismatches,
                elements,
                tolerance,
                ..
            } => {
                printer.refusal(
                    "Failed",
                    format_args!(
                        "{key}{on}: {mismatches} of {elements} elements are off (rtol {}, atol {:.3e}, {} ppm allowed)",
                        tolerance.rtol, tolerance.atol, tolerance.mismatch_ppm
                    ),
                );
            }
            Verdict::Broken { message } => {
                printer.refusal("Failed", format_args!("{key}{on}: {message}"));
            }
            Verdict::NotRun { why } => printer.detail("Not run", format_args!("{key}: {why}")),
            Verdict::Smoke => printer.detail(
                "Smoke",
                format_args!(
                    "{key} has no test vector: it ran, and gave numbers of the right shape"
                ),
            ),
            Verdict::Recorded { expected } => {
                printer.status("Recorded", format_args!("{}", expected.display()));
            }
            Verdict::NotRecorded { expected } => printer.refusal(
                "Refused",
                format_args!(
                    "{key}: {} is there, and is not what `--record` wrote: it may be another program's result; to record in its place, move it away first",
                    expected.display()
                ),
            ),
            Verdict::Passed { .. } => {}
        }
        if let Some(kept) = kept {
            printer.status("Kept", format_args!("{}", kept.display()));
        }
    }
}

fn conclude(report: &Report, printer: &Printer) {
    let with = |wanted: &str| {
        let found = report
            .models
            .iter()
            .filter(|model| result(&model.verdict) == wanted);
        found.count()
    };
    let failed = with("FAILED") + with("BROKEN");
    let mut parts = Vec::new();
    for (number, what) in [
        (with("ok"), "ok"),
        (with("recorded"), "recorded"),
        (with("not recorded"), "not recorded"),
        (failed, "failed"),
        (with("smoke"), "smoke"),
        (with("not run"), "not run"),
    ] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    let target = report.target.display();
    let models = count(report.models.len(), "model");
    let results = match parts.is_empty() {
        true => models,
        false => format!("{models}: {}", parts.join(", ")),
    };
    let text = format!("{target} on {} ({results})", report.device);
    match report.is_good() {
        true => printer.status("Tested", text),
        false => printer.refusal("Failed", text),
    }
}
