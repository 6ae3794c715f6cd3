//! SQLite: one writer connection, some readers that never wait for it (WAL).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteError, SqliteJournalMode,
    SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Sqlite};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::rows::Cell;
use super::{DatabaseError, Row, Rows, Value};

/// Connections for queries; each is a thread, and two cores answer no more at once.
const READERS_MAX: u32 = 4;

/// How long a query waits for a connection, or a statement for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a projector waits for its turn to write; batches are bounded, so turns are short.
const TURN_TIMEOUT: Duration = Duration::from_mins(1);

/// Pages (of 4 KiB) in the write-ahead log before they are moved into the file, which syncs both:
/// rarely enough that the log on the same disk is not held up.
const WAL_PAGES: u32 = 8_192;

/// How many prepared statements a connection keeps; every question of every projection fits.
const STATEMENTS_MAX: usize = 256;

/// One SQLite file. This process is its only writer.
#[derive(Debug, Clone)]
pub struct SqliteDatabase {
    writer: SqlitePool,
    readers: SqlitePool,
    defining: Arc<Mutex<()>>,
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

fn query(sql: String, values: &[Value]) -> Query<'static> {
    let query = sqlx::query(AssertSqlSafe(sql));
    values.iter().fold(query, |query, value| match value {
        Value::Int(value) => query.bind(*value),
        Value::Text(value) => query.bind(value.clone()),
    })
}

fn batch(sql: String, cells: Vec<Cell>) -> Query<'static> {
    let query = sqlx::query(AssertSqlSafe(sql));
    cells.into_iter().fold(query, |query, cell| match cell {
        Cell::Int(value) => query.bind(value),
        Cell::Text(value) => query.bind(value),
        Cell::Bytes(value) => query.bind(value),
    })
}

impl SqliteDatabase {
    pub(super) async fn open(path: &Path) -> Result<Self, DatabaseError> {
        // `synchronous=NORMAL` may lose the last transactions when the machine loses power, but
        // never a part of one: rows and checkpoint go back together and are folded again.
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("temp_store", "memory")
            .pragma("wal_autocheckpoint", WAL_PAGES.to_string())
            .statement_cache_capacity(STATEMENTS_MAX);
        let pool = SqlitePoolOptions::new().acquire_timeout(BUSY_TIMEOUT);
        let writer = pool.clone().max_connections(1).acquire_timeout(TURN_TIMEOUT);
        let writer = writer.connect_with(options.clone()).await?;
        // Opened by whoever asks first, on a thread of their priority.
        let readers = pool
            .max_connections(READERS_MAX)
            .connect_lazy_with(options.create_if_missing(false).read_only(true));
        Ok(Self { writer, readers, defining: Arc::default() })
    }

    pub(super) async fn for_each<F>(
        &self,
        sql: String,
        values: &[Value],
        mut each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        let mut rows = query(render(&sql), values).fetch(&self.readers);
        while let Some(row) = rows.try_next().await? {
            each(&Row::Sqlite(row))?;
        }
        Ok(())
    }

    pub(super) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        let mut transaction = Transaction(Some(self.writer.acquire().await?));
        transaction.run("begin immediate").await?;
        Ok(transaction)
    }

    /// Waits while somebody else opens read models: only this process writes the file.
    pub(super) async fn definition_turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.defining).lock_owned().await
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// A transaction on the one writer connection. Dropped without `commit`, it changed nothing, and
/// its connection is closed: SQLite ends a transaction that meets a full disk by itself, and what
/// state a connection is in after a failure is not worth finding out.
#[derive(Debug)]
pub(crate) struct Transaction(Option<PoolConnection<Sqlite>>);

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.0 {
            connection.close_on_drop();
        }
    }
}

impl Transaction {
    /// The connection; it is there until the transaction is committed.
    fn connection(&mut self) -> Result<&mut SqliteConnection, DatabaseError> {
        let connection = self.0.as_deref_mut();
        connection.ok_or(DatabaseError::Unavailable(sqlx::Error::PoolClosed))
    }

    async fn run(&mut self, sql: &'static str) -> Result<(), DatabaseError> {
        sqlx::raw_sql(sql).execute(self.connection()?).await?;
        Ok(())
    }

    /// Runs a statement; the number of rows it changed.
    pub(crate) async fn execute(
        &mut self,
        sql: String,
        values: &[Value],
    ) -> Result<u64, DatabaseError> {
        let done = query(render(&sql), values).execute(self.connection()?).await?;
        Ok(done.rows_affected())
    }

    /// Runs a statement with a batch of rows in the place of `{rows}`, as often as the batch is
    /// cut; none: does nothing.
    pub(crate) async fn write(&mut self, sql: &str, rows: Rows) -> Result<(), DatabaseError> {
        let sql = render(sql);
        for (source, cells) in rows.into_sqlite() {
            batch(sql.replace("{rows}", &source), cells).execute(self.connection()?).await?;
        }
        Ok(())
    }

    /// Reads what matches a batch of rows in the place of `{rows}`.
    pub(crate) async fn read<F>(
        &mut self,
        sql: &str,
        rows: Rows,
        mut each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        let sql = render(sql);
        for (source, cells) in rows.into_sqlite() {
            let mut answer = batch(sql.replace("{rows}", &source), cells).fetch(self.connection()?);
            while let Some(row) = answer.try_next().await? {
                each(&Row::Sqlite(row))?;
            }
        }
        Ok(())
    }

    /// Runs several statements without parameters: the definition of tables.
    pub(crate) async fn define(&mut self, sql: &str) -> Result<(), DatabaseError> {
        sqlx::raw_sql(AssertSqlSafe(render(sql))).execute(self.connection()?).await?;
        Ok(())
    }

    /// Makes everything done so far last.
    pub(crate) async fn commit(mut self) -> Result<(), DatabaseError> {
        self.run("commit").await?;
        // Back to the pool.
        self.0 = None;
        Ok(())
    }
}

/// Writes the few words that differ between databases.
fn render(sql: &str) -> String {
    sql.replace("{clustered}", "without rowid")
        .replace("{by_month}", "without rowid")
        .replace("{, month}", "")
        .replace("{bytes}", "blob")
        .replace("{text}", "text")
        .replace("{now}", "cast(unixepoch('subsec') * 1000000 as integer)")
}

/// Whether the same statement may succeed later: busy, locked, out of space, or no connection.
pub(super) fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => true,
        sqlx::Error::Database(error) if error.try_downcast_ref::<SqliteError>().is_some() => {
            let code = error.code().and_then(|code| code.parse::<u32>().ok()).unwrap_or_default();
            // The low byte is the primary code: BUSY, LOCKED, IOERR, FULL, CANTOPEN.
            matches!(code & 0xff, 5 | 6 | 10 | 13 | 14)
        }
        _ => false,
    }
}
