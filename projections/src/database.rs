//! The database of the read models, and the only place where dialects differ.
//!
//! Statements are one text for every database: `$1` parameters, `on conflict`, BIGINT
//! microseconds for times. Four things are written by the dialect: `{rows}` (where a
//! statement reads a batch of rows from, see [`Rows`]), `{clustered}` (a table kept in the
//! order of its primary key), `{bytes}` (the type of a byte string) and `{now}` (the database's
//! clock).

mod row;
mod rows;
mod sqlite;

use std::path::Path;

pub(crate) use row::{Row, bad_row};
pub(crate) use rows::{Column, Rows};
use sqlite::SqliteDatabase;
pub(crate) use sqlite::Transaction;

/// Why the database did not answer.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// Try again: the database is away or busy.
    #[error("the read models are unavailable: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A statement or a row is not what this version expects. Trying again is no use: rebuild.
    #[error("the read models can't be used: {0}")]
    Broken(#[source] sqlx::Error),
}

impl From<sqlx::Error> for DatabaseError {
    fn from(error: sqlx::Error) -> Self {
        if sqlite::is_transient(&error) { Self::Unavailable(error) } else { Self::Broken(error) }
    }
}

/// A parameter of a statement. The type is known even when there is no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// BIGINT.
    Int(Option<i64>),
    /// TEXT.
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

/// A database that holds read models. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Database {
    /// One file, this process its only writer.
    Sqlite(SqliteDatabase),
}

impl Database {
    /// Opens the database in a file, which is made if there is none.
    ///
    /// # Errors
    /// When the file can't be opened or is not a database.
    pub async fn open_sqlite(path: &Path) -> Result<Self, DatabaseError> {
        SqliteDatabase::open(path).await.map(Self::Sqlite)
    }

    /// Calls `each` with every row of the answer, one at a time; memory stays bounded however
    /// long the answer is.
    pub(crate) async fn for_each<F>(
        &self,
        sql: String,
        values: &[Value],
        each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        match self {
            Self::Sqlite(database) => database.for_each(sql, values, each).await,
        }
    }

    /// All rows of a short answer.
    pub(crate) async fn fetch<T: Send>(
        &self,
        sql: String,
        values: &[Value],
        mut read: impl FnMut(&Row) -> Result<T, DatabaseError> + Send,
    ) -> Result<Vec<T>, DatabaseError> {
        let mut rows = Vec::new();
        self.for_each(sql, values, |row| {
            rows.push(read(row)?);
            Ok(())
        })
        .await?;
        Ok(rows)
    }

    /// Begins a transaction; waits while another one is open. Dropping it changes nothing.
    pub(crate) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        match self {
            Self::Sqlite(database) => database.begin().await,
        }
    }

    /// Closes every connection, after what they are doing.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(database) => database.close().await,
        }
    }
}
