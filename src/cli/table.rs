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
                    true => format!("{part:>width$}"),
                    false => format!("{part:<width$}"),
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

/// No column is made narrower.
const NARROWEST: usize = 8;

/// A text in lines of at most so many letters, broken at spaces; a word that is longer stays whole.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for (index, word) in text.split(' ').enumerate() {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        let long = line.chars().count() + 1 + word.chars().count() > width;
        match index {
            0 => line.push_str(word),
            _ if long => lines.push(word.to_owned()),
            _ => {
                line.push(' ');
                line.push_str(word);
            }
        }
    }
    lines
}

/// The same for a cell, in which longer words are cut.
fn cut(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in wrapped(text, width) {
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
        assert_eq!(wrapped("a fine title", 6), ["a fine", "title"]);
        assert_eq!(wrapped("/a/long/path is it", 5), ["/a/long/path", "is it"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(cut("abcdefg hi", 3), ["abc", "def", "g", "hi"]);
    }
}
