//! The spool on a real file.

use uuid::Uuid;

use super::*;
use crate::position::Topic;

fn batch(lane: Lane, version: u64, bytes: usize) -> SpooledBatch {
    SpooledBatch {
        lane,
        stream: StreamId::new(Topic::Clicks, format!("node/{lane}")),
        version: Version(version),
        command_id: CommandId(Uuid::new_v4()),
        event: NewEvent {
            id: Uuid::now_v7(),
            event_type: "hoplog.clicks.recorded.v1".into(),
            body: vec![b'x'; bytes].into(),
        },
        clicks: 3,
        since: DateTime::UNIX_EPOCH,
    }
}

async fn opened(path: &Path) -> SpoolFile {
    SpoolFile::open(path, SPOOL_BYTES_MIN).await.unwrap()
}

#[tokio::test]
async fn batches_come_back_as_they_were_in_the_order_of_their_lane() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool.db");
    let spool = opened(&path).await;
    let batches = [batch(0, 4, 10), batch(1, 0, 20), batch(0, 5, 30), batch(0, 6, 1)];
    for batch in &batches {
        spool.put(batch).await.unwrap();
    }
    spool.close().await;
    let spool = opened(&path).await;
    let waiting = spool.backlogs().await.unwrap();
    let lanes: Vec<_> = waiting.iter().map(|b| (b.lane, b.batches, b.clicks, b.next.0)).collect();
    assert_eq!(lanes, [(0, 3, 9, 7), (1, 1, 3, 1)]);
    assert_eq!(waiting[0].stream, batches[0].stream);
    for expected in [&batches[0], &batches[2], &batches[3]] {
        let (ticket, first) = spool.first(0).await.unwrap().unwrap();
        assert_eq!(&first, expected);
        spool.remove(ticket).await.unwrap();
    }
    assert_eq!(spool.first(0).await.unwrap(), None);
    assert_eq!(spool.backlogs().await.unwrap().len(), 1);
}

/// What `kill -9` leaves behind is the file and its write-ahead log, as they are at that moment.
#[tokio::test]
async fn what_was_put_is_in_the_files_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let spool = opened(&dir.path().join("spool.db")).await;
    for put in 0..10 {
        spool.put(&batch(0, put, 5_000)).await.unwrap();
        let copy = tempfile::tempdir().unwrap();
        for file in ["spool.db", "spool.db-wal"] {
            std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
        }
        let survivor = opened(&copy.path().join("spool.db")).await;
        assert_eq!(survivor.backlogs().await.unwrap()[0].batches, put + 1);
    }
}

/// A full spool refuses, keeps what it has, has room again when something was delivered, and is
/// small when all was.
#[tokio::test]
async fn a_full_spool_refuses_and_an_empty_one_is_small() {
    const BODY: usize = 300_000;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool.db");
    let spool = opened(&path).await;
    let bytes = |name: &str| std::fs::metadata(dir.path().join(name)).map_or(0, |file| file.len());
    let mut kept = 0;
    while spool.put(&batch(0, kept, BODY)).await.is_ok() {
        kept += 1;
    }
    assert!(kept > 45 && bytes("spool.db") <= SPOOL_BYTES_MIN, "{kept}");
    assert!(matches!(spool.put(&batch(0, kept, BODY)).await, Err(SpoolError::File(_))));
    assert_eq!(spool.backlogs().await.unwrap()[0].batches, kept);

    let (ticket, first) = spool.first(0).await.unwrap().unwrap();
    assert_eq!(first.version, Version(0));
    spool.remove(ticket).await.unwrap();
    spool.put(&batch(0, kept, BODY)).await.unwrap();
    while let Some((ticket, _)) = spool.first(0).await.unwrap() {
        spool.remove(ticket).await.unwrap();
    }
    spool.shrink().await.unwrap();
    assert!(bytes("spool.db") < 100_000 && bytes("spool.db-wal") == 0);
}

#[tokio::test]
async fn a_commit_is_synced_and_the_bound_holds_for_new_connections_too() {
    let dir = tempfile::tempdir().unwrap();
    let spool = opened(&dir.path().join("spool.db")).await;
    for _ in 0..2 {
        let pragmas = spool.with(async |connection| {
            let mut values = Vec::new();
            for name in ["synchronous", "auto_vacuum", "max_page_count"] {
                let sql = format!("SELECT CAST({name} AS INTEGER) FROM pragma_{name}");
                let sql = sqlx::AssertSqlSafe(sql);
                values.push(sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *connection).await?);
            }
            Ok(values)
        });
        assert_eq!(pragmas.await.unwrap(), [2, 2, 4_096]);
        *spool.connection.lock().await = None;
    }
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool.db");
    let spool = opened(&path).await;
    let newer = spool.with(async |connection| {
        sqlx::raw_sql("PRAGMA user_version = 99").execute(connection).await.map(drop)
    });
    newer.await.unwrap();
    spool.close().await;
    let error = SpoolFile::open(&path, SPOOL_BYTES_MIN).await.unwrap_err();
    assert!(matches!(error, SpoolError::Newer { found: 99, .. }), "{error}");
}
