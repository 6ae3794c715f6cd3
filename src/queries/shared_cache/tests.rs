//! Against a real Redis.

use std::time::Instant;

use hoplog_events::position::{Position, Topic};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::*;
use crate::redis_connection::redis_server::RedisServer;

struct World {
    redis: RedisServer,
    shared: SharedCache,
    /// Nobody writes what is handed over.
    _writer: SharedCacheWriter,
    keeper: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

fn log() -> LogId {
    LogId(Uuid::from_u128(7))
}

async fn world() -> World {
    let redis = RedisServer::start();
    let level2 = Arc::new(Level2::new(redis.url().parse().unwrap(), Duration::from_secs(5)));
    let kept = Arc::clone(&level2);
    let keeper = tokio::spawn(async move { kept.keep_connected().await });
    let deadline = Instant::now() + Duration::from_secs(30);
    while level2.ping().await.is_err() {
        assert!(Instant::now() < deadline, "Redis does not answer");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (shared, writer) = SharedCache::new(level2, log());
    World { redis, shared, _writer: writer, keeper }
}

fn key() -> LinkKey {
    "default/a".parse().unwrap()
}

fn clicks(humans: u64) -> ClickTotals {
    ClickTotals { total: humans + 1, humans, bots: 1 }
}

/// Trap 10: clicks are whole numbers with the position they account for, written as often as one
/// likes, never added up.
#[tokio::test]
async fn clicks_are_used_only_if_they_are_new_enough() {
    let World { shared, .. } = &world().await;
    assert_eq!(shared.totals(&key(), Sequence(0)).await, None);
    for (humans, as_of) in [(10, 5), (20, 9), (20, 9), (10, 5)] {
        let write = totals_write(&key(), clicks(humans), Sequence(as_of));
        shared.totals.set_if_newer(&[write]).await.unwrap();
    }
    for at_least in [0, 5, 9] {
        assert_eq!(shared.totals(&key(), Sequence(at_least)).await, Some(clicks(20)), "{at_least}");
    }
    assert_eq!(shared.totals(&key(), Sequence(10)).await, None);
}

#[tokio::test]
async fn what_can_not_be_read_is_no_link() {
    let world = world().await;
    let full = format!("hoplog:{:016x}:l7.{}:default/a", 7, link_directory::VERSION);
    // Version, kind, position, end, number of tags: what a whole one begins with.
    let header = format!("12345678\u{1}{}\u{0}", "1".repeat(16));
    let broken =
        [String::new(), "x".into(), "12345678\u{1}".into(), format!("{header}{{\"u\":1}}")];
    for broken in &broken {
        world.redis.command(&["SET", &full, broken]);
        assert_eq!(world.shared.links().get(&key()).await, Ok(None), "{broken:?}");
    }
    world.redis.command(&["DEL", &full]);
    world.redis.command(&["LPUSH", &full, "a list"]);
    assert!(world.shared.links().get(&key()).await.is_err(), "refused");
}

/// Positions of another log mean nothing here.
#[tokio::test]
async fn every_log_has_entries_of_its_own() {
    let World { shared, .. } = &world().await;
    let write = totals_write(&key(), clicks(10), Sequence(5));
    shared.totals.set_if_newer(&[write]).await.unwrap();
    let (other, _writer) = SharedCache::new(Arc::clone(&shared.level2), LogId(Uuid::from_u128(8)));
    assert_eq!(other.totals(&key(), Sequence(0)).await, None);
    assert!(shared.totals(&key(), Sequence(0)).await.is_some());
}

/// A projection never waits for the shared cache, and what waits to be written has a bound.
#[tokio::test]
async fn what_nobody_writes_is_dropped_at_a_bound() {
    let World { shared, .. } = &world().await;
    let position = Position { log: log(), topic: Topic::Links, sequence: Sequence(1) };
    for _ in 0..10 * COMMITS_MAX {
        let links = vec![key()];
        shared.committed(Commit { projection: link_directory::NAME, position, links });
    }
    assert_eq!(shared.commits.capacity(), 0);
    // Single clicks are not shared.
    let other = Commit { projection: "clicks", position, links: vec![key()] };
    shared.committed(other);
}
