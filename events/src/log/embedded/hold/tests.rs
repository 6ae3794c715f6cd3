//! What the file is opened with, and the bound of the write-ahead log.

use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;

use super::*;

const BOUND: u64 = 4 * 1024 * 1024;

async fn held() -> (TempDir, Hold) {
    let dir = tempfile::tempdir().unwrap();
    let opened = Hold::open(&dir.path().join("log.db"), OpenOptions::default()).await;
    let (mut hold, ..) = opened.unwrap();
    (hold.wal_bytes_max, hold.wal_bytes_next) = (BOUND, BOUND);
    (dir, hold)
}

async fn pragma(connection: &mut SqliteConnection, name: &str) -> String {
    let sql = format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}");
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.unwrap()
}

/// Writes something of a size; the size of the write-ahead log after it, and after its bound was
/// seen to.
async fn write(hold: &mut Hold, name: &str, bytes: u64) -> (u64, u64) {
    let sql = format!("CREATE TABLE {name} AS SELECT randomblob({bytes})");
    let connection = hold.connection.as_mut().unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
    let size = |hold: &Hold| std::fs::metadata(&hold.wal).unwrap().len();
    let before = size(hold);
    hold.bound_wal().await.unwrap();
    (before, size(hold))
}

/// `FULL` (2) is what syncs the write-ahead log at each commit.
#[tokio::test]
async fn what_is_committed_is_synced() {
    let (_dir, mut hold) = held().await;
    let (again, _) = {
        let id = files::identity(hold.connection.as_mut().unwrap()).await.unwrap();
        hold.again(id).await.unwrap()
    };
    for mut connection in [hold.take().unwrap(), again] {
        assert_eq!(pragma(&mut connection, "synchronous").await, "2");
        assert_eq!(pragma(&mut connection, "journal_mode").await, "wal");
        assert_eq!(pragma(&mut connection, "journal_size_limit").await, WAL_BYTES_MAX.to_string());
    }
}

#[tokio::test]
async fn a_file_that_was_exchanged_or_taken_away_is_not_written() {
    let (dir, mut hold) = held().await;
    let id = files::identity(hold.connection.as_mut().unwrap()).await.unwrap();
    hold.take().unwrap().close().await.unwrap();
    let other = dir.path().join("other.db");
    Hold::open(&other, OpenOptions::default()).await.unwrap().0.close().await;
    std::fs::rename(&other, &hold.path).unwrap();
    assert!(matches!(hold.again(id).await, Err(OpenError::Identity)));
    std::fs::remove_file(&hold.path).unwrap();
    assert!(matches!(hold.again(id).await, Err(OpenError::File(_))));
    assert!(!hold.path.exists(), "no new log is made in the place of one that is lost");
}

/// A reader that stays on an old state keeps the write-ahead log from beginning anew, and the
/// writer from nothing else.
#[tokio::test]
async fn the_write_ahead_log_begins_anew_when_it_is_past_its_bound_and_no_reader_is_in_the_way() {
    let (_dir, mut hold) = held().await;
    let (before, after) = write(&mut hold, "first", BOUND / 2).await;
    assert!(before < BOUND && after == before, "{before} {after}");

    let options = SqliteConnectOptions::new().filename(&hold.path).read_only(true);
    let mut reader = options.connect().await.unwrap();
    let mut reading = reader.begin().await.unwrap();
    let seen = sqlx::raw_sql("SELECT count(*) FROM first").execute(&mut *reading).await;
    seen.unwrap();
    let (before, after) = write(&mut hold, "second", BOUND).await;
    assert!(before > BOUND && after == before, "{before} {after}");
    assert_eq!(hold.wal_bytes_next, before + BOUND, "the reader is not waited for at each commit");

    reading.rollback().await.unwrap();
    let (before, after) = write(&mut hold, "third", BOUND).await;
    assert!(before > BOUND, "{before}");
    assert_eq!((after, hold.wal_bytes_next), (0, BOUND));
}
