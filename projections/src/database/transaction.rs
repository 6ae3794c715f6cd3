//! A transaction on either database.

use super::text_index::dropped_with;
use super::{DatabaseError, Row, Rows, Value, postgres, sqlite};

/// A transaction that writes. Dropped without `commit`, it changed nothing.
#[derive(Debug)]
pub(crate) enum Transaction {
    /// On the one connection that writes the file.
    Sqlite(sqlite::Transaction),
    /// On one of several connections.
    Postgres(postgres::Transaction),
}

impl Transaction {
    /// Runs a statement; the number of rows it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: String,
        values: &[Value],
    ) -> Result<u64, DatabaseError> {
        match self {
            Self::Sqlite(transaction) => transaction.execute(sql, values).await,
            Self::Postgres(transaction) => transaction.execute(sql, values).await,
        }
    }

    /// Runs a statement with a batch of rows in the place of `{rows}`; none: does nothing.
    pub(crate) async fn write(&mut self, sql: &str, rows: Rows) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(transaction) => transaction.write(sql, &rows).await,
            Self::Postgres(transaction) => transaction.write(sql, rows).await,
        }
    }

    /// Adds new rows to a table that has the rows' columns in their order. They are made while those before
    /// are written: there are two parts in memory at most, of [`PART_ROWS`](super::PART_ROWS) rows each.
    pub(crate) async fn append(
        &mut self,
        table: &str,
        parts: impl Iterator<Item = Rows> + Send,
    ) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(transaction) => transaction.append(table, parts).await,
            Self::Postgres(transaction) => transaction.copy(table, parts).await,
        }
    }

    /// The same for a table that is `{by_month}`: the parts that the times fall in are made first.
    pub(crate) async fn append_by_month(
        &mut self,
        table: &str,
        micros: impl Iterator<Item = i64> + Send,
        rows: impl Iterator<Item = Rows> + Send,
    ) -> Result<(), DatabaseError> {
        if let Self::Postgres(transaction) = self {
            transaction.make_months(table, micros).await?;
        }
        self.append(table, rows).await
    }

    /// Reads what matches a batch of rows in the place of `{rows}`.
    pub(crate) async fn read<F>(
        &mut self,
        sql: &str,
        rows: Rows,
        each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        match self {
            Self::Sqlite(transaction) => transaction.read(sql, &rows, each).await,
            Self::Postgres(transaction) => transaction.read(sql, rows, each).await,
        }
    }

    /// Runs several statements without parameters: the definition of tables.
    pub(crate) async fn define(&mut self, sql: &str) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(transaction) => transaction.define(sql).await,
            Self::Postgres(transaction) => transaction.define(sql).await,
        }
    }

    /// Drops a table, and what finds its rows by their texts.
    pub(crate) async fn drop_table(&mut self, table: &str) -> Result<(), DatabaseError> {
        self.define(&format!("drop table if exists {table}")).await?;
        match self {
            Self::Sqlite(transaction) => transaction.define(&dropped_with(table)).await,
            Self::Postgres(_) => Ok(()),
        }
    }

    /// The same where rows are there already: indexes, which may take hours.
    pub(crate) async fn define_at_length(&mut self, sql: &str) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(transaction) => transaction.define(sql).await,
            Self::Postgres(transaction) => transaction.define_at_length(sql).await,
        }
    }

    /// Notes that something is erased which the database's file still has, where that is a file of
    /// this process: see [`super::Database::scrub`].
    pub(crate) async fn mark_unscrubbed(&mut self, mark: &str) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(transaction) => transaction.mark_unscrubbed(mark).await,
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Makes everything done so far last.
    pub(crate) async fn commit(self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }
}
