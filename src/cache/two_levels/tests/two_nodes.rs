//! Two nodes that share a real Redis, each on a way of its own that can be broken.

use std::str;

use hoplog_events::log::contract::tcp_proxy::TcpProxy;
use tokio::task::JoinHandle;

use super::*;
use crate::cache::Level2Error;
use crate::cache::level2::Level2;
use crate::redis_connection::BreakerState;
use crate::redis_connection::redis_server::RedisServer;

/// Tests run on machines that are busy.
const DEADLINE: Duration = Duration::from_millis(500);

struct Text;

impl Form<u32, String> for Text {
    fn write(&self, value: &String) -> Option<Vec<u8>> {
        Some(value.clone().into_bytes())
    }

    fn read(&self, _: &u32, bytes: &[u8]) -> Option<String> {
        str::from_utf8(bytes).ok().map(str::to_owned)
    }
}

/// What a node has heard of changes.
#[derive(Default)]
pub(super) struct Heard(Mutex<HashMap<u32, u64>>);

impl Heard {
    pub(super) fn hear(&self, key: u32, position: u64) {
        let mut heard = self.0.lock().unwrap();
        let newest = heard.entry(key).or_default();
        *newest = position.max(*newest);
    }
}

impl Witness<u32> for Heard {
    fn newest(&self, key: &u32) -> u64 {
        self.0.lock().unwrap().get(key).copied().unwrap_or_default()
    }

    fn complete_after(&self) -> Option<u64> {
        Some(0)
    }
}

pub(super) struct Node {
    pub(super) cache: Cache,
    pub(super) heard: Arc<Heard>,
    pub(super) proxy: TcpProxy,
    level2: Arc<Level2>,
    keeper: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Node {
    pub(super) async fn new(redis: &RedisServer, change: impl FnOnce(&mut CacheOptions)) -> Self {
        let proxy = TcpProxy::to(&redis.url());
        let address = format!("redis://{}", proxy.address()).parse().unwrap();
        let level2 = Arc::new(Level2::new(address, DEADLINE));
        let kept = Arc::clone(&level2);
        let keeper = tokio::spawn(async move { kept.keep_connected().await });
        let mut options = CacheOptions::new("test", 100);
        options.level2_patience = DEADLINE;
        options.soft_timeout = PATIENCE;
        change(&mut options);
        let shared = SharedLevel::new(&level2, "test1:", Duration::from_mins(5), Arc::new(Text));
        let heard = Arc::new(Heard::default());
        let witness: Arc<dyn Witness<u32>> = Arc::<Heard>::clone(&heard);
        let cache = Cache::new(options, Some(shared), witness);
        let node = Self { cache, heard, proxy, level2, keeper };
        node.is(BreakerState::Closed).await;
        node
    }

    async fn is(&self, state: BreakerState) {
        eventually(state.name(), async || self.level2.breaker() == state).await;
    }

    /// What it finds in Redis.
    pub(super) async fn shared(&self, key: u32) -> Option<Found<String>> {
        self.cache.clear();
        self.cache.get_many(&[key], 0).await.pop().flatten()
    }

    async fn ask(&self, source: &Source) -> Found<String> {
        ask(&self.cache, source, 0).await
    }
}

async fn nodes() -> (RedisServer, Node, Node) {
    let redis = RedisServer::start();
    let (one, two) = (Node::new(&redis, |_| ()).await, Node::new(&redis, |_| ()).await);
    (redis, one, two)
}

/// What one node loads the other need not; by many at once, in their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_loads_the_other_finds() {
    let (_redis, one, two) = nodes().await;
    let source = Source::with("one", 1);
    one.ask(&source).await;
    eventually("it is shared", async || two.shared(1).await.is_some()).await;
    two.cache.clear();
    assert_eq!(two.ask(&source).await, fresh("one", 1));
    assert_eq!((source.asked(), two.cache.counts().loads), (1, 0));
    assert_eq!(two.cache.get(&1, 0), AtHand::Value("one".into()));

    let entries: Vec<_> = (10..400).map(|key| (key, value(&key.to_string(), 7))).collect();
    one.cache.set_many(&entries, 0).await.unwrap();
    let keys: Vec<u32> = (5..405).rev().collect();
    for (key, found) in keys.iter().zip(two.cache.get_many(&keys, 0).await) {
        let expected = (10..400).contains(key).then(|| fresh(&key.to_string(), 7));
        assert_eq!(found, expected, "{key}");
    }
}

/// Traps 1 and 13 (C2, C3): whoever hears of a change drops what it has, and leaves alone what
/// others may have written since; what is older than the change is not taken from there either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hears_of_a_change_touches_its_own_level_only() {
    let (_redis, one, two) = nodes().await;
    one.cache.set(&1, value("one", 1), 0).await.unwrap();
    assert_eq!(two.shared(1).await, Some(fresh("one", 1)));
    one.cache.set(&1, value("two", 2), 0).await.unwrap();
    two.heard.hear(1, 2);
    two.cache.invalidate(&1, 2);
    assert_eq!(two.cache.get(&1, 0), AtHand::Nothing);
    assert_eq!(two.ask(&Source::default()).await, fresh("two", 2), "it is still there");
    // A change that nobody has written there yet.
    two.heard.hear(1, 3);
    two.cache.invalidate(&1, 3);
    let source = Source::with("three", 3);
    assert_eq!(two.ask(&source).await, fresh("three", 3));
    assert_eq!(source.asked(), 1);
    assert!(one.shared(1).await.is_some());
}

/// Trap 14 (C5, C11): the second level is written first, and a tombstone is undone by no late fill.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_comes_back_on_no_node() {
    let (redis, one, two) = nodes().await;
    one.cache.set(&1, value("one", 1), 0).await.unwrap();
    {
        let mut delete = std::pin::pin!(one.cache.delete(&1, 2, 0));
        redis.freeze();
        assert!(futures::poll!(&mut delete).is_pending());
        assert_eq!(one.cache.get(&1, 0), AtHand::Value("one".into()), "not before Redis has it");
        redis.thaw();
        delete.await.unwrap();
    }
    assert_eq!(one.cache.get(&1, 0), AtHand::Absent);
    two.cache.share_many(&[(1, value("late", 1))], 0).await.unwrap();
    let absent = Found { value: None, position: 2, is_stale: false };
    assert_eq!(two.shared(1).await, Some(absent.clone()));
    assert_eq!(two.ask(&Source::with("late", 1)).await, absent);
    one.cache.set(&1, value("again", 3), 0).await.unwrap();
    assert_eq!(two.shared(1).await, Some(fresh("again", 3)));
}

/// Trap 7 (C15): a tag is one small position, read by every node; a fill that began before it slips
/// past nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_counts_on_every_node_and_for_late_fills() {
    let (_redis, one, two) = nodes().await;
    let entry = |position| (1, value("ann's", position).tagged(["ann"]));
    one.cache.set_many(&[entry(4), (2, value("bob's", 4).tagged(["bob"]))], 0).await.unwrap();
    assert!(two.shared(1).await.is_some());
    one.cache.delete_tagged("ann", 5).await.unwrap();
    assert_eq!(two.shared(1).await, None, "it was not told, and finds out");
    assert!(two.shared(2).await.is_some());
    two.cache.share_many(&[entry(4)], 0).await.unwrap();
    assert_eq!([one.shared(1).await, two.shared(1).await], [None, None]);
    two.cache.set_many(&[entry(6)], 0).await.unwrap();
    assert_eq!(one.shared(1).await, Some(fresh("ann's", 6)));
    two.cache.invalidate_tagged("ann", 7);
    assert_eq!(two.cache.get(&1, 0), AtHand::Nothing);
    assert!(one.shared(1).await.is_some(), "who hears of it tells nobody");
}

/// An entry is not shared for longer than its value lasts (C1).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_that_ends_is_gone_from_both_levels() {
    let (redis, one, two) = nodes().await;
    one.cache.set(&1, value("short", 1).until(60_000), 0).await.unwrap();
    let left = redis.command(&["PTTL", "test1:1"]);
    let left: u64 = left.trim_start_matches(':').parse().unwrap();
    assert!(left <= 60_000, "{left}");
    let at = async |now_ms| two.cache.get_many(&[1], now_ms).await.pop().flatten();
    assert_eq!(at(59_999).await, Some(fresh("short", 1)));
    assert_eq!(at(60_000).await, None);
    assert_eq!(two.cache.get(&1, 60_000), AtHand::Nothing);
    one.cache.set(&2, value("over", 1).until(10), 10).await.unwrap();
    assert_eq!(redis.command(&["EXISTS", "test1:2"]), ":0");
}

/// Trap 3, across nodes: where many wait on both, one of the nodes asks the source.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_key_is_loaded_once_for_all_nodes() {
    let redis = RedisServer::start();
    let hot = |options: &mut CacheOptions| options.hot_waiters = 1;
    let nodes = [Node::new(&redis, hot).await, Node::new(&redis, hot).await];
    let loads = Arc::new(AtomicU32::new(0));
    let both_wait = Arc::new(tokio::sync::Barrier::new(2));
    let readers: Vec<_> = (0..2_000)
        .map(|n| {
            let (cache, loads) = (nodes[n % 2].cache.clone(), Arc::clone(&loads));
            let both_wait = Arc::clone(&both_wait);
            tokio::spawn(async move {
                if n < 2 {
                    both_wait.wait().await;
                }
                let load = move || {
                    let loads = Arc::clone(&loads);
                    async move {
                        loads.fetch_add(1, Ordering::Relaxed);
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        Ok(value("hot", 1))
                    }
                };
                cache.get_or_load(&1, 0, load).await
            })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), Ok(fresh("hot", 1)));
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1);
}

/// Traps 9 and 15 (C18, C19, C21): answers that never come open the breaker, time-outs count; calls
/// fail at once then, and it closes again by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_breaker_opens_when_answers_do_not_come_and_closes_when_they_do() {
    let (_redis, one, _two) = nodes().await;
    let source = Source::with("one", 1);
    one.proxy.swallow(true);
    for _ in 0..3 {
        one.cache.clear();
        assert_eq!(one.ask(&source).await, fresh("one", 1), "the source answers");
    }
    one.is(BreakerState::Open).await;
    let started = Instant::now();
    for _ in 0..100 {
        one.cache.clear();
        assert_eq!(one.ask(&source).await, fresh("one", 1));
    }
    assert!(started.elapsed() < 20 * DEADLINE, "nobody waits: {:?}", started.elapsed());
    one.proxy.swallow(false);
    one.is(BreakerState::Closed).await;
    one.cache.clear();
    one.ask(&source).await;
    eventually("it is shared", async || one.shared(1).await.is_some()).await;
}

/// A way that is slow, but not too slow, is used; a call that is slower than the patience of a reader
/// costs the reader no more than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_second_level_is_not_waited_for_in_vain() {
    let redis = RedisServer::start();
    let patience = Duration::from_millis(20);
    let node = Node::new(&redis, |options| options.level2_patience = patience).await;
    node.cache.set(&1, value("shared", 1), 0).await.unwrap();
    node.cache.clear();
    node.proxy.delay(Duration::from_millis(150));
    let source = Source::with("source", 2);
    assert_eq!(node.ask(&source).await, fresh("source", 2));
    assert_eq!(node.level2.breaker(), BreakerState::Closed);
    node.proxy.delay(Duration::ZERO);
}

/// Traps 9 and 14: a delete that Redis missed is caught up before anybody reads there, and until then
/// nothing older is believed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_that_were_missed_come_first_when_the_breaker_closes() {
    let (redis, one, two) = nodes().await;
    for key in [1, 2] {
        one.cache.set(&key, value("old", 1), 0).await.unwrap();
    }
    redis.freeze();
    assert!(one.cache.delete(&1, 5, 0).await.is_err());
    for _ in 0..3 {
        assert_ne!(one.cache.set(&2, value("new", 6), 0).await, Ok(()));
    }
    one.is(BreakerState::Open).await;
    assert_eq!(one.cache.delete(&1, 5, 0).await, Err(Level2Error::Away));
    redis.thaw();
    one.is(BreakerState::Closed).await;
    two.is(BreakerState::Closed).await;
    for node in [&one, &two] {
        assert_eq!(node.shared(1).await.unwrap().value, None, "buried");
        assert_eq!(node.shared(2).await, Some(fresh("new", 6)));
    }
}

/// The same with a Redis that was gone, and a connection that is cut in the middle of an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_costs_no_answer() {
    let (_redis, one, two) = nodes().await;
    let source = Source::with("one", 1);
    one.cache.set(&1, value("one", 1), 0).await.unwrap();
    for _ in 0..5 {
        one.is(BreakerState::Closed).await;
        one.proxy.cut(1, 1);
        one.cache.clear();
        assert_eq!(one.ask(&source).await, fresh("one", 1));
        eventually("it is cut", async || {
            let _ = one.level2.ping().await;
            one.proxy.cuts_left() == 0
        })
        .await;
    }
    one.is(BreakerState::Closed).await;
    assert_eq!(two.shared(1).await, Some(fresh("one", 1)));
}

/// Trap 15 (C19): while the breaker is open no more than so many ask the source at once; others are
/// told to come again rather than wait without end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_redis_is_no_stampede_on_the_source() {
    let redis = RedisServer::start();
    let node = Node::new(&redis, |options| {
        options.loads_max = 4;
        options.soft_timeout = Duration::from_millis(50);
    })
    .await;
    redis.freeze();
    while node.level2.ping().await != Err(Level2Error::Away) {}
    let (at_once, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (go, wait) = tokio::sync::watch::channel(false);
    let readers: Vec<_> = (0..100_u32)
        .map(|key| {
            let (cache, at_once, most) =
                (node.cache.clone(), Arc::clone(&at_once), Arc::clone(&most));
            let wait = wait.clone();
            tokio::spawn(async move {
                let load = move || {
                    let (at_once, most, mut wait) =
                        (Arc::clone(&at_once), Arc::clone(&most), wait.clone());
                    async move {
                        let now = at_once.fetch_add(1, Ordering::Relaxed) + 1;
                        most.fetch_max(now, Ordering::Relaxed);
                        let _ = wait.wait_for(|go| *go).await;
                        at_once.fetch_sub(1, Ordering::Relaxed);
                        Ok(value("x", 1))
                    }
                };
                cache.get_or_load(&key, 0, load).await
            })
        })
        .collect();
    let mut refused = 0;
    let mut served = 0;
    for (n, reader) in readers.into_iter().enumerate() {
        if n == 99 || refused == 95 {
            let _ = go.send(true);
        }
        match tokio::time::timeout(Duration::from_secs(1), reader).await {
            Ok(Ok(Err(LoadError::Crowded))) => refused += 1,
            Ok(Ok(Ok(_))) => served += 1,
            Ok(other) => panic!("{other:?}"),
            Err(_) => {}
        }
    }
    assert_eq!(most.load(Ordering::Relaxed), 4);
    assert!(refused >= 90, "{refused} refused, {served} served");
    redis.thaw();
}
