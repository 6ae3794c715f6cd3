//! Tables built beside the ones that are read: nobody notices, and nothing is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hoplog_events::position::Topic;
use serde_json::json;

use super::turns::Node;
use super::world::{NAMES, PATIENCE, World, alive, click, key};
use crate::ReadModels;
use crate::builds::BuildPurpose;
use crate::checkpoint::set_numbers;
use crate::database::Purpose;
use crate::read_models::OperationError;
use crate::runner::{State, Status, WorkerError};
use crate::table_set::active_set;

const NAME: &str = "click_statistics";

impl World {
    async fn visits(&self, count: usize) {
        let visit = |n: usize| {
            let visitor = format!("{n:016x}");
            click("a", "2026-03-01T00:00:00Z", json!({ "visitor": visitor }))
        };
        self.clicks((0..count).map(visit).collect()).await;
    }

    pub(crate) async fn tables_in_the_database(&self, like: &str) -> u64 {
        let sql = match &self.database {
            crate::Database::Sqlite(_) => "select count(*) from sqlite_master where type = 'table'",
            crate::Database::Postgres(_) => {
                "select count(*) from pg_tables where schemaname = current_schema()"
            }
        };
        let column =
            if matches!(self.database, crate::Database::Sqlite(_)) { "name" } else { "tablename" };
        let sql = format!("{sql} and {column} like '{like}'");
        self.database.fetch(Purpose::Projection, sql, &[], |row| row.count(0)).await.unwrap()[0]
    }
}

async fn total(models: &ReadModels) -> u64 {
    let totals = models.click_statistics().totals(&[key("a")]).await.unwrap();
    totals.values().map(|totals| totals.total).sum()
}

async fn status(models: &ReadModels, name: &str) -> Status {
    let all = models.status(chrono::DateTime::UNIX_EPOCH).await;
    all.into_iter().find(|status| status.name == name).unwrap()
}

/// Writers write, readers read, and tables are swapped all the time: whoever was told that a click
/// is counted never finds it missing.
pub(crate) async fn readers_and_writers_do_not_notice_a_swap(world: World) {
    world.visits(100).await;
    world.caught_up().await;
    let over = AtomicBool::new(false);
    let write_and_read = async {
        let mut written = 100;
        while !over.load(Ordering::Relaxed) {
            world.visits(10).await;
            written += 10;
            let head = world.log.head(Topic::Clicks).await.unwrap();
            world.models.wait_for(NAME, head, PATIENCE).await.unwrap();
            assert!(total(&world.models).await >= written);
        }
    };
    let read = async {
        let mut seen = 0;
        while !over.load(Ordering::Relaxed) {
            let now = total(&world.models).await;
            assert!(now >= seen, "{now} after {seen}");
            seen = now;
            tokio::task::yield_now().await;
        }
    };
    let swap = async {
        for n in 0..12 {
            if n % 3 == 2 {
                world.models.rollback(NAME).await.unwrap();
            } else {
                world.models.rebuild(NAME).await.unwrap();
            }
        }
        over.store(true, Ordering::Relaxed);
    };
    tokio::join!(write_and_read, read, swap);
    world.verified().await;
    // What is read, and what was read before.
    assert_eq!(world.tables_in_the_database("click_statistics_%_totals").await, 2);
}

/// A comparison stops nothing, and finds nothing that is only younger.
pub(crate) async fn a_verification_stops_nobody(world: World) {
    world.visits(100).await;
    world.caught_up().await;
    let over = AtomicBool::new(false);
    let write = async {
        let mut batches = 0;
        while !over.load(Ordering::Relaxed) {
            world.visits(10).await;
            let head = world.log.head(Topic::Clicks).await.unwrap();
            world.models.wait_for(NAME, head, PATIENCE).await.unwrap();
            batches += 1;
        }
        batches
    };
    let verify = async {
        for _ in 0..5 {
            let report = world.models.verify(NAME).await.unwrap();
            assert!(report.is_equal(), "{report:?}");
        }
        over.store(true, Ordering::Relaxed);
    };
    let (batches, ()) = tokio::join!(write, verify);
    assert!(batches > 0);
    assert_eq!(world.tables_in_the_database("click_statistics_%_totals").await, 1);
}

pub(crate) async fn a_rollback_reads_the_tables_from_before(world: World) {
    world.visits(3).await;
    world.caught_up().await;
    let none = world.models.rollback(NAME).await;
    assert!(matches!(none, Err(OperationError::Failed(WorkerError::NoPrevious(_)))), "{none:?}");
    world.models.rebuild(NAME).await.unwrap();
    let (new, _) = active_set(&world.database, NAME).await.unwrap();
    world.execute(&format!("update {} set humans = 1000", new.table("totals")), &[]).await;
    assert_eq!(total(&world.models).await, 1_000);
    world.visits(4).await;
    world.caught_up().await;
    world.models.rollback(NAME).await.unwrap();
    assert_eq!(total(&world.models).await, 7, "with what came since");
    world.visits(1).await;
    world.verified().await;
    // And back again.
    world.models.rollback(NAME).await.unwrap();
    assert_eq!(total(&world.models).await, 1_005);
    assert_eq!(active_set(&world.database, NAME).await.unwrap().0, new);
}

/// Two at once: one builds, the other is told.
pub(crate) async fn two_rebuilds_at_once_are_one(world: World) {
    world.visits(500).await;
    world.caught_up().await;
    let (one, other) = tokio::join!(world.models.rebuild(NAME), world.models.rebuild(NAME));
    let refused = [one, other].into_iter().filter_map(Result::err).collect::<Vec<_>>();
    let [OperationError::Failed(WorkerError::Building(_))] = refused[..] else {
        panic!("{refused:?}")
    };
    // The same from another process.
    let node = Node::member(&world).await;
    world.execute(CLAIM, &[]).await;
    for models in [&world.models, &*node.models] {
        let refused = models.rebuild(NAME).await;
        assert!(
            matches!(refused, Err(OperationError::Failed(WorkerError::Building(_)))),
            "{refused:?}"
        );
    }
    // Whoever built is gone.
    world.execute("update builds set ends = 0", &[]).await;
    node.models.rebuild(NAME).await.unwrap();
    world.caught_up().await;
}

/// Somebody else builds.
const CLAIM: &str = "insert into builds \
    (projection, builder, table_set, purpose, ends, done, total, facts, started) \
    values ('click_statistics', '00000000-0000-0000-0000-000000000000', 99, 'rebuild', \
    9000000000000000, 25, 100, 50, 0)";

/// What another process builds is told everywhere.
pub(crate) async fn a_build_is_told_by_every_process(world: World) {
    world.visits(5).await;
    world.caught_up().await;
    world.models.stop_projecting().await;
    let node = Node::member(&world).await;
    world.execute(CLAIM, &[]).await;
    loop {
        let status = status(&node.models, NAME).await;
        if let Some(build) = status.build {
            assert_eq!(status.state, State::Rebuilding);
            assert_eq!(build.purpose, BuildPurpose::Rebuild);
            assert_eq!((build.events_done, build.events_total, build.facts), (25, 100, 50));
            break;
        }
        tokio::task::yield_now().await;
    }
    // The tables that are read go on meanwhile.
    world.visits(5).await;
    let head = world.log.head(Topic::Clicks).await.unwrap();
    node.models.wait_for(NAME, head, PATIENCE).await.unwrap();
    assert_eq!(total(&node.models).await, 10);
}

/// Whatever moment a builder is killed at, there are the old tables or the new, and no others.
pub(crate) async fn a_killed_build_leaves_the_old_tables_or_the_new(world: World) {
    for _ in 0..40 {
        world.visits(50).await;
    }
    world.caught_up().await;
    world.models.stop_projecting().await;
    for round in 0..12_u32 {
        let mut node = Node::member(&world).await;
        let models = Arc::clone(&node.models);
        let before = alive(async || active_set(&world.database, NAME).await).await.0.number;
        let build = tokio::spawn(async move { models.rebuild(NAME).await });
        // From before the claim to long after the swap.
        for _ in 0..round * round {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        node.kill();
        // Whoever asked dies with it: a question that arrives while it dies would wait for ever.
        build.abort();
        let _ = build.await;
        let next = Node::member(&world).await;
        // What the dead held is free.
        world.execute("update builds set ends = 0", &[]).await;
        let head = world.log.head(Topic::Clicks).await.unwrap();
        next.models.wait_for(NAME, head, PATIENCE).await.unwrap();
        assert_eq!(total(&next.models).await, 2_000, "round {round}");
        let after = alive(async || active_set(&world.database, NAME).await).await.0.number;
        assert!(after >= before, "{before} {after}");
        assert!(next.models.verify(NAME).await.unwrap().is_equal(), "round {round}");
        // What was left behind is gone with the next build.
        next.models.rebuild(NAME).await.unwrap();
        let after = alive(async || active_set(&world.database, NAME).await).await.0.number;
        let sets = alive(async || set_numbers(&world.database, NAME).await).await;
        assert!(sets.len() == 2 && sets.contains(&after), "{sets:?}, {after} is read");
        assert_eq!(
            world.tables_in_the_database("click_statistics_%_totals").await,
            sets.len() as u64
        );
    }
}

/// Another version of the code: the tables of before are read until its own are there.
pub(crate) async fn a_new_version_builds_its_tables_by_itself(world: World) {
    world.link("a", "2026-01-01T00:00:00Z", json!({})).await;
    world.visits(20).await;
    world.caught_up().await;
    world.models.stop_projecting().await;
    world.execute("update projections set version = 0", &[]).await;
    world.visits(5).await;
    let again = world.opened_again().await;
    assert!(total(&again).await >= 20, "the ones of before are read at once");
    let head = world.log.head(Topic::Clicks).await.unwrap();
    again.wait_for_all(head, PATIENCE).await.unwrap();
    assert_eq!(total(&again).await, 25);
    for name in NAMES {
        while status(&again, name).await.state != State::Live {
            tokio::task::yield_now().await;
        }
        let (set, version) = active_set(&world.database, name).await.unwrap();
        assert_eq!(set.number, 2, "{name}");
        assert_ne!(version, Some(0), "{name}");
        assert!(again.verify(name).await.unwrap().is_equal(), "{name}");
        let refused = again.rollback(name).await;
        assert!(
            matches!(refused, Err(OperationError::Failed(WorkerError::OtherVersion { .. }))),
            "{refused:?}"
        );
    }
}

/// The version before is started again: it takes its own tables, which are still there.
pub(crate) async fn an_old_version_goes_back_to_its_tables(world: World) {
    world.visits(20).await;
    world.caught_up().await;
    world.models.rebuild(NAME).await.unwrap();
    world.models.stop_projecting().await;
    // As if the second set were a newer version's.
    let newer = "update projections set version = 99 where name = 'click_statistics'";
    world.execute(newer, &[]).await;
    world.visits(5).await;
    let again = world.opened_again().await;
    let head = world.log.head(Topic::Clicks).await.unwrap();
    again.wait_for(NAME, head, PATIENCE).await.unwrap();
    assert_eq!(total(&again).await, 25);
    assert_eq!(active_set(&world.database, NAME).await.unwrap().0.number, 1);
    while status(&again, NAME).await.state != State::Live {
        tokio::task::yield_now().await;
    }
    assert!(again.verify(NAME).await.unwrap().is_equal());
}

/// Among others an old version takes the tables away from nobody, and spoils none.
pub(crate) async fn an_old_version_beside_newer_ones_only_reads(world: World) {
    world.visits(20).await;
    world.caught_up().await;
    world.models.rebuild(NAME).await.unwrap();
    world.models.stop_projecting().await;
    let newer = "update projections set version = 99 where name = 'click_statistics'";
    world.execute(newer, &[]).await;
    world.visits(5).await;
    let old = Node::member(&world).await;
    let head = world.log.head(Topic::Clicks).await.unwrap();
    // Its other read models are no older.
    old.models.wait_for("clicks", head, PATIENCE).await.unwrap();
    while !status(&old.models, NAME).await.last_error.is_some_and(|it| it.contains("version 99")) {
        tokio::task::yield_now().await;
    }
    assert_eq!(total(&old.models).await, 20, "its own tables as they were");
    let (set, version) = active_set(&world.database, NAME).await.unwrap();
    assert_eq!((set.number, version), (2, Some(99)));
}
