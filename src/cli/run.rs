//! `bundle run`.

use std::io;

use super::args::{self, Run};
use super::printer::{Printer, count};
use super::{Answer, Context, Json, Outcome, profile, refusal_or_error};
use crate::ops::run::{
    Asked, FileReport, Named, Options, Outcome as Ended, OutputType, Report, Unit, run as run_model,
};

pub fn run(args: Run, context: &Context) -> Outcome {
    let json = args.json;
    let options = options(args);
    let report = run_model(&options, &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
    print(&report, &context.printer);
    let printed = match json {
        true => context.printer.json(&Json::new("run", &report)),
        false => context.printer.out(results(&report, &context.printer)),
    };
    match (printed, report.is_good()) {
        // That nobody reads on does not mend the file that failed.
        (Err(error), false) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Answer::No),
        (Err(error), _) => Err(error.into()),
        (Ok(()), true) => Ok(Answer::Yes),
        (Ok(()), false) => Ok(Answer::No),
    }
}

fn options(args: Run) -> Options {
    Options {
        target: args.target,
        model: args.model,
        files: Named {
            inputs: args.input,
            worklist: args.worklist,
            labels: args.labels,
            output: args.output,
            preview: args.preview,
        },
        channel: args.channel,
        frames: args.frames,
        rescale: !args.no_rescale,
        form: Asked {
            kind: args.output_type.map(|kind| match kind {
                args::OutputType::Float32 => OutputType::Float32,
                args::OutputType::Uint16 => OutputType::Uint16,
                args::OutputType::Uint8 => OutputType::Uint8,
                args::OutputType::Labels => OutputType::Labels,
            }),
            threshold: args.threshold,
        },
        device: args.device,
        precision: args.precision.map(Into::into),
        threads: args.threads,
        resume: args.resume,
        profile: args.profile,
    }
}

/// What goes to standard output: the paths that hold results, then the profile.
fn results(report: &Report, printer: &Printer) -> String {
    let profile = report.profile.as_ref();
    let profile = profile.map(|profile| profile::text(profile, printer));
    outputs(report) + &profile.unwrap_or_default()
}

/// The paths that hold results, a line each.
fn outputs(report: &Report) -> String {
    let written = report.files.iter().filter(|file| !is_failure(file));
    written
        .map(|file| format!("{}\n", file.output.display()))
        .collect()
}

fn is_failure(file: &FileReport) -> bool {
    matches!(file.outcome, Ended::Failed { .. })
}

fn print(report: &Report, printer: &Printer) {
    printer.detail("Device", &report.device);
    if report.lacks_half_precision {
        let message = format!(
            "float32: the config asks for half precision, and {} does not compute with float16",
            report.device
        );
        let severity = miette::Severity::Warning;
        printer.warning(&miette::MietteDiagnostic::new(message).with_severity(severity));
    } else if report.half_precision_ignored {
        printer.detail(
            "Precision",
            "float32, though the config asks for half precision",
        );
    }
    let one = report.files.len() == 1;
    let (mut done, mut skipped) = (0, 0);
    for file in &report.files {
        let input = file.input.display();
        match &file.outcome {
            Ended::Done {
                count: number,
                unit,
                warnings,
            } => {
                done += 1;
                for warning in warnings {
                    let message = format!("{input}: {warning}");
                    printer.warning(
                        &miette::MietteDiagnostic::new(message)
                            .with_severity(miette::Severity::Warning),
                    );
                }
                let noun = match unit {
                    Unit::Frame => "frame",
                    Unit::Row => "row",
                };
                let number = usize::try_from(*number).unwrap_or(usize::MAX);
                let ran = format!("{} on {input} ({})", report.model, count(number, noun));
                match one {
                    true => printer.status("Ran", ran),
                    false => printer.detail("Ran", ran),
                }
            }
            Ended::Skipped => {
                skipped += 1;
                let done = format!("{} is finished", file.output.display());
                match one {
                    true => printer.status("Fresh", done),
                    false => printer.detail("Fresh", done),
                }
            }
            Ended::Failed { .. } => {}
        }
    }
    if !one {
        let before = match skipped {
            0 => String::new(),
            skipped => format!(", {skipped} finished before"),
        };
        let files = count(done, "file");
        printer.status("Ran", format_args!("{} on {files}{before}", report.model));
    }
    let failed: Vec<&FileReport> = report
        .files
        .iter()
        .filter(|file| is_failure(file))
        .collect();
    if failed.is_empty() {
        return;
    }
    printer.refusal(
        "Failed",
        format_args!("{} of {}", failed.len(), count(report.files.len(), "file")),
    );
    for file in failed {
        if let Ended::Failed { message } = &file.outcome {
            let input = file.input.display().to_string();
            // Most messages begin with the file.
            match message.starts_with(&input) {
                true => printer.note(format_args!("- {message}")),
                false => printer.note(format_args!("- {input}: {message}")),
            }
        }
    }
}
