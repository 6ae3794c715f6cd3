//! One row of an answer, read by the place of its columns.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::DatabaseError;
use super::packed::PackedRow;

/// A row of an answer.
#[derive(Debug)]
pub(crate) enum Row {
    /// As SQLite gave it.
    Sqlite(SqliteRow),
    /// As PostgreSQL gave it.
    Postgres(PgRow),
    /// One of many that SQLite gave as one value.
    Packed(PackedRow),
}

/// Reads a column of either row as what the caller returns.
macro_rules! column {
    ($row:expr, $column:expr) => {
        match $row {
            Row::Sqlite(row) => Ok(row.try_get($column)?),
            Row::Postgres(row) => Ok(row.try_get($column)?),
            Row::Packed(_) => Err(bad_row("nothing in a packed row is missing")),
        }
    };
}

impl Row {
    /// A BIGINT.
    pub(crate) fn int(&self, column: usize) -> Result<i64, DatabaseError> {
        if let Self::Packed(row) = self { row.int(column) } else { column!(self, column) }
    }

    /// A BIGINT that may be missing.
    pub(crate) fn optional_int(&self, column: usize) -> Result<Option<i64>, DatabaseError> {
        column!(self, column)
    }

    /// A count: a BIGINT that is never negative.
    pub(crate) fn count(&self, column: usize) -> Result<u64, DatabaseError> {
        Ok(self.int(column)?.cast_unsigned())
    }

    /// A TEXT.
    pub(crate) fn text(&self, column: usize) -> Result<&str, DatabaseError> {
        if let Self::Packed(row) = self { row.text(column) } else { column!(self, column) }
    }

    /// A TEXT that may be missing.
    pub(crate) fn optional_text(&self, column: usize) -> Result<Option<&str>, DatabaseError> {
        column!(self, column)
    }

    /// A byte string.
    pub(crate) fn bytes(&self, column: usize) -> Result<&[u8], DatabaseError> {
        if let Self::Packed(row) = self { row.bytes(column) } else { column!(self, column) }
    }

    /// A byte string that may be missing.
    pub(crate) fn optional_bytes(&self, column: usize) -> Result<Option<&[u8]>, DatabaseError> {
        column!(self, column)
    }

    /// An instant, kept as microseconds since 1970.
    pub(crate) fn instant(&self, column: usize) -> Result<DateTime<Utc>, DatabaseError> {
        let micros = self.int(column)?;
        DateTime::from_timestamp_micros(micros).ok_or_else(|| bad(column, "not an instant"))
    }

    /// A TEXT that one of our types was written as.
    pub(crate) fn parse<T: std::str::FromStr>(&self, column: usize) -> Result<T, DatabaseError>
    where
        T::Err: std::fmt::Display,
    {
        self.text(column)?.parse().map_err(|error: T::Err| bad(column, &error.to_string()))
    }

    /// The same for a TEXT that may be missing.
    pub(crate) fn optional_parse<T: std::str::FromStr>(
        &self,
        column: usize,
    ) -> Result<Option<T>, DatabaseError>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.optional_text(column)?;
        text.map(|text| text.parse().map_err(|error: T::Err| bad(column, &error.to_string())))
            .transpose()
    }
}

/// A row holds what no projection wrote.
pub(crate) fn bad_row(reason: &str) -> DatabaseError {
    DatabaseError::Broken(sqlx::Error::Decode(reason.to_owned().into()))
}

fn bad(column: usize, reason: &str) -> DatabaseError {
    DatabaseError::Broken(sqlx::Error::ColumnDecode {
        index: column.to_string(),
        source: reason.to_owned().into(),
    })
}
