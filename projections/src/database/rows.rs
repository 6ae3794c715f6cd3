//! A batch of rows that one statement writes: however many rows, one round trip.
//!
//! On SQLite the batch is one JSON parameter, an array per row. (On PostgreSQL it will be one
//! array parameter per column.) The statement says `from {rows}` and names the columns.

use std::fmt::Write as _;

/// A column of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    /// BIGINT.
    Int(&'static str),
    /// TEXT.
    Text(&'static str),
    /// A byte string.
    Bytes(&'static str),
}

/// Rows to be written, in the order of their columns.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: &'static [Column],
    json: String,
    count: usize,
}

/// One row being filled: call one method per column, in order.
pub(crate) struct RowWriter<'a>(&'a mut String);

impl Rows {
    pub(crate) fn new(columns: &'static [Column]) -> Self {
        Self { columns, json: String::from("["), count: 0 }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, fill: impl FnOnce(&mut RowWriter<'_>)) {
        self.json.push_str(if self.count == 0 { "[" } else { ",[" });
        fill(&mut RowWriter(&mut self.json));
        // The last value left a comma behind.
        self.json.pop();
        self.json.push(']');
        self.count += 1;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// What `{rows}` stands for in SQLite.
    pub(super) fn sqlite_source(&self) -> String {
        let mut sql = String::from("(select ");
        for (place, column) in self.columns.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            // Writing to a string can't fail.
            let _ = match column {
                Column::Int(name) | Column::Text(name) => {
                    write!(sql, "{separator}value ->> {place} as {name}")
                }
                Column::Bytes(name) => write!(sql, "{separator}unhex(value ->> {place}) as {name}"),
            };
        }
        sql.push_str(" from json_each($1)) as batch");
        sql
    }

    /// The parameter that the source reads.
    pub(super) fn into_json(mut self) -> String {
        self.json.push(']');
        self.json
    }
}

impl RowWriter<'_> {
    pub(crate) fn int(&mut self, value: i64) -> &mut Self {
        let _ = write!(self.0, "{value},");
        self
    }

    pub(crate) fn count(&mut self, value: u64) -> &mut Self {
        self.int(value.cast_signed())
    }

    pub(crate) fn optional_int(&mut self, value: Option<i64>) -> &mut Self {
        match value {
            Some(value) => self.int(value),
            None => self.null(),
        }
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.0.push('"');
        push_escaped(self.0, value);
        self.0.push_str("\",");
        self
    }

    pub(crate) fn optional_text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.0.reserve(value.len() * 2 + 3);
        self.0.push('"');
        for byte in value {
            self.0.push(char::from(DIGITS[usize::from(byte >> 4)]));
            self.0.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        self.0.push_str("\",");
        self
    }

    fn null(&mut self) -> &mut Self {
        self.0.push_str("null,");
        self
    }
}

/// Writes the inside of a JSON string. NUL, which PostgreSQL can't keep in a text, becomes the
/// replacement character in every database, so that their rows stay the same.
fn push_escaped(json: &mut String, text: &str) {
    let is_plain = |byte: u8| byte >= 0x20 && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        json.push_str(text);
        return;
    }
    for c in text.chars() {
        match c {
            '\0' => json.push('\u{fffd}'),
            '"' | '\\' => json.extend(['\\', c]),
            c if u32::from(c) < 0x20 => {
                let _ = write!(json, "\\u{:04x}", u32::from(c));
            }
            c => json.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_reaches_the_statement_as_it_is(text: String, bytes: Vec<u8>) {
            let mut rows = Rows::new(&[Column::Text("a"), Column::Bytes("b"), Column::Int("c")]);
            rows.push(|row| { row.text(&text).bytes(&bytes).optional_int(None); });
            let parsed: Vec<(String, String, Option<i64>)> = serde_json::from_str(&rows.into_json()).unwrap();
            prop_assert_eq!(&parsed[0].0, &text.replace('\0', "\u{fffd}"));
            prop_assert_eq!(parsed[0].1.len(), bytes.len() * 2);
        }
    }
}
