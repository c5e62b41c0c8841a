//! `bundle show`.

use std::fmt::Write;

use super::args::Show;
use super::printer::{BOLD, DIM, Printer, WIDEST, count, human_size, plain_text};
use super::table::{Table, grouped, padded, wrapped};
use super::{Answer, Context, Json, Outcome, refusal_or_error};
use crate::digest::Digest;
use crate::facts::TensorFact;
use crate::lockfile::LockedFacts;
use crate::ops::show::{FileSummary, Kind, Model, Options, Report, show};
use crate::value::{Map, Value};

pub fn run(args: Show, context: &Context) -> Outcome {
    let options = Options {
        path: args.path,
        model: args.model,
        tensors: args.tensors,
    };
    let report = show(&options, &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
    if args.json {
        context.printer.json(&Json::new("show", &report))?;
    } else {
        let in_depth = options.model.is_some();
        context
            .printer
            .out(text(&report, in_depth, &context.printer))?;
    }
    for note in &report.notes {
        context.printer.detail("Note", note);
    }
    Ok(Answer::Yes)
}

fn text(report: &Report, in_depth: bool, printer: &Printer) -> String {
    let mut text = String::new();
    if !in_depth {
        head(&mut text, report, printer);
        text.push('\n');
    }
    models(&mut text, report, in_depth, printer);
    for model in &report.models {
        if let Some(tensors) = model.tensors.as_ref().filter(|tensors| !tensors.is_empty()) {
            let _ = writeln!(text, "\n{}", tensor_table(&model.key, tensors, printer));
        }
    }
    if !report.notes.is_empty() {
        text.push('\n');
        for note in &report.notes {
            let note = plain_text(&note.to_string());
            let _ = writeln!(text, "{} {note}", printer.styled(BOLD, "note:"));
        }
    }
    text
}

/// A line a model, and under it its file, arguments and pickle globals.
fn models(text: &mut String, report: &Report, in_depth: bool, printer: &Printer) {
    let titles = ["MODEL", "NETWORK", "PARAMETERS", "DTYPE", "SIZE", "BLAKE3"];
    let mut table = Table::new(&titles);
    for model in &report.models {
        table.row(row(&model.key, model.weights.as_ref(), Some(&model.facts)));
    }
    if let Some(file) = &report.tracker {
        table.row(row("tracker", Some(file), None));
    }
    table.align_right(2);
    table.align_right(4);
    let rows = table.blocks(|title| printer.styled(BOLD, title), printer.width());
    let keys = report.models.iter().map(|model| model.key.as_str());
    let tracker = report.tracker.iter().map(|_| "tracker");
    let indent = widest(keys.chain(["MODEL"]).chain(tracker)) + 2;
    let width = text_width(printer);
    for (index, row) in rows.iter().enumerate() {
        text.push_str(row);
        // The titles are no model's.
        let model = index.checked_sub(1).and_then(|at| report.models.get(at));
        let Some(model) = model else {
            continue;
        };
        for line in details(model, in_depth, width.saturating_sub(indent)) {
            let _ = writeln!(text, "{:indent$}{}", "", printer.styled(DIM, line));
        }
    }
}

fn row(key: &str, file: Option<&FileSummary>, facts: Option<&LockedFacts>) -> Vec<String> {
    let dash = || "-".to_owned();
    let text = |text: Option<&String>| text.map_or_else(dash, |text| plain_text(text));
    vec![
        plain_text(key),
        text(facts.and_then(|facts| facts.architecture.as_ref())),
        facts
            .and_then(|facts| facts.parameters)
            .map_or_else(dash, grouped),
        text(facts.and_then(|facts| facts.dtype.as_ref())),
        file.map_or_else(dash, |file| human_size(file.contents.size)),
        file.map_or_else(dash, |file| short(&file.contents.blake3)),
    ]
}

fn short(digest: &Digest) -> String {
    digest.to_string()[..12].to_owned()
}

fn details(model: &Model, in_depth: bool, room: usize) -> Vec<String> {
    let facts = &model.facts;
    let mut lines = Vec::new();
    if let Some(weights) = &model.weights {
        lines.push(plain_text(weights.path.as_str()));
    }
    let arguments = [
        &facts.architecture_args,
        &model.inferer_args,
        &model.model_args,
    ];
    for map in arguments
        .into_iter()
        .flatten()
        .filter(|map| !map.is_empty())
    {
        lines.extend(wrapped(pieces(map), room));
    }
    let names = |title: &str, names: &[String]| {
        let names = names.iter().map(|name| plain_text(name));
        let pieces = std::iter::once(format!("{title}:")).chain(names);
        wrapped(pieces, room)
    };
    if in_depth && !facts.globals.is_empty() {
        lines.extend(names("pickle globals", &facts.globals));
    }
    if !model.allow_globals.is_empty() {
        lines.extend(names("allowed by the config", &model.allow_globals));
    }
    if in_depth {
        if let Some(weights) = &model.weights {
            lines.push(format!("blake3 {}", weights.contents.blake3));
        }
        if let Some(tensors) = &facts.tensors {
            lines.push(format!("tensor digest {tensors}"));
        }
    }
    lines
}

fn tensor_table(key: &str, tensors: &[TensorFact], printer: &Printer) -> String {
    let mut table = Table::new(&["TENSOR", "DTYPE", "SHAPE"]);
    for tensor in tensors {
        let shape: Vec<String> = tensor.shape.iter().map(u64::to_string).collect();
        table.row(vec![
            plain_text(&tensor.name),
            tensor.dtype.clone(),
            format!("[{}]", shape.join(", ")),
        ]);
    }
    let table = table.render(|title| printer.styled(BOLD, title), printer.width());
    let title = format!("{}: {}", plain_text(key), count(tensors.len(), "tensor"));
    format!("{title}\n{}", table.trim_end())
}

/// HiTMicTools writes the time of the clock on its wall, and not which one that is.
pub fn dated(created: &str, layout: &str) -> String {
    match layout {
        "canonical" => format!("{created} UTC"),
        _ => format!("{created}, in the time zone of the machine that made it"),
    }
}

fn head(text: &mut String, report: &Report, printer: &Printer) {
    let path = plain_text(&report.path.display().to_string());
    let _ = writeln!(text, "{}", printer.styled(BOLD, path));
    let kind = match (report.kind, report.layout) {
        (Kind::Lock, _) => "lockfile".to_owned(),
        (Kind::Bundle, "canonical") => "bundle".to_owned(),
        (Kind::Bundle, layout) => format!("{layout} bundle, not made by this program"),
    };
    let created = report.created.as_ref();
    let size = report.size;
    let facts = [
        ("kind", Some(kind)),
        ("config", Some(plain_text(&report.config))),
        (
            "created",
            created.map(|created| dated(created, report.layout)),
        ),
        (
            "size",
            size.map(|size| format!("{} ({size} bytes)", human_size(size))),
        ),
        ("sha256", report.sha256.clone()),
    ];
    let facts = facts
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    let about = report.about.iter();
    let about = about.map(|(key, value)| (plain_text(&key.to_string()), plain(value)));
    let pairs: Vec<_> = facts.chain(about).collect();
    let width = widest(pairs.iter().map(|(key, _)| key.as_str()));
    for (mut key, value) in pairs {
        let room = text_width(printer).saturating_sub(width + 4);
        for line in wrapped(value.split(' '), room) {
            let _ = writeln!(text, "  {}  {line}", padded(&key, width));
            key.clear();
        }
    }
}

fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// How wide a line of text may get.
fn text_width(printer: &Printer) -> usize {
    printer.width().unwrap_or(WIDEST).min(WIDEST)
}

/// `patch_size 64,` and so on, a piece an argument.
fn pieces(map: &Map) -> Vec<String> {
    let last = map.len().saturating_sub(1);
    let items = map.iter().enumerate();
    items
        .map(|(index, (key, value))| {
            let comma = if index == last { "" } else { "," };
            format!("{} {}{comma}", plain_text(&key.to_string()), plain(value))
        })
        .collect()
}

/// `patch_size 64, scaler_args (pmin 1.0, pmax 99.8)`.
pub fn arguments_line(map: &Map) -> String {
    let items: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{} {}", plain_text(&key.to_string()), plain(value)))
        .collect();
    items.join(", ")
}

pub fn plain(value: &Value) -> String {
    match value {
        Value::Bool(x) => x.to_string(),
        Value::Int(x) => x.to_string(),
        Value::Float(x) => format!("{x:?}"),
        Value::String(x) => plain_text(x),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => format!("({})", arguments_line(map)),
    }
}
