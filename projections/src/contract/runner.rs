//! What the runner promises on every database.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::world::{NAMES, PATIENCE, World, click, empty_log};
use crate::ReadModels;
use crate::lease::Part;
use crate::partition::Partitions;
use crate::read_models::WaitError;
use crate::runner::State;

impl World {
    async fn state(&self, models: &ReadModels, name: &str) -> (State, Option<String>) {
        let status = models.status(chrono::DateTime::UNIX_EPOCH).await;
        let found = status.into_iter().find(|status| status.name == name).unwrap();
        (found.state, found.last_error)
    }

    async fn becomes(&self, models: &ReadModels, name: &str, wanted: State) -> Option<String> {
        loop {
            let (state, error) = self.state(models, name).await;
            if state == wanted {
                return error;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Live work takes events one by one here, a verification takes all at once.
pub(crate) async fn other_batches_give_the_same_tables(world: World) {
    for n in 0..12_u64 {
        let code = format!("c{}", n % 3);
        if n < 3 {
            world.link(&code, "2026-01-01T00:00:00Z", json!({ "tags": ["x"] })).await;
        }
        let clicks = (0..n).map(|m| {
            let at = format!("2026-03-01T{:02}:{:02}:00Z", (n * 7 + m) % 24, m);
            click(&code, &at, json!({ "visitor": format!("{:016x}", n * 31 + m * m) }))
        });
        world.clicks(clicks.collect()).await;
        world.caught_up().await;
    }
    world.verified().await;
}

pub(crate) async fn a_restart_goes_on_where_it_stopped(world: World) {
    let batch = |n: u64| {
        (0..n)
            .map(|m| click("a", "2026-03-01T00:00:00Z", json!({ "visitor": format!("{m:016x}") })))
    };
    for n in 1..6 {
        world.clicks(batch(n).collect()).await;
        // A worker that ends in the middle of its work, whatever it has written by then.
        let other = world.opened_again().await;
        drop(other);
    }
    world.caught_up().await;
    let totals = world.models.click_statistics().totals(&[super::world::key("a")]).await.unwrap();
    assert_eq!(totals.values().map(|totals| totals.total).sum::<u64>(), 15);
    world.verified().await;
}

/// Trap 11 of caches (C20): two workers on one set of tables, as when a holder of the lease was held up and
/// another took over. The lease only saves work; what fences it is the checkpoint: whoever finds it moved
/// changes nothing.
pub(crate) async fn a_second_worker_changes_nothing(world: World) {
    let second = world.opened_again().await;
    for n in 0..200_u64 {
        let visitor = format!("{n:016x}");
        world.clicks(vec![click("a", "2026-03-01T00:00:00Z", json!({ "visitor": visitor }))]).await;
    }
    let head = world.log.head(hoplog_events::position::Topic::Clicks).await.unwrap();
    // For each projection one of the two gets there; none counts twice.
    for name in NAMES {
        let one = Box::pin(world.models.wait_for(name, head, PATIENCE));
        let other = Box::pin(second.wait_for(name, head, PATIENCE));
        futures::future::select_ok([one, other]).await.unwrap();
    }
    let totals = world.models.click_statistics().totals(&[super::world::key("a")]).await.unwrap();
    assert_eq!(totals.values().map(|totals| totals.total).sum::<u64>(), 200);
}

pub(crate) async fn tables_of_another_log_are_not_written(world: World) {
    world.clicks(vec![click("a", "2026-03-01T00:00:00Z", json!({}))]).await;
    world.caught_up().await;
    let (_dir, other) = empty_log().await;
    let models =
        ReadModels::open(world.database.clone(), Arc::clone(&other), Part::Alone, Partitions::ONE)
            .await
            .unwrap();
    models.run();
    for name in ["clicks", "click_statistics"] {
        let error = world.becomes(&models, name, State::Failed).await.unwrap();
        assert!(error.contains("log"), "{error}");
    }
    world.verified().await;
}

/// The log is as long as it was, or longer, and has another event where the tables end.
pub(crate) async fn tables_of_a_log_that_was_put_back_are_not_written(world: World) {
    let visit = || vec![click("a", "2026-03-01T00:00:00Z", json!({}))];
    world.clicks(visit()).await;
    world.caught_up().await;
    world.models.stop_projecting().await;
    let another = format!("1 {}", uuid::Uuid::new_v4());
    let sql = "update checkpoints set last_event = $1 where projection = 'clicks'";
    world.execute(sql, &[another.into()]).await;
    let position = world.clicks(visit()).await;
    let models = world.opened_again().await;
    let error = world.becomes(&models, "clicks", State::Failed).await.unwrap();
    assert!(error.contains("put back"), "{error}");
    models.wait_for("click_statistics", position, PATIENCE).await.unwrap();
    models.rebuild("clicks").await.unwrap();
    models.wait_for("clicks", position, PATIENCE).await.unwrap();
}

/// Tables without the column, and processes that move a checkpoint and leave the column alone.
pub(crate) async fn what_a_version_before_left_of_checkpoints_is_enough(world: World) {
    let visit = || vec![click("a", "2026-03-01T00:00:00Z", json!({}))];
    world.clicks(visit()).await;
    world.caught_up().await;
    world.models.stop_projecting().await;
    world.execute("alter table checkpoints drop column last_event", &[]).await;
    let again = world.opened_again().await;
    let position = world.clicks(visit()).await;
    again.wait_for("clicks", position, PATIENCE).await.unwrap();
    again.stop_projecting().await;
    let sql = "update checkpoints set last_event = $1 where projection = 'clicks'";
    world.execute(sql, &[format!("1 {}", uuid::Uuid::new_v4()).into()]).await;
    let again = world.opened_again().await;
    let position = world.clicks(visit()).await;
    again.wait_for("clicks", position, PATIENCE).await.unwrap();
}

pub(crate) async fn a_paused_projection_waits_and_goes_on(world: World) {
    world.models.pause("clicks").await.unwrap();
    world.becomes(&world.models, "clicks", State::Paused).await;
    let position = world.clicks(vec![click("a", "2026-03-01T00:00:00Z", json!({}))]).await;
    let moment = Duration::from_millis(50);
    assert_eq!(world.models.wait_for("clicks", position, moment).await, Err(WaitError::TimedOut));
    world.models.wait_for("click_statistics", position, PATIENCE).await.unwrap();
    world.models.resume("clicks").await.unwrap();
    world.verified().await;
}

pub(crate) async fn a_pause_outlives_a_restart(world: World) {
    world.clicks(vec![click("a", "2026-03-01T00:00:00Z", json!({}))]).await;
    world.caught_up().await;
    let before = world.log.head(hoplog_events::position::Topic::Clicks).await.unwrap();
    world.models.pause("clicks").await.unwrap();
    world.models.stop_projecting().await;
    let position = world.clicks(vec![click("a", "2026-03-01T00:00:00Z", json!({}))]).await;
    let again = world.opened_again().await;
    world.becomes(&again, "clicks", State::Paused).await;
    again.wait_for("click_statistics", position, PATIENCE).await.unwrap();
    let status = again.status(chrono::DateTime::UNIX_EPOCH).await;
    let clicks = status.iter().find(|status| status.name == "clicks").unwrap();
    assert_eq!((clicks.position, clicks.lag_events), (before, Some(1)));
    again.resume("clicks").await.unwrap();
    again.wait_for("clicks", position, PATIENCE).await.unwrap();
}

/// Not of the last one that was applied: on a quiet server that may be days old.
pub(crate) async fn lag_is_the_age_of_the_first_event_that_waits(world: World) {
    let lag = async |now: &str| {
        let status = world.models.status(super::world::at(now)).await;
        let found = status.iter().find(|status| status.name == "link_directory").unwrap();
        (found.lag_events, found.lag_seconds)
    };
    world.link("a", "2026-03-01T00:00:00Z", json!({})).await;
    world.caught_up().await;
    assert_eq!(lag("2026-03-05T00:00:00Z").await, (Some(0), Some(0.0)));
    world.models.pause("link_directory").await.unwrap();
    world.link("b", "2026-03-05T00:00:00Z", json!({})).await;
    world.link("c", "2026-03-05T00:00:08Z", json!({})).await;
    assert_eq!(lag("2026-03-05T00:00:10Z").await, (Some(2), Some(10.0)));
    // A clock that is behind the writer's.
    assert_eq!(lag("2026-03-04T00:00:00Z").await, (Some(2), Some(0.0)));
}

pub(crate) async fn a_rebuild_gives_the_same_tables(world: World) {
    world.link("a", "2026-01-01T00:00:00Z", json!({ "title": "t" })).await;
    world.clicks((0..50).map(|_| click("a", "2026-03-01T00:00:00Z", json!({}))).collect()).await;
    world.orphan("a").await;
    world.caught_up().await;
    for name in NAMES {
        let report = world.models.rebuild(name).await.unwrap();
        assert!(report.facts > 0, "{name}");
        world.clicks(vec![click("a", "2026-03-01T00:00:00Z", json!({}))]).await;
    }
    world.verified().await;
    assert!(world.models.rebuild("nobody").await.is_err());
}

/// A crash, a failover or a restored backup may take the last transactions back, rows and
/// checkpoint alike, while the worker goes on.
pub(crate) async fn a_database_that_went_back_is_caught_up_with(world: World) {
    let visit = || vec![click("a", "2026-03-01T00:00:00Z", json!({}))];
    for _ in 0..3 {
        world.clicks(visit()).await;
        world.caught_up().await;
    }
    let mut transaction = world.database.begin().await.unwrap();
    for sql in [
        "delete from clicks_1_clicks where sequence > 1",
        "update checkpoints set sequence = 1 where projection = 'clicks'",
    ] {
        assert!(transaction.execute(sql.to_owned(), &[]).await.unwrap() > 0, "{sql}");
    }
    transaction.commit().await.unwrap();
    let position = world.clicks(visit()).await;
    world.models.wait_for("clicks", position, PATIENCE).await.unwrap();
    world.verified().await;
}
