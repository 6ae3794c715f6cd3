//! What happens to read models while their server is ended, frozen, or not what it should be.

use std::time::{Duration, Instant};

use hoplog_events::position::Topic;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _};

use super::PROJECTION_TIMEOUT;
use crate::click_statistics::Scope;
use crate::contract::{World, click, key, query};
use crate::database::{Purpose, Row};
use crate::postgres_server::PostgresServer;
use crate::read_models::WaitError;
use crate::{Database, DatabaseError, PostgresOptions};

async fn open(server: &PostgresServer) -> Database {
    Database::open_postgres(PostgresOptions::new(server.url())).await.unwrap()
}

async fn visits(world: &World, count: usize) {
    for n in 0..count {
        let visitor = json!({ "visitor": format!("{n:016x}") });
        world.clicks(vec![click("a", "2026-03-01T00:00:00Z", visitor)]).await;
    }
}

async fn total(world: &World) -> Result<u64, DatabaseError> {
    let totals = world.models.click_statistics().totals(&[key("a")]).await?;
    Ok(totals.values().map(|totals| totals.total).sum())
}

/// While the server is away, questions get an error in bounded time, and nobody has to do
/// anything when it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_is_survived() {
    let mut server = PostgresServer::start_durable();
    let world = World::new(open(&server).await).await;
    visits(&world, 20).await;
    for round in 1..3 {
        server.crash();
        visits(&world, 20).await;
        let asked = Instant::now();
        let answer = world.models.link_directory().get(&key("a")).await;
        assert!(matches!(answer, Err(DatabaseError::Unavailable(_))), "{answer:?}");
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
        server.go_on();
        world.verified().await;
        assert_eq!(total(&world).await.unwrap(), 20 + round * 20);
    }
}

/// The connections stay and nothing is answered: no time-out of the server helps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_survived() {
    let server = PostgresServer::start();
    let options = PostgresOptions::new(server.url());
    let options = PostgresOptions { query_timeout: Duration::from_secs(2), ..options };
    let world = World::new(Database::open_postgres(options).await.unwrap()).await;
    visits(&world, 20).await;
    world.caught_up().await;
    server.freeze();
    visits(&world, 20).await;
    for _ in 0..2 {
        let asked = Instant::now();
        let answer = total(&world).await;
        assert!(matches!(answer, Err(DatabaseError::Unavailable(_))), "{answer:?}");
        assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    }
    server.thaw();
    world.verified().await;
    assert_eq!(total(&world).await.unwrap(), 40);
}

/// The server ends it, and its connection serves the next one.
#[tokio::test]
async fn an_answer_that_takes_too_long_is_told_so() {
    let server = PostgresServer::start();
    let options = PostgresOptions::new(server.url());
    let options = PostgresOptions { query_timeout: Duration::from_millis(500), ..options };
    let database = Database::open_postgres(options).await.unwrap();
    let endless =
        "with recursive n(x) as (select 1 union all select x from n) select x from n where x < 0";
    let int = |row: &Row| row.int(0);
    let late = database.fetch(Purpose::Answer, endless.to_owned(), &[], int).await;
    assert!(matches!(late, Err(DatabaseError::TooLong)), "{late:?}");
    let next = "select cast(2 as bigint)".to_owned();
    assert_eq!(database.fetch(Purpose::Answer, next, &[], int).await.unwrap(), [2]);
}

/// A process that stops in the middle of a transaction holds the others up no longer than the
/// server allows; what it had written is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_stands_still_is_ended_by_the_server() {
    let server = PostgresServer::start();
    let database = open(&server).await;
    let mut still = database.begin().await.unwrap();
    still.define("create table t (n bigint); create table u (n bigint)").await.unwrap();
    still.commit().await.unwrap();
    let mut still = database.begin().await.unwrap();
    still.define("set idle_in_transaction_session_timeout = 100").await.unwrap();
    still.execute("insert into t values ($1)".to_owned(), &[1.into()]).await.unwrap();
    // Waits for the lock that the first one holds.
    let mut next = database.begin().await.unwrap();
    next.define("lock table t in exclusive mode; insert into t values (2)").await.unwrap();
    next.commit().await.unwrap();
    let lost = still.execute("insert into t values ($1)".to_owned(), &[3.into()]).await;
    assert!(matches!(lost, Err(DatabaseError::Unavailable(_))), "{lost:?}");
    drop(still);
    let int = |row: &Row| row.int(0);
    let rows = database.fetch(Purpose::Projection, "select n from t".to_owned(), &[], int);
    assert_eq!(rows.await.unwrap(), [2]);
}

/// Trap 14: a projector that is frozen, or whose machine is gone, in the middle of a batch keeps the
/// next one from going on for a moment only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_14_a_projector_that_stands_still_holds_nobody_up_for_long() {
    let server = PostgresServer::start();
    let world = World::new(open(&server).await).await;
    world.clicks(vec![click("a", "2026-03-01T12:00:00Z", json!({}))]).await;
    world.caught_up().await;
    let mut frozen = open(&server).await.begin().await.unwrap();
    let moves = "update checkpoints set sequence = sequence where projection = $1".to_owned();
    frozen.execute(moves, &["clicks".into()]).await.unwrap();
    let at = Instant::now();
    world.clicks(vec![click("a", "2026-03-01T13:00:00Z", json!({}))]).await;
    world.caught_up().await;
    let held_up = at.elapsed();
    println!("held up for {} ms", held_up.as_millis());
    assert!(held_up < Duration::from_secs(9), "{held_up:?}");
    assert!(frozen.commit().await.is_err(), "it has lost its place");
}

/// Queries can't write, end in time, and say who they are; projectors have more time.
#[tokio::test]
async fn every_connection_is_set_up_for_its_use() {
    let server = PostgresServer::start();
    let options =
        PostgresOptions { schema: Some("links".into()), ..PostgresOptions::new(server.url()) };
    let database = Database::open_postgres(options).await.unwrap();
    let setting = async |purpose: Purpose, name: &str| {
        let sql = format!("select current_setting('{name}')");
        let text = |row: &Row| row.text(0).map(str::to_owned);
        database.fetch(purpose, sql, &[], text).await.unwrap().remove(0)
    };
    for (purpose, name, expected) in [
        (Purpose::Answer, "statement_timeout", "10s"),
        (Purpose::Answer, "default_transaction_read_only", "on"),
        (Purpose::Lookup, "application_name", "hoplog-query"),
        (Purpose::Projection, "application_name", "hoplog-projector"),
        (Purpose::Projection, "statement_timeout", "1min"),
        (Purpose::Projection, "lock_timeout", "10s"),
        (Purpose::Projection, "idle_in_transaction_session_timeout", "3s"),
        (Purpose::Projection, "search_path", "links"),
    ] {
        assert_eq!(setting(purpose, name).await, expected, "{purpose:?} {name}");
    }
    assert_eq!(PROJECTION_TIMEOUT, Duration::from_mins(1));
    let late = "select 1::bigint from pg_sleep(2)".to_owned();
    let late = database.fetch(Purpose::Lookup, late, &[], |row| row.int(0)).await;
    assert!(matches!(late, Err(DatabaseError::Unavailable(_))), "{late:?}");
}

/// Lists may come from elsewhere; what redirects and commands depend on may not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_answers_lists_and_nothing_else() {
    let primary = PostgresServer::start();
    let mut replica = PostgresServer::start_replica_of(&primary);
    let options = PostgresOptions::new(primary.url());
    let options = PostgresOptions {
        read_replica: Some(replica.url()),
        query_timeout: Duration::from_secs(2),
        ..options
    };
    let world = World::new(Database::open_postgres(options).await.unwrap()).await;
    world.link("a", "2026-01-01T00:00:00Z", json!({})).await;
    visits(&world, 3).await;
    world.verified().await;
    replica.crash();
    assert!(world.models.link_directory().get(&key("a")).await.unwrap().is_some());
    assert!(total(&world).await.is_err(), "asked of the replica");
}

/// Who asks for a position gets nothing older, even if a replica answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_is_waited_for_at_the_replica_too() {
    let primary = PostgresServer::start();
    let replica = PostgresServer::start_replica_of(&primary);
    let replaying = async |function: &str| {
        let options = PostgresOptions::new(replica.url());
        let PostgresOptions { url, .. } = options;
        let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("select {function}()")))
            .execute(&mut connection)
            .await
            .unwrap();
    };
    let options = PostgresOptions {
        read_replica: Some(replica.url()),
        ..PostgresOptions::new(primary.url())
    };
    let world = World::new(Database::open_postgres(options).await.unwrap()).await;
    world.link("a", "2026-01-01T00:00:00Z", json!({})).await;
    visits(&world, 3).await;
    world.caught_up().await;
    assert_eq!(total(&world).await.unwrap(), 3);
    replaying("pg_wal_replay_pause").await;
    visits(&world, 2).await;
    let position = world.log.head(Topic::Clicks).await.unwrap();
    let reached = |limit| world.models.wait_for("click_statistics", position, limit);
    let waited = reached(Duration::from_millis(500)).await;
    assert_eq!(waited, Err(WaitError::TimedOut), "the replica stands still");
    assert_eq!(total(&world).await.unwrap(), 3);
    replaying("pg_wal_replay_resume").await;
    reached(Duration::from_secs(30)).await.unwrap();
    assert_eq!(total(&world).await.unwrap(), 5);
}

/// The primary has statistics of this version, the replica those of the one before, without sums.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statistics_of_the_version_before_are_read_at_a_replica_that_is_behind() {
    let primary = PostgresServer::start();
    let replica = PostgresServer::start_replica_of(&primary);
    let options = PostgresOptions {
        read_replica: Some(replica.url()),
        ..PostgresOptions::new(primary.url())
    };
    let world = World::new(Database::open_postgres(options).await.unwrap()).await;
    let clicks = (0..300).map(|n| {
        let visitor = format!("{:016x}", n + 1);
        click("a", "2026-03-01T12:00:00Z", json!({ "visitor": visitor }))
    });
    world.clicks(clicks.collect()).await;
    world.caught_up().await;
    world.models.stop_projecting().await;
    let versions = async |version: i64| {
        let sql = "update projections set version = $1 where name = 'click_statistics'";
        world.execute(sql, &[version.into()]).await;
    };
    world.without_sums().await;
    versions(3).await;
    let version = "select version from projections where name = 'click_statistics'";
    let there = async || {
        let rows = world.database.fetch(Purpose::Answer, version.to_owned(), &[], |row| row.int(0));
        rows.await.unwrap()
    };
    while there().await != [3] {
        tokio::task::yield_now().await;
    }
    let mut at_replica = sqlx::PgConnection::connect(&replica.url()).await.unwrap();
    sqlx::query("select pg_wal_replay_pause()").execute(&mut at_replica).await.unwrap();
    versions(4).await;
    let statistics = world.models.click_statistics();
    let statistics = statistics.statistics(&query(Scope::Link(key("a")))).await.unwrap();
    assert_eq!(statistics.total_clicks, 300);
    assert_eq!(there().await, [3], "the replica stood still");
}

#[tokio::test]
async fn options_that_can_not_be_used_are_refused() {
    let server = PostgresServer::start();
    for schema in ["", "Links", "a b", "a;drop", "1a", &"a".repeat(64)] {
        let options = PostgresOptions::new(server.url());
        let options = PostgresOptions { schema: Some(schema.to_owned()), ..options };
        let refused = Database::open_postgres(options).await;
        assert!(matches!(refused, Err(DatabaseError::Broken(_))), "{schema:?}: {refused:?}");
    }
    for url in ["", "mysql://a/b", &server.url().replace("/postgres?", "/nothing?")] {
        let refused = Database::open_postgres(PostgresOptions::new(url)).await;
        assert!(refused.is_err(), "{url:?}");
    }
    let shown = format!("{:?}", PostgresOptions::new("postgres://a:secret@b/c"));
    assert!(!shown.contains("secret"), "{shown}");
    let database = open(&server).await;
    let no_tables = database.fetch(Purpose::Answer, "select 1 from t".to_owned(), &[], |_| Ok(()));
    assert!(matches!(no_tables.await, Err(DatabaseError::Broken(_))));
}

/// Who may not make the extension finds the same, and has the index once an administrator made it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_extension_for_texts_they_are_found_as_well() {
    let server = PostgresServer::start();
    let mut administrator = sqlx::PgConnection::connect(&server.url()).await.unwrap();
    for sql in ["create role plain login", "create schema plain authorization plain"] {
        sqlx::query(sql).execute(&mut administrator).await.unwrap();
    }
    let options = PostgresOptions {
        schema: Some("plain".into()),
        ..PostgresOptions::new(server.url().replace("hoplog@", "plain@"))
    };
    let world = World::new(Database::open_postgres(options.clone()).await.unwrap()).await;
    world.link("a", "2026-01-01T00:00:00Z", json!({ "title": "A Needle" })).await;
    world.link("b", "2026-01-01T00:00:00Z", json!({})).await;
    world.caught_up().await;
    let indexes = async || {
        let sql =
            "select count(*) from pg_indexes where indexname = 'link_directory_1_links_texts'";
        let rows = world.database.fetch(Purpose::Lookup, sql.to_owned(), &[], |row| row.int(0));
        rows.await.unwrap()
    };
    assert_eq!(
        (world.codes_with("needle").await, indexes().await),
        (vec!["a".to_owned()], vec![0])
    );
    world.models.stop_projecting().await;
    let sql = "create extension pg_trgm schema public";
    sqlx::query(sql).execute(&mut administrator).await.unwrap();
    let models = world.opened_again().await;
    let position = world.link("c", "2026-01-01T00:00:00Z", json!({ "title": "needles" })).await;
    models.wait_for_all(position, crate::contract::PATIENCE).await.unwrap();
    let found = (world.codes_with("needle").await, indexes().await);
    assert_eq!(found, (vec!["a".to_owned(), "c".to_owned()], vec![1]));
}
