//! `bundle show`.

use std::fmt::Write;

use super::args::Show;
use super::printer::{BOLD, DIM, Printer, human_size, plain_text};
use super::{Answer, Context, Json, Outcome, refusal_or_error};
use crate::ops::show::{FileSummary, Kind, Report, show};
use crate::value::{Map, Value};

pub fn run(args: Show, context: &Context) -> Outcome {
    let report = show(&args.path, &context.progress)
        .map_err(|error| refusal_or_error(error.is_refusal(), error))?;
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
    head(&mut text, report, printer);
    let rows = rows(report);
    let keys = rows.iter().map(|row| row.key.as_str());
    let key_width = widest(keys.chain(["MODEL"]));
    let names = rows.iter().map(|row| row.weights.as_str());
    let name_width = widest(names.chain(["WEIGHTS"]));
    let titles = format!(
        "{:<key_width$}  {:<name_width$}  {:>9}  BLAKE3",
        "MODEL", "WEIGHTS", "SIZE"
    );
    let _ = writeln!(text, "\n{}", printer.styled(BOLD, titles));
    for row in &rows {
        let Row {
            key,
            weights,
            size,
            digest,
            arguments,
        } = row;
        let digest = printer.styled(DIM, digest);
        let _ = writeln!(
            text,
            "{key:<key_width$}  {weights:<name_width$}  {size:>9}  {digest}"
        );
        for line in arguments
            .iter()
            .flat_map(|map| wrapped(pieces(map), key_width + 2))
        {
            let _ = writeln!(text, "{:key_width$}  {}", "", printer.styled(DIM, line));
        }
    }
    if !report.notes.is_empty() {
        text.push('\n');
    }
    for note in &report.notes {
        let note = plain_text(&note.to_string());
        let _ = writeln!(text, "{} {note}", printer.styled(BOLD, "note:"));
    }
    text
}

/// A line of the table, and the arguments under it.
struct Row<'a> {
    key: String,
    weights: String,
    size: String,
    digest: String,
    arguments: Vec<&'a Map>,
}

fn rows(report: &Report) -> Vec<Row<'_>> {
    let cells = |key: &str, file: Option<&FileSummary>, arguments| Row {
        key: plain_text(key),
        weights: file.map_or("-".to_owned(), |file| plain_text(file.path.as_str())),
        size: file.map_or("-".to_owned(), |file| human_size(file.contents.size)),
        digest: file.map_or("-".to_owned(), |file| {
            file.contents.blake3.to_string()[..12].to_owned()
        }),
        arguments,
    };
    let models = report.models.iter().map(|model| {
        let arguments = [&model.inferer_args, &model.model_args].into_iter();
        cells(
            &model.key,
            model.weights.as_ref(),
            arguments.flatten().collect(),
        )
    });
    let tracker = report.tracker.iter();
    let tracker = tracker.map(|file| cells("tracker", Some(file), Vec::new()));
    models.chain(tracker).collect()
}

/// HiTMicTools writes the time of the clock on its wall, and not which one that is.
fn dated(created: &str, layout: &str) -> String {
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
        for line in wrapped(value.split(' ').map(str::to_owned), width + 4) {
            let _ = writeln!(text, "  {key:<width$}  {line}");
            key.clear();
        }
    }
}

fn widest<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).max().unwrap_or(0)
}

/// How wide a line may get.
const WIDTH: usize = 100;

/// Pieces in lines of at most [`WIDTH`] columns behind an indent; a piece is never cut.
fn wrapped(pieces: impl IntoIterator<Item = String>, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        match lines.last_mut() {
            Some(line) if indent + line.chars().count() + 1 + piece.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(&piece);
            }
            _ => lines.push(piece),
        }
    }
    lines
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
fn arguments_line(map: &Map) -> String {
    let items: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{} {}", plain_text(&key.to_string()), plain(value)))
        .collect();
    items.join(", ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::Bool(x) => x.to_string(),
        Value::Int(x) => x.to_string(),
        Value::Float(x) => format!("{x:?}"),
        Value::String(x) => plain_text(x),
        Value::List(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Map(map) => format!("({})", arguments_line(map)),
    }
}
