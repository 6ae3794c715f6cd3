//! The cache of two levels beside what it is made of, and beside the best there is:
//! `cargo bench --bench cache`. A get in the first level is in `hot_paths`; redirects with the circuit
//! breaker open are in `benches/breaker`.

#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark that can't be set up ends")]

use std::hint::black_box;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use hoplog::cache::{
    AtHand, CacheOptions, Form, Level2, Loaded, NobodyElse, SharedLevel, Space, TwoLevelCache,
    Write,
};
use hoplog::redis_connection::BreakerState;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::runtime::Runtime;

#[path = "../tests/support/redis.rs"]
#[expect(dead_code, reason = "tests do more with it")]
mod redis_server;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PATIENCE: Duration = Duration::from_secs(30);

/// How many keys are asked for at once where that is measured.
const AT_ONCE: usize = 64;

/// Links of the trace, entries of the first level, requests of a trace.
const LINKS: u32 = 1_000_000;
const ENTRIES: usize = 10_000;
const REQUESTS: usize = 2_000_000;

const VALUE: &str = "https://example.com/landing?utm_source=mail&utm_campaign=launch";

fn main() {
    hit_ratio();
    divan::main();
    // A static is never dropped: a Redis would stay behind.
    drop(WORLD.redis.lock().expect("nobody panicked").take());
}

/// Requests whose popularity falls with their rank, as Zipf says with an exponent of 1.
struct Zipf {
    /// The sum of the weights up to each rank.
    sums: Vec<f64>,
}

impl Zipf {
    fn new() -> Self {
        let mut sum = 0.0;
        let weight = |rank| {
            sum += 1.0 / f64::from(rank);
            sum
        };
        Self { sums: (1..=LINKS).map(weight).collect() }
    }

    fn whole(&self) -> f64 {
        self.sums.last().copied().unwrap_or_default()
    }

    /// Spread over the keys, so that neighbours in rank are none in the cache.
    fn key(&self, random: &mut StdRng) -> u32 {
        let at = random.random_range(0.0..self.whole());
        let rank = self.sums.partition_point(|sum| *sum <= at);
        u32::try_from(rank).unwrap_or_default().wrapping_mul(0x9E37_79B1)
    }

    /// What a cache that knows the popularity of all keys, and keeps the most popular, hits.
    fn best(&self) -> f64 {
        self.sums[ENTRIES - 1] / self.whole()
    }
}

/// Told before the benchmarks: it is a number, not a time.
#[expect(clippy::cast_precision_loss, clippy::print_stdout, reason = "it is told to a person")]
fn hit_ratio() {
    let options = CacheOptions::new("bench", ENTRIES);
    let cache = TwoLevelCache::<u32, Arc<str>>::new(options, None, Arc::new(NobodyElse));
    let (zipf, mut random) = (Zipf::new(), StdRng::seed_from_u64(7));
    let value: Arc<str> = VALUE.into();
    let mut hits = 0_usize;
    for n in 0..2 * REQUESTS {
        let key = zipf.key(&mut random);
        if cache.get(&key, 0) == AtHand::Nothing {
            cache.remember(&key, Loaded::value(Arc::clone(&value), 1), 0);
        } else if n >= REQUESTS {
            // The first half fills it.
            hits += 1;
        }
    }
    let (ratio, best) = (hits as f64 / REQUESTS as f64, zipf.best());
    println!("hit ratio, Zipf 1.0, {LINKS} links, {ENTRIES} entries: {ratio:.4}; best {best:.4}");
}

struct Text;

impl Form<u32, Arc<str>> for Text {
    fn write(&self, value: &Arc<str>) -> Option<Vec<u8>> {
        Some(value.as_bytes().to_vec())
    }

    fn read(&self, _: &u32, bytes: &[u8]) -> Option<Arc<str>> {
        std::str::from_utf8(bytes).ok().map(Arc::from)
    }
}

struct World {
    runtime: Runtime,
    redis: Mutex<Option<redis_server::RedisServer>>,
    url: String,
    level2: Arc<Level2>,
    cache: TwoLevelCache<u32, Arc<str>>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let runtime = Runtime::new().expect("a runtime");
    let redis = redis_server::RedisServer::start();
    let url = redis.url();
    let level2 = Arc::new(Level2::new(url.parse().expect("an address"), PATIENCE));
    let (kept, awaited) = (Arc::clone(&level2), Arc::clone(&level2));
    runtime.spawn(async move { kept.keep_connected().await });
    runtime.block_on(async {
        while awaited.breaker() != BreakerState::Closed {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let shared = SharedLevel::new(&level2, "bench1:", Duration::from_hours(1), Arc::new(Text));
    let options = CacheOptions::new("bench", ENTRIES);
    let cache = TwoLevelCache::new(options, Some(shared), Arc::new(NobodyElse));
    let entry = |key| (key, Loaded::value(Arc::from(VALUE), 1));
    let entries: Vec<_> = (0..1_000).map(entry).collect();
    runtime.block_on(cache.set_many(&entries, 0)).expect("Redis takes it");
    World { runtime, redis: Mutex::new(Some(redis)), url, level2, cache }
});

fn keys() -> Vec<u32> {
    (0..1_000).take(AT_ONCE).collect()
}

/// Many keys from the second level, with types, judged, and kept in the first.
#[divan::bench]
fn get_from_the_second_level(bencher: Bencher<'_, '_>) {
    let World { runtime, cache, .. } = &*WORLD;
    let keys = keys();
    bencher.counter(ItemsCount::new(AT_ONCE)).bench_local(|| {
        cache.clear();
        let found = runtime.block_on(cache.get_many(black_box(&keys), 0));
        assert!(found.iter().all(Option::is_some));
    });
}

/// The same keys by the client alone, in one pipeline.
#[divan::bench]
fn get_by_the_bare_client(bencher: Bencher<'_, '_>) {
    let World { runtime, url, .. } = &*WORLD;
    let client = redis::Client::open(url.as_str()).expect("an address");
    let connection = runtime.block_on(client.get_multiplexed_async_connection());
    let mut connection = connection.expect("Redis is there");
    let keys: Vec<String> = keys().iter().map(|key| format!("bench1:{key}")).collect();
    bencher.counter(ItemsCount::new(AT_ONCE)).bench_local(|| {
        let mut pipeline = redis::pipe();
        for key in black_box(&keys) {
            pipeline.get(key);
        }
        let found: Vec<Option<Vec<u8>>> =
            runtime.block_on(pipeline.query_async(&mut connection)).expect("Redis answers");
        assert!(found.iter().all(Option::is_some));
    });
}

/// What a commit costs in Redis.
#[divan::bench]
fn set_if_newer_in_the_second_level(bencher: Bencher<'_, '_>) {
    let World { runtime, level2, .. } = &*WORLD;
    let space = Space::new(Arc::clone(level2), "bench-set1:", Duration::from_mins(1));
    let mut version = 0;
    bencher.counter(ItemsCount::new(AT_ONCE)).bench_local(|| {
        version += 1;
        let write = |key: u32| Write::value(key.to_string(), version, VALUE.as_bytes());
        let writes: Vec<Write> = keys().into_iter().map(write).collect();
        runtime.block_on(space.set_if_newer(&writes)).expect("Redis takes it");
    });
}
