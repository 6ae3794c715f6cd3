//! A connection of a pool, and how values are bound on it.

use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection};
use sqlx::{AssertSqlSafe, PgPool, Postgres};

use super::super::packed::Packing;
use super::super::rows::CellRef;
use super::super::{Column, DatabaseError, Rows, Value};

pub(super) type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// A connection while it is used. Dropped without `release` it is closed at once, so that the
/// server rolls back: in the middle of a statement there is nothing to be saved.
#[derive(Debug)]
pub(super) struct Held(Option<PoolConnection<Postgres>>);

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.take().map(PoolConnection::detach));
    }
}

impl Held {
    pub(super) async fn acquire(pool: &PgPool) -> Result<Self, DatabaseError> {
        Ok(Self(Some(pool.acquire().await?)))
    }

    /// It is there until it is released.
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, DatabaseError> {
        self.0.as_deref_mut().ok_or(DatabaseError::Unavailable(sqlx::Error::PoolClosed))
    }

    /// Runs statements without parameters.
    pub(super) async fn run(&mut self, sql: &str) -> Result<(), DatabaseError> {
        let sql = AssertSqlSafe(sql.to_owned());
        sqlx::raw_sql(sql).execute(self.connection()?).await?;
        Ok(())
    }

    /// Gives a connection back on which everything went well.
    pub(super) fn release(mut self) {
        self.0 = None;
    }

    /// Keeps the connection for as long as the caller likes.
    pub(super) fn detach(mut self) -> Result<PgConnection, DatabaseError> {
        let connection = self.0.take().map(PoolConnection::detach);
        connection.ok_or(DatabaseError::Unavailable(sqlx::Error::PoolClosed))
    }
}

/// Waits for an answer no longer than the limit; a server that is frozen gives none.
pub(super) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, DatabaseError>>,
) -> Result<T, DatabaseError> {
    let late = |_| {
        let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time");
        DatabaseError::Unavailable(sqlx::Error::Io(error))
    };
    tokio::time::timeout(limit, Box::pin(answer)).await.map_err(late)?
}

/// A statement with its parameters.
pub(super) fn query(sql: &str, values: &[Value]) -> Query<'static> {
    let query = sqlx::query(AssertSqlSafe(render(sql)));
    values.iter().fold(query, |query, value| match value {
        Value::Int(value) => query.bind(*value),
        Value::Text(value) => query.bind(value.clone()),
    })
}

/// A statement on a batch of rows: one array for each column.
pub(super) fn batch<'q>(sql: &str, rows: &'q Rows) -> Query<'q> {
    let sql = render(sql).replace("{rows}", &rows.postgres_source());
    let query = sqlx::query(AssertSqlSafe(sql));
    rows.columns().fold(query, |query, (column, cells)| match column {
        Column::Int(_) => query.bind(cells.map(CellRef::as_int).collect::<Vec<_>>()),
        Column::Text(_) => query.bind(cells.map(CellRef::as_text).collect::<Vec<_>>()),
        Column::Bytes(_) => query.bind(cells.map(CellRef::as_bytes).collect::<Vec<_>>()),
    })
}

/// Writes the few words that differ between databases. Texts are compared byte by byte, whatever
/// the database's locale is. What is
/// read for each row of a batch is looked up for each: how few rows a range of the batch's has can't be estimated, and
/// the whole table would be read. Pages are not filled to the brim: a row that is counted up then
/// stays in its page, and its index entries stay as they are.
pub(super) fn render(sql: &str) -> String {
    let plain = Packing::of(sql).map(|packing| packing.plain(sql));
    let sql = plain.as_deref().unwrap_or(sql);
    sql.replace("{clustered}", "with (fillfactor = 85)")
        .replace("{numbered}", "bigint primary key")
        .replace("{filled}", "with (fillfactor = 85)")
        .replace(
            "{numbers in $1}",
            "(select cast(n as bigint) as number from unnest(string_to_array($1, ',')) as n)",
        )
        .replace("{for each}", "lateral (select s.* from")
        .replace("{of those}", "offset 0) s")
        .replace("{by_month}", "partition by range (at)")
        .replace("{, month}", ", at")
        .replace("{bytes}", "bytea")
        .replace("{text}", "text collate \"C\"")
        .replace("{now}", "cast(extract(epoch from clock_timestamp()) * 1000000 as bigint)")
}
