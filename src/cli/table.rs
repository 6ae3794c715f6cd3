//! Tables for people: columns that line up, and nothing in a cell that could drive a terminal.

use std::io;

use serde_json::Value;

use super::Out;

/// The widest a cell is printed; longer texts end in `…`.
const CELL_CHARS_MAX: usize = 72;

/// Rows of cells under headings.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
    right: &'static [usize],
}

impl Table {
    /// A table with headings; the columns named in `right` are aligned to the right (numbers).
    pub(super) fn new(headings: &[&str], right: &'static [usize]) -> Self {
        Self { rows: vec![headings.iter().map(|&text| text.to_owned()).collect()], right }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|text| plain(&text)).collect());
    }

    /// Prints the table.
    pub(super) fn print(&self, out: &mut Out) -> io::Result<()> {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let fill = " ".repeat(width - cell.chars().count());
                if self.right.contains(&column) {
                    line.extend([&fill, cell.as_str(), "  "]);
                } else {
                    line.extend([cell.as_str(), &fill, "  "]);
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max()
        };
        (0..columns).map(|column| width(column).unwrap_or(0)).collect()
    }
}

/// A text on one line without control characters: titles and user agents come from strangers.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if hostile(c) { '\u{fffd}' } else { c }).collect()
}

/// The same, no longer than a cell.
pub(super) fn plain(text: &str) -> String {
    let line = one_line(text);
    let mut chars = line.chars();
    let mut plain: String = chars.by_ref().take(CELL_CHARS_MAX).collect();
    if chars.next().is_some() {
        plain.pop();
        plain.push('…');
    }
    plain
}

/// Control characters, and those that turn the direction of the text around.
fn hostile(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A JSON value as a cell: nothing for `null`, texts without quotes.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// A link as commands name it: by its code, or by domain/code where it is not on the service's own domain.
pub(super) fn link_name(link: &Value) -> String {
    let (id, code) = (cell(&link["id"]), cell(&link["code"]));
    if id.is_empty() || id.starts_with("default/") { code } else { id }
}

/// A count with its thousands apart.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Prints an answer as it came, readable.
pub(super) fn print_json(value: &Value, out: &mut Out) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_numbers_end_together() {
        let mut table = Table::new(&["CODE", "CLICKS", "URL"], &[1]);
        table.row(["launch".to_owned(), count(1_234_567), "https://example.com/".to_owned()]);
        table.row(["a".to_owned(), count(5), "https://ü.example/".to_owned()]);
        let mut out = Vec::new();
        table.print(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "CODE       CLICKS  URL\nlaunch  1,234,567  https://example.com/\n\
             a               5  https://ü.example/\n"
        );
    }

    #[test]
    fn a_cell_can_not_drive_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
        let long = plain(&"x".repeat(100));
        assert_eq!((long.chars().count(), long.ends_with('…')), (CELL_CHARS_MAX, true));
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in
            [(0, "0"), (999, "999"), (1_000, "1,000"), (u64::MAX, "18,446,744,073,709,551,615")]
        {
            assert_eq!(count(number), text);
        }
    }
}
