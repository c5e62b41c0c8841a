//! `bundle test --all-devices`.

use miette::{MietteDiagnostic, Severity};

use super::printer::{BOLD, Printer, count, plain_text};
use super::table::Table;
use super::test::{explain, result};
use super::{Answer, Context, Json, Outcome, refusal_or_error};
use crate::ops::test::{Between, DevicesReport, Options, test_on_all};

pub fn run(options: &Options, json: bool, context: &Context) -> Outcome {
    let report = test_on_all(options, &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
    let printer = &context.printer;
    if json {
        printer.json(&Json::new("test", &report))?;
    } else {
        printer.out(devices(&report, printer))?;
        printer.out(models(&report, printer))?;
    }
    conclude(&report, printer);
    Ok(match report.is_good() {
        true => Answer::Yes,
        false => Answer::No,
    })
}

/// A line for each device, with the number that stands for it.
fn devices(report: &DevicesReport, printer: &Printer) -> String {
    let line = |(index, device): (usize, &crate::ops::test::OnDevice)| {
        let number = printer.styled(BOLD, index);
        let kind = match device.kind {
            "CPU" => String::new(),
            kind => format!("   {kind}\n"),
        };
        format!("{number}  {}\n{kind}", plain_text(&device.device))
    };
    report
        .devices
        .iter()
        .enumerate()
        .map(line)
        .collect::<String>()
        + "\n"
}

/// A line for each model: its result on each device, and how far these are from each other.
fn models(report: &DevicesReport, printer: &Printer) -> String {
    let numbers = (0..report.devices.len()).map(|index| format!("ON {index}"));
    let numbers: Vec<String> = numbers.collect();
    let titles = ["MODEL"].into_iter();
    let titles = titles.chain(numbers.iter().map(String::as_str));
    let titles: Vec<&str> = titles.chain(["APART", "BETWEEN"]).collect();
    let mut table = Table::new(&titles);
    let tested = report.devices.iter().find(|device| device.failed.is_none());
    let tested = tested.map_or(&[][..], |device| &device.models);
    for (at, model) in tested.iter().enumerate() {
        let mut cells = vec![plain_text(&model.key)];
        for device in &report.devices {
            let on_it = device.models.get(at);
            cells.push(on_it.map_or("-", |model| result(&model.verdict)).to_owned());
        }
        let between = report
            .between
            .iter()
            .find(|between| between.key == model.key);
        cells.push(between.map_or_else(dash, apart));
        cells.push(between.map_or_else(dash, |between| {
            let [one, other] = between.devices;
            format!("{one} and {other}")
        }));
        table.row(cells);
    }
    table.render(|title| printer.styled(BOLD, title), printer.width())
}

fn dash() -> String {
    "-".to_owned()
}

fn apart(between: &Between) -> String {
    match (between.unequal, between.apart) {
        (0, Some(0.0)) => "0".to_owned(),
        (0, Some(apart)) => format!("{apart:.1e}"),
        (0, None) => "not finite".to_owned(),
        (unequal, _) => format!("{unequal} other"),
    }
}

fn conclude(report: &DevicesReport, printer: &Printer) {
    for (index, device) in report.devices.iter().enumerate() {
        if let Some(message) = &device.failed {
            printer.refusal("Failed", format_args!("device {index}: {message}"));
        }
        explain(&device.models, &format!(" on device {index}"), printer);
    }
    for between in report.between.iter().filter(|between| !between.is_good()) {
        let [one, other] = between.devices;
        let text = match &between.problem {
            Some(problem) => problem.clone(),
            None => format!(
                "the two are {} apart, of {:.0e} that they may be, and {} not equal",
                between.apart.map_or_else(
                    || "infinitely far".to_owned(),
                    |apart| format!("{apart:.1e}")
                ),
                between.tolerance,
                count(
                    usize::try_from(between.unequal).unwrap_or(usize::MAX),
                    "class or label cell"
                ),
            ),
        };
        let key = &between.key;
        printer.refusal(
            "Apart",
            format_args!("{key} on devices {one} and {other}: {text}"),
        );
    }
    let target = report.target.display();
    let devices = count(report.devices.len(), "device");
    match report.is_good() {
        true if report.devices.len() == 1 => {
            printer.status("Tested", format_args!("{target} on the CPU alone"));
            let message =
                "no GPU was found: the CPU was compared with the vectors, and with nothing else";
            let help = "`bundle devices` says what may be missing";
            let warning = MietteDiagnostic::new(message)
                .with_severity(Severity::Warning)
                .with_help(help);
            printer.warning(&warning);
        }
        true => printer.status("Tested", format_args!("{target} on {devices}: all agree")),
        false => printer.refusal("Failed", format_args!("{target} on {devices}")),
    }
}
