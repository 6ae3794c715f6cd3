//! What a decision takes while Redis is stopped, frozen, slow, emptied or started again, and what passes
//! meanwhile: 64 clients ask all the time, each 5 ms after its last answer, whatever happens:
//! `cargo bench --bench rate_limit_outages`.

#![expect(clippy::expect_used, clippy::panic, reason = "a benchmark that can't be set up ends")]
#![expect(clippy::cast_precision_loss, clippy::print_stdout, reason = "it is told to a person")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use hoplog::ratelimit::{
    Algorithm, Charge, Decision, Limiter, MonotonicClock, Policy, SharedOptions, Subject, Tier, Way,
};
use hoplog::redis_connection::BreakerState;
use hoplog_events::log::contract::tcp_proxy::TcpProxy;
use redis_server::RedisServer;
use tokio::runtime::Runtime;

#[path = "../tests/support/redis.rs"]
mod redis_server;

const CLIENTS: u32 = 64;

/// Between an answer and the next request of a client.
const PAUSE: Duration = Duration::from_millis(5);

/// Before something happens, and from then on.
const BEFORE: Duration = Duration::from_secs(1);
const AFTER: Duration = Duration::from_secs(4);

/// When what was slow, frozen or stopped comes back.
const OUTAGE: Duration = Duration::from_secs(2);

/// The first moments, in which it is found out.
const FIRST: Duration = Duration::from_millis(100);

/// Of the limit that is used up: so many in a day for each subject.
const LIMIT: u32 = 200;

/// Subjects that use it up.
const BOUNDED: u32 = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Healthy,
    Stopped,
    Frozen,
    Slow,
    Flushed,
    Restarted,
}

impl Case {
    const ALL: [Self; 6] =
        [Self::Healthy, Self::Stopped, Self::Frozen, Self::Slow, Self::Flushed, Self::Restarted];

    /// How many of a subject may pass in all: its limit, as many again in shares if the node decided alone for a
    /// while, be it as the machine was busy, and as many again if Redis lost what it had.
    fn bound(self, alone: bool) -> u32 {
        let forgets = matches!(self, Self::Stopped | Self::Flushed | Self::Restarted);
        LIMIT * (1 + u32::from(alone) + u32::from(forgets))
    }

    fn begin(self, redis: &mut RedisServer, proxy: &TcpProxy) {
        match self {
            Self::Healthy => {}
            Self::Stopped => redis.kill(),
            Self::Frozen => redis.freeze(),
            Self::Slow => proxy.delay(Duration::from_millis(50)),
            Self::Flushed => redis.flush(),
            Self::Restarted => {
                redis.kill();
                redis.start_again();
            }
        }
    }

    fn end(self, redis: &mut RedisServer, proxy: &TcpProxy) {
        match self {
            Self::Stopped => redis.start_again(),
            Self::Frozen => redis.thaw(),
            Self::Slow => proxy.delay(Duration::ZERO),
            Self::Healthy | Self::Flushed | Self::Restarted => {}
        }
    }
}

/// A decision.
struct Decided {
    began: Instant,
    took: Duration,
    /// `None`: there was none.
    way: Option<Way>,
    /// Of the limit that is used up, and it passed: whose.
    passed: Option<u32>,
}

struct Client {
    limiter: Arc<Limiter>,
    number: u32,
    wide: Arc<Policy>,
    bounded: Arc<Policy>,
    stop: Arc<AtomicBool>,
}

impl Client {
    /// Some clients ask for subjects that get too few, the others for ever new ones that get enough.
    async fn ask(self) -> Vec<Decided> {
        let (mut all, mut n) = (Vec::new(), self.number);
        while !self.stop.load(Ordering::Relaxed) {
            n += CLIENTS;
            let bounded = (self.number < BOUNDED).then_some(self.number);
            let (policy, name) = match bounded {
                Some(number) => (&self.bounded, format!("bounded {number}")),
                None => (&self.wide, format!("subject {}", n % 20_000)),
            };
            let charge = Charge::new(Arc::clone(policy), Subject::new("user", &name), 1);
            let charges = [charge.expect("it can pass")];
            let began = Instant::now();
            let decision = self.limiter.decide(&charges).await.ok();
            let took = began.elapsed();
            let way = decision.as_ref().map(Decision::way);
            let passes = decision.is_some_and(|decision| decision.is_allowed());
            all.push(Decided { began, took, way, passed: bounded.filter(|_| passes) });
            tokio::time::sleep(PAUSE).await;
        }
        all
    }
}

fn policy(name: &str, limit: u32, window: Duration) -> Arc<Policy> {
    let tier = Tier::new(Algorithm::Gcra, limit, window, None).expect("a tier");
    Arc::new(Policy::new(name.parse().expect("a name"), vec![tier]).expect("a policy"))
}

fn main() {
    println!(
        "| Redis | decisions | of them alone | p50 | p99 | longest | p99 in the first 100 ms | failed | \
         most that passed of a subject | bound |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let runtime = Runtime::new().expect("a runtime");
    for case in Case::ALL {
        runtime.block_on(measure(case));
    }
}

async fn measure(case: Case) {
    let mut redis = RedisServer::start();
    let proxy = TcpProxy::to(&redis.url());
    let address = format!("redis://{}", proxy.address()).parse().expect("an address");
    let subjects_max = NonZeroUsize::new(100_000).expect("some");
    let options = SharedOptions::new("bench:");
    let limiter =
        Arc::new(Limiter::shared(address, options, subjects_max, MonotonicClock::system()));
    let kept = Arc::clone(&limiter);
    let keeper = tokio::spawn(async move { kept.keep_connected().await });
    while limiter.state().breaker != Some(BreakerState::Closed) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let (wide, bounded) = (
        policy("wide", 1_000_000, Duration::from_secs(1)),
        policy("bounded", LIMIT, Duration::from_hours(24)),
    );
    let clients = (0..CLIENTS).map(|number| {
        let (wide, bounded) = (Arc::clone(&wide), Arc::clone(&bounded));
        let (limiter, stop) = (Arc::clone(&limiter), Arc::clone(&stop));
        tokio::spawn(Client { limiter, number, wide, bounded, stop }.ask())
    });
    let clients: Vec<_> = clients.collect();
    tokio::time::sleep(BEFORE).await;
    let began = Instant::now();
    case.begin(&mut redis, &proxy);
    tokio::time::sleep(OUTAGE).await;
    case.end(&mut redis, &proxy);
    tokio::time::sleep(AFTER.saturating_sub(began.elapsed())).await;
    stop.store(true, Ordering::Relaxed);
    let all = join_all(clients).await.into_iter().flat_map(|all| all.expect("it ends"));
    tell(case, began, &all.collect::<Vec<_>>());
    keeper.abort();
}

fn tell(case: Case, began: Instant, all: &[Decided]) {
    let since = |within: Duration| {
        let is_in = move |one: &&Decided| one.began >= began && one.began < began + within;
        let mut took: Vec<Duration> = all.iter().filter(is_in).map(|one| one.took).collect();
        took.sort_unstable();
        took
    };
    let part = |took: &[Duration], part: usize| {
        let at = (took.len() * part / 100).min(took.len().saturating_sub(1));
        took.get(at).map_or(0.0, |took| took.as_nanos() as f64 / 1e6)
    };
    let (whole, first) = (since(AFTER), since(FIRST));
    let after = || all.iter().filter(|one| one.began >= began);
    let alone = after().filter(|one| one.way == Some(Way::Degraded)).count();
    let is_alone = all.iter().any(|one| one.way == Some(Way::Degraded));
    let failed = all.iter().filter(|one| one.way.is_none()).count();
    let passed = |subject| all.iter().filter(|one| one.passed == Some(subject)).count();
    println!(
        "| {case:?} | {} | {alone} | {:.2} ms | {:.2} ms | {:.2} ms | {:.2} ms | {failed} | {} | {} |",
        whole.len(),
        part(&whole, 50),
        part(&whole, 99),
        part(&whole, 100),
        part(&first, 99),
        (0..BOUNDED).map(passed).max().unwrap_or(0),
        case.bound(is_alone),
    );
}
