//! SQLite: one writer connection, and readers that never wait for it (WAL).
//!
//! ```text
//! redirects, commands   ──► lookups' pool   the next one is answered in microseconds
//! lists, statistics     ──► answers' pool   interrupted after a time, or when nobody waits
//! projectors, operators ──► workers' pool   their threads yield to the others
//! ```

mod scrub;
mod snapshot;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteError, SqliteJournalMode,
    SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Executor, Sqlite};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::rows::CellRef;
use super::{DatabaseError, Purpose, Row, Rows, Value, text_index};
pub(crate) use snapshot::Snapshot;

/// Connections of each pool of readers; each is a thread.
const READERS_MAX: u32 = 4;

/// How many long answers may be under way at once; the other connections are for short ones.
pub(super) const LONG_ANSWERS_MAX: usize = 2;

/// How long people wait for an answer at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How many of SQLite's instructions (well below a microsecond each) run between two looks at the
/// clock.
const STEPS: i32 = 10_000;

/// The code of a statement that was interrupted.
const INTERRUPTED: &str = "9";

/// How long a query waits for a connection, or a statement for a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a projector waits for its turn to write; batches are bounded, so turns are short.
const TURN_TIMEOUT: Duration = Duration::from_mins(1);

/// Pages (of 4 KiB) in the write-ahead log before they are moved into the file, which syncs both:
/// rarely enough that the log on the same disk is not held up.
const WAL_PAGES: u32 = 8_192;

/// What the writer keeps of the file in memory, in KiB. A batch looks thousands of rows up in trees of
/// all buckets and links; what does not fit into SQLite's own 2 MiB is read anew for each.
const WRITER_CACHE_KIB: u32 = 16 * 1024;

/// How many prepared statements a connection keeps; every question of every projection fits.
const STATEMENTS_MAX: usize = 256;

/// One SQLite file. This process is its only writer.
#[derive(Debug, Clone)]
pub struct SqliteDatabase {
    writer: SqlitePool,
    lookups: SqlitePool,
    answers: SqlitePool,
    workers: SqlitePool,
    answer_timeout: Duration,
    defining: Arc<Mutex<()>>,
    /// When the file is written anew: by one at a time.
    pace: Arc<Mutex<scrub::Pace>>,
}

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

fn query(sql: String, values: &[Value]) -> Query<'static> {
    let query = sqlx::query(AssertSqlSafe(sql));
    values.iter().fold(query, |query, value| match value {
        Value::Int(value) => query.bind(*value),
        Value::Text(value) => query.bind(value.clone()),
    })
}

fn batch<'c>(sql: String, cells: impl Iterator<Item = CellRef<'c>>) -> Query<'static> {
    let query = sqlx::query(AssertSqlSafe(sql));
    cells.fold(query, |query, cell| match cell {
        CellRef::Null => query.bind(None::<i64>),
        CellRef::Int(value) => query.bind(value),
        CellRef::Text(value) => query.bind(Arc::clone(value)),
        CellRef::Bytes(value) => query.bind(Arc::clone(value)),
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
        let cache = format!("-{WRITER_CACHE_KIB}");
        let writer = writer.connect_with(options.clone().pragma("cache_size", cache)).await?;
        // Opened by whoever asks first, on a thread of their priority.
        let options = options.create_if_missing(false).read_only(true);
        let pool = pool.max_connections(READERS_MAX);
        let readers = || pool.clone().connect_lazy_with(options.clone());
        let (lookups, answers, workers) = (readers(), readers(), readers());
        let (answer_timeout, defining, pace) = (ANSWER_TIMEOUT, Arc::default(), Arc::default());
        Ok(Self { writer, lookups, answers, workers, answer_timeout, defining, pace })
    }

    pub(super) async fn for_each<F>(
        &self,
        purpose: Purpose,
        sql: String,
        values: &[Value],
        each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        let query = query(render(&sql), values);
        match purpose {
            Purpose::Lookup => read(query, &self.lookups, each).await,
            Purpose::Projection => read(query, &self.workers, each).await,
            Purpose::Answer => self.answer(query, each).await,
        }
    }

    /// SQLite is told to stop when the time is over, and when the caller has gone: it would hold
    /// the connection, and a core, to the end.
    async fn answer<F>(&self, query: Query<'_>, each: F) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        let deadline = Instant::now() + self.answer_timeout;
        let caller = Arc::new(());
        let waits = Arc::downgrade(&caller);
        let mut connection = self.answers.acquire().await?;
        let goes_on = move || waits.strong_count() > 0 && Instant::now() < deadline;
        connection.lock_handle().await?.set_progress_handler(STEPS, goes_on);
        match read(query, &mut *connection, each).await {
            Err(DatabaseError::Broken(sqlx::Error::Database(error)))
                if error.code().is_some_and(|code| code == INTERRUPTED) =>
            {
                Err(DatabaseError::TooLong)
            }
            other => other,
        }
    }

    pub(super) async fn begin(&self) -> Result<Transaction, DatabaseError> {
        let mut transaction =
            Transaction { connection: Some(self.writer.acquire().await?), is_durable: false };
        transaction.run("begin immediate").await?;
        Ok(transaction)
    }

    /// A transaction whose end is synced to the disk, with all that were before it.
    pub(super) async fn begin_durable(&self) -> Result<Transaction, DatabaseError> {
        let mut transaction =
            Transaction { connection: Some(self.writer.acquire().await?), is_durable: true };
        transaction.run("pragma synchronous = full").await?;
        transaction.run("begin immediate").await?;
        Ok(transaction)
    }

    /// Waits while somebody else opens read models: only this process writes the file.
    pub(super) async fn definition_turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.defining).lock_owned().await
    }

    pub(super) async fn close(&self) {
        for readers in [&self.lookups, &self.answers, &self.workers] {
            readers.close().await;
        }
        self.writer.close().await;
    }
}

async fn read<'c, F>(
    query: Query<'_>,
    connection: impl Executor<'c, Database = Sqlite>,
    mut each: F,
) -> Result<(), DatabaseError>
where
    F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
{
    let mut rows = query.fetch(connection);
    while let Some(row) = rows.try_next().await? {
        each(&Row::Sqlite(row))?;
    }
    Ok(())
}

/// A transaction on the one writer connection. Dropped without `commit`, it changed nothing, and
/// its connection is closed: SQLite ends a transaction that meets a full disk by itself, and what
/// state a connection is in after a failure is not worth finding out.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// It is there until the transaction is committed.
    connection: Option<PoolConnection<Sqlite>>,
    /// Whether the connection syncs what it commits.
    is_durable: bool,
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.close_on_drop();
        }
    }
}

impl Transaction {
    fn connection(&mut self) -> Result<&mut SqliteConnection, DatabaseError> {
        let connection = self.connection.as_deref_mut();
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
    pub(crate) async fn write(&mut self, sql: &str, rows: &Rows) -> Result<(), DatabaseError> {
        let sql = render(sql);
        for (source, cells) in rows.sqlite_statements() {
            let statement = batch(sql.replace("{rows}", &source), cells);
            statement.execute(self.connection()?).await?;
        }
        Ok(())
    }

    /// Reads what matches a batch of rows in the place of `{rows}`.
    pub(crate) async fn read<F>(
        &mut self,
        sql: &str,
        rows: &Rows,
        mut each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        let sql = render(sql);
        for (source, cells) in rows.sqlite_statements() {
            let statement = batch(sql.replace("{rows}", &source), cells);
            let mut answer = statement.fetch(self.connection()?);
            while let Some(row) = answer.try_next().await? {
                each(&Row::Sqlite(row))?;
            }
        }
        Ok(())
    }

    /// Runs several statements without parameters: the definition of tables.
    pub(crate) async fn define(&mut self, sql: &str) -> Result<(), DatabaseError> {
        let sql = text_index::for_sqlite(&render(sql));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(self.connection()?).await?;
        Ok(())
    }

    /// Makes everything done so far last.
    pub(crate) async fn commit(mut self) -> Result<(), DatabaseError> {
        self.run("commit").await?;
        if self.is_durable {
            self.run("pragma synchronous = normal").await?;
        }
        // Back to the pool.
        self.connection = None;
        Ok(())
    }
}

/// Writes the few words that differ between databases.
fn render(sql: &str) -> String {
    sql.replace("{clustered}", "without rowid")
        .replace("{numbered}", "integer primary key")
        .replace("{filled}", "")
        .replace(
            "{numbers in $1}",
            "(select cast(value as integer) as number from json_each('[' || $1 || ']'))",
        )
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
        // BUSY, LOCKED, IOERR, FULL, CANTOPEN.
        error => primary_code(error).is_some_and(|code| matches!(code, 5 | 6 | 10 | 13 | 14)),
    }
}

/// Whether a value or a row is not allowed: TOOBIG, CONSTRAINT, MISMATCH.
pub(super) fn is_about_a_row(error: &sqlx::Error) -> bool {
    primary_code(error).is_some_and(|code| matches!(code, 18..=20))
}

/// The low byte of SQLite's code.
fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let sqlx::Error::Database(error) = error else { return None };
    error.try_downcast_ref::<SqliteError>()?;
    Some(error.code()?.parse::<u32>().ok()? & 0xff)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives no row, and never ends by itself.
    const ENDLESS: &str = "with recursive n(x) as (select 1 union all select x + 1 from n) select x from n where x < 0";

    async fn ask(
        database: &SqliteDatabase,
        purpose: Purpose,
        sql: &str,
    ) -> Result<i64, DatabaseError> {
        let mut number = 0;
        let each = |row: &Row| row.int(0).map(|read| number = read);
        database.for_each(purpose, sql.to_owned(), &[], each).await.map(|()| number)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn endless_answers_hold_nobody_else_up_and_are_interrupted() {
        let dir = tempfile::tempdir().unwrap();
        let mut database = SqliteDatabase::open(&dir.path().join("r.db")).await.unwrap();
        database.answer_timeout = Duration::from_mins(10);
        let endless: Vec<_> = (0..READERS_MAX)
            .map(|_| {
                let database = database.clone();
                tokio::spawn(async move { ask(&database, Purpose::Answer, ENDLESS).await })
            })
            .collect();
        while database.answers.size() < READERS_MAX || database.answers.num_idle() > 0 {
            tokio::task::yield_now().await;
        }
        for purpose in [Purpose::Lookup, Purpose::Projection] {
            assert_eq!(ask(&database, purpose, "select 1").await.unwrap(), 1, "{purpose:?}");
        }
        // Nobody waits for them any more: their connections are free at once.
        endless.iter().for_each(tokio::task::JoinHandle::abort);
        assert_eq!(ask(&database, Purpose::Answer, "select 2").await.unwrap(), 2);
        database.answer_timeout = Duration::from_millis(20);
        let late = ask(&database, Purpose::Answer, ENDLESS).await;
        assert!(matches!(late, Err(DatabaseError::TooLong)), "{late:?}");
        // The time of one is not that of the next on the same connection.
        database.answer_timeout = Duration::from_mins(10);
        assert_eq!(ask(&database, Purpose::Answer, "select 3").await.unwrap(), 3);
    }
}
