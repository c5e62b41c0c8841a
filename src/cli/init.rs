//! `bundle init`.

use super::args::Init;
use super::{Answer, Context, Json, Outcome, refusal_or_error};
use crate::ops::init::{Options, init};

pub fn run(args: Init, context: &Context) -> Outcome {
    let options = Options {
        from: args.from,
        dir: args.dir,
    };
    let report = init(&options, &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
    let printer = &context.printer;
    for warning in &report.warnings {
        printer.warning(warning);
    }
    for note in &report.notes {
        printer.status("Note", note);
    }
    for file in &report.files {
        printer.status("Wrote", file.display());
    }
    if args.json {
        printer.json(&Json::new("init", &report))?;
    }
    Ok(Answer::Yes)
}
