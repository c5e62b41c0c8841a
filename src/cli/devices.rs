//! `bundle devices`.

use super::args::Devices;
use super::printer::{BOLD, Printer, human_size, plain_text};
use super::{Answer, Context, Json, Outcome, device_check, error};
use crate::ops::devices::{Device, Limit, Report, Trial, devices};

pub fn run(args: Devices, context: &Context) -> Outcome {
    if args.check {
        return device_check::run(args, context);
    }
    let report = devices(&context.progress).map_err(error)?;
    if args.json {
        context.printer.json(&Json::new("devices", &report))?;
    } else {
        for device in &report.devices {
            context.printer.out(block(device, &context.printer))?;
        }
        context.printer.out(choice(&report))?;
    }
    explain(&report, &context.printer);
    Ok(match report.is_good() {
        true => Answer::Yes,
        false => Answer::No,
    })
}

/// A device's name, and under it what is known of it.
fn block(device: &Device, printer: &Printer) -> String {
    let mut lines = vec![("kind", device.kind.to_owned())];
    if let Some(adapter) = &device.adapter {
        let yes = |has: bool| if has { "yes" } else { "no" };
        let subgroups = match adapter.subgroups {
            Some([least, most]) if least == most => format!("of {least}"),
            Some([least, most]) => format!("of {least} to {most}"),
            None => "no".to_owned(),
        };
        let driver = plain_text(&adapter.driver);
        lines.push(("driver", format!("{}, {driver}", adapter.backend)));
        lines.push((
            "PCI id",
            adapter.pci.clone().unwrap_or_else(|| "not told".to_owned()),
        ));
        lines.push((
            "memory",
            format!(
                "{} seen by a kernel at once, {} shared by a workgroup",
                human_size(adapter.binding),
                human_size(adapter.workgroup)
            ),
        ));
        let float16 = yes(adapter.float16);
        lines.push(("float16", format!("{float16}; subgroups: {subgroups}")));
    }
    lines.push(("trial", outcome(device)));
    let mut text = printer.styled(BOLD, plain_text(&device.name)) + "\n";
    for (name, value) in lines {
        text += &format!("  {name:<8} {value}\n");
    }
    text + "\n"
}

/// In a line how a device did.
fn outcome(device: &Device) -> String {
    match &device.trial {
        Trial::Good { gflops, .. } if device.adapter.is_none() => format!("{gflops:.0} GFLOP/s"),
        Trial::Good { gflops, apart } => {
            format!("{gflops:.0} GFLOP/s, within {apart:.1e} of the CPU's numbers")
        }
        Trial::Wrong { apart } => format!("WRONG, {apart:.1e} from the CPU's numbers"),
        Trial::Failed { .. } => "FAILED".to_owned(),
    }
}

/// What `auto` takes, and why.
fn choice(report: &Report) -> String {
    let taken = report.devices.iter().find(|device| device.auto);
    let name = taken.map_or_else(String::new, |device| plain_text(&device.name));
    format!("--device auto takes {name}:\n{}\n", report.reason)
}

fn explain(report: &Report, printer: &Printer) {
    for device in &report.devices {
        let name = &device.name;
        match &device.trial {
            Trial::Good { .. } => {}
            Trial::Wrong { apart } => {
                let text = format!("{name}: its numbers are {apart:.1e} from the CPU's");
                printer.refusal("Wrong", text);
            }
            Trial::Failed { message } => printer.refusal("Failed", message),
        }
    }
    if let Some(missing) = &report.missing {
        printer.note(missing);
    }
    match &report.memory {
        Some(Limit::Bytes(bytes)) => printer.note(format_args!(
            "BUNDLE_GPU_MEMORY is set: {} of a GPU's memory are taken at most",
            human_size(*bytes)
        )),
        Some(Limit::Wrong(message)) => printer.note(message),
        None => {}
    }
    for variable in &report.ignored {
        printer.note(format_args!(
            "{variable} is set, and is ignored: choose a GPU with `--device`"
        ));
    }
}
