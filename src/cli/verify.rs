//! `bundle verify`.

use super::args::Verify;
use super::printer::{count, human_size};
use super::{Answer, Context, Json, Outcome, error};
use crate::ops::verify::{Anchor, Options, Report, verify};

pub fn run(args: Verify, context: &Context) -> Outcome {
    let options = Options {
        bundle: args.bundle,
        lock: args.lock,
        sha256: args.sha256,
    };
    let report = verify(&options, &context.progress).map_err(error)?;
    print(&report, context);
    if args.json {
        context.printer.json(&Json::new("verify", &report))?;
    }
    Ok(if report.differences.is_empty() {
        Answer::Yes
    } else {
        Answer::No
    })
}

fn print(report: &Report, context: &Context) {
    let printer = &context.printer;
    let bundle = report.bundle.display();
    if !report.differences.is_empty() {
        let differences = count(report.differences.len(), "difference");
        printer.refusal("Refused", format_args!("{bundle}: {differences}"));
        for difference in &report.differences {
            printer.note(format_args!("- {difference}"));
        }
        return;
    }
    let entries = match report.entries {
        1 => "1 entry".to_owned(),
        number => format!("{number} entries"),
    };
    let size = human_size(report.size);
    match &report.anchor {
        Anchor::Lock { path } => {
            let path = path.display();
            printer.status(
                "Verified",
                format_args!("{bundle} is what {path} says ({entries}, {size})"),
            );
        }
        Anchor::Sha256 => {
            printer.status(
                "Verified",
                format_args!("{bundle} has the given SHA-256 ({entries}, {size})"),
            );
        }
        Anchor::None => {
            printer.status(
                "Verified",
                format_args!("{bundle} is self-consistent, origin unproven ({entries}, {size})"),
            );
            if !printer.is_quiet() {
                printer.note(
                    "name a lock (`--lock`) or a digest (`--sha256`) that reached you another way",
                );
            }
        }
    }
}
