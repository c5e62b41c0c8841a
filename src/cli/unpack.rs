//! `bundle unpack`.

use super::args::Unpack;
use super::printer::{count, human_size};
use super::{Answer, Context, Json, Outcome, refusal_or_error};
use crate::ops::unpack::{Options, unpack};

pub fn run(args: Unpack, context: &Context) -> Outcome {
    let options = Options {
        bundle: args.bundle,
        dir: args.dir,
        models: args.model,
    };
    let report = unpack(&options, &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
    let files = count(report.files.len(), "file");
    let size = human_size(report.bytes);
    let dir = report.dir.display();
    context
        .printer
        .status("Unpacked", format_args!("{files}, {size}, into {dir}"));
    for path in &report.files {
        context.printer.detail("File", path.display());
    }
    if args.json {
        context.printer.json(&Json::new("unpack", &report))?;
    }
    Ok(Answer::Yes)
}
