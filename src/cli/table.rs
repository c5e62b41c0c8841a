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

    /// The lines of the table, in at most so many columns if that can be; `title` styles the first row.
    pub fn render(&self, title: impl Fn(String) -> String, most: Option<usize>) -> String {
        self.blocks(title, most).concat()
    }

    /// The lines of each row.
    pub fn blocks(&self, title: impl Fn(String) -> String, most: Option<usize>) -> Vec<String> {
        let widths = self.widths(most.unwrap_or(usize::MAX));
        let rows = self.rows.iter().enumerate();
        let block = |(index, row): (usize, &Vec<String>)| {
            let mut text = String::new();
            for line in self.lines(row, &widths) {
                let line = if index == 0 { title(line) } else { line };
                let _ = writeln!(text, "{line}");
            }
            text
        };
        rows.map(block).collect()
    }

    /// A row in columns of these widths: several lines where a cell has not enough room.
    fn lines(&self, row: &[String], widths: &[usize]) -> Vec<String> {
        let cells = row.iter().zip(widths);
        let cells: Vec<Vec<String>> = cells.map(|(cell, width)| cut(cell, *width)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        let line = |at: usize| {
            let parts = cells.iter().zip(widths).enumerate();
            let parts = parts.map(|(column, (cell, width))| {
                let part = cell.get(at).map_or("", String::as_str);
                match self.right.contains(&column) {
                    true => room(part, *width) + part,
                    false => padded(part, *width),
                }
            });
            let parts: Vec<String> = parts.collect();
            parts.join("  ").trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }

    /// The widths of the columns: as wide as their cells, and where that is too much, the widest of words narrower. Names
    /// and numbers stay whole.
    fn widths(&self, most: usize) -> Vec<usize> {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = (0..columns).map(width).collect();
        let gaps = 2 * columns.saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > most {
            let gives = |column: &usize| {
                *column > 0 && !self.right.contains(column) && widths[*column] > NARROWEST
            };
            let Some(widest) = (0..columns)
                .filter(gives)
                .max_by_key(|column| widths[*column])
            else {
                break;
            };
            widths[widest] -= 1;
        }
        widths
    }
}

/// A text with spaces behind it, up to a width; `format!` refuses those beyond 65,535.
pub fn padded(text: &str, width: usize) -> String {
    text.to_owned() + &room(text, width)
}

fn room(text: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(text.chars().count()))
}

/// No column is made narrower.
const NARROWEST: usize = 8;

/// Pieces, a space between them, in lines of at most so many letters; a longer piece stays whole.
pub fn wrapped(pieces: impl IntoIterator<Item = impl AsRef<str>>, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        let piece = piece.as_ref();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + piece.chars().count() <= width => {
                line.push(' ');
                line.push_str(piece);
            }
            _ => lines.push(piece.to_owned()),
        }
    }
    lines
}

/// A cell's words in such lines, longer ones cut.
fn cut(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in wrapped(text.split(' '), width) {
        let letters: Vec<char> = line.chars().collect();
        match letters.len() <= width {
            true => lines.push(line),
            false => lines.extend(letters.chunks(width).map(|part| part.iter().collect())),
        }
    }
    lines
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_may_be_longer_than_format_takes() {
        let long = "a".repeat(70_000);
        let mut table = Table::new(&["NAME", "SIZE"]);
        table.row(vec![long.clone(), "1".to_owned()]);
        let text = table.render(|title| title, None);
        assert_eq!(text.lines().nth(1), Some(format!("{long}  1").as_str()));
    }

    fn table() -> Table {
        let mut table = Table::new(&["MODEL", "NETWORK", "SIZE"]);
        table.align_right(2);
        table.row(vec![
            "pi_classification".to_owned(),
            "Pipeline(StandardScaler, LogisticRegression)".to_owned(),
            "1.8 kB".to_owned(),
        ]);
        table
    }

    #[test]
    fn a_table_fits_its_terminal_where_its_words_can_be_broken() {
        let plain = |most| table().render(|title| title, most);
        let wide = "MODEL              NETWORK                                         SIZE\n\
                    pi_classification  Pipeline(StandardScaler, LogisticRegression)  1.8 kB\n";
        assert_eq!(plain(None), wide);
        assert_eq!(plain(Some(71)), wide);
        assert_eq!(
            plain(Some(54)),
            "MODEL              NETWORK                        SIZE\n\
             pi_classification  Pipeline(StandardScaler,     1.8 kB\n                   LogisticRegression)\n"
        );
        let narrow = plain(Some(44));
        assert!(
            narrow.lines().all(|line| line.chars().count() <= 44),
            "{narrow}"
        );
        assert!(narrow.contains("Pipeline(Standard  1.8 kB"), "{narrow}");
        // Names and numbers stay whole.
        assert!(plain(Some(10)).contains("pi_classification"));
    }

    #[test]
    fn a_text_is_broken_at_spaces_alone() {
        assert_eq!(wrapped("a fine title".split(' '), 6), ["a fine", "title"]);
        assert_eq!(
            wrapped("/a/long/path is it".split(' '), 5),
            ["/a/long/path", "is it"]
        );
        assert_eq!(wrapped("".split(' '), 5), [""]);
        assert_eq!(cut("abcdefg hi", 3), ["abc", "def", "g", "hi"]);
    }
}
