//! Limits that all nodes share: what stands before the store, and what takes over while it is away.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;

use super::charge::Charge;
use super::clock::MonotonicClock;
use super::decision::{Decision, Way};
use super::denied::Denied;
use super::here::Here;
use super::leases::{LIFE_US, Leases};
use super::policy::{Outage, Policy};
use super::receipt::{Place, Receipt, Taken};
use super::store::{Answer, Asked, Mode, PAUSE, Store, StoreError};
use crate::redis_connection::RedisAddress;

/// So many shares of policies are kept: more than there are policies.
const SHARES_MAX: usize = 4_096;

/// How many give-backs are under way at once.
const AT_ONCE: usize = 256;

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

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) denied: Denied,
    pub(super) leases: Leases,
    nodes: Arc<AtomicU32>,
    /// What a node may admit of a policy, by its version and the number of nodes.
    shares: Mutex<HashMap<(u64, NonZeroU32), Arc<Policy>>>,
}

impl Shared {
    pub(super) fn new(address: RedisAddress, options: SharedOptions) -> Self {
        Self {
            store: Store::new(address, &options.prefix, options.deadline),
            denied: Denied::new(),
            leases: Leases::new(options.lease),
            nodes: options.nodes,
            shares: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn with_store_clock(self, clock: MonotonicClock) -> Self {
        Self { store: self.store.with_clock(clock), ..self }
    }

    /// Asks the store.
    pub(super) async fn ask(
        &self,
        mode: Mode,
        charges: &[Charge],
        request: u64,
        now: u64,
    ) -> Result<Decision, StoreError> {
        let nobody: &[Charge] = &[];
        let asking = self.leases.ask(if mode == Mode::Take { charges } else { nobody }, now);
        let with_ahead = |charge| Asked { charge, ahead: asking.ahead(charge) };
        let given_back = self.denied.given_back();
        let asked: Vec<Asked<'_>> = charges.iter().map(with_ahead).collect();
        let answer = self.store.decide(mode, &asked, request).await?;
        let mut decision = Decision::new(Way::Store);
        for (place, (charge, answered)) in charges.iter().zip(&answer.charges).enumerate() {
            decision.add(place, &charge.into(), &answered.numbers, answered.now, answered.fits);
        }
        if mode == Mode::Take && decision.is_allowed() {
            self.granted(&answer, charges, &decision, request, now);
            decision.set_receipt(receipt(answer, charges, request));
        }
        self.denied.remember(charges, &decision, now, given_back);
        drop(asking);
        Ok(decision)
    }

    fn granted(
        &self,
        answer: &Answer,
        charges: &[Charge],
        decision: &Decision,
        request: u64,
        now: u64,
    ) {
        let standings = decision.standings();
        for ((charge, answered), standing) in charges.iter().zip(&answer.charges).zip(standings) {
            if answered.ahead > 0 {
                let marks = answered.numbers.clone();
                let taken = Taken { charge: charge.clone(), marks };
                self.leases.grant(answered.ahead, *standing, request, taken, now);
            }
        }
    }

    /// Decides here while the store is away, as each policy says. A store that is there but can't do what it
    /// is asked is no outage: nobody passes uncounted then.
    pub(super) fn degraded(
        &self,
        here: &Here,
        because: &StoreError,
        charges: &[Charge],
        request: u64,
        now: u64,
        take: bool,
    ) -> Decision {
        let is_outage = !matches!(because, StoreError::Refused(_));
        let mut closed = Decision::new(Way::Degraded);
        let (mut places, mut local) = (Vec::new(), Vec::new());
        for (place, charge) in charges.iter().enumerate() {
            match charge.policy().outage() {
                Outage::Closed if charge.policy().is_shadow() => {}
                Outage::Closed => closed.close(place, micros(PAUSE)),
                Outage::Open if is_outage => {}
                Outage::Open | Outage::Local => {
                    places.push(place);
                    local.push(charge.under(self.share(charge.policy())));
                }
            }
        }
        if closed.is_unavailable() {
            return closed;
        }
        let mut decision = here.decide(Way::Degraded, &local, request, || now, take);
        decision.relabel(|at| places.get(at).copied().unwrap_or(at));
        decision
    }

    /// What this node may admit of a policy alone.
    fn share(&self, policy: &Policy) -> Arc<Policy> {
        let nodes = NonZeroU32::new(self.nodes.load(Ordering::Relaxed)).unwrap_or(NonZeroU32::MIN);
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.len() >= SHARES_MAX {
            shares.clear();
        }
        let share = shares.entry((policy.version(), nodes));
        let share = share.and_modify(|share| {
            // Its edges may have been changed; they are no part of the version.
            if share.refund() != policy.refund() || share.is_shadow() != policy.is_shadow() {
                *share = Arc::new(policy.share(nodes));
            }
        });
        Arc::clone(share.or_insert_with(|| Arc::new(policy.share(nodes))))
    }

    /// Gives back what a request was charged in the store.
    pub(super) async fn refund(&self, receipt: &Receipt) {
        self.back(&receipt.taken, receipt.request).await;
    }

    async fn back(&self, taken: &[Taken], request: u64) {
        if let Err(error) = self.store.give_back(taken, request).await {
            tracing::debug!(%error, "what was to be given back stays counted");
        }
        // Only now: a refusal from before is not to be remembered.
        for taken in taken {
            self.denied.forget(&taken.charge);
        }
    }

    /// Gives back what is owed: what a refused request was charged, and units that were taken ahead and not
    /// used: those that are over (`now`), or all.
    pub(super) async fn give_back(&self, now: Option<u64>) {
        let over = self.leases.over(now).into_iter();
        let mut owed = self.store.owed();
        owed.extend(over.map(|(request, taken)| (request, vec![taken])));
        for some in owed.chunks(AT_ONCE) {
            join_all(some.iter().map(|(request, taken)| self.back(taken, *request))).await;
        }
    }

    pub(super) async fn keep(&self, clock: &MonotonicClock) {
        let give_back = async {
            let mut turns = tokio::time::interval(Duration::from_micros(LIFE_US / 2));
            loop {
                tokio::select! {
                    _ = turns.tick() => {}
                    () = self.store.owes() => {}
                }
                self.give_back(Some(clock.now())).await;
            }
        };
        tokio::join!(self.store.keep_connected(), give_back);
    }
}

fn receipt(answer: Answer, charges: &[Charge], request: u64) -> Option<Box<Receipt>> {
    let mut taken = Vec::new();
    for (answered, charge) in answer.charges.into_iter().zip(charges) {
        if answered.fits && charge.policy().gives_back() {
            taken.push(Taken { charge: charge.clone(), marks: answered.numbers });
        }
    }
    Receipt::of(Place::Store, request, taken)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
