//! The file: its tables, its identity, and the connections to it.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqlitePool};
use uuid::Uuid;

use super::{OpenOptions, table};
use crate::position::{LogId, Sequence, Topic};

/// The version of the tables; a file with a newer one is refused.
const SCHEMA_VERSION: i64 = 1;

/// Connections that read at the same time; each is a thread.
const READERS_MAX: u32 = 4;

/// Rows that a reader fetches ahead of who asks for them; a row may be an append's size.
const ROWS_AHEAD_MAX: usize = 16;

/// How long opening waits for another process that holds the file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pages of a new file. A batch of clicks is hundreds of kilobytes: with SQLite's 4 KiB it would be
/// written, and read again, in a hundred system calls.
const PAGE_BYTES: u32 = 16 * 1024;

/// Pages in the write-ahead log from which on a commit moves them to the file: 16 MiB.
const CHECKPOINT_PAGES: u32 = 1_024;

/// The size of the write-ahead log from which on the writer waits for the readers that keep it
/// from beginning anew. Without, readers that take turns would let it grow without end.
pub(super) const WAL_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Look at the file, its directory and the disk.
    #[error("the log file fails: {0}")]
    File(#[from] sqlx::Error),
    /// Use the version of hoplog that wrote it, or a later one.
    #[error("the log file has schema version {found}; this program knows up to {SCHEMA_VERSION}")]
    Newer {
        /// The version in the file.
        found: i64,
    },
    /// Restore the file from a copy, or choose another.
    #[error("the log file has no valid identity")]
    Identity,
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .page_size(PAGE_BYTES)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// How the one connection that writes is opened; `create` makes a file that is not there.
pub(super) fn for_writing(path: &Path, open: OpenOptions, create: bool) -> SqliteConnectOptions {
    let options = options(path)
        .create_if_missing(create)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
        .pragma("journal_size_limit", WAL_BYTES_MAX.to_string())
        // What is moved to another page leaves nothing behind. Appends move next to nothing.
        .pragma("secure_delete", "ON");
    match open.pages_max {
        Some(pages_max) => options.pragma("max_page_count", pages_max.to_string()),
        None => options,
    }
}

/// Connections that are kept for ever: opening one costs more than a read.
pub(super) async fn open_for_reading(path: &Path) -> Result<SqlitePool, OpenError> {
    let pool = SqlitePoolOptions::new()
        .max_connections(READERS_MAX)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false);
    Ok(pool.connect_with(options(path).read_only(true).row_buffer_size(ROWS_AHEAD_MAX)).await?)
}

/// Makes the tables and the identity of a new file, checks those of an old one.
pub(super) async fn prepare(connection: &mut SqliteConnection) -> Result<LogId, OpenError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    if found > SCHEMA_VERSION {
        return Err(OpenError::Newer { found });
    }
    if found == 0 {
        sqlx::raw_sql(include_str!("log.sql")).execute(&mut *transaction).await?;
        for topic in Topic::ALL {
            let sql = include_str!("topic.sql").replace("{topic}", table(topic));
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
        }
        sqlx::query("INSERT INTO log (id) VALUES ($1)")
            .bind(Uuid::new_v4().to_string())
            .execute(&mut *transaction)
            .await?;
        let version = format!("PRAGMA user_version = {SCHEMA_VERSION}");
        sqlx::raw_sql(AssertSqlSafe(version)).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    identity(connection).await
}

/// The identity of a log that exists.
pub(super) async fn identity(connection: &mut SqliteConnection) -> Result<LogId, OpenError> {
    let id: String = sqlx::query_scalar("SELECT id FROM log").fetch_one(connection).await?;
    Uuid::try_parse(&id).map(LogId).map_err(|_| OpenError::Identity)
}

/// The last sequence of every topic, in the order of [`Topic::ALL`].
pub(super) async fn heads(connection: &mut SqliteConnection) -> Result<[Sequence; 3], sqlx::Error> {
    let mut heads = [Sequence::START; 3];
    for (head, topic) in heads.iter_mut().zip(Topic::ALL) {
        let sql = format!("SELECT COALESCE(MAX(sequence), 0) FROM {}", table(topic));
        let last: i64 = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *connection).await?;
        *head = Sequence(last.unsigned_abs());
    }
    Ok(heads)
}
