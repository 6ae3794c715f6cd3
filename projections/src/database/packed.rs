//! Many rows as one value. SQLite's rows come one by one from another thread, each of their values as a copy of its own:
//! two microseconds a row, several times what it takes to find it. Where an answer is made of thousands of short
//! rows, a statement says `{packed: int bucket, text value, bytes visitors}` in the place of its columns, and is cut into parts
//! that have room in memory.
//!
//! ```text
//! 1967:3:42:deu……   for each row its numbers, and the lengths of its texts and bytes; then those
//! ```
//!
//! Where rows come in one stream anyhow the word stands for the columns.

use std::fmt::Write as _;
use std::ops::Range;

use super::row::bad_row;
use super::{DatabaseError, Row};

const WORD: &str = "{packed: ";

/// What a column holds; nothing in it may be missing, other than bytes, which are none then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int,
    Text,
    Bytes,
}

/// The columns of rows that are packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packing {
    /// The word as it stands in the statement.
    word: String,
    columns: Vec<(Kind, String)>,
}

impl Packing {
    /// That of a statement, all of whose parts have the same; `None`: its rows are not packed.
    pub(super) fn of(sql: &str) -> Option<Self> {
        let (_, rest) = sql.split_once(WORD)?;
        let (columns, _) = rest.split_once('}')?;
        let word = format!("{WORD}{columns}}}");
        let column = |column: &str| match column.split_once(' ')? {
            ("int", name) => Some((Kind::Int, name.to_owned())),
            ("text", name) => Some((Kind::Text, name.to_owned())),
            ("bytes", name) => Some((Kind::Bytes, name.to_owned())),
            _ => None,
        };
        let columns = columns.split(", ").map(column).collect::<Option<_>>()?;
        Some(Self { word, columns })
    }

    /// The statement with plain columns.
    pub(super) fn plain(&self, sql: &str) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(_, name)| name.as_str()).collect();
        sql.replace(&self.word, &names.join(", "))
    }

    /// The statement with one value for all rows of a part. `||` and `group_concat` take bytes as they are; the test below
    /// would tell if that changed.
    pub(super) fn packed(&self, sql: &str) -> String {
        let (mut form, mut numbers, mut contents) = (String::new(), String::new(), String::new());
        for (kind, name) in &self.columns {
            form.push_str("%d:");
            // Writing to a string can't fail.
            let _ = match kind {
                Kind::Int => write!(numbers, ", {name}"),
                Kind::Text | Kind::Bytes => {
                    let _ = write!(contents, " || coalesce({name}, '')");
                    write!(numbers, ", octet_length({name})")
                }
            };
        }
        let all = format!("cast(group_concat(format('{form}'{numbers}){contents}, '') as blob)");
        sql.replace(&self.word, &all)
    }

    /// Calls `each` with every row of a part.
    pub(super) fn each_row(
        &self,
        part: Option<&[u8]>,
        mut each: impl FnMut(&Row) -> Result<(), DatabaseError>,
    ) -> Result<(), DatabaseError> {
        // There is none.
        let Some(part) = part else { return Ok(()) };
        let mut row = Row::Packed(PackedRow { part: part.into(), cells: Vec::new() });
        let mut at = 0;
        while at < part.len() {
            let Row::Packed(packed) = &mut row else { break };
            at = self.read(at, packed).ok_or_else(|| bad_row("not a packed row"))?;
            each(&row)?;
        }
        Ok(())
    }

    /// Reads the row at a place; where the next one begins.
    fn read(&self, mut at: usize, row: &mut PackedRow) -> Option<usize> {
        row.cells.clear();
        for _ in &self.columns {
            let number;
            (number, at) = number_at(&row.part, at)?;
            row.cells.push(Cell::Int(number));
        }
        for ((kind, _), cell) in self.columns.iter().zip(&mut row.cells) {
            if let (Kind::Text | Kind::Bytes, &mut Cell::Int(length)) = (kind, &mut *cell) {
                let end = at.checked_add(usize::try_from(length).ok()?)?;
                *cell = Cell::Range(at..end);
                at = end;
            }
        }
        (at <= row.part.len()).then_some(at)
    }
}

/// A number, and what is behind the colon after it.
fn number_at(part: &[u8], at: usize) -> Option<(i64, usize)> {
    let rest = part.get(at..)?;
    let end = rest.iter().position(|byte| *byte == b':')?;
    let number = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((number, at + end + 1))
}

/// One row of many.
#[derive(Debug)]
pub(crate) struct PackedRow {
    part: Box<[u8]>,
    cells: Vec<Cell>,
}

#[derive(Debug)]
enum Cell {
    Int(i64),
    /// Where in the part the value is.
    Range(Range<usize>),
}

impl PackedRow {
    pub(super) fn int(&self, column: usize) -> Result<i64, DatabaseError> {
        match self.cells.get(column) {
            Some(Cell::Int(number)) => Ok(*number),
            _ => Err(bad_row("not a packed number")),
        }
    }

    pub(super) fn bytes(&self, column: usize) -> Result<&[u8], DatabaseError> {
        let bytes = match self.cells.get(column) {
            Some(Cell::Range(range)) => self.part.get(range.clone()),
            _ => None,
        };
        bytes.ok_or_else(|| bad_row("not packed bytes"))
    }

    pub(super) fn text(&self, column: usize) -> Result<&str, DatabaseError> {
        std::str::from_utf8(self.bytes(column)?).map_err(|error| bad_row(&error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Database, Purpose};
    use super::*;

    type Read = (i64, String, Vec<u8>);

    const SQL: &str = "select {packed: int n, text t, bytes b} from (select 1 as n, 'a:7,ü' as t, \
        cast(x'003aff00' as blob) as b union all select -9223372036854775807, '', null) r \
        union all select {packed: int n, text t, bytes b} from (select 1 as n, '' as t, null as b) r where n > 1 \
        union all select {packed: int n, text t, bytes b} from (select 0 as n, char(0) || 'x' as t, x'' as b) r";

    /// Bytes that are no text, nothing at all, and what the form itself is made of.
    #[tokio::test]
    async fn rows_come_out_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open_sqlite(&dir.path().join("r.db")).await.unwrap();
        let read = |row: &Row| Ok((row.int(0)?, row.text(1)?.to_owned(), row.bytes(2)?.to_vec()));
        let rows: Vec<Read> =
            database.fetch(Purpose::Answer, SQL.to_owned(), &[], read).await.unwrap();
        let expected: [Read; 3] = [
            (1, "a:7,ü".to_owned(), vec![0, b':', 255, 0]),
            (-i64::MAX, String::new(), vec![]),
            (0, "\0x".to_owned(), vec![]),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn elsewhere_the_word_is_the_columns() {
        let packing = Packing::of(SQL).unwrap();
        assert!(packing.plain(SQL).starts_with("select n, t, b from (select 1"));
        assert!(!packing.plain(SQL).contains('{'));
        assert_eq!(Packing::of("select 1"), None);
    }

    /// Each of these would be read beyond its end, or be no row.
    #[test]
    fn what_is_no_packed_row_is_refused() {
        let packing = Packing::of("{packed: int n, bytes b}").unwrap();
        let rows = |part: &[u8]| {
            let mut rows = 0;
            packing.each_row(Some(part), |_| {
                rows += 1;
                Ok(())
            })?;
            Ok::<_, DatabaseError>(rows)
        };
        assert_eq!(rows(b"1:2:ab-3:0:").unwrap(), 2);
        for bad in [&b"1:3:ab"[..], b"1:-1:ab", b"1:", b"x:0:", b"1:0", b"1:99999999999999999999:"]
        {
            assert!(rows(bad).is_err(), "{bad:?}");
        }
    }
}
