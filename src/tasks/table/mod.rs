//! Tables as CSV: rows read one by one in bounded memory, and written as pandas writes them.
//!
//! What is read is RFC 4180 with a header row, and what spreadsheets make of it: a byte order mark, CRLF or LF, empty
//! lines (passed over, as pandas does), and `;` or tabs between cells if the header has no comma. What could be read in two ways is an
//! error: a quote that is never closed, text after a closing quote, rows of another length than the header's.

mod number;
mod records;
#[cfg(test)]
mod tests;
mod write;

pub use number::{number, repr, repr_single};
pub use write::Writer;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use records::Records;

/// A table that is read row by row.
#[derive(Debug)]
pub struct Table<R> {
    records: Records<R>,
    columns: Vec<String>,
}

/// A row of a table, or its header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The line of the file on which it begins, from 1.
    pub line: u64,
    text: String,
    /// Where each cell ends in `text`.
    ends: Vec<usize>,
}

impl Record {
    /// How many cells it has; never 0 in one that was read.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has no cells.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A cell, without the quotes that it may have had.
    pub fn cell(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = match index {
            0 => 0,
            _ => *self.ends.get(index - 1)?,
        };
        self.text.get(start..end)
    }

    /// The cells from left to right.
    pub fn cells(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).filter_map(|index| self.cell(index))
    }
}

/// Why a table is not read, or not written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("{}: {error}", path.display())]
    Read { path: PathBuf, error: io::Error },
    #[error("cannot write the table: {0}")]
    Write(io::Error),
    #[error(transparent)]
    Unlike(Box<Unlike>),
}

/// What is not as it should be in a table, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: expected {expected}, found {found}{}", path.display(), Place(*line, column.as_deref()), advice(next))]
pub struct Unlike {
    pub path: PathBuf,
    /// From 1; 0 if it is the whole file.
    pub line: u64,
    /// The name of the column.
    pub column: Option<String>,
    pub expected: String,
    pub found: String,
    /// What to do about it; may be empty.
    pub next: String,
}

impl Unlike {
    /// Something about a whole file.
    pub fn new(path: &Path, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: 0,
            column: None,
            expected: expected.into(),
            found: found.into(),
            next: String::new(),
        }
    }

    /// The same, in a line.
    pub fn line(mut self, line: u64) -> Self {
        self.line = line;
        self
    }

    /// The same, in a column.
    pub fn column(mut self, column: Option<String>) -> Self {
        self.column = column;
        self
    }

    /// The same, with what to do about it.
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = next.into();
        self
    }
}

impl From<Unlike> for TableError {
    fn from(unlike: Unlike) -> Self {
        Self::Unlike(Box::new(unlike))
    }
}

/// Where in a file something is.
struct Place<'a>(u64, Option<&'a str>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 {
            write!(f, ", line {}", self.0)?;
        }
        match self.1 {
            Some(column) => write!(f, ", column `{column}`"),
            None => Ok(()),
        }
    }
}

fn advice(next: &str) -> String {
    match next {
        "" => String::new(),
        next => format!(": {next}"),
    }
}

impl<R: Read> Table<R> {
    /// Reads the header. `path` is only what messages are told.
    ///
    /// # Errors
    /// Fails if there is none, it cannot be read, or the file is no text.
    pub fn read(input: R, path: &Path) -> Result<Self, TableError> {
        let mut records = Records::new(input, path)?;
        let mut header = Record::default();
        if !records.next(&mut header)? {
            let expected = "a table with a header row";
            return Err(Unlike::new(path, expected, "an empty file").into());
        }
        let columns = header.cells().map(str::to_owned).collect();
        Ok(Self { records, columns })
    }

    /// The names of the columns, as the header has them.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// What messages call the file.
    pub fn path(&self) -> &Path {
        self.records.path()
    }

    /// The row after the last that was read, put in the place of `record`; `false` if there is none.
    ///
    /// # Errors
    /// Fails if it has more or fewer cells than the header, or cannot be read.
    pub fn next_into(&mut self, record: &mut Record) -> Result<bool, TableError> {
        if !self.records.next(record)? {
            return Ok(false);
        }
        match record.len() == self.columns.len() {
            true => Ok(true),
            false => {
                let expected = format!("{}, as the header has", cells(self.columns.len()));
                let unlike = Unlike::new(self.path(), expected, record.len().to_string());
                let next = "if a cell holds a separator, put it in double quotes";
                Err(unlike.line(record.line).next(next).into())
            }
        }
    }
}

fn cells(count: usize) -> String {
    match count {
        1 => "1 cell".to_owned(),
        count => format!("{count} cells"),
    }
}

impl<R: Read> Iterator for Table<R> {
    type Item = Result<Record, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut record = Record::default();
        match self.next_into(&mut record) {
            Ok(true) => Some(Ok(record)),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}
