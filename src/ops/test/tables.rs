//! Tables that models gave, and what was expected of them.

use std::path::Path;

use super::images::tolerance;
use super::{Comparison, Tolerance};
use crate::blob::Blob;
use crate::image::Reader;
use crate::progress::{Phase, Progress};
use crate::runner::{Cells, Rows, Selection, TaskError};
use crate::subject::Vector;
use crate::tasks::table::{Record, Table, TableError, number};

/// Columns whose cells are names or counts: they are equal or are not.
const EXACT: [&str; 4] = ["frame", "label", "class", "predicted"];

/// Classifies the objects of a stack; the paths are only what messages call them.
pub(super) fn of_cells(
    model: &mut Cells,
    (path, input): (&Path, Blob),
    (labels_path, labels): (&Path, Blob),
    progress: &dyn Progress,
) -> Result<Vec<u8>, TaskError> {
    let mut reader = Reader::of_blob(path, input)?;
    let mut labels = Reader::of_blob(labels_path, labels)?;
    let selection = Selection::of(path, reader.info(), None, None)?;
    let _phase = Phase::of_steps(progress, "Testing", selection.count() as u64, "frames");
    let mut output = Vec::new();
    model.run(
        (path, &mut reader),
        (labels_path, &mut labels),
        &selection,
        &mut output,
        &mut |_| {},
        progress,
    )?;
    Ok(output)
}

/// Classifies the rows of a table; `path` is only what messages call it.
pub(super) fn of_rows(
    model: &Rows,
    path: &Path,
    input: Blob,
    progress: &dyn Progress,
) -> Result<Vec<u8>, TaskError> {
    let mut output = Vec::new();
    model.run(path, input.reader(), &mut output, progress)?;
    Ok(output)
}

/// Compares a table with the file of what is expected, cell by cell; `share` is as for [`tolerance`].
///
/// # Errors
/// Fails if the file is no table, or has other columns or another number of rows.
pub(super) fn compare(
    table: &[u8],
    path: &Path,
    expected: Blob,
    vector: &Vector,
    share: f64,
) -> Result<(Comparison, Tolerance), TaskError> {
    let (columns, found) = rows(Table::read(table, Path::new("the result"))?)?;
    let (wanted_columns, wanted) = rows(Table::read(expected.reader(), path)?)?;
    let differs = |what: &str, expected: String, found: String| TaskError::Shape {
        what: format!("the {what} of the result"),
        expected: format!("{expected}, as {} has", path.display()),
        found,
    };
    if columns != wanted_columns {
        let list = |columns: &[String]| columns.join(",");
        return Err(differs("columns", list(&wanted_columns), list(&columns)));
    }
    if found.len() != wanted.len() {
        let count = |rows: &[Record]| rows.len().to_string();
        return Err(differs("number of rows", count(&wanted), count(&found)));
    }
    let numbers = wanted.iter().flat_map(|row| {
        let cells = row.cells().zip(&columns);
        let measured = cells.filter(|(_, column)| !EXACT.contains(&column.as_str()));
        measured
            .filter_map(|(cell, _)| number(cell))
            .map(|v| v as f32)
    });
    let tolerance = tolerance(vector, numbers, share);
    let mut comparison = Comparison::default();
    for (found, wanted) in found.iter().zip(&wanted) {
        for ((column, found), expected) in columns.iter().zip(found.cells()).zip(wanted.cells()) {
            let place = || format!("line {}, {column}", wanted.line);
            let numbers = number(found).zip(number(expected));
            match numbers.filter(|_| !EXACT.contains(&column.as_str())) {
                Some((found, expected)) => comparison.number(found, expected, &tolerance, place),
                None => comparison.exact(found, expected, place),
            }
        }
    }
    Ok((comparison, tolerance))
}

/// The largest difference between two tables' numbers, and how many cells of names and counts are not equal.
///
/// # Errors
/// Fails if one is no table, or they have other columns or another number of rows.
pub(super) fn apart(one: &[u8], other: &[u8]) -> Result<(f64, u64), TaskError> {
    let [(columns, one), (others, other)] = [
        rows(Table::read(one, Path::new("a result"))?)?,
        rows(Table::read(other, Path::new("a result"))?)?,
    ];
    if columns != others || one.len() != other.len() {
        let size = |columns: &[String], rows: &[Record]| {
            format!("{} rows of {}", rows.len(), columns.join(","))
        };
        return Err(TaskError::Shape {
            what: "a result on another device".to_owned(),
            expected: size(&others, &other),
            found: size(&columns, &one),
        });
    }
    let (mut most, mut unequal) = (0.0_f64, 0);
    for (one, other) in one.iter().zip(&other) {
        for ((column, one), other) in columns.iter().zip(one.cells()).zip(other.cells()) {
            let numbers = number(one).zip(number(other));
            match numbers.filter(|_| !EXACT.contains(&column.as_str())) {
                Some((one, other)) => most = most.max((one - other).abs()),
                None => unequal += u64::from(one != other),
            }
        }
    }
    Ok((most, unequal))
}

/// All of a table: test vectors are small.
fn rows<R: std::io::Read>(table: Table<R>) -> Result<(Vec<String>, Vec<Record>), TableError> {
    let columns = table.columns().to_vec();
    Ok((columns, table.collect::<Result<_, _>>()?))
}
