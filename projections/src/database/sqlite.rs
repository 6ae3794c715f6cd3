//! SQLite: one writer connection, and readers that never wait for it (WAL).
//!
//! ```text
//! redirects, commands   ──► lookups' pool   the next one is answered in microseconds
//! lists, statistics     ──► answers' pool   interrupted after a time, or when nobody waits
//! projectors, operators ──► workers' pool   their threads yield to the others
//! builds                ──► writer, and the mover: what one batch left in the write-ahead log goes
//!                           into the file while the next one is written
//! ```

mod scrub;
mod snapshot;
mod transaction;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteError, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, Executor, Row as _, Sqlite};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::packed::Packing;
use super::rows::CellRef;
use super::{DatabaseError, Purpose, Row, Value};
pub(crate) use snapshot::Snapshot;
pub(crate) use transaction::Transaction;

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

/// The same while tables are built, which write as much every second: what is moved beside them is never
/// all, so the writer moves the rest when there is this much.
const BULK_WAL_PAGES: u32 = 4 * WAL_PAGES;

/// SQLite's own, which the file is made with.
const PAGE_BYTES: u64 = 4_096;

/// What the writer keeps of the file in memory, in KiB. A batch looks thousands of rows up in trees of
/// all buckets and links; what does not fit into SQLite's own 2 MiB is read anew for each.
const WRITER_CACHE_KIB: u32 = 16 * 1024;

/// The same while tables are built: what a batch of a build changes, which else is written before its time
/// and read back.
const BULK_CACHE_KIB: u32 = 64 * 1024;

/// What the writer's connection is set to: how long the write-ahead log gets, what is kept of the file in memory, and how
/// long the log's file stays once its pages were moved.
fn settings(wal_pages: u32, cache_kib: u32) -> [(&'static str, String); 3] {
    [
        ("wal_autocheckpoint", wal_pages.to_string()),
        ("cache_size", format!("-{cache_kib}")),
        ("journal_size_limit", (u64::from(wal_pages) * PAGE_BYTES).to_string()),
    ]
}

/// How long the mover's connection is kept when no tables are built.
const MOVER_IDLE: Duration = Duration::from_secs(10);

/// How many prepared statements a connection keeps; every question of every projection fits.
const STATEMENTS_MAX: usize = 256;

/// How many rows a connection's thread reads before somebody has to take them: with few of them (50 are usual) both threads
/// spend more time waking each other than on the rows.
const ROWS_AHEAD: usize = 1_024;

/// One SQLite file. This process is its only writer.
#[derive(Debug, Clone)]
pub struct SqliteDatabase {
    writer: SqlitePool,
    lookups: SqlitePool,
    answers: SqlitePool,
    workers: SqlitePool,
    /// Moves pages from the write-ahead log into the file.
    mover: SqlitePool,
    /// Whether the log was long when that was done last.
    moving: Arc<Mutex<bool>>,
    pub(super) answer_timeout: Duration,
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
            .statement_cache_capacity(STATEMENTS_MAX)
            .row_buffer_size(ROWS_AHEAD);
        let pool = SqlitePoolOptions::new().acquire_timeout(BUSY_TIMEOUT);
        let writer = pool.clone().max_connections(1).acquire_timeout(TURN_TIMEOUT);
        let usual = settings(WAL_PAGES, WRITER_CACHE_KIB).into_iter();
        let set = |options: SqliteConnectOptions, (name, value)| options.pragma(name, value);
        let writer = writer.connect_with(usual.fold(options.clone(), set)).await?;
        let mover = pool.clone().max_connections(1).idle_timeout(MOVER_IDLE);
        let mover = mover.connect_lazy_with(options.clone().create_if_missing(false));
        // Opened by whoever asks first, on a thread of their priority.
        let options = options.create_if_missing(false).read_only(true);
        let pool = pool.max_connections(READERS_MAX);
        let readers = || pool.clone().connect_lazy_with(options.clone());
        let (lookups, answers, workers) = (readers(), readers(), readers());
        Ok(Self {
            writer,
            lookups,
            answers,
            workers,
            mover,
            moving: Arc::default(),
            answer_timeout: ANSWER_TIMEOUT,
            defining: Arc::default(),
            pace: Arc::default(),
        })
    }

    pub(super) async fn for_each<F>(
        &self,
        purpose: Purpose,
        sql: String,
        values: &[Value],
        mut each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        let Some(packing) = Packing::of(&sql) else {
            return self.ask(purpose, query(render(&sql), values), each).await;
        };
        let query = query(render(&packing.packed(&sql)), values);
        let each = |row: &Row| packing.each_row(row.optional_bytes(0)?, &mut each);
        self.ask(purpose, query, each).await
    }

    async fn ask<F>(&self, purpose: Purpose, query: Query<'_>, each: F) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
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

    /// Moves into the file what has been committed to the write-ahead log. Nobody waits for that but who asks
    /// for it: neither who writes nor who reads. One is at it at a time; who comes meanwhile does nothing.
    ///
    /// As long as somebody is at it the log begins nowhere anew. Where it is long, nothing is done once: the
    /// next transaction moves the rest, and the one behind it writes at the beginning.
    pub(super) async fn move_wal(&self) -> Result<(), DatabaseError> {
        let Ok(mut is_long) = self.moving.try_lock() else { return Ok(()) };
        if std::mem::take(&mut *is_long) {
            return Ok(());
        }
        let mut connection = self.mover.acquire().await?;
        let pages = connection.fetch_one("pragma wal_checkpoint(passive)").await?;
        *is_long = pages.try_get::<i64, _>(1)? >= i64::from(BULK_WAL_PAGES);
        Ok(())
    }

    /// Waits while somebody else opens read models: only this process writes the file.
    pub(super) async fn definition_turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.defining).lock_owned().await
    }

    pub(super) async fn close(&self) {
        for readers in [&self.lookups, &self.answers, &self.workers] {
            readers.close().await;
        }
        self.mover.close().await;
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

/// Writes the few words that differ between databases.
fn render(sql: &str) -> String {
    sql.replace("{clustered}", "without rowid")
        .replace("{numbered}", "integer primary key")
        .replace("{filled}", "")
        .replace(
            "{numbers in $1}",
            "(select cast(value as integer) as number from json_each('[' || $1 || ']'))",
        )
        .replace("{for each}", "")
        .replace("{of those}", "")
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
