//! `bundle diff`.

use std::fmt::Write;

use super::args::Diff;
use super::printer::{BOLD, Printer, plain_text};
use super::table::Table;
use super::{Answer, Context, Json, Outcome, refusal_or_error};
use crate::ops::diff::{Report, TensorChange, Verdict, Weights, diff};
use crate::weights::tensor::Distance;

/// So many changed tensors of a model are listed; `--json` has them all.
const MOST_SHOWN: usize = 12;

pub fn run(args: Diff, context: &Context) -> Outcome {
    let report = diff(&args.old, &args.new, &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
    let printer = &context.printer;
    if args.json {
        printer.json(&Json::new("diff", &report))?;
    } else {
        printer.out(text(&report, printer))?;
    }
    match report.is_same() {
        true => {
            let (old, new) = (report.old.display(), report.new.display());
            printer.status("Same", format_args!("{old} and {new} hold the same"));
            Ok(Answer::Yes)
        }
        false => Ok(Answer::No),
    }
}

fn text(report: &Report, printer: &Printer) -> String {
    let mut text = String::new();
    for change in &report.changes {
        let _ = writeln!(text, "{}", plain_text(&change.to_string()));
    }
    for weights in &report.weights {
        model(&mut text, weights, printer);
    }
    text
}

fn model(text: &mut String, weights: &Weights, printer: &Printer) {
    let key = printer.styled(BOLD, plain_text(&weights.model));
    let mut line = |verdict: String| {
        let _ = writeln!(text, "{key}: {}", plain_text(&verdict));
    };
    match &weights.verdict {
        Verdict::SameTensors => line("re-saved, same weights".to_owned()),
        Verdict::OtherTensors => line("other tensors; compare the ZIPs to see which".to_owned()),
        Verdict::Bytes => line("other bytes".to_owned()),
        Verdict::Unreadable { message } => line(format!("other bytes, not comparable: {message}")),
        Verdict::Tensors {
            total,
            changed,
            added,
            removed,
        } => {
            let plural = if *total == 1 { "" } else { "s" };
            line(format!(
                "{} of {total} tensor{plural} changed",
                changed.len()
            ));
            if !changed.is_empty() {
                text.push_str(&table(changed, printer));
            }
            for (verb, names) in [("added", added), ("removed", removed)] {
                listed(text, verb, names);
            }
        }
    }
}

fn table(changed: &[TensorChange], printer: &Printer) -> String {
    let mut table = Table::new(&["  TENSOR", "MAX |CHANGE|", "MEAN |CHANGE|"]);
    for change in changed.iter().take(MOST_SHOWN) {
        let number = |part: fn(&Distance) -> f64| {
            let distance = change.distance.as_ref();
            distance.map_or("-".to_owned(), |distance| format!("{:.3e}", part(distance)))
        };
        let name = plain_text(&change.name);
        let name = match &change.reshaped {
            Some((old, new)) => format!("  {name} ({old} -> {new})"),
            None => format!("  {name}"),
        };
        let nan = change.distance.map_or(0, |distance| distance.nan);
        let max = match nan {
            0 => number(|x| x.max),
            nan => format!("NaN in {nan}"),
        };
        table.row(vec![name, max, number(|x| x.mean)]);
    }
    table.align_right(1);
    table.align_right(2);
    let mut text = table.render(|title| title, printer.width());
    if changed.len() > MOST_SHOWN {
        let _ = writeln!(text, "  and {} more", changed.len() - MOST_SHOWN);
    }
    text
}

fn listed(text: &mut String, verb: &str, names: &[String]) {
    for name in names.iter().take(MOST_SHOWN) {
        let _ = writeln!(text, "  {verb}: {}", plain_text(name));
    }
    if names.len() > MOST_SHOWN {
        let _ = writeln!(text, "  {verb}: {} more", names.len() - MOST_SHOWN);
    }
}
