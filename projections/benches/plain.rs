//! The least that it could cost to write the rows of the read models: into empty tables of the same
//! form, out of memory.

use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// The tables of each read model of clicks.
const TABLES: [(&str, &str); 5] = [
    ("clicks", "clicks"),
    ("click_statistics", "totals"),
    ("click_statistics", "quarters"),
    ("click_statistics", "sums"),
    ("top_links", "scores"),
];

/// Which set of tables is read.
const SET: &str = "select active_set from projections where name = $1";

/// By `COPY`.
pub(crate) async fn copy_on_postgres(connection: &mut PgConnection) -> (u64, Duration) {
    let (mut copied, mut took) = (0, Duration::ZERO);
    for (projection, table) in TABLES {
        let number: i64 = sqlx::query_scalar(SET)
            .bind(projection)
            .fetch_one(&mut *connection)
            .await
            .expect("a set");
        let from = format!("{projection}_{number}_{table}");
        let mut rows = Vec::new();
        let out = format!("copy (select * from {from}) to stdout (format binary)");
        let mut stream = connection.copy_out_raw(&out).await.expect("rows");
        while let Some(part) = futures::StreamExt::next(&mut stream).await {
            rows.extend_from_slice(&part.expect("rows"));
        }
        drop(stream);
        let sql =
            format!("drop table if exists copied; create table copied (like {from} including all)");
        connection.execute(AssertSqlSafe(sql)).await.expect("a table");
        let started = Instant::now();
        let mut copy =
            connection.copy_in_raw("copy copied from stdin (format binary)").await.expect("a copy");
        for part in rows.chunks(64 * 1024) {
            copy.send(part).await.expect("rows are sent");
        }
        copied += copy.finish().await.expect("rows are taken");
        took += started.elapsed();
    }
    (copied, took)
}

/// By one `insert … select` for each table, from tables in memory into a file with the settings of
/// the read models: nothing is parsed, bound or sent. The index of the clicks is made afterwards, as
/// a rebuild does.
pub(crate) async fn insert_on_sqlite(read: &Path, dir: &Path) -> (u64, Duration) {
    let file = dir.join("plain.db");
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("a file");
    let attach = format!("attach '{}' as live; attach ':memory:' as rows", read.display());
    connection.execute(AssertSqlSafe(attach)).await.expect("the rows can be read");
    let (mut inserted, mut took) = (0, Duration::ZERO);
    for (projection, table) in TABLES {
        let number: i64 = sqlx::query_scalar(SET)
            .bind(projection)
            .fetch_one(&mut connection)
            .await
            .expect("a set");
        let from = format!("{projection}_{number}_{table}");
        let forms: Vec<String> = sqlx::query_scalar(
            "select sql from live.sqlite_schema where tbl_name = $1 and sql is not null \
             order by type desc",
        )
        .bind(&from)
        .fetch_all(&mut connection)
        .await
        .expect("its form");
        let sql = format!("create table rows.taken as select * from live.{from}");
        connection.execute(AssertSqlSafe(sql)).await.expect("rows");
        let started = Instant::now();
        connection.execute(AssertSqlSafe(forms[0].clone())).await.expect("a table");
        let insert = format!("insert into main.{from} select * from rows.taken");
        let done = connection.execute(AssertSqlSafe(insert)).await.expect("rows are inserted");
        for index in &forms[1..] {
            connection.execute(AssertSqlSafe(index.clone())).await.expect("an index");
        }
        took += started.elapsed();
        inserted += done.rows_affected();
        connection.execute("drop table rows.taken").await.expect("memory is freed");
    }
    connection.close().await.expect("the file is closed");
    std::fs::remove_file(&file).expect("the file is removed");
    (inserted, took)
}
