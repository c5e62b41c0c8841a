//! `bundle cache`.

use super::args::{CacheArgs, CacheCommand};
use super::printer::human_size;
use super::{Answer, Context, Json, Outcome, error};
use crate::cache::Pruned;
use crate::ops::cache;

pub fn run(args: CacheArgs, context: &Context) -> Outcome {
    match args.command {
        CacheCommand::Dir => {
            let dir = cache::dir().map_err(error)?;
            context.printer.out(format_args!("{}\n", dir.display()))?;
        }
        CacheCommand::Prune { max_size, json } => {
            let pruned = cache::prune(max_size).map_err(error)?;
            say(pruned, context);
            if json {
                context.printer.json(&Json::new("cache prune", &pruned))?;
            }
        }
        CacheCommand::Clear => say(cache::prune(0).map_err(error)?, context),
    }
    Ok(Answer::Yes)
}

fn say(pruned: Pruned, context: &Context) {
    let removed = human_size(pruned.bytes);
    let left = human_size(pruned.left);
    let files = super::printer::count(pruned.files as usize, "file");
    context
        .printer
        .status("Removed", format_args!("{files}, {removed}; {left} left"));
}
