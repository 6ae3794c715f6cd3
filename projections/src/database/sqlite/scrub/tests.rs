//! Files that are written anew, and how often.

use std::path::Path;

use futures::FutureExt;
use futures::future::join_all;
use sqlx::Connection as _;

use super::*;
use crate::database::{Database, Transaction};

const SECRET: &str = "tell-tale";

fn holds_the_secret(dir: &Path) -> bool {
    std::fs::read_dir(dir).unwrap().any(|entry| {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
    })
}

async fn run(database: &Database, statements: &[&str]) {
    let mut transaction = database.begin().await.unwrap();
    for sql in statements {
        transaction.define(sql).await.unwrap();
    }
    transaction.commit().await.unwrap();
}

/// Rows that are moved, changed and deleted, in a table of the kind that read models have.
#[tokio::test]
async fn nothing_that_was_erased_is_left_in_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::open_sqlite(&dir.path().join("read.db")).await.unwrap();
    run(
        &database,
        &[
            "create table unscrubbed (mark text primary key)",
            "create table t (k integer, n integer, v text, primary key (k, n)) without rowid",
            "create table dropped (v text)",
            "insert into dropped values ('tell-tale')",
        ],
    )
    .await;
    for n in 0..400 {
        let fill = "x".repeat(400 + n % 300);
        let insert =
            format!("insert into t values ({}, {n}, 'tell-tale {fill}')", (n * 7_919) % 400);
        run(&database, &[&insert]).await;
    }
    run(&database, &["update t set v = 'erased'", "drop table dropped"]).await;
    // Nothing is done unless something is noted.
    database.scrub().await.unwrap();
    assert!(holds_the_secret(dir.path()));
    let mut transaction = database.begin().await.unwrap();
    let Transaction::Sqlite(ref mut sqlite) = transaction else { panic!("SQLite") };
    sqlite.mark_unscrubbed("a").await.unwrap();
    transaction.commit().await.unwrap();
    database.scrub().await.unwrap();
    assert!(!holds_the_secret(dir.path()));
    assert_eq!(number(&database, "select count(*) from unscrubbed").await, 0);
    database.close().await;
}

/// A database with a secret in its file that is erased.
async fn erased(dir: &Path) -> (Database, SqliteDatabase) {
    let database = Database::open_sqlite(&dir.join("read.db")).await.unwrap();
    run(
        &database,
        &[
            "create table unscrubbed (mark text primary key)",
            "create table t (v text)",
            "insert into t values ('tell-tale')",
            "update t set v = 'erased'",
        ],
    )
    .await;
    let Database::Sqlite(sqlite) = database.clone() else { panic!("SQLite") };
    mark(&sqlite).await;
    (database, sqlite)
}

async fn mark(sqlite: &SqliteDatabase) {
    let mut transaction = sqlite.begin().await.unwrap();
    transaction.mark_unscrubbed("a").await.unwrap();
    transaction.commit().await.unwrap();
}

async fn number(database: &Database, sql: &str) -> i64 {
    let read = |row: &crate::database::Row| row.int(0);
    database.fetch(Purpose::Lookup, sql.to_owned(), &[], read).await.unwrap()[0]
}

/// SQLite counts: a file that is written anew has another schema.
async fn times_written(database: &Database) -> i64 {
    number(database, "pragma schema_version").await
}

#[tokio::test]
async fn a_reader_that_holds_up_the_log_does_not_let_the_file_be_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let (database, sqlite) = erased(dir.path()).await;
    let before = times_written(&database).await;
    let mut reader = sqlite.workers.acquire().await.unwrap();
    reader.execute("begin").await.unwrap();
    reader.execute("select * from t").await.unwrap();
    for _ in 0..3 {
        assert_eq!(sqlite.scrub().await.unwrap(), Some(READERS_REST));
        assert_eq!(times_written(&database).await, before + 1);
    }
    reader.execute("commit").await.unwrap();
    drop(reader);
    assert_eq!(sqlite.scrub().await.unwrap(), None);
    assert_eq!(times_written(&database).await, before + 1);
    assert!(!holds_the_secret(dir.path()));
    database.close().await;
}

#[tokio::test]
async fn many_erasures_share_a_few_times_in_which_the_file_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (database, sqlite) = erased(dir.path()).await;
    let before = times_written(&database).await;
    join_all((0..20).map(|_| async {
        mark(&sqlite).await;
        sqlite.scrub().await.unwrap()
    }))
    .await;
    assert!(times_written(&database).await <= before + 3);
    // And who comes when it was written just now, which took long, is told when it is again.
    sqlite.pace.lock().await.note(Duration::from_secs(100), true);
    mark(&sqlite).await;
    let written = times_written(&database).await;
    let left = sqlite.scrub().await.unwrap().unwrap();
    assert!(left > Duration::from_secs(800) && left <= Duration::from_mins(15), "{left:?}");
    assert_eq!(times_written(&database).await, written);
    database.close().await;
}

/// When it is tried again is not when it is done.
#[tokio::test]
async fn what_failed_gives_an_error_until_it_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let (database, sqlite) = erased(dir.path()).await;
    sqlite.pace.lock().await.note(Duration::ZERO, false);
    for _ in 0..2 {
        let refused = sqlite.scrub().await.unwrap_err();
        assert!(matches!(refused, DatabaseError::Unavailable(_)), "{refused}");
    }
    *sqlite.pace.lock().await = Pace { not_before: None, failures: 1 };
    assert_eq!(sqlite.scrub().await.unwrap(), None);
    assert_eq!(sqlite.pace.lock().await.failures, 0);
    database.close().await;
}

#[test]
fn what_fails_is_tried_less_and_less_often() {
    let mut pace = Pace::default();
    let mut rests = Vec::new();
    for _ in 0..40 {
        pace.note(Duration::ZERO, false);
        rests.push((pace.left() + Duration::from_millis(500)).as_secs());
    }
    assert_eq!(rests[..8], [60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
    assert_eq!(rests[39], 3_600);
    pace.note(Duration::from_secs(2), true);
    assert!(pace.left() <= Duration::from_secs(18));
}

/// Broken off while it writes, who writes next has the settings of all, and the next one finishes it.
#[tokio::test]
async fn what_is_broken_off_leaves_no_settings_behind() {
    let dir = tempfile::tempdir().unwrap();
    let (database, sqlite) = erased(dir.path()).await;
    let settings = async || {
        let mut writer = sqlite.writer.acquire().await.unwrap();
        for (setting, expected) in [("temp_store", 2), ("busy_timeout", 5_000)] {
            let sql = sqlx::AssertSqlSafe(format!("pragma {setting}"));
            let value: i64 = writer.fetch_one(sql).await.unwrap().try_get(0).unwrap();
            assert_eq!(value, expected, "{setting}");
        }
    };
    settings().await;
    // Another process writes: writing anew waits for it, for as long as a writer waits.
    let path = dir.path().join("read.db");
    let mut other = sqlx::SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    other.execute("begin immediate").await.unwrap();
    let mut scrub = Box::pin(sqlite.scrub());
    while sqlite.writer.try_acquire().is_some() {
        assert!((&mut scrub).now_or_never().is_none(), "it is done already");
        tokio::task::yield_now().await;
    }
    let under_way = tokio::time::timeout(Duration::from_millis(200), &mut scrub).await;
    assert!(under_way.is_err(), "it waits: {under_way:?}");
    drop(scrub);
    other.execute("rollback").await.unwrap();
    settings().await;
    *sqlite.pace.lock().await = Pace::default();
    assert_eq!(sqlite.scrub().await.unwrap(), None);
    settings().await;
    assert!(!holds_the_secret(dir.path()));
    other.close().await.unwrap();
    database.close().await;
}
