//! `bundle devices --check`.

use super::args::Devices;
use super::printer::{BOLD, Printer, count, plain_text};
use super::table::Table;
use super::{Answer, Context, Json, Outcome, error};
use crate::ops::devices::{CheckReport, Checked, FamilyReport, Options, Problem, check};

/// So many cases that went wrong are shown of a device in one precision; `--json` has all.
const SHOWN: usize = 5;

pub fn run(args: Devices, context: &Context) -> Outcome {
    let options = Options {
        device: args.device,
        only: args.case,
    };
    let report = check(&options, &context.progress).map_err(error)?;
    let printer = &context.printer;
    if args.json {
        printer.json(&Json::new("devices", &report))?;
    } else if !printer.is_quiet() {
        for checks in of_devices(&report) {
            printer.out(title(checks, printer))?;
            printer.out(table(checks, printer))?;
        }
    }
    for checked in &report.checks {
        explain(checked, printer);
    }
    Ok(match report.is_good() {
        true => Answer::Yes,
        false => Answer::No,
    })
}

/// The checks of each device: float32, then float16 if it has that.
fn of_devices(report: &CheckReport) -> impl Iterator<Item = &[Checked]> {
    let same = |_: &Checked, next: &Checked| next.precision != "f32";
    report.checks.chunk_by(same)
}

fn title(checks: &[Checked], printer: &Printer) -> String {
    let first = &checks[0];
    let adapter = &first.adapter;
    let name = printer.styled(BOLD, plain_text(&first.name));
    let driver = plain_text(&adapter.driver);
    format!("{name}\n{}, {driver}, {}\n\n", adapter.backend, first.kind)
}

/// A line for each family of cases, a column for each precision: how far from the CPU's numbers, and whether that will
/// do.
fn table(checks: &[Checked], printer: &Printer) -> String {
    let precisions = checks.iter().map(|checked| match checked.precision {
        "f32" => "FLOAT32",
        _ => "FLOAT16",
    });
    let titles: Vec<&str> = ["CASES", "NUMBER"].into_iter().chain(precisions).collect();
    let mut table = Table::new(&titles);
    table.align_right(1);
    for family in &checks[0].families {
        let mut cells = vec![family.family.to_owned(), family.cases.to_string()];
        for checked in checks {
            let mut families = checked.families.iter();
            let own = families.find(|own| own.family == family.family);
            cells.push(own.map_or_else(|| "-".to_owned(), verdict));
        }
        table.row(cells);
    }
    table.render(|title| printer.styled(BOLD, title)) + "\n"
}

fn verdict(family: &FamilyReport) -> String {
    let apart = match family.apart {
        Some(0.0) => "0".to_owned(),
        Some(apart) => format!("{apart:.1e}"),
        None => "not finite".to_owned(),
    };
    match family.failures.len() {
        0 => format!("ok {apart}"),
        wrong => format!("WRONG {apart}, {wrong} of {}", family.cases),
    }
}

/// What went wrong, or that nothing did.
fn explain(checked: &Checked, printer: &Printer) {
    let Checked {
        name, precision, ..
    } = checked;
    if let Some(message) = &checked.failed {
        printer.refusal("Failed", format_args!("{precision}: {message}"));
    }
    for failure in checked.failures().take(SHOWN) {
        let problem = match &failure.problem {
            Problem::Far { apart: Some(apart) } => format!("{apart:.1e} from the CPU's numbers"),
            Problem::Far { apart: None } => "gave what is no number".to_owned(),
            Problem::NotRepeated => "gave other bits the second time".to_owned(),
            Problem::NotIndependent => "gave other bits for an image alone".to_owned(),
            Problem::Failed { message } => message.clone(),
        };
        let text = format!("{} in {precision}: {problem}", failure.case);
        printer.refusal("Wrong", text);
        printer.note(&failure.what);
        let kernels: Vec<&str> = failure.kernels.iter().copied().collect();
        printer.note(format_args!("kernels: {}", kernels.join(", ")));
    }
    let wrong = checked.failures().count();
    let cases = checked.cases();
    match (checked.failures().next(), &checked.failed) {
        (Some(first), _) => {
            let text = format!("{name} in {precision}: {wrong} of {cases} cases are wrong");
            printer.refusal("Wrong", text);
            printer.note(format_args!(
                "repeat one with `bundle devices --check --case {}`; --json lists all",
                first.case
            ));
        }
        (None, None) if cases == 0 => printer.status(
            "Skipped",
            format_args!(
                "{name} in {precision}: none of these cases is run in it, so nothing was checked"
            ),
        ),
        (None, None) => printer.status(
            "Checked",
            format_args!(
                "{name} in {precision}: {}, all within {:.0e} of the CPU",
                count(cases as usize, "case"),
                checked.tolerance
            ),
        ),
        (None, Some(_)) => {}
    }
}
