//! What processes that share a database promise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::runtime::Runtime;
use uuid::Uuid;

use super::world::{NAMES, PATIENCE, World, click, key};
use crate::ReadModels;
use crate::lease::{LEASE, Member, Part};
use crate::partition::Partitions;
use crate::runner::State;

/// A process of its own, as far as one can be had in a test: it can be killed.
pub(super) struct Node {
    pub(super) models: Arc<ReadModels>,
    runtime: Option<Runtime>,
}

impl Node {
    async fn start(world: &World, part: Part, partitions: Partitions) -> Self {
        let mut threads = tokio::runtime::Builder::new_multi_thread();
        let runtime = threads.worker_threads(1).enable_all().build().unwrap();
        let (database, log) = (world.database.clone(), Arc::clone(&world.log));
        // Connections of a node that was killed can't be used: the pool finds out when it tries.
        let open = async move {
            loop {
                match ReadModels::open(database.clone(), Arc::clone(&log), part, partitions).await {
                    Err(error) if error.is_transient() => {}
                    opened => break opened.unwrap(),
                }
            }
        };
        let models = Arc::new(runtime.spawn(open).await.unwrap());
        let _on_its_threads = runtime.enter();
        models.run();
        Self { models, runtime: Some(runtime) }
    }

    pub(super) async fn member(world: &World) -> Self {
        Self::member_of(world, Partitions::ONE).await
    }

    /// A member whose settings name so many partitions.
    pub(super) async fn member_of(world: &World, partitions: Partitions) -> Self {
        Self::start(world, Part::Member(Member(Uuid::new_v4())), partitions).await
    }

    /// Ends every task where it stands; nothing is handed over.
    pub(super) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    async fn is(&self, name: &str, wanted: &[State]) {
        loop {
            let status = self.models.status(chrono::DateTime::UNIX_EPOCH).await;
            if status.iter().any(|it| it.name == name && wanted.contains(&it.state)) {
                return;
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn clicks(n: u64) -> Vec<serde_json::Value> {
    let click =
        |m| click("a", "2026-03-01T00:00:00Z", json!({ "visitor": format!("{:016x}", n * 7 + m) }));
    (0..3).map(click).collect()
}

async fn total(models: &ReadModels) -> u64 {
    let totals = models.click_statistics().totals(&[key("a")]).await.unwrap();
    totals.values().map(|totals| totals.total).sum()
}

/// The one that works is killed in the middle of its work.
pub(crate) async fn the_turn_of_a_killed_member_goes_to_another(world: World) {
    world.models.stop_projecting().await;
    let mut first = Node::member(&world).await;
    let second = Node::member(&world).await;
    for n in 0..100 {
        world.clicks(clicks(n)).await;
        if n == 50 {
            first.kill();
        }
    }
    let killed = Instant::now();
    let head = world.log.head(hoplog_events::position::Topic::Clicks).await.unwrap();
    second.models.wait_for_all(head, PATIENCE).await.unwrap();
    assert!(killed.elapsed() < LEASE + Duration::from_secs(2), "{:?}", killed.elapsed());
    assert_eq!(total(&second.models).await, 300);
    for name in NAMES {
        assert!(second.models.verify(name).await.unwrap().is_equal(), "{name}");
    }
}

pub(crate) async fn a_reader_learns_how_far_others_are(world: World) {
    let reader = Node::start(&world, Part::Reader, Partitions::ONE).await;
    for n in 0..5 {
        let position = world.clicks(clicks(n)).await;
        reader.models.wait_for_all(position, PATIENCE).await.unwrap();
        assert_eq!(total(&reader.models).await, (n + 1) * 3);
    }
    reader.is("clicks", &[State::Standby]).await;
}

pub(crate) async fn a_pause_holds_for_every_member(world: World) {
    world.models.stop_projecting().await;
    let (one, other) = (Node::member(&world).await, Node::member(&world).await);
    // Whoever is in the middle of taking over meets the pause as well.
    for n in 0..5 {
        one.models.pause("clicks").await.unwrap();
        for node in [&one, &other] {
            node.is("clicks", &[State::Paused]).await;
        }
        let position = world.clicks(clicks(n)).await;
        other.models.wait_for("click_statistics", position, PATIENCE).await.unwrap();
        let moment = Duration::from_millis(200);
        assert!(other.models.wait_for("clicks", position, moment).await.is_err());
        other.models.resume("clicks").await.unwrap();
        for node in [&one, &other] {
            node.models.wait_for("clicks", position, PATIENCE).await.unwrap();
        }
    }
}

/// Whoever is asked rebuilds, whoever works meanwhile; everybody reads the new tables.
pub(crate) async fn a_rebuild_by_one_is_read_by_all(world: World) {
    world.models.stop_projecting().await;
    let (one, other) = (Node::member(&world).await, Node::member(&world).await);
    for (n, node) in (0..).zip([&one, &other, &one]) {
        let position = world.clicks(clicks(n)).await;
        for name in NAMES {
            node.models.rebuild(name).await.unwrap();
        }
        for node in [&one, &other] {
            node.models.wait_for_all(position, PATIENCE).await.unwrap();
            assert_eq!(total(&node.models).await, (n + 1) * 3);
        }
    }
}
