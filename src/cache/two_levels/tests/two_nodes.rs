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

/// What a node has heard of changes. At first it believes everybody, however far they are ahead.
#[derive(Default)]
pub(super) struct Heard {
    newest: Mutex<HashMap<u32, u64>>,
    /// It has heard of every change up to here, and believes nobody who is ahead of that.
    reached: Mutex<Option<u64>>,
    /// It says that it has heard of nothing, and believes everybody.
    pub(super) is_deaf: AtomicBool,
}

impl Heard {
    pub(super) fn hear(&self, key: u32, position: u64) {
        let mut heard = self.newest.lock().unwrap();
        let newest = heard.entry(key).or_default();
        *newest = position.max(*newest);
    }

    pub(super) fn reaches(&self, position: u64) {
        *self.reached.lock().unwrap() = Some(position);
    }
}

impl Witness<u32> for Heard {
    fn newest(&self, key: &u32) -> u64 {
        let newest = self.newest.lock().unwrap().get(key).copied();
        newest.filter(|_| !self.is_deaf.load(Ordering::Relaxed)).unwrap_or_default()
    }

    fn believes(&self, key: &u32, position: u64, as_of: u64) -> bool {
        let is_ahead = self.reached.lock().unwrap().is_some_and(|reached| as_of > reached);
        self.is_deaf.load(Ordering::Relaxed) || position >= self.newest(key) && !is_ahead
    }
}

pub(super) struct Node {
    pub(super) cache: Cache,
    pub(super) heard: Arc<Heard>,
    pub(super) proxy: TcpProxy,
    pub(super) level2: Arc<Level2>,
    keeper: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Node {
    pub(super) async fn new(redis: &RedisServer, change: impl FnOnce(&mut CacheOptions)) -> Self {
        Self::with_deadline(redis, DEADLINE, change).await
    }

    pub(super) async fn with_deadline(
        redis: &RedisServer,
        deadline: Duration,
        change: impl FnOnce(&mut CacheOptions),
    ) -> Self {
        let proxy = TcpProxy::to(&redis.url());
        let address = format!("redis://{}", proxy.address()).parse().unwrap();
        let level2 = Arc::new(Level2::new(address, deadline));
        let kept = Arc::clone(&level2);
        let keeper = tokio::spawn(async move { kept.keep_connected().await });
        let mut options = CacheOptions::new("test", 100);
        options.level2_patience = deadline;
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

    pub(super) async fn is(&self, state: BreakerState) {
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
    one.cache.set(&2, value("endless", 1), 0).await.unwrap();
    one.cache.set(&2, value("over", 2).until(10), 10).await.unwrap();
    assert_eq!(two.shared(2).await.and_then(|found| found.value), None, "and not what was before");
}

/// Trap 3, across nodes: where many wait on both, one of the nodes asks the source, and writes once what
/// it was told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_key_is_loaded_once_for_all_nodes() {
    let redis = RedisServer::start();
    let hot = |options: &mut CacheOptions| options.hot_waiters = 1;
    // No machine is so busy that a node goes on without the lock.
    let one = Node::with_deadline(&redis, PATIENCE, hot).await;
    let two = Node::with_deadline(&redis, PATIENCE, hot).await;
    let nodes = [&one, &two];
    let loads = Arc::new(AtomicU32::new(0));
    let (go, wait) = tokio::sync::watch::channel(false);
    let readers: Vec<_> = (0..2_000)
        .map(|n| {
            let (cache, loads) = (nodes[n % 2].cache.clone(), Arc::clone(&loads));
            let wait = wait.clone();
            tokio::spawn(async move {
                let load = move || {
                    let (loads, mut wait) = (Arc::clone(&loads), wait.clone());
                    async move {
                        loads.fetch_add(1, Ordering::Relaxed);
                        let _ = wait.wait_for(|go| *go).await;
                        Ok(value("hot", 1))
                    }
                };
                cache.get_or_load(&1, 0, load).await
            })
        })
        .collect();
    let all_wait = async || nodes.iter().all(|node| node.cache.counts().coalesced == 999);
    eventually("all wait on both", all_wait).await;
    eventually("one asks", async || loads.load(Ordering::Relaxed) == 1).await;
    go.send(true).unwrap();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), Ok(fresh("hot", 1)));
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    let commands = redis.command(&["INFO", "commandstats"]);
    let writes = commands.lines().find(|line| line.starts_with("cmdstat_evalsha:")).unwrap();
    assert!(writes.starts_with("cmdstat_evalsha:calls=1,"), "{writes}");
}

/// A key that many waited for is known to be hot: the next time nobody has to be counted first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_hot_is_locked_at_once() {
    let redis = RedisServer::start();
    let node = Node::with_deadline(&redis, PATIENCE, |_| ()).await;
    let locks = || redis.command(&["EXISTS", "test1:lock:{1}:f"]);
    let (found, wait) = oneshot::channel();
    let wait = Arc::new(Mutex::new(Some(wait)));
    let load = move || {
        let wait = wait.lock().unwrap().take();
        async move { wait.unwrap().await.map_err(|_| SourceAway("gone".into())) }
    };
    let reader = |load| {
        let cache = node.cache.clone();
        tokio::spawn(async move { cache.get_or_load(&1, 0, load).await.unwrap() })
    };
    let first = reader(load);
    eventually("it loads", async || node.cache.counts().loads == 1).await;
    let others: Vec<_> = (0..50)
        .map(|_| {
            let (cache, source) = (node.cache.clone(), Source::default());
            tokio::spawn(async move { cache.get_or_load(&1, 0, source.load(1)).await.unwrap() })
        })
        .collect();
    eventually("all wait", async || node.cache.counts().coalesced == 50).await;
    assert_eq!(locks(), ":0", "one was not many");
    found.send(value("hot", 1)).unwrap();
    assert_eq!(first.await.unwrap(), fresh("hot", 1));
    for other in others {
        assert_eq!(other.await.unwrap(), fresh("hot", 1));
    }
    eventually("it is shared", async || redis.command(&["EXISTS", "test1:1"]) == ":1").await;
    node.cache.clear();
    redis.flush();
    assert_eq!(node.ask(&Source::with("hot", 1)).await, fresh("hot", 1));
    assert_eq!(locks(), ":1");
    eventually("it is given back", async || redis.command(&["EXISTS", "test1:lock:{1}"]) == ":0")
        .await;
}

/// Trap 2: what is told of a key while Redis is asked for many binds what comes from there, also if nothing
/// of it is at hand, and nobody bears witness.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_told_while_many_are_looked_up_wins_without_a_witness() {
    let (_redis, one, _two) = nodes().await;
    one.heard.is_deaf.store(true, Ordering::Relaxed);
    let entries = [(1, value("old", 5)), (2, value("other", 5))];
    one.cache.share_many(&entries, 0).await.unwrap();
    one.proxy.delay(DEADLINE / 20);
    let mut looking = Box::pin(one.cache.get_many(&[1, 2], 0));
    assert!(futures::poll!(&mut looking).is_pending());
    one.cache.invalidate(&1, 9);
    assert_eq!(looking.await, [None, Some(fresh("other", 5))]);
    assert_eq!(one.cache.get(&1, 0), AtHand::Nothing);
}

/// Trap 7: a tag of which Redis does not say how far it reaches counts for all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_a_tag_that_can_not_be_read_is_not_believed() {
    let (redis, one, two) = nodes().await;
    one.cache.set(&1, value("ann's", 4).tagged(["ann"]), 0).await.unwrap();
    assert!(two.shared(1).await.is_some());
    redis.command(&["ACL", "SETUSER", "default", "resetkeys", "~test1:1", "%W~test1:tag:*"]);
    assert_eq!(two.shared(1).await, None);
    redis.command(&["ACL", "SETUSER", "default", "allkeys"]);
    assert!(two.shared(1).await.is_some());
}

/// Trap 15: answers that all come, but too late for whoever asks, open the breaker as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_way_that_is_always_slow_opens_the_breaker() {
    let redis = RedisServer::start();
    let deadline = 10 * DEADLINE;
    let one = Node::with_deadline(&redis, deadline, |_| ()).await;
    one.proxy.delay(deadline / 2);
    // All at once: one delay is enough for all of them.
    let answers = futures::future::join_all((0..20).map(|_| one.level2.ping())).await;
    let answered = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!(answered > 0, "a machine that stands still for seconds shows nothing: {answers:?}");
    one.is(BreakerState::Open).await;
    one.proxy.delay(Duration::ZERO);
    one.is(BreakerState::Closed).await;
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
    assert_eq!(one.level2.ping().await, Err(Level2Error::Away), "nobody waits");
    one.cache.clear();
    assert_eq!(one.ask(&source).await, fresh("one", 1));
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
    assert_eq!(crowd(&node.cache, 4).await, 96);
    redis.thaw();
}
