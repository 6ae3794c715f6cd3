//! Against a real Redis.

use std::sync::Arc;
use std::time::Instant;

use hoplog_events::log::contract::tcp_proxy::TcpProxy;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::cache::Level2;
use crate::redis_connection::BreakerState;
use crate::redis_connection::redis_server::RedisServer;

const PATIENCE: Duration = Duration::from_secs(30);

struct Node {
    counts: Arc<LiveCounts>,
    level2: Arc<Level2>,
    keeper: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Node {
    async fn new(address: &str, name: &str) -> Self {
        let address = format!("redis://{address}").parse().unwrap();
        let level2 = Arc::new(Level2::new(address, Duration::from_millis(500)));
        let kept = Arc::clone(&level2);
        let keeper = tokio::spawn(async move { kept.keep_connected().await });
        let space = Space::new(Arc::clone(&level2), "live1:", Duration::from_mins(5));
        let node = Self { counts: Arc::new(LiveCounts::new(space, name, 100)), level2, keeper };
        node.connected().await;
        node
    }

    async fn connected(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.level2.breaker() != BreakerState::Closed {
            assert!(Instant::now() < deadline, "the connection does not come back");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn address(redis: &RedisServer) -> String {
    redis.url().trim_start_matches("redis://").to_owned()
}

#[tokio::test]
async fn what_nodes_count_is_the_sum() {
    let redis = RedisServer::start();
    let (one, two) =
        (Node::new(&address(&redis), "one").await, Node::new(&address(&redis), "two").await);
    for _ in 0..5 {
        assert!(one.counts.count("a") && two.counts.count("a") && two.counts.count("b"));
    }
    assert_eq!((one.counts.flush().await, two.counts.flush().await), (Ok(1), Ok(2)));
    assert_eq!(one.counts.flush().await, Ok(0), "nothing new");
    let [a, b, c] = ["a", "b", "c"].map(|key| one.counts.of_all(key));
    assert_eq!((a.await, b.await, c.await), (Ok(10), Ok(5), Ok(0)));
}

/// Trap 6 (C14): a flush that is repeated, or runs twice at once, adds nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flush_whose_answer_is_lost_is_repeated_and_counts_once() {
    let redis = RedisServer::start();
    let proxy = TcpProxy::to(&redis.url());
    let node = Node::new(&proxy.address().to_string(), "one").await;
    node.counts.count("a");
    proxy.swallow(true);
    assert_eq!(node.counts.flush().await, Err(Level2Error::TimedOut), "it may have been done");
    node.counts.count("a");
    proxy.swallow(false);
    // The connection has lost an answer: another one is made.
    while node.level2.breaker() == BreakerState::Closed {
        let _ = node.level2.ping().await;
        proxy.cut(1, 0);
    }
    node.connected().await;
    let flushes = (0..20).map(|_| {
        let counts = Arc::clone(&node.counts);
        tokio::spawn(async move { counts.flush().await })
    });
    for flush in flushes.collect::<Vec<_>>() {
        flush.await.unwrap().unwrap();
    }
    assert_eq!(node.counts.of_all("a").await, Ok(2));
}

/// Trap 6: what was counted when it ends is written; what was lost in a crash comes from the log, and
/// is not counted twice if it was not lost.
#[tokio::test]
async fn a_stop_writes_the_rest_and_a_crash_is_made_good_by_the_log() {
    let redis = RedisServer::start();
    let node = Node::new(&address(&redis), "one").await;
    for _ in 0..3 {
        node.counts.count("a");
    }
    let (stop, stopped) = oneshot::channel::<()>();
    stop.send(()).unwrap();
    node.counts.run(async { drop(stopped.await) }).await;
    assert_eq!(node.counts.of_all("a").await, Ok(3));
    // Two more, and it is killed before they are written.
    node.counts.count("a");
    node.counts.count("a");
    drop(node);
    for restored in [5, 5, 4] {
        let again = Node::new(&address(&redis), "one").await;
        assert!(again.counts.restore("a", restored));
        again.counts.flush().await.unwrap();
        assert_eq!(again.counts.of_all("a").await, Ok(5));
    }
}

/// Trap 6: what is counted before the log has said how much there was is not lost.
#[tokio::test]
async fn what_is_counted_before_it_is_restored_comes_to_what_there_was() {
    let redis = RedisServer::start();
    let before = Node::new(&address(&redis), "one").await;
    assert!(before.counts.restore("a", 100));
    before.counts.flush().await.unwrap();
    drop(before);
    let node = Node::new(&address(&redis), "one").await;
    for _ in 0..3 {
        node.counts.count("a");
    }
    assert_eq!(node.counts.flush().await, Ok(1), "less than there is: it changes nothing");
    assert_eq!(node.counts.of_all("a").await, Ok(100));
    for _ in 0..2 {
        assert!(node.counts.restore("a", 100));
        node.counts.flush().await.unwrap();
        assert_eq!(node.counts.of_all("a").await, Ok(103));
    }
}

/// Trap 6: while Redis is away nothing grows without end, and nothing that has a place is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_redis_has_a_bound() {
    let mut redis = RedisServer::start();
    let node = Node::new(&address(&redis), "one").await;
    redis.kill();
    for n in 0..150 {
        assert_eq!(node.counts.count(&format!("k{n}")), n < 100);
    }
    assert_eq!(node.counts.dropped(), 50);
    while node.counts.flush().await != Err(Level2Error::Away) {}
    redis.start_again();
    node.connected().await;
    assert_eq!(node.counts.flush().await, Ok(100));
    assert_eq!(node.counts.of_all("k99").await, Ok(1));
}
