//! `bundle devices`.

use super::args::Devices;
use super::printer::{Printer, human_size};
use super::table::Table;
use super::{Answer, Context, Json, Outcome, error};
use crate::ops::devices::{Device, Report, Trial, devices};

pub fn run(args: Devices, context: &Context) -> Outcome {
    let report = devices().map_err(error)?;
    if args.json {
        context.printer.json(&Json::new("devices", &report))?;
    } else {
        context.printer.out(table(&report))?;
    }
    explain(&report, &context.printer);
    Ok(match report.is_good() {
        true => Answer::Yes,
        false => Answer::No,
    })
}

fn table(report: &Report) -> String {
    let titles = [
        "DEVICE", "KIND", "DRIVER", "PCI", "MEMORY", "FLOAT16", "SPEED", "AUTO",
    ];
    let mut table = Table::new(&titles);
    for device in &report.devices {
        let adapter = device.adapter.as_ref();
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row(vec![
            device.name.clone(),
            device.kind.to_owned(),
            or_dash(adapter.map(|a| format!("{}, {}", a.backend, a.driver))),
            or_dash(adapter.and_then(|a| a.pci.clone())),
            or_dash(adapter.map(|a| human_size(a.binding))),
            or_dash(adapter.map(|a| if a.float16 { "yes" } else { "no" }.to_owned())),
            outcome(device),
            if device.auto { "yes" } else { "" }.to_owned(),
        ]);
    }
    table.render(|title| title)
}

/// In a word or two how a device did.
fn outcome(device: &Device) -> String {
    match &device.trial {
        Trial::Good { gflops, .. } => format!("{gflops:.0} GFLOP/s"),
        Trial::Wrong { .. } => "wrong".to_owned(),
        Trial::Failed { .. } => "failed".to_owned(),
    }
}

fn explain(report: &Report, printer: &Printer) {
    for device in &report.devices {
        let name = &device.name;
        match &device.trial {
            Trial::Good { apart, .. } if device.adapter.is_some() => {
                printer.detail(
                    "Checked",
                    format_args!("{name}: within {apart:.1e} of the CPU"),
                );
            }
            Trial::Good { .. } => {}
            Trial::Wrong { apart } => {
                let text = format!("{name}: its numbers are {apart:.1e} from the CPU's");
                printer.refusal("Wrong", text);
            }
            Trial::Failed { message } => printer.refusal("Failed", message),
        }
    }
    let reason = match report.devices.iter().find(|device| device.auto) {
        Some(device) if device.adapter.is_some() => {
            "it is the first GPU; cards come before parts of processors"
        }
        _ => "no GPU was found; programs on the CPU are taken only by name",
    };
    printer.detail("Auto", reason);
    if let Some(missing) = &report.missing {
        printer.note(missing);
    }
    for variable in &report.ignored {
        printer.note(format_args!(
            "{variable} is set, and is ignored: choose a GPU with `--device`"
        ));
    }
}
