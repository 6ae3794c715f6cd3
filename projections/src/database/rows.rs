//! A batch of rows that few statements write, however many rows there are.
//!
//! On SQLite the rows are bound as values, some hundred to a statement: binding is several times
//! cheaper than reading them back out of one JSON text. On PostgreSQL each column is one array,
//! and a batch is one statement. The statement says `from {rows}` and names the columns.

use std::fmt::Write as _;
use std::sync::Arc;

use hashbrown::HashSet;

use super::without_nul;

/// Rows in one statement: a few fixed sizes, so that the prepared statements are reused.
const ROWS_PER_STATEMENT: [usize; 4] = [256, 32, 4, 1];

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

impl Column {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Int(name) | Self::Text(name) | Self::Bytes(name) => name,
        }
    }
}

/// One value of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Cell {
    /// BIGINT.
    Int(Option<i64>),
    /// TEXT.
    Text(Option<Arc<str>>),
    /// A byte string.
    Bytes(Arc<[u8]>),
}

impl Cell {
    pub(super) fn as_int(&self) -> Option<i64> {
        if let Self::Int(value) = self { *value } else { None }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { text.as_deref() } else { None }
    }

    pub(super) fn as_bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

/// Rows to be written, in the order of their columns.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: &'static [Column],
    cells: Vec<Cell>,
    /// Texts that came before: agents, countries and the like are the same in most rows.
    texts: HashSet<Arc<str>>,
}

/// One row being filled: call one method per column, in order.
pub(crate) struct RowWriter<'a>(&'a mut Rows);

impl Rows {
    pub(crate) fn new(columns: &'static [Column]) -> Self {
        Self { columns, cells: Vec::new(), texts: HashSet::new() }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, fill: impl FnOnce(&mut RowWriter<'_>)) {
        fill(&mut RowWriter(self));
        debug_assert_eq!(self.cells.len() % self.columns.len(), 0, "a value for each column");
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// What `{rows}` stands for in PostgreSQL.
    pub(super) fn postgres_source(&self) -> String {
        let mut sql = String::from("unnest(");
        for (place, column) in self.columns.iter().enumerate() {
            let separator = if place == 0 { "" } else { ", " };
            let array = match column {
                Column::Int(_) => "bigint[]",
                Column::Text(_) => "text[]",
                Column::Bytes(_) => "bytea[]",
            };
            // Writing to a string can't fail.
            let _ = write!(sql, "{separator}${}::{array}", place + 1);
        }
        let names: Vec<&str> = self.columns.iter().map(|column| column.name()).collect();
        let _ = write!(sql, ") as batch({})", names.join(", "));
        sql
    }

    /// The columns with the cells of each, from the first row to the last.
    pub(super) fn columns(&self) -> impl Iterator<Item = (Column, impl Iterator<Item = &Cell>)> {
        let width = self.columns.len();
        let column = move |place| self.cells.iter().skip(place).step_by(width);
        self.columns.iter().enumerate().map(move |(place, name)| (*name, column(place)))
    }

    /// Row by row.
    pub(super) fn rows(&self) -> impl Iterator<Item = &[Cell]> {
        self.cells.chunks(self.columns.len())
    }

    /// The rows cut into statements: what `{rows}` stands for in SQLite, and its values.
    pub(super) fn into_sqlite(self) -> Vec<(String, Vec<Cell>)> {
        let width = self.columns.len();
        let mut statements = Vec::new();
        let mut cells = self.cells.into_iter();
        for size in ROWS_PER_STATEMENT {
            while cells.len() >= size * width {
                let values = cells.by_ref().take(size * width).collect();
                statements.push((sqlite_source(self.columns, size), values));
            }
        }
        statements
    }
}

/// A table made of parameters, with the columns' names.
fn sqlite_source(columns: &[Column], rows: usize) -> String {
    let mut sql = String::from("(select ");
    for (place, column) in columns.iter().enumerate() {
        let separator = if place == 0 { "" } else { ", " };
        // Writing to a string can't fail.
        let _ = write!(sql, "{separator}column{} as {}", place + 1, column.name());
    }
    let row = format!("({})", vec!["?"; columns.len()].join(","));
    let _ = write!(sql, " from (values {})) as batch", vec![row; rows].join(","));
    sql
}

impl RowWriter<'_> {
    pub(crate) fn int(&mut self, value: i64) -> &mut Self {
        self.optional_int(Some(value))
    }

    pub(crate) fn count(&mut self, value: u64) -> &mut Self {
        self.int(value.cast_signed())
    }

    pub(crate) fn optional_int(&mut self, value: Option<i64>) -> &mut Self {
        self.0.cells.push(Cell::Int(value));
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        let text = self.shared(value);
        self.0.cells.push(Cell::Text(Some(text)));
        self
    }

    pub(crate) fn optional_text(&mut self, value: Option<&str>) -> &mut Self {
        let text = value.map(|value| self.shared(value));
        self.0.cells.push(Cell::Text(text));
        self
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        self.0.cells.push(Cell::Bytes(value.into()));
        self
    }

    /// The text, allocated once for each batch.
    fn shared(&mut self, value: &str) -> Arc<str> {
        if value.contains('\0') {
            return without_nul(value).into();
        }
        self.0.texts.get_or_insert_with(value, |text| Arc::from(text)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: &[Column] = &[Column::Text("a"), Column::Bytes("b"), Column::Int("c")];

    proptest! {
        #[test]
        fn every_row_is_in_one_statement_in_order(texts in proptest::collection::vec(".*", 0..700)) {
            let mut rows = Rows::new(COLUMNS);
            for (text, n) in texts.iter().zip(0..) {
                rows.push(|row| { row.text(text).bytes(text.as_bytes()).int(n); });
            }
            let mut written = Vec::new();
            for (sql, cells) in rows.into_sqlite() {
                prop_assert_eq!(sql.matches('?').count(), cells.len());
                written.extend(cells);
            }
            let expected = texts.iter().zip(0..).flat_map(|(text, n)| {
                let shown = text.replace('\0', "\u{fffd}").into();
                [Cell::Text(Some(shown)), Cell::Bytes(text.as_bytes().into()), Cell::Int(Some(n))]
            });
            prop_assert_eq!(written, expected.collect::<Vec<_>>());
        }
    }
}
