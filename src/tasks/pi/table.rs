//! A table of features in, a table of labels and probabilities out.

use std::collections::{HashMap, HashSet};
use std::io::{Read, Write};
use std::path::Path;

use super::{PiClassifier, PiError};
use crate::progress::{Progress, check_interrupt};
use crate::tasks::table::{Record, Table, TableError, Unlike, Writer, number, repr, repr_single};
use crate::wording::nearest;

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    pub rows: u64,
    /// How many rows each class has, in the order of [`PiClassifier::classes`].
    pub counts: Vec<u64>,
    /// Columns of the table that the model does not know.
    pub passed_over: Vec<String>,
}

/// The class that HiTMicTools asks for: stained by propidium iodide, and so dead.
const POSITIVE: &str = "piPOS";

/// About as many numbers are classified at a time.
const BATCH: usize = 1 << 16;

/// Classifies every row of a CSV table, in bounded memory, and writes one of `predicted` and `p_piPOS`. A model that
/// knows no `piPOS` gets a column `p_CLASS` for each of its classes instead.
///
/// The model's features are taken by name, wherever they stand in the table; if it has no names, the table must have
/// as many columns as it takes, in its order. `path` is only what messages are told.
///
/// # Errors
/// Fails if a column is missing, a cell is no number, or one that the model does not take, and if the files cannot be
/// read or written or the user asked to stop.
pub fn classify_table(
    classifier: &PiClassifier,
    input: impl Read,
    path: &Path,
    output: &mut dyn Write,
    progress: &dyn Progress,
) -> Result<Summary, TableError> {
    let mut table = Table::read(input, path)?;
    let columns = Columns(classifier.columns(table.columns(), path)?);
    let mut run = Run {
        classifier,
        shown: shown(classifier),
        numbers: Vec::new(),
        lines: Vec::new(),
        summary: Summary {
            rows: 0,
            counts: vec![0; classifier.classes().len()],
            passed_over: columns.passed_over(&table),
        },
    };
    let names = run.shown.iter().map(|class| {
        let class = classifier.classes().get(*class);
        format!("p_{}", class.map_or("", String::as_str))
    });
    let header = std::iter::once("predicted".to_owned()).chain(names);
    let mut writer = Writer::new(output, header).map_err(TableError::Write)?;
    let mut record = Record::default();
    while table.next_into(&mut record)? {
        columns.read(&table, &record, &mut run.numbers)?;
        run.lines.push(record.line);
        if run.numbers.len() >= BATCH {
            check_interrupt(progress).map_err(TableError::Write)?;
            run.classify(&table, &columns, &mut writer)?;
        }
    }
    run.classify(&table, &columns, &mut writer)?;
    output.flush().map_err(TableError::Write)?;
    Ok(run.summary)
}

/// The classes whose probabilities are written.
fn shown(classifier: &PiClassifier) -> Vec<usize> {
    let classes = classifier.classes();
    match classes.iter().position(|class| class == POSITIVE) {
        Some(positive) => vec![positive],
        None => (0..classes.len()).collect(),
    }
}

/// Rows on their way.
struct Run<'a> {
    classifier: &'a PiClassifier,
    /// The classes whose probabilities are written.
    shown: Vec<usize>,
    /// The features of some rows, and the lines on which the rows stand.
    numbers: Vec<f64>,
    lines: Vec<u64>,
    summary: Summary,
}

impl Run<'_> {
    /// Classifies the rows that were gathered, and writes what was found.
    fn classify<R: Read>(
        &mut self,
        table: &Table<R>,
        columns: &Columns,
        writer: &mut Writer,
    ) -> Result<(), TableError> {
        let found = self.classifier.predict(&self.numbers);
        let found = found.map_err(|error| self.refused(table, columns, error))?;
        let classes = self.classifier.classes();
        let written = match self.classifier.is_single() {
            true => |number: f64| repr_single(number as f32),
            false => repr,
        };
        let rows = found.probabilities.chunks_exact(classes.len());
        for (label, probabilities) in found.labels.iter().zip(rows) {
            let name = classes.get(*label).map_or("", String::as_str).to_owned();
            let shown = self
                .shown
                .iter()
                .filter_map(|class| probabilities.get(*class));
            let cells = std::iter::once(name).chain(shown.map(|number| written(*number)));
            writer.row(cells).map_err(TableError::Write)?;
            self.summary.rows += 1;
            if let Some(count) = self.summary.counts.get_mut(*label) {
                *count += 1;
            }
        }
        self.numbers.clear();
        self.lines.clear();
        Ok(())
    }

    /// The error that the model does not take a row, said of the row in the file.
    fn refused<R: Read>(&self, table: &Table<R>, columns: &Columns, error: PiError) -> TableError {
        let line = |row: usize| self.lines.get(row).copied().unwrap_or_default();
        let unlike = |expected, found| Unlike::new(table.path(), expected, found);
        let unlike = match error {
            PiError::Value {
                row,
                feature,
                value,
            } => {
                let column = columns.name(table, feature);
                let unlike = unlike("a finite number", value.to_string());
                unlike.line(line(row)).column(column)
            }
            PiError::NoNumber { row } => {
                let found = "one for which it gives a probability that is no number";
                unlike("a row that the model can classify", found.to_owned()).line(line(row))
            }
            other => return unlike("rows that the model takes", other.to_string()).into(),
        };
        unlike.next("fill in or remove such rows").into()
    }
}

/// Where in a table's rows the features are, in the model's order.
struct Columns(Vec<usize>);

impl PiClassifier {
    /// Where the features of a row are in a table with these columns, in the model's order. They are taken by name; if
    /// the model has no names, there must be as many columns as it takes. `path` is only what messages are told.
    ///
    /// # Errors
    /// Fails if a column is missing, or is there twice.
    pub fn columns(&self, columns: &[String], path: &Path) -> Result<Vec<usize>, TableError> {
        match self.features() {
            Some(names) => named(names, columns, path),
            None if columns.len() == self.width() => Ok((0..self.width()).collect()),
            None => {
                let expected = format!(
                    "{} columns: the model takes as many features, and does not know their names",
                    self.width()
                );
                let unlike = Unlike::new(path, expected, columns.len().to_string());
                let next = "leave only the model's features in the table, in the order in which it was fitted";
                Err(unlike.next(next).into())
            }
        }
    }
}

fn named(names: &[String], columns: &[String], path: &Path) -> Result<Vec<usize>, TableError> {
    // A column that is there twice has no place that is meant.
    let mut found: HashMap<&str, Option<usize>> = HashMap::new();
    for (place, column) in columns.iter().enumerate() {
        let places = found.entry(column).and_modify(|first| *first = None);
        places.or_insert(Some(place));
    }
    let mut places = Vec::with_capacity(names.len());
    let mut missing = Vec::new();
    for name in names {
        match found.get(name.as_str()) {
            Some(Some(place)) => places.push(*place),
            None => missing.push(name.as_str()),
            Some(None) => {
                let expected = format!("one column `{name}`");
                return Err(Unlike::new(path, expected, "several").into());
            }
        }
    }
    match missing.is_empty() {
        true => Ok(places),
        false => Err(without(names, &missing, columns, path)),
    }
}

impl Columns {
    /// Takes the features out of a row.
    fn read<R: Read>(
        &self,
        table: &Table<R>,
        record: &Record,
        numbers: &mut Vec<f64>,
    ) -> Result<(), TableError> {
        for (feature, place) in self.0.iter().enumerate() {
            let text = record.cell(*place).unwrap_or_default();
            let number = number(text).ok_or_else(|| {
                let found = format!("`{}`", shortened(text));
                let unlike = Unlike::new(table.path(), "a number", found).line(record.line);
                unlike.column(self.name(table, feature)).next(advice(text))
            })?;
            numbers.push(number);
        }
        Ok(())
    }

    /// What the column of a feature is called.
    fn name<R: Read>(&self, table: &Table<R>, feature: usize) -> Option<String> {
        table.columns().get(*self.0.get(feature)?).cloned()
    }

    fn passed_over<R: Read>(&self, table: &Table<R>) -> Vec<String> {
        let taken: HashSet<usize> = self.0.iter().copied().collect();
        let columns = table.columns().iter().enumerate();
        let spare = columns.filter(|(place, _)| !taken.contains(place));
        spare.map(|(_, name)| name.clone()).collect()
    }
}

/// More columns than this are not named in a message.
const MOST_NAMED: usize = 20;

/// Columns of wider tables are not all looked at for one that was meant.
const WIDE: usize = 1000;

/// The error for a table without some of the columns that a model needs.
fn without(names: &[String], missing: &[&str], columns: &[String], path: &Path) -> TableError {
    let known: HashSet<&str> = names.iter().map(String::as_str).collect();
    let spare = columns.iter().map(String::as_str);
    let spare: Vec<&str> = spare
        .filter(|column| !known.contains(column))
        .take(WIDE)
        .collect();
    let meant = |name: &&str| match nearest(name, spare.iter().copied()) {
        Some(near) => format!("`{name}` (did you mean `{near}`, which it has?)"),
        None => format!("`{name}`"),
    };
    let list: Vec<String> = missing.iter().take(MOST_NAMED).map(meant).collect();
    let more = match missing.len().saturating_sub(MOST_NAMED) {
        0 => String::new(),
        more => format!(", and {more} more that are missing"),
    };
    let expected = format!("the columns of the model's features: {}", quoted(names));
    let found = format!("no {}{more}", list.join(", no "));
    let unlike = Unlike::new(path, expected, found);
    unlike.next("rename or add columns").into()
}

/// What to do about a cell that is no number.
fn advice(text: &str) -> &'static str {
    match number(&text.replacen(',', ".", 1)) {
        Some(_) if text.contains(',') => "write decimals with a point",
        _ => "correct the cell",
    }
}

/// A cell for a message, cut if it is long.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Names for a message; of many, the first.
fn quoted(names: &[String]) -> String {
    let first = names.iter().take(MOST_NAMED);
    let list: Vec<String> = first.map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(MOST_NAMED) {
        0 => list.join(", "),
        more => format!("{}, and {more} more", list.join(", ")),
    }
}
