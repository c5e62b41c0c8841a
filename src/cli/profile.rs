//! The table of kernels of `bundle run --profile`.

use super::printer::{BOLD, Printer, plain_text};
use super::table::Table;
use crate::ops::run::{Kernel, Profile};

/// The kernels, and a line on how busy the device was.
pub fn text(profile: &Profile, printer: &Printer) -> String {
    let kernels = match printer.is_verbose() {
        true => profile.kernels.clone(),
        false => profile.by_shape(),
    };
    let (device, wall) = (profile.device_seconds, profile.wall_seconds);
    let busy = percent(profile.busy);
    format!(
        "{}device {device:.3} s, wall {wall:.3} s: busy {busy} of the time\n",
        table(&kernels, printer)
    )
}

fn table(kernels: &[Kernel], printer: &Printer) -> String {
    let mut titles = vec!["KERNEL", "SHAPE", "CALLS", "MS", "SHARE", "GFLOP/S", "GB/S"];
    if printer.is_verbose() {
        titles.push("WHAT");
    }
    let mut table = Table::new(&titles);
    (2..7).for_each(|column| table.align_right(column));
    let speed = |speed: Option<f64>| speed.map_or_else(|| "-".to_owned(), |v| format!("{v:.1}"));
    for kernel in kernels {
        let mut cells = vec![
            plain_text(&kernel.name),
            kernel.shape.clone(),
            kernel.calls.to_string(),
            format!("{:.2}", kernel.seconds * 1e3),
            percent(kernel.share),
            speed(kernel.gflops()),
            speed(kernel.gigabytes()),
        ];
        if printer.is_verbose() {
            cells.push(clipped(&kernel.what));
        }
        table.row(cells);
    }
    table.render(
        |title| printer.styled_aside(BOLD, title),
        printer.width_aside(),
    )
}

/// How much of what a kernel computes stands in a row; the report has all of it.
const LONGEST: usize = 48;

fn clipped(what: &str) -> String {
    match what.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &what[..end]),
        None => what.to_owned(),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
