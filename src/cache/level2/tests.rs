//! Against a real Redis.

use std::time::Instant;

use proptest::prelude::*;
use tokio::task::JoinHandle;

use super::*;
use crate::redis_connection::FAILURES_IN_A_ROW_MAX as TIMEOUTS_MAX;
use crate::redis_connection::redis_server::RedisServer;

mod topologies;

/// How long a connection may take to come back.
const PATIENCE: Duration = Duration::from_secs(30);

struct World {
    redis: RedisServer,
    space: Space,
    keeper: JoinHandle<()>,
}

impl World {
    /// On a machine that may be busy.
    async fn new() -> Self {
        Self::with_deadline(Duration::from_secs(5)).await
    }

    async fn with_deadline(deadline: Duration) -> Self {
        let redis = RedisServer::start();
        let level2 = Arc::new(Level2::new(redis.url().parse().unwrap(), deadline));
        let kept = Arc::clone(&level2);
        let keeper = tokio::spawn(async move { kept.keep_connected().await });
        let space = Space::new(level2, "test1:", Duration::from_mins(1));
        let world = Self { redis, space, keeper };
        world.connected().await;
        world
    }

    async fn connected(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.space.level2.ping().await.is_err() {
            assert!(Instant::now() < deadline, "the connection does not come back");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn set(&self, key: &str, version: u64, value: &str) -> usize {
        let write = Write::value(key.into(), version, value.as_bytes());
        self.space.set_if_newer(&[write]).await.unwrap()
    }

    async fn get(&self, key: &str) -> Option<(u64, String)> {
        let entry = self.space.get(key).await.unwrap()?;
        Some((entry.version, String::from_utf8(entry.value?.to_vec()).unwrap()))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

fn value(version: u64, value: &str) -> (u64, String) {
    (version, value.to_owned())
}

/// Traps 2 and 8 (C6, C16): only a newer value replaces an older, and each comes with its own version.
#[tokio::test]
async fn only_a_newer_value_replaces_what_is_there() {
    let world = World::new().await;
    assert_eq!(world.get("a").await, None);
    assert_eq!(world.set("a", 2, "two").await, 1);
    assert_eq!(world.set("a", 1, "one").await, 0);
    assert_eq!(world.set("a", 2, "another two").await, 0, "the same version is the same value");
    assert_eq!(world.get("a").await, Some(value(2, "two")));
    // Beyond the 53 bits of Lua's numbers, and where a signed number would turn negative.
    let high = u64::MAX - 1;
    for (version, kept) in [(1 << 53, 1), ((1 << 53) + 1, 1), (1 << 53, 0), (high, 1), (9, 0)] {
        assert_eq!(world.set("b", version, "x").await, kept, "{version}");
    }
    assert_eq!(world.get("b").await, Some(value(high, "x")));
}

/// Trap 5: a value may be empty.
#[tokio::test]
async fn an_empty_value_is_a_value() {
    let world = World::new().await;
    assert_eq!(world.set("a", 0, "").await, 1);
    assert_eq!(world.get("a").await, Some(value(0, "")));
}

#[tokio::test]
async fn a_tombstone_is_not_undone_by_a_slow_reader() {
    let world = World::new().await;
    let tombstone = Write::tombstone("a".into(), 5);
    world.set("a", 5, "five").await;
    assert_eq!(world.space.set_if_newer(std::slice::from_ref(&tombstone)).await, Ok(1));
    assert_eq!(world.get("a").await, None);
    assert_eq!(world.set("a", 5, "five").await, 0);
    assert_eq!(world.get("a").await, None);
    assert_eq!(world.set("a", 6, "six").await, 1);
    assert_eq!(world.space.set_if_newer(&[tombstone]).await, Ok(0));
    assert_eq!(world.get("a").await, Some(value(6, "six")));
}

#[tokio::test]
async fn many_keys_are_answered_in_their_order() {
    let world = World::new().await;
    let keys: Vec<String> = (0..250).map(|n| format!("k{n}")).collect();
    let write = |n: usize| Write::value(keys[n].clone(), n as u64, keys[n].as_bytes());
    let writes: Vec<Write> = (0..250).filter(|n| n % 2 == 0).map(write).collect();
    assert_eq!(world.space.set_if_newer(&writes).await, Ok(125));
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let entries = world.space.get_many(&names).await.unwrap();
    for (n, entry) in entries.into_iter().enumerate() {
        let expected = (n % 2 == 0).then(|| keys[n].as_bytes());
        assert_eq!(entry.as_ref().and_then(|entry| entry.value.as_deref()), expected);
    }
}

/// Trap 12 (C17): what is written together does not end together. What is of another form, or no
/// entry at all, is not there, and does not stay in the way.
#[tokio::test]
async fn entries_end_at_different_times_and_foreign_ones_are_misses() {
    let world = World::new().await;
    let writes: Vec<Write> = (0..50).map(|n| Write::value(format!("k{n}"), 1, b"x")).collect();
    let number = |command: &[&str]| {
        world.redis.command(command).trim_start_matches(':').parse::<u64>().unwrap()
    };
    // By the clock of Redis, however long it takes to ask.
    let now = || number(&["EVAL", "return redis.call('TIME')[1] * 1000", "0"]);
    let before = now();
    world.space.set_if_newer(&writes).await.unwrap();
    let after = now() + 1_000;
    let end = |n: u64| number(&["PEXPIRETIME", &format!("test1:k{n}")]);
    let ends: Vec<u64> = (0..50).map(end).collect();
    let expected = before + 54_000..=after + 60_000;
    assert!(ends.iter().all(|end| expected.contains(end)), "{expected:?} {ends:?}");
    assert!(ends.iter().max().unwrap() - ends.iter().min().unwrap() > 1_000, "{ends:?}");

    let other = Space::new(Arc::clone(&world.space.level2), "test2:", Duration::from_mins(1));
    assert_eq!(other.get("k1").await, Ok(None));
    for foreign in ["", "short", "12345678", "12345678\u{7}x"] {
        world.redis.command(&["SET", "test1:f", foreign]);
        assert_eq!(world.get("f").await, None, "{foreign:?}");
    }
    world.redis.command(&["SET", "test1:f", "short"]);
    assert_eq!(world.set("f", 1, "ours").await, 1);
}

#[tokio::test]
async fn the_script_is_loaded_again_when_redis_has_forgotten_it() {
    let mut world = World::new().await;
    world.set("a", 1, "one").await;
    assert_eq!(world.redis.command(&["SCRIPT", "FLUSH"]), "+OK");
    assert_eq!(world.set("a", 2, "two").await, 1);
    world.redis.kill();
    world.redis.start_again();
    world.connected().await;
    assert_eq!(world.get("a").await, None);
    assert_eq!(world.set("a", 1, "one").await, 1);
}

/// One answer that is late costs one call its answer, and nobody the connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_answer_is_no_reason_to_do_without() {
    let world = World::with_deadline(Duration::from_millis(500)).await;
    world.set("a", 1, "one").await;
    for _ in 0..2 * TIMEOUTS_MAX {
        world.redis.freeze();
        assert_eq!(world.space.get("a").await, Err(Level2Error::TimedOut));
        world.redis.thaw();
        assert_eq!(world.get("a").await, Some(value(1, "one")));
    }
}

/// Trap 9: a refusal is an error for whoever asked, not a write that is taken for done; a read
/// goes on meanwhile.
#[tokio::test]
async fn a_full_redis_refuses_writes_and_answers_reads() {
    let world = World::new().await;
    world.set("a", 1, "one").await;
    world.redis.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    world.redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let write = Write::value("a".into(), 2, b"two");
    let refused = world.space.set_if_newer(&[write]).await;
    assert!(matches!(refused, Err(Level2Error::Failed(_))), "{refused:?}");
    assert_eq!(world.get("a").await, Some(value(1, "one")));
}

/// Trap 9: a write that is refused for itself keeps no other back, and the breaker closes. What stands in
/// its place is not believed until the write is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_refused_write_is_settled_alone() {
    let world = World::with_deadline(Duration::from_millis(500)).await;
    for key in ["good", "bad", "other"] {
        world.set(key, 1, "old").await;
    }
    world.redis.command(&["ACL", "SETUSER", "default", "resetkeys", "%R~*", "%RW~test1:good"]);
    let writes = ["good", "bad"].map(|key| Write::value(key.into(), 2, b"new"));
    let refused = world.space.set_in_any_case(&writes).await;
    assert!(matches!(refused, Err(Level2Error::Failed(_))), "{refused:?}");
    assert_eq!(world.space.level2.missed(), 1, "the other one is written");
    assert_eq!(world.get("good").await, Some(value(2, "new")));
    let told = world.space.look_up(&["bad", "other"]).await.unwrap();
    assert_eq!(told[0], Told::Missed { least: 2 });
    assert!(matches!(told[1], Told::Entry(_)), "{told:?}");

    // What is missed while Redis is away, too.
    world.redis.freeze();
    while world.space.level2.ping().await != Err(Level2Error::Away) {}
    let writes = ["good", "bad"].map(|key| Write::value(key.into(), 3, b"newer"));
    assert_eq!(world.space.set_in_any_case(&writes).await, Err(Level2Error::Away));
    world.redis.thaw();
    world.connected().await;
    assert_eq!(world.get("good").await, Some(value(3, "newer")));
    assert_eq!((world.get("bad").await, world.space.level2.missed()), (None, 1));
    world.redis.command(&["ACL", "SETUSER", "default", "allkeys"]);
    let deadline = Instant::now() + PATIENCE;
    while world.space.level2.missed() > 0 {
        assert!(Instant::now() < deadline, "it is not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(world.get("bad").await, Some(value(3, "newer")));
}

/// Trap 4 (C8): a refused read is no miss. Trap 9: who may not read at all is not asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_are_errors_and_those_of_all_open_the_breaker() {
    let world = World::new().await;
    world.redis.command(&["LPUSH", "test1:list", "x"]);
    for _ in 0..3 * TIMEOUTS_MAX {
        let refused = world.space.get("list").await;
        assert!(matches!(refused, Err(Level2Error::Failed(_))), "{refused:?}");
    }
    assert_eq!(world.set("list", 1, "ours").await, 1, "it is in nobody's way");
    assert_eq!(world.get("list").await, Some(value(1, "ours")));
    for (takes, gives) in [("-get", "+get"), ("-eval", "+eval")] {
        world.redis.command(&["ACL", "SETUSER", "default", takes]);
        let locks = Locks::new(Arc::clone(&world.space.level2), "lock:");
        for n in 0..TIMEOUTS_MAX {
            let refused = if takes == "-get" {
                world.space.get("a").await.err()
            } else {
                locks.take("a", PATIENCE).await.err()
            };
            assert!(matches!(refused, Some(Level2Error::Failed(_))), "{n}: {refused:?}");
        }
        assert_eq!(world.space.get("a").await, Err(Level2Error::Away), "{takes}");
        world.redis.command(&["ACL", "SETUSER", "default", gives]);
        world.connected().await;
    }
}

/// Trap 15 (C21): while Redis is away or frozen a few calls wait for the deadline, all others fail at
/// once, and the connection comes back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_fail_fast_while_redis_is_away_and_work_when_it_is_back() {
    let deadline = Duration::from_millis(500);
    let mut world = World::with_deadline(deadline).await;
    world.set("a", 1, "one").await;
    world.redis.freeze();
    for _ in 0..TIMEOUTS_MAX {
        assert_eq!(world.space.get("a").await, Err(Level2Error::TimedOut));
    }
    for _ in 0..1_000 {
        // Nothing is awaited: the answer is there at once.
        let answer = futures::FutureExt::now_or_never(world.space.get("a"));
        assert_eq!(answer, Some(Err(Level2Error::Away)));
    }
    world.redis.thaw();
    world.connected().await;
    assert_eq!(world.get("a").await, Some(value(1, "one")));

    world.redis.kill();
    assert!(world.space.get("a").await.is_err());
    assert_eq!(world.space.get("a").await, Err(Level2Error::Away));
    world.redis.start_again();
    world.connected().await;
    assert_eq!(world.get("a").await, None);
}

#[tokio::test]
async fn without_a_redis_everything_is_away() {
    let level2 = Arc::new(Level2::new("redis://127.0.0.1:1".parse().unwrap(), PATIENCE));
    let kept = Arc::clone(&level2);
    let keeper = tokio::spawn(async move { kept.keep_connected().await });
    tokio::task::yield_now().await;
    assert_eq!(level2.ping().await, Err(Level2Error::Away));
    assert!(level2.is_away());
    keeper.abort();
}

/// A write: which key, which version, whether it is a tombstone.
type Step = (u8, u64, bool);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Writers in any order, some of them late: what is there is what the newest of them wrote, and
    /// no reader ever sees a version go back.
    #[test]
    fn stale_writers_change_nothing(
        steps in prop::collection::vec((0..3_u8, 0..12_u64, prop::bool::weighted(0.2)), 1..60),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(check(steps));
    }
}

async fn check(steps: Vec<Step>) {
    let world = World::new().await;
    let mut newest = [None::<(u64, bool)>; 3];
    for (key, version, tombstone) in steps {
        let name = key.to_string();
        let write = if tombstone {
            Write::tombstone(name.clone(), version)
        } else {
            Write::value(name.clone(), version, version.to_string().as_bytes())
        };
        let there = &mut newest[usize::from(key)];
        let is_newer = there.is_none_or(|(old, _)| version > old || (version == old && tombstone));
        let kept = world.space.set_if_newer(&[write]).await.unwrap();
        assert_eq!(kept, usize::from(is_newer));
        if is_newer {
            *there = Some((version, tombstone));
        }
        let expected = there.filter(|(_, tombstone)| !tombstone);
        let expected = expected.map(|(version, _)| (version, version.to_string()));
        assert_eq!(world.get(&name).await, expected);
    }
}

/// The same with writers that run at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_at_once_the_newest_wins() {
    let world = World::new().await;
    let writers = (0..200_u64).map(|n| {
        let space = world.space.clone();
        let version = n * 7_919 % 200;
        tokio::spawn(async move {
            let write = Write::value("a".into(), version, version.to_string().as_bytes());
            space.set_if_newer(&[write]).await
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(world.get("a").await, Some(value(199, "199")));
}
