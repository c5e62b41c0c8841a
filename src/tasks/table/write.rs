//! Tables out: commas, line feeds, quotes where they are needed.

use std::io::{self, Write};

/// Writes a table row by row, as pandas' `to_csv(index=False)` does on Linux.
pub struct Writer<'a> {
    output: &'a mut dyn Write,
    /// The row that is put together.
    line: String,
}

impl<'a> Writer<'a> {
    /// Writes the header.
    ///
    /// # Errors
    /// Fails if `output` does.
    pub fn new(
        output: &'a mut dyn Write,
        columns: impl IntoIterator<Item: AsRef<str>>,
    ) -> io::Result<Self> {
        let line = String::new();
        let mut writer = Self { output, line };
        writer.row(columns)?;
        Ok(writer)
    }

    /// Writes a row.
    ///
    /// # Errors
    /// Fails if the output does.
    pub fn row(&mut self, cells: impl IntoIterator<Item: AsRef<str>>) -> io::Result<()> {
        self.line.clear();
        let mut count = 0;
        for cell in cells {
            if count > 0 {
                self.line.push(',');
            }
            count += 1;
            self.cell(cell.as_ref());
        }
        // An empty line would be no row.
        if count == 1 && self.line.is_empty() {
            self.line.push_str("\"\"");
        }
        self.line.push('\n');
        self.output.write_all(self.line.as_bytes())
    }

    fn cell(&mut self, cell: &str) {
        match cell.contains([',', '"', '\n', '\r']) {
            true => {
                self.line.push('"');
                self.line.push_str(&cell.replace('"', "\"\""));
                self.line.push('"');
            }
            false => self.line.push_str(cell),
        }
    }
}
