//! What a decision costs: in process beside `governor`, in Redis beside a bare script that does no more
//! than GCRA for one key, each pair in turn in the same run: `cargo bench --bench rate_limits`.
//!
//! Ratios, and what half and 99 of 100 decisions take at most, are told before the benchmarks.

#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark that can't be set up ends")]
#![expect(clippy::cast_precision_loss, clippy::print_stdout, reason = "it is told to a person")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::{Duration, Instant};

use divan::Bencher;
use futures::future::join_all;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use hoplog::ratelimit::{
    Algorithm, Charge, ChargeRef, Limiter, MonotonicClock, Policy, SharedOptions, Subject, Tier,
    Way,
};
use hoplog::redis_connection::BreakerState;
use redis::aio::MultiplexedConnection;
use tokio::runtime::Runtime;

#[path = "../tests/support/redis.rs"]
#[expect(dead_code, reason = "tests do more with it")]
mod redis_server;

/// Tells how much each benchmark allocates.
#[global_allocator]
static ALLOCATOR: divan::AllocProfiler<mimalloc::MiMalloc> =
    divan::AllocProfiler::new(mimalloc::MiMalloc);

/// Addresses that ask, in turn.
const ADDRESSES: u32 = 10_000;

/// Decisions of a round in process: few, so that both have the same of what else the machine does.
const HERE: u32 = 20_000;

/// Of each of two threads.
const HERE_EACH: u32 = 200_000;

/// Decisions of a round through Redis.
const THERE: u32 = 20_000;

/// Requests at once, through Redis.
const AT_ONCE: u32 = 64;

/// Rounds of each pair, in turn: through Redis, in process, and in two threads.
const ROUNDS: usize = 7;
const ROUNDS_HERE: usize = 151;
const ROUNDS_EACH: usize = 21;

/// So much a second for each address: nobody is refused.
const LIMIT: u32 = 1_000_000;

/// GCRA for one key, and nothing else: what a script that decides can hardly do with less.
const BARE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local next = tat + ARGV[1]
if next > now + ARGV[2] then
  return {0, 0, tat - now, next - ARGV[2] - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1)
return {1, math.floor((now + ARGV[2] - next) / ARGV[1]), next - now, 0}
";

fn main() {
    in_process();
    through_redis();
    divan::main();
}

fn address(n: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 | (n % ADDRESSES)).into()
}

fn policy(tiers: usize) -> Arc<Policy> {
    let tier = Tier::new(Algorithm::Gcra, LIMIT, Duration::from_secs(1), None).expect("a tier");
    let name = "bench".parse().expect("a name");
    Arc::new(Policy::new(name, vec![tier; tiers]).expect("a policy"))
}

fn charge(policy: &Arc<Policy>, address: IpAddr) -> Charge {
    Charge::new(Arc::clone(policy), Subject::address("address", address), 1).expect("it can pass")
}

fn limiter() -> Limiter {
    let subjects_max = NonZeroUsize::new(100_000).expect("some");
    Limiter::in_process(subjects_max, MonotonicClock::system())
}

fn governor() -> DefaultKeyedRateLimiter<IpAddr> {
    RateLimiter::keyed(Quota::per_second(NonZeroU32::new(LIMIT).expect("some")))
}

/// How many a second, and what each took, in nanoseconds.
struct Measured {
    rate: f64,
    took: Vec<u64>,
}

/// Decides in a row for the rate, then once more with a look at the clock around each.
fn measure(count: u32, mut decide: impl FnMut(u32)) -> Measured {
    let began = Instant::now();
    (0..count).for_each(&mut decide);
    let rate = f64::from(count) / began.elapsed().as_secs_f64();
    let took = (0..count).map(|n| {
        let began = Instant::now();
        decide(n);
        u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    });
    Measured { rate, took: took.collect() }
}

/// Rates of both in the middle round, of their ratio the middle and the range, and all their times.
fn tell(what: &str, unit: &str, divisor: f64, rounds: Vec<(Measured, Measured)>) {
    let mut ratios: Vec<f64> = rounds.iter().map(|(ours, bare)| ours.rate / bare.rate).collect();
    ratios.sort_by(f64::total_cmp);
    let of = |rates: Vec<f64>, mut took: Vec<u64>| {
        let (mut rates, at) = (rates, |took: &[u64], part: usize| took[took.len() * part / 100]);
        rates.sort_by(f64::total_cmp);
        took.sort_unstable();
        let [half, most] = [50, 99].map(|part| at(&took, part) as f64 / divisor);
        let rate = rates[rates.len() / 2];
        format!("{rate:.0}/s, p50 {half:.2} {unit}, p99 {most:.2} {unit}")
    };
    let (ours, bare): (Vec<Measured>, Vec<Measured>) = rounds.into_iter().unzip();
    let all = |measured: Vec<Measured>| {
        let rates = measured.iter().map(|one| one.rate).collect();
        of(rates, measured.into_iter().flat_map(|one| one.took).collect())
    };
    let (low, middle, high) = (ratios[0], ratios[ratios.len() / 2], ratios[ratios.len() - 1]);
    println!("{what}: ratio {middle:.2} ({low:.2}-{high:.2})");
    println!("  ours: {}\n  theirs: {}", all(ours), all(bare));
}

/// As a redirect asks: with a policy that is lent. The decision is made as a whole, with all that it can tell.
fn ours(limiter: &Limiter, policy: &Arc<Policy>, n: u32) {
    let subject = Subject::address("address", address(n));
    let charge = ChargeRef::new(policy, subject, 1).expect("it can pass");
    let decision = limiter.decide_one_here(black_box(&charge));
    assert!(black_box(&decision).is_allowed());
}

fn theirs(governor: &DefaultKeyedRateLimiter<IpAddr>, n: u32) {
    assert!(governor.check_key(black_box(&address(n))).is_ok());
}

fn in_process() {
    let (limiter, governor, policy) = (limiter(), governor(), policy(1));
    let pair = |_| {
        let one = measure(HERE, |n| ours(&limiter, &policy, n));
        (one, measure(HERE, |n| theirs(&governor, n)))
    };
    // The first meets subjects that nobody knows.
    let rounds = (0..=ROUNDS_HERE).map(pair).skip(1).collect();
    tell("in process, GCRA beside governor, 1 thread", "ns", 1.0, rounds);
    let pair = |_| {
        let two = threads(|n| ours(&limiter, &policy, n));
        (two, threads(|n| theirs(&governor, n)))
    };
    let rounds = (0..ROUNDS_EACH).map(pair).collect();
    tell("in process, GCRA beside governor, 2 threads", "ns", 1.0, rounds);
}

fn threads(decide: impl Fn(u32) + Sync) -> Measured {
    let measured = std::thread::scope(|scope| {
        let one = |half: u32| {
            let decide = &decide;
            scope.spawn(move || measure(HERE_EACH, |n| decide(n + half * ADDRESSES / 2)))
        };
        [0, 1].map(one).map(|thread| thread.join().expect("it ends"))
    });
    let rate = measured.iter().map(|one| one.rate).sum();
    Measured { rate, took: measured.into_iter().flat_map(|one| one.took).collect() }
}

/// A Redis, a limiter that uses it, and a bare connection.
struct World {
    runtime: Runtime,
    _redis: redis_server::RedisServer,
    limiter: Arc<Limiter>,
    bare: MultiplexedConnection,
    hash: String,
}

impl World {
    fn new(lease: u32) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let redis = redis_server::RedisServer::start();
        let options = SharedOptions {
            deadline: Duration::from_secs(5),
            lease,
            ..SharedOptions::new("bench:")
        };
        let subjects_max = NonZeroUsize::new(100_000).expect("some");
        let address = redis.url().parse().expect("an address");
        let clock = MonotonicClock::system();
        let limiter = Arc::new(Limiter::shared(address, options, subjects_max, clock));
        let kept = Arc::clone(&limiter);
        runtime.spawn(async move { kept.keep_connected().await });
        let (bare, hash) = runtime.block_on(async {
            while limiter.state().breaker != Some(BreakerState::Closed) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let client = redis::Client::open(redis.url()).expect("a client");
            let mut bare = client.get_multiplexed_async_connection().await.expect("a connection");
            let mut load = redis::cmd("SCRIPT");
            let hash = load.arg("LOAD").arg(BARE).query_async(&mut bare).await;
            (bare, hash.expect("it is loaded"))
        });
        Self { runtime, _redis: redis, limiter, bare, hash }
    }

    /// Some at once, each one after the other.
    fn measure<F: Future<Output = ()> + Send + 'static>(
        &self,
        decide: impl Fn(u32) -> F,
    ) -> Measured {
        let began = Instant::now();
        let took = self.runtime.block_on(async {
            let client = |client: u32| {
                let requests: Vec<F> =
                    (0..THERE / AT_ONCE).map(|n| decide(n * AT_ONCE + client)).collect();
                tokio::spawn(async move {
                    let mut took = Vec::new();
                    for request in requests {
                        let began = Instant::now();
                        request.await;
                        took.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
                    }
                    took
                })
            };
            let took = join_all((0..AT_ONCE).map(client)).await;
            took.into_iter().flat_map(|took| took.expect("it ends")).collect()
        });
        Measured { rate: f64::from(THERE) / began.elapsed().as_secs_f64(), took }
    }

    fn ours(&self, policy: &Arc<Policy>, hot: bool) -> Measured {
        self.measure(|n| {
            let (limiter, policy) = (Arc::clone(&self.limiter), Arc::clone(policy));
            async move {
                let charges = [charge(&policy, address(if hot { 0 } else { n }))];
                let decision = limiter.decide(&charges).await.expect("it decides");
                assert!(decision.is_allowed() && decision.way() != Way::Degraded);
            }
        })
    }

    fn bare(&self) -> Measured {
        self.measure(|n| {
            let (mut bare, hash) = (self.bare.clone(), self.hash.clone());
            async move {
                let mut command = redis::cmd("EVALSHA");
                command.arg(hash).arg(1).arg(format!("bare:{{{}}}", address(n)));
                command.arg(1).arg(LIMIT);
                let answer: Vec<i64> = command.query_async(&mut bare).await.expect("it answers");
                assert_eq!(answer.first(), Some(&1));
            }
        })
    }
}

fn through_redis() {
    let world = World::new(0);
    for tiers in [1, 3] {
        let policy = policy(tiers);
        let rounds = (0..ROUNDS).map(|_| (world.ours(&policy, false), world.bare())).collect();
        let what =
            format!("through Redis, {AT_ONCE} at once, {tiers} tier(s) beside a bare script");
        tell(&what, "ms", 1e6, rounds);
    }
    let leasing = World::new(100);
    let policy = policy(1);
    let rounds = (0..ROUNDS).map(|_| (leasing.ours(&policy, true), leasing.bare())).collect();
    tell("one hot subject with leases beside a bare script", "ms", 1e6, rounds);
}

#[divan::bench(args = [1, 3])]
fn decide_in_process(bencher: Bencher<'_, '_>, tiers: usize) {
    let (limiter, policy, mut n) = (limiter(), policy(tiers), 0);
    // Known to it: a new subject takes memory.
    (0..ADDRESSES).for_each(|known| ours(&limiter, &policy, known));
    bencher.bench_local(|| {
        n += 1;
        ours(&limiter, &policy, n);
    });
}

#[divan::bench]
fn governor_check(bencher: Bencher<'_, '_>) {
    let (governor, mut n) = (governor(), 0);
    for known in 0..ADDRESSES {
        assert!(governor.check_key(&address(known)).is_ok());
    }
    bencher.bench_local(|| {
        n += 1;
        theirs(&governor, n);
    });
}

#[divan::bench]
fn refuse_in_process(bencher: Bencher<'_, '_>) {
    let limiter = limiter();
    let tier = Tier::new(Algorithm::Gcra, 1, Duration::from_hours(1), None).expect("a tier");
    let policy = Arc::new(Policy::new("bench".parse().expect("a name"), vec![tier]).expect("one"));
    let charges = [charge(&policy, address(0))];
    bencher.bench_local(|| limiter.decide_here(black_box(&charges)).is_ok());
}
