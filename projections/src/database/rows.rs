//! A batch of rows that few statements write, however many rows there are.
//!
//! On SQLite the rows are bound as values, some hundred to a statement: binding is several times
//! cheaper than reading them back out of one JSON text. A column that is the same in all rows, as
//! those are that no row has anything in, is bound once for each statement. On PostgreSQL each
//! column is one array, and a batch is one statement. The statement says `from {rows}` and names
//! the columns.

use std::fmt::Write as _;
use std::sync::Arc;

use super::texts::{TextId, Texts};

/// Rows in one statement: a few fixed sizes, so that the prepared statements are reused.
pub(super) const ROWS_PER_STATEMENT: [usize; 4] = [256, 32, 4, 1];

/// The same where rows are only added. SQLite takes 32,766 values, which are 31 of each row.
pub(super) const ROWS_PER_APPEND: [usize; 4] = [1_024, 128, 16, 1];

/// How many rows are made at once for [`Transaction::append`](super::Transaction::append): a small part of a
/// batch.
pub(crate) const PART_ROWS: usize = 2 * ROWS_PER_APPEND[0];

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Null,
    Int(i64),
    Text(TextId),
    /// The place among the byte strings.
    Bytes(u32),
}

/// The same with what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CellRef<'a> {
    Null,
    /// BIGINT.
    Int(i64),
    /// TEXT.
    Text(&'a Arc<str>),
    /// A byte string.
    Bytes(&'a Arc<[u8]>),
}

impl<'a> CellRef<'a> {
    pub(super) fn as_int(self) -> Option<i64> {
        if let Self::Int(value) = self { Some(value) } else { None }
    }

    pub(super) fn as_text(self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_bytes(self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

/// Rows to be written, in the order of their columns.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: &'static [Column],
    cells: Vec<Cell>,
    texts: Arc<Texts>,
    bytes: Vec<Arc<[u8]>>,
}

/// One row being filled: call one method per column, in order.
pub(crate) struct RowWriter<'a>(&'a mut Rows);

impl Rows {
    pub(crate) fn new(columns: &'static [Column]) -> Self {
        Self::of(columns, Arc::default())
    }

    /// Rows of texts that are numbered already.
    pub(crate) fn of(columns: &'static [Column], texts: Arc<Texts>) -> Self {
        Self { columns, cells: Vec::new(), texts, bytes: Vec::new() }
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

    fn get(&self, cell: Cell) -> CellRef<'_> {
        match cell {
            Cell::Null => CellRef::Null,
            Cell::Int(value) => CellRef::Int(value),
            Cell::Text(id) => CellRef::Text(self.texts.get(id)),
            Cell::Bytes(place) => {
                self.bytes.get(place as usize).map_or(CellRef::Null, CellRef::Bytes)
            }
        }
    }

    /// The columns with the cells of each, from the first row to the last.
    pub(super) fn columns(
        &self,
    ) -> impl Iterator<Item = (Column, impl Iterator<Item = CellRef<'_>>)> {
        let width = self.columns.len();
        let column =
            move |place| self.cells.iter().skip(place).step_by(width).map(|cell| self.get(*cell));
        self.columns.iter().enumerate().map(move |(place, name)| (*name, column(place)))
    }

    /// Row by row.
    pub(super) fn rows(&self) -> impl Iterator<Item = impl ExactSizeIterator<Item = CellRef<'_>>> {
        let rows = self.cells.chunks(self.columns.len());
        rows.map(|row| row.iter().map(|cell| self.get(*cell)))
    }

    /// The rows cut into statements: what `{rows}` stands for in SQLite, and its values.
    pub(super) fn sqlite_statements(
        &self,
        sizes: &'static [usize],
    ) -> impl Iterator<Item = (String, impl Iterator<Item = CellRef<'_>>)> {
        let (width, shape) = (self.columns.len(), self.shape());
        let constant: Vec<Cell> = match self.cells.get(..width) {
            Some(first) => first
                .iter()
                .zip(&shape)
                .filter(|(_, varies)| !**varies)
                .map(|(cell, _)| *cell)
                .collect(),
            None => Vec::new(),
        };
        let (mut rest, columns) = (&self.cells[..], self.columns);
        std::iter::from_fn(move || {
            let rows = rest.len() / width;
            let size = sizes.iter().copied().find(|size| *size <= rows)?;
            let (part, after) = rest.split_at(size * width);
            rest = after;
            let (constant, shape) = (constant.clone(), shape.clone());
            let sql = sqlite_source(columns, &shape, size);
            let varying = part.iter().enumerate().filter(move |(place, _)| shape[place % width]);
            let cells = constant.into_iter().chain(varying.map(|(_, cell)| *cell));
            Some((sql, cells.map(|cell| self.get(cell))))
        })
    }

    /// Which columns are not the same in all rows. One at least is taken for such.
    fn shape(&self) -> Vec<bool> {
        let width = self.columns.len();
        let first = self.cells.get(..width).unwrap_or_default();
        let mut shape = vec![false; width];
        for row in self.cells.chunks(width) {
            for ((varies, cell), first) in shape.iter_mut().zip(row).zip(first) {
                *varies |= cell != first;
            }
        }
        if !shape.contains(&true)
            && let Some(first) = shape.first_mut()
        {
            *first = true;
        }
        shape
    }
}

/// A table made of parameters, with the columns' names: first those of the columns that are the same
/// in all rows, then the others row by row.
fn sqlite_source(columns: &[Column], shape: &[bool], rows: usize) -> String {
    let mut sql = String::from("(select ");
    let mut varying = 0;
    for (place, (column, varies)) in columns.iter().zip(shape).enumerate() {
        let separator = if place == 0 { "" } else { ", " };
        // Writing to a string can't fail.
        let _ = if *varies {
            varying += 1;
            write!(sql, "{separator}column{varying} as {}", column.name())
        } else {
            write!(sql, "{separator}? as {}", column.name())
        };
    }
    let row = format!("({})", vec!["?"; varying].join(","));
    let _ = write!(sql, " from (values {})) as batch", vec![row; rows].join(","));
    sql
}

impl RowWriter<'_> {
    pub(crate) fn int(&mut self, value: i64) -> &mut Self {
        self.cell(Cell::Int(value))
    }

    pub(crate) fn count(&mut self, value: u64) -> &mut Self {
        self.int(value.cast_signed())
    }

    pub(crate) fn optional_int(&mut self, value: Option<i64>) -> &mut Self {
        self.cell(value.map_or(Cell::Null, Cell::Int))
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        let id = Arc::make_mut(&mut self.0.texts).id(value);
        self.text_id(id)
    }

    pub(crate) fn optional_text(&mut self, value: Option<&str>) -> &mut Self {
        match value {
            Some(value) => self.text(value),
            None => self.cell(Cell::Null),
        }
    }

    /// A text of those that the rows were begun with.
    pub(crate) fn text_id(&mut self, id: TextId) -> &mut Self {
        self.cell(Cell::Text(id))
    }

    pub(crate) fn optional_text_id(&mut self, id: Option<TextId>) -> &mut Self {
        self.cell(id.map_or(Cell::Null, Cell::Text))
    }

    pub(crate) fn bytes(&mut self, value: &[u8]) -> &mut Self {
        let place = u32::try_from(self.0.bytes.len()).unwrap_or(u32::MAX);
        self.0.bytes.push(value.into());
        self.cell(Cell::Bytes(place))
    }

    fn cell(&mut self, cell: Cell) -> &mut Self {
        self.0.cells.push(cell);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COLUMNS: &[Column] =
        &[Column::Text("a"), Column::Int("same"), Column::Bytes("b"), Column::Int("c")];

    proptest! {
        /// What is the same in all rows comes once for each statement, before the rest.
        #[test]
        fn every_row_is_in_one_statement_in_order(texts in proptest::collection::vec(".*", 2..700)) {
            let mut rows = Rows::new(COLUMNS);
            for (text, n) in texts.iter().zip(0..) {
                rows.push(|row| { row.text(text).int(7).bytes(text.as_bytes()).int(n); });
            }
            let (mut written, same) = (Vec::new(), texts.windows(2).all(|pair| pair[0] == pair[1]));
            for (sql, cells) in rows.sqlite_statements(&ROWS_PER_STATEMENT) {
                let mut cells: Vec<_> = cells.collect();
                prop_assert_eq!(sql.matches('?').count(), cells.len());
                if same {
                    prop_assert!(sql.starts_with("(select ? as a, ? as same"), "{}", sql);
                    cells.splice(..2, []);
                } else {
                    prop_assert!(sql.starts_with("(select column1 as a, ? as same"), "{}", sql);
                    prop_assert_eq!(cells.remove(0), CellRef::Int(7));
                }
                written.extend(cells.into_iter().map(|cell| format!("{cell:?}")));
            }
            let expected = texts.iter().zip(0..).flat_map(|(text, n)| {
                let (shown, bytes) = (text.replace('\0', "\u{fffd}").into(), text.as_bytes().into());
                let cells = [CellRef::Text(&shown), CellRef::Bytes(&bytes), CellRef::Int(n)];
                cells[usize::from(same)..].iter().map(|cell| format!("{cell:?}")).collect::<Vec<_>>()
            });
            prop_assert_eq!(written, expected.collect::<Vec<_>>());
        }
    }

    #[test]
    fn rows_that_are_all_the_same_are_as_many() {
        let mut rows = Rows::new(COLUMNS);
        for _ in 0..3 {
            rows.push(|row| {
                row.text("x").int(1).optional_int(None).int(2);
            });
        }
        let statements: Vec<_> = rows.sqlite_statements(&ROWS_PER_STATEMENT).collect();
        assert_eq!(statements.len(), 3);
        for (sql, cells) in statements {
            assert_eq!(
                sql,
                "(select column1 as a, ? as same, ? as b, ? as c from (values (?))) as batch"
            );
            assert_eq!(
                cells.map(CellRef::as_int).collect::<Vec<_>>(),
                [Some(1), None, Some(2), None]
            );
        }
    }
}
