//! Events that get another body, and what of the old one is left in the files.

use std::sync::Arc;

use super::{empty_file, one, open};
use crate::log::contract::Log;
use crate::log::contract::rewrites::{
    is_on_disk, marked, nothing_of_a_rewritten_event_is_on_the_disk, reads_are_those_of_a_model,
    rewrite,
};
use crate::log::{EventLog, ReadLimit, RewriteError};
use crate::position::{Sequence, StreamId, Topic, Version};

#[tokio::test]
async fn reads_of_a_rewritten_log_are_those_of_a_model() {
    let (dir, log) = empty_file().await;
    let path = dir.path().join("log.db");
    let reopen = async |log: Log| {
        drop(log);
        Arc::new(open(&path).await) as Log
    };
    reads_are_those_of_a_model(log, 600, reopen).await;
}

#[tokio::test]
async fn no_file_holds_what_was_rewritten() {
    let (dir, log) = empty_file().await;
    nothing_of_a_rewritten_event_is_on_the_disk(log, dir.path()).await;
}

/// The last event of a link, too. What `kill -9` leaves behind is the files as they are.
#[tokio::test]
async fn what_was_rewritten_is_so_in_the_files_at_once() {
    let (dir, log) = empty_file().await;
    let mut append = one("a", 0);
    append.events[0].body = marked("secret", 60_000).into();
    log.append(append).await.unwrap();
    let a = StreamId::new(Topic::Links, "a");
    let event = log.last(&a).await.unwrap().unwrap();
    log.rewrite(vec![rewrite(&event, "{\"n\":1}")]).await.unwrap();
    assert!(!is_on_disk(dir.path(), b"secret"));
    let copy = tempfile::tempdir().unwrap();
    for file in ["log.db", "log.db-wal"] {
        std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    }
    let survivor = open(&copy.path().join("log.db")).await;
    let last = survivor.last(&a).await.unwrap().unwrap();
    assert_eq!(&last.body[..], b"{\"n\":1}");
    let next = survivor.append(one("a", 0)).await.unwrap();
    assert_eq!(next.version, Version(2));
}

/// A reader that stays sees the old pages for as long as it does: that is said, and asked again
/// when it went.
#[tokio::test]
async fn who_keeps_the_old_pages_is_told_of() {
    let (dir, log) = empty_file().await;
    log.append(one("a", 50_000)).await.unwrap();
    let limit = ReadLimit::default();
    let events = log.read_all(Topic::Links, Sequence::START, limit).await.unwrap();
    let mut reader = log.readers.acquire().await.unwrap();
    sqlx::raw_sql("BEGIN; SELECT * FROM links_events").execute(&mut *reader).await.unwrap();
    let rewrites = vec![rewrite(&events[0], "{}")];
    let held = log.rewrite(rewrites.clone()).await;
    assert!(matches!(held, Err(RewriteError::Unavailable(_))), "{held:?}");
    sqlx::raw_sql("COMMIT").execute(&mut *reader).await.unwrap();
    log.rewrite(rewrites).await.unwrap();
    let wal = std::fs::metadata(dir.path().join("log.db-wal")).unwrap();
    assert_eq!(wal.len(), 0);
}

/// All or nothing.
#[tokio::test]
async fn one_that_is_missing_leaves_the_others_as_they_are() {
    let (_dir, log) = empty_file().await;
    log.append(one("a", 0)).await.unwrap();
    let limit = ReadLimit::default();
    let before = log.read_all(Topic::Links, Sequence::START, limit).await.unwrap();
    let mut missing = rewrite(&before[0], "{}");
    missing.sequence = Sequence(2);
    let asked = log.rewrite(vec![rewrite(&before[0], "{}"), missing]).await;
    assert_eq!(asked, Err(RewriteError::Missing));
    assert_eq!(log.read_all(Topic::Links, Sequence::START, limit).await.unwrap(), before);
}

/// A long body of which more fits on the page of its row when it is shorter: SQLite would make room
/// for it, and leave a copy of what it moves.
#[tokio::test]
async fn neighbours_of_a_rewritten_event_leave_no_copy_behind() {
    let (dir, log) = empty_file().await;
    let mark = |n: usize| format!("neighbour-{n}-");
    for n in 0..60 {
        let body = if n % 5 == 2 { marked("long", 35_000) } else { marked(&mark(n), 3_000) };
        let mut append = one("a", 0);
        append.events[0].body = body.into();
        log.append(append).await.unwrap();
    }
    let limit = ReadLimit::default();
    let events = log.read_all(Topic::Links, Sequence::START, limit).await.unwrap();
    let of = |is_long: bool, body: &str| {
        let chosen = events.iter().enumerate().filter(|(n, _)| (n % 5 == 2) == is_long);
        chosen.map(|(_, event)| rewrite(event, body)).collect::<Vec<_>>()
    };
    log.rewrite(of(true, &marked("shorter", 32_000))).await.unwrap();
    // Each says its mark twice, and stands there once.
    let file = std::fs::read(dir.path().join("log.db")).unwrap();
    for n in (0..60).filter(|n| n % 5 != 2) {
        let mark = mark(n);
        let found = file.windows(mark.len()).filter(|found| *found == mark.as_bytes()).count();
        assert_eq!(found, 2, "{mark}");
    }
    log.rewrite(of(false, "{}")).await.unwrap();
    for n in (0..60).filter(|n| n % 5 != 2) {
        assert!(!is_on_disk(dir.path(), mark(n).as_bytes()), "{}", mark(n));
    }
}

/// A version that does not know of filling up reads what is in the file as it is.
#[tokio::test]
async fn what_is_in_the_file_stays_json() {
    let (_dir, log) = empty_file().await;
    log.append(one("a", 0)).await.unwrap();
    let limit = ReadLimit::default();
    let events = log.read_all(Topic::Links, Sequence::START, limit).await.unwrap();
    log.rewrite(vec![rewrite(&events[0], "{\"n\":1}")]).await.unwrap();
    let body = sqlx::query_scalar("SELECT body FROM links_events").fetch_one(&log.readers);
    let body: Vec<u8> = body.await.unwrap();
    assert_eq!(body.len(), events[0].body.len());
    let read: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(read["n"], 1);
    let events = log.read_all(Topic::Links, Sequence::START, limit).await.unwrap();
    assert_eq!(&events[0].body[..], b"{\"n\":1}");
}
