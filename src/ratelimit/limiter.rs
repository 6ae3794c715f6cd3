//! The limiter: charges in, one decision out.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use super::charge::{Charge, ChargeError, ChargeRef, check};
use super::clock::MonotonicClock;
use super::decision::{Decision, Way};
use super::here::Here;
use super::receipt::{Outcome, Place, Receipt};
use super::shared::{Shared, SharedOptions};
use super::store::{Mode, StoreError};
use crate::redis_connection::{BreakerState, RedisAddress};

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
    /// How often the store was there and could not do what it was asked: something is wrong.
    pub store_refusals: u64,
}

/// Decides whether requests may pass. Share it in an `Arc`.
#[derive(Debug)]
pub struct Limiter {
    here: Here,
    shared: Option<Shared>,
    clock: MonotonicClock,
    requests: AtomicU64,
    store_refusals: AtomicU64,
}

impl Limiter {
    /// Counts in this process only, for at most so many subjects (each under one policy).
    #[must_use]
    pub fn in_process(subjects_max: NonZeroUsize, clock: MonotonicClock) -> Self {
        let (requests, store_refusals) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { here: Here::new(subjects_max), shared: None, clock, requests, store_refusals }
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
        let shared = Some(Shared::new(address, options));
        Self { shared, ..Self::in_process(subjects_max, clock) }
    }

    /// Connects to the store, and again whenever it was away, and gives back units that were taken ahead
    /// and not used, for as long as it is polled. Without a store it waits for ever.
    pub async fn keep_connected(&self) {
        match &self.shared {
            Some(shared) => shared.keep(&self.clock).await,
            None => std::future::pending().await,
        }
    }

    /// Gives back all units that were taken ahead: before the process ends.
    pub async fn give_back(&self) {
        if let Some(shared) = &self.shared {
            shared.give_back(None).await;
        }
    }

    /// Decides for a request: all its charges pass and are taken, or none is. One round trip; a second one
    /// where Redis has lost the script, or in a cluster where some subjects refuse and others don't. It
    /// takes no longer than the deadline, whatever the store does.
    ///
    /// # Errors
    /// When there are too many charges, or one twice. Never as the store is away.
    pub async fn decide(&self, charges: &[Charge]) -> Result<Decision, ChargeError> {
        check(charges)?;
        Ok(self.decide_shared(charges, true).await)
    }

    /// Decides in this process only, by the whole limit: for what is too frequent to ask anybody. Takes
    /// [`Charge`]s or [`ChargeRef`]s.
    ///
    /// # Errors
    /// When there are too many charges, or one twice.
    pub fn decide_here<'a, C>(&self, charges: &'a [C]) -> Result<Decision, ChargeError>
    where
        &'a C: Into<ChargeRef<'a>>,
    {
        check(charges)?;
        // A counter that all threads share is not touched for nothing.
        let is_named = charges.iter().any(|charge| charge.into().policy().names_requests());
        let request = if is_named { self.next_request() } else { 0 };
        Ok(self.here.decide(Way::Here, charges, request, || self.clock.now(), true))
    }

    /// The same for one charge, with which nothing can be wrong.
    #[inline]
    #[must_use]
    pub fn decide_one_here(&self, charge: &ChargeRef<'_>) -> Decision {
        let request = if charge.policy().names_requests() { self.next_request() } else { 0 };
        self.here.decide_one(Way::Here, charge, request, || self.clock.now(), true)
    }

    /// What [`decide`](Self::decide) would say, taking nothing.
    ///
    /// # Errors
    /// When there are too many charges, or one twice.
    pub async fn peek(&self, charges: &[Charge]) -> Result<Decision, ChargeError> {
        check(charges)?;
        Ok(self.decide_shared(charges, false).await)
    }

    /// What [`decide_here`](Self::decide_here) would say, taking nothing.
    ///
    /// # Errors
    /// When there are too many charges, or one twice.
    pub fn peek_here(&self, charges: &[Charge]) -> Result<Decision, ChargeError> {
        check(charges)?;
        Ok(self.here.decide(Way::Here, charges, 0, || self.clock.now(), false))
    }

    async fn decide_shared(&self, charges: &[Charge], take: bool) -> Decision {
        let (now, request) = (self.clock.now(), self.next_request());
        let shared = self.shared.as_ref().filter(|_| !charges.is_empty());
        let Some(shared) = shared else {
            return self.here.decide(Way::Here, charges, request, || self.clock.now(), take);
        };
        // What is in hand first: it may have been the last there was.
        if let Some(passed) = shared.leases.pass(charges, now, take) {
            return passed;
        }
        if let Some(refusal) = shared.denied.refusal(charges, now) {
            return refusal;
        }
        let mode = if take { Mode::Take } else { Mode::Look };
        match shared.ask(mode, charges, request, now).await {
            Ok(decision) => decision,
            Err(error) => {
                if let StoreError::Refused(text) = &error {
                    let refusals = self.store_refusals.fetch_add(1, Ordering::Relaxed) + 1;
                    // It may be so for every request: told ever more seldom.
                    if refusals.is_power_of_two() {
                        tracing::error!(
                            error = text,
                            refusals,
                            "the rate limits' store can't decide"
                        );
                    }
                }
                shared.degraded(&self.here, &error, charges, request, self.clock.now(), take)
            }
        }
    }

    /// Gives back what a request was charged under policies that don't count such an end: once, to
    /// the same window of the same policy, and nothing that has come back by itself meanwhile.
    pub async fn refund(&self, receipt: Receipt, outcome: Outcome) {
        let Some(receipt) = receipt.due(outcome) else { return };
        match (receipt.place, &self.shared) {
            (Place::Store, Some(shared)) => shared.refund(&receipt).await,
            _ => self.here.refund(&receipt, self.clock.now()),
        }
    }

    /// The same without waiting for the store: the task that keeps the connection does it.
    pub fn refund_soon(&self, receipt: Receipt, outcome: Outcome) {
        let Some(receipt) = receipt.due(outcome) else { return };
        match (receipt.place, &self.shared) {
            (Place::Store, Some(shared)) => shared.store.owe(receipt.request, receipt.taken),
            _ => self.here.refund(&receipt, self.clock.now()),
        }
    }

    /// Whether there is a shared store that is not asked for now; cheap.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.store.is_away())
    }

    /// Whether there is a shared store.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// How it does. It looks at every shard: for who asks seldom.
    #[must_use]
    pub fn state(&self) -> LimiterState {
        let shared = self.shared.as_ref();
        LimiterState {
            breaker: shared.map(|shared| shared.store.breaker()),
            subjects: self.here.len(),
            denied: shared.map_or(0, |shared| shared.denied.len()),
            leases: shared.map_or(0, |shared| shared.leases.len()),
            store_refusals: self.store_refusals.load(Ordering::Relaxed),
        }
    }

    /// Its script takes the time from the limiter's clock.
    #[cfg(test)]
    pub(super) fn with_store_clock(self) -> Self {
        let clock = self.clock.clone();
        Self { shared: self.shared.map(|shared| shared.with_store_clock(clock)), ..self }
    }

    #[cfg(test)]
    pub(super) fn shared_for_tests(&self) -> &Shared {
        self.shared.as_ref().unwrap()
    }

    fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}
