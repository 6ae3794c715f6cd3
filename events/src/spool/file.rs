//! The file: its tables, its bound, its size.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::SpoolError;

/// The version of the table; a file with a newer one is refused.
const SCHEMA_VERSION: i64 = 1;

/// Bytes of a page.
const PAGE_BYTES: u32 = 4_096;

/// How large the write-ahead log stays when it begins anew.
const WAL_BYTES_KEPT: u32 = 4 * 1024 * 1024;

/// How long opening waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How the file is opened. The bound is SQLite's own: a page beyond it is a full disk.
pub(super) fn options(path: &Path, bytes_max: u64) -> SqliteConnectOptions {
    let pages_max = bytes_max / u64::from(PAGE_BYTES);
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .page_size(PAGE_BYTES)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", WAL_BYTES_KEPT.to_string())
        .pragma("max_page_count", pages_max.to_string())
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// Makes the table of a new file, checks the version of an old one.
pub(super) async fn prepare(connection: &mut SqliteConnection) -> Result<(), SpoolError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    if found > SCHEMA_VERSION {
        return Err(SpoolError::Newer { found, known: SCHEMA_VERSION });
    }
    if found == 0 {
        sqlx::raw_sql(include_str!("spool.sql")).execute(&mut *transaction).await?;
        let version = format!("PRAGMA user_version = {SCHEMA_VERSION}");
        sqlx::raw_sql(AssertSqlSafe(version)).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// Cuts off free pages and the write-ahead log.
pub(super) async fn shrink(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("PRAGMA incremental_vacuum").execute(&mut *connection).await?;
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(connection).await?;
    Ok(())
}
