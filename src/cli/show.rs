//! `bundle show`.

use std::fmt::Write;

use super::args::Show;
use super::printer::{BOLD, DIM, Printer, human_size};
use super::{Answer, Context, Failure, Json, Outcome, error};
use crate::ops::show::{Kind, Model, Report, show};
use crate::value::{Map, Value};

pub fn run(args: Show, context: &Context) -> Outcome {
    let report = show(&args.path, &context.progress).map_err(|failure| {
        if failure.is_refusal() {
            Failure::Refused(Box::new(failure))
        } else {
            error(failure)
        }
    })?;
    if args.json {
        context.printer.json(&Json::new("show", &report))?;
    } else {
        context.printer.out(table(&report, &context.printer))?;
    }
    for note in &report.notes {
        context.printer.detail("Note", note);
    }
    Ok(Answer::Yes)
}

fn table(report: &Report, printer: &Printer) -> String {
    let mut text = String::new();
    let bold = |text: &str| printer.styled(BOLD, text);
    let dim = |text: String| printer.styled(DIM, text);
    head(&mut text, report, &bold);

    let name = |model: &Model| {
        model
            .weights
            .as_ref()
            .map_or("-".to_owned(), |file| file.path.to_string())
    };
    let key_width = report
        .models
        .iter()
        .map(|model| model.key.len())
        .chain([5])
        .max()
        .unwrap_or(0);
    let name_width = report
        .models
        .iter()
        .map(|model| name(model).len())
        .chain([7])
        .max()
        .unwrap_or(0);
    let header = format!(
        "{:<key_width$}  {:<name_width$}  {:>9}  {:<12}",
        "MODEL", "WEIGHTS", "SIZE", "BLAKE3"
    );
    let _ = writeln!(text, "\n{}", bold(header.trim_end()));
    for model in &report.models {
        let (size, digest) = match &model.weights {
            Some(file) => (
                human_size(file.contents.size),
                file.contents.blake3.to_string()[..12].to_owned(),
            ),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let _ = writeln!(
            text,
            "{:<key_width$}  {:<name_width$}  {size:>9}  {}",
            model.key,
            name(model),
            dim(digest)
        );
        for arguments in [&model.inferer_args, &model.model_args]
            .into_iter()
            .flatten()
        {
            let _ = writeln!(
                text,
                "{:<key_width$}  {}",
                "",
                dim(arguments_line(arguments))
            );
        }
    }
    if let Some(tracker) = &report.tracker {
        let size = human_size(tracker.contents.size);
        let digest = dim(tracker.contents.blake3.to_string()[..12].to_owned());
        let _ = writeln!(
            text,
            "{:<key_width$}  {:<name_width$}  {size:>9}  {digest}",
            "tracker",
            tracker.path.as_str()
        );
    }
    for note in &report.notes {
        let _ = write!(text, "\n{} {note}", bold("note:"));
    }
    if !report.notes.is_empty() {
        text.push('\n');
    }
    text
}

/// HiTMicTools writes the time of the clock on its wall, and not which one that is.
fn dated(created: &str, layout: &str) -> String {
    match layout {
        "canonical" => format!("{created} UTC"),
        _ => format!("{created}, in the time zone of the machine that made it"),
    }
}

fn head(text: &mut String, report: &Report, bold: &dyn Fn(&str) -> String) {
    let _ = writeln!(text, "{}", bold(&report.path.display().to_string()));
    let what = match (report.kind, report.layout) {
        (Kind::Lock, _) => "lockfile".to_owned(),
        (Kind::Bundle, "canonical") => "bundle".to_owned(),
        (Kind::Bundle, layout) => format!("{layout} bundle, not made by this program"),
    };
    let mut pairs = vec![
        ("kind", Some(what)),
        ("config", Some(report.config.clone())),
        (
            "created",
            report
                .created
                .as_ref()
                .map(|created| dated(created, report.layout)),
        ),
        (
            "size",
            report
                .size
                .map(|size| format!("{} ({size} bytes)", human_size(size))),
        ),
        ("sha256", report.sha256.clone()),
    ];
    let about: Vec<(String, String)> = report
        .about
        .iter()
        .map(|(key, value)| (key.to_string(), plain(value)))
        .collect();
    pairs.extend(
        about
            .iter()
            .map(|(key, value)| (key.as_str(), Some(value.clone()))),
    );
    let width = pairs.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, value) in pairs {
        if let Some(value) = value {
            let _ = writeln!(text, "  {key:<width$}  {value}");
        }
    }
}

/// `patch_size 64, scaler_args (pmin 1.0, pmax 99.8)`.
fn arguments_line(map: &Map) -> String {
    let items: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{key} {}", plain(value)))
        .collect();
    items.join(", ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::Bool(x) => x.to_string(),
        Value::Int(x) => x.to_string(),
        Value::Float(x) => format!("{x:?}"),
        Value::String(x) => x.clone(),
        Value::List(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Map(map) => format!("({})", arguments_line(map)),
    }
}
