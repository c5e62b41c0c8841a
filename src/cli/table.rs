//! Columns of text, as wide as they must be.

use std::fmt::Write;

/// A table with a line of titles.
pub struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<usize>,
}

impl Table {
    pub fn new(titles: &[&str]) -> Self {
        Self {
            rows: vec![titles.iter().map(|title| (*title).to_owned()).collect()],
            right: Vec::new(),
        }
    }

    /// Adds a row, a cell for each title.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Puts a column's cells to the right.
    pub fn align_right(&mut self, column: usize) {
        self.right.push(column);
    }

    /// The lines of the table; `title` styles the first.
    pub fn render(&self, title: impl Fn(String) -> String) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (index, row) in self.rows.iter().enumerate() {
            let cells = row.iter().zip(&widths).enumerate();
            let cells: Vec<String> = cells
                .map(
                    |(column, (cell, width))| match self.right.contains(&column) {
                        true => format!("{cell:>width$}"),
                        false => format!("{cell:<width$}"),
                    },
                )
                .collect();
            let line = cells.join("  ").trim_end().to_owned();
            let line = if index == 0 { title(line) } else { line };
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

/// A number with its thousands apart: `1,129,713`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
