//! Against a slow reference, a real Redis, and all that may go wrong with it.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::*;
use crate::redis_connection::BreakerState;
use crate::redis_connection::redis_server::RedisServer;

mod differences;
mod model;
mod nodes;
mod outages;
mod reference;
mod refunds;
mod room;
mod topologies;
mod traps;

/// How long something may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

const SUBJECTS_MAX: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

fn tier(algorithm: Algorithm, limit: u32, seconds: u64) -> Tier {
    Tier::new(algorithm, limit, Duration::from_secs(seconds), None).unwrap()
}

fn policy(name: &str, tiers: &[Tier]) -> Policy {
    Policy::new(name.parse().unwrap(), tiers.to_vec()).unwrap()
}

fn charge(policy: &Arc<Policy>, subject: &str, cost: u32) -> Charge {
    Charge::new(Arc::clone(policy), Subject::new("user", subject), cost).unwrap()
}

/// A clock that stands in the middle of nowhere, between windows.
fn clock() -> MonotonicClock {
    let clock = MonotonicClock::set_by_hand();
    clock.advance(Duration::from_micros(1_764_000_123_456_789));
    clock
}

fn in_process() -> (Limiter, MonotonicClock) {
    let clock = clock();
    (Limiter::in_process(SUBJECTS_MAX, clock.clone()), clock)
}

/// A limiter with its task.
struct Node {
    limiter: Arc<Limiter>,
    keeper: JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

/// On a machine that may be busy.
fn patient(prefix: &str) -> SharedOptions {
    SharedOptions { deadline: Duration::from_secs(5), ..SharedOptions::new(prefix) }
}

impl Node {
    async fn new(url: &str, options: SharedOptions) -> Self {
        Self::of(Limiter::shared(
            url.parse().unwrap(),
            options,
            SUBJECTS_MAX,
            MonotonicClock::system(),
        ))
        .await
    }

    /// One whose script takes the time from this clock, as the limiter does.
    async fn with_clock(redis: &RedisServer, clock: &MonotonicClock) -> Self {
        let address = redis.url().parse().unwrap();
        let limiter = Limiter::shared(address, patient("t:"), SUBJECTS_MAX, clock.clone());
        Self::of(limiter.with_store_clock()).await
    }

    async fn of(limiter: Limiter) -> Self {
        let limiter = Arc::new(limiter);
        let kept = Arc::clone(&limiter);
        let keeper = tokio::spawn(async move { kept.keep_connected().await });
        let node = Self { limiter, keeper };
        node.is(BreakerState::Closed).await;
        node
    }

    async fn is(&self, state: BreakerState) {
        let deadline = Instant::now() + PATIENCE;
        while self.limiter.state().breaker != Some(state) {
            assert!(Instant::now() < deadline, "not {state:?} in time");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn decide(&self, charges: &[Charge]) -> Decision {
        self.limiter.decide(charges).await.unwrap()
    }

    async fn passes(&self, charge: &Charge) -> bool {
        self.decide(std::slice::from_ref(charge)).await.is_allowed()
    }
}

fn nodes(count: u32) -> Arc<AtomicU32> {
    Arc::new(AtomicU32::new(count))
}
