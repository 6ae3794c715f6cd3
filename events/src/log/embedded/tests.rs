//! The conformance suite on the embedded log, and what only it promises.

use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;
use tempfile::TempDir;
use uuid::Uuid;

use super::{EmbeddedLog, OpenError, OpenOptions};
use crate::envelope::{CommandId, Metadata, NewEvent};
use crate::link::LinkDisabled;
use crate::log::{Append, AppendError, EventLog, ExpectedVersion, ReadError, ReadLimit};
use crate::position::{Sequence, StreamId, Topic, Version};

async fn open(path: &Path) -> EmbeddedLog {
    EmbeddedLog::open(path, OpenOptions::default()).await.unwrap()
}

async fn empty_file() -> (TempDir, Arc<EmbeddedLog>) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir.path().join("log.db")).await;
    (dir, Arc::new(log))
}

async fn empty() -> (TempDir, Arc<dyn EventLog>) {
    let (dir, log) = empty_file().await;
    (dir, log)
}

mod contract {
    use crate::log::contract::{
        Log, a_command_is_done_once_although_the_log_was_opened_again as done_once,
    };

    crate::log_contract!(super::empty());

    #[tokio::test]
    async fn a_command_is_done_once_although_the_log_was_opened_again() {
        let (dir, log) = super::empty_file().await;
        let opened = std::sync::Arc::clone(&log);
        let reopen = async || {
            log.close().await;
            std::sync::Arc::new(super::open(&dir.path().join("log.db")).await) as Log
        };
        done_once(opened, reopen).await;
    }
}

mod rewritten;

fn one(key: &str, body_bytes: usize) -> Append {
    let stream = StreamId::new(Topic::Links, key);
    let command_id = CommandId(Uuid::new_v4());
    let metadata =
        Metadata { actor: "test".into(), command_id, command_hash: None, correlation_id: None };
    let time = DateTime::UNIX_EPOCH;
    let event = LinkDisabled {}.into();
    let mut event =
        NewEvent::write(&stream, &event, Uuid::now_v7(), time, time, &metadata).unwrap();
    if body_bytes > 0 {
        event.body = vec![b' '; body_bytes].into();
    }
    Append { stream, expected: ExpectedVersion::Any, command_id, events: vec![event] }
}

#[tokio::test]
async fn a_log_that_is_opened_again_is_the_same_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.db");
    let log = open(&path).await;
    let append = one("a", 0);
    let first = log.append(append.clone()).await.unwrap();
    log.close().await;
    let again = open(&path).await;
    assert_eq!(again.id(), log.id());
    assert_eq!(again.head(Topic::Links).await.unwrap(), first.position);
    assert!(again.append(append).await.unwrap().duplicate, "commands are remembered for ever");
    let next = again.append(one("a", 0)).await.unwrap();
    assert_eq!((next.version, next.position.sequence), (Version(2), Sequence(2)));
}

/// What `kill -9` leaves behind is the file and its write-ahead log, as they are at that moment.
#[tokio::test]
async fn what_was_acknowledged_is_in_the_files_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.db");
    let log = open(&path).await;
    for acknowledged in 1..=20 {
        log.append(one("a", 0)).await.unwrap();
        let copy = tempfile::tempdir().unwrap();
        for file in ["log.db", "log.db-wal"] {
            std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
        }
        let survivor = open(&copy.path().join("log.db")).await;
        let events = survivor.read(&StreamId::new(Topic::Links, "a"), Version::NONE).await.unwrap();
        assert_eq!(events.len(), acknowledged);
    }
}

#[tokio::test]
async fn appends_that_were_queued_before_the_close_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.db");
    let log = Arc::new(open(&path).await);
    let appends: Vec<_> = (0..100)
        .map(|n| {
            let log = Arc::clone(&log);
            tokio::spawn(async move { log.append(one(&format!("s{n}"), 0)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    log.close().await;
    let mut acknowledged = 0;
    for append in appends {
        acknowledged += u64::from(append.await.unwrap().is_ok());
    }
    let head = open(&path).await.head(Topic::Links).await.unwrap();
    assert_eq!(head.sequence.0, acknowledged);
}

/// A disk that is full fails appends, keeps what was there, and is used again when it has room.
#[tokio::test]
async fn a_full_disk_fails_appends_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.db");
    let log = EmbeddedLog::open(&path, OpenOptions { pages_max: Some(40) }).await.unwrap();
    let mut acknowledged = 0;
    let error = loop {
        match log.append(one("a", 5_000)).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, AppendError::Unavailable(_)), "{error}");
    assert!(acknowledged > 3);
    log.append(one("a", 5_000)).await.unwrap_err();
    let limit = ReadLimit::default();
    assert_eq!(
        log.read_all(Topic::Links, Sequence::START, limit).await.unwrap().len(),
        acknowledged
    );
    log.close().await;

    let roomy = open(&path).await;
    let appended = roomy.append(one("a", 5_000)).await.unwrap();
    assert_eq!(appended.version.0, acknowledged as u64 + 1);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.db");
    open(&path).await.close().await;
    let url = format!("sqlite:{}", path.display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    sqlx::query("PRAGMA user_version = 99").execute(&pool).await.unwrap();
    pool.close().await;
    let error = EmbeddedLog::open(&path, OpenOptions::default()).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99 }), "{error}");
}

/// SQLite ends a transaction that meets a full disk by itself. The writer must not take it for
/// one that is still open, or nothing could be appended until the next start.
#[tokio::test]
async fn appends_go_on_as_soon_as_a_full_disk_has_room_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.db");
    open(&path).await.close().await;
    let other = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    sqlx::raw_sql("CREATE TABLE ballast AS SELECT randomblob(80000)")
        .execute(&other)
        .await
        .unwrap();
    let log = EmbeddedLog::open(&path, OpenOptions { pages_max: Some(60) }).await.unwrap();
    let mut acknowledged = 0;
    while log.append(one("a", 5_000)).await.is_ok() {
        acknowledged += 1;
    }
    log.append(one("a", 5_000)).await.unwrap_err();
    sqlx::raw_sql("DROP TABLE ballast").execute(&other).await.unwrap();
    other.close().await;
    let appended = log.append(one("a", 5_000)).await.unwrap();
    assert_eq!(
        (appended.version.0, appended.position.sequence.0),
        (acknowledged + 1, acknowledged + 1)
    );
}

/// A caller that went away has its events, and nobody else has less.
#[tokio::test]
async fn callers_that_go_away_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(&dir.path().join("log.db")).await;
    for _ in 0..50 {
        let append = std::pin::pin!(log.append(one("a", 0)));
        assert!(futures::poll!(append).is_pending(), "it waits for the writer");
    }
    let appended = log.append(one("a", 0)).await.unwrap();
    assert_eq!((appended.version, appended.position.sequence), (Version(51), Sequence(51)));
}

/// A read that has what it may hold must not stay on the state it has seen: that would keep the
/// write-ahead log from beginning anew for ever.
#[tokio::test]
async fn a_read_that_stops_early_lets_go_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.db");
    let log = open(&path).await;
    for _ in 0..100 {
        log.append(one("a", 0)).await.unwrap();
    }
    let limit = ReadLimit { bytes_max: 1, ..ReadLimit::default() };
    for _ in 0..8 {
        assert_eq!(log.read_all(Topic::Links, Sequence::START, limit).await.unwrap().len(), 1);
    }
    let other = sqlx::SqlitePool::connect(&format!("sqlite:{}", path.display())).await.unwrap();
    let checkpoint = sqlx::query_scalar("PRAGMA wal_checkpoint(TRUNCATE)");
    let busy: i64 = checkpoint.fetch_one(&other).await.unwrap();
    assert_eq!(busy, 0);
}

#[tokio::test]
async fn a_log_is_opened_again_although_a_subscription_to_it_is_still_held() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.db");
    let log = open(&path).await;
    let (limit, links) = (ReadLimit::default(), Topic::Links);
    let mut held = log.subscribe(links, Sequence::START, limit).await.unwrap();
    log.append(one("a", 0)).await.unwrap();
    log.close().await;
    let again = open(&path).await;
    again.append(one("a", 0)).await.unwrap();
    assert!(matches!(held.next().await, Err(ReadError::Unavailable(_))));
    assert!(matches!(log.append(one("a", 0)).await, Err(AppendError::Unavailable(_))));
    let mut follows = again.subscribe(links, Sequence::START, limit).await.unwrap();
    assert_eq!(follows.next().await.unwrap().len(), 2);
}
