//! Subjects that the store has refused: until they can pass, nobody has to ask it again.

use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

use super::charge::{Charge, Key};
use super::decision::{Decision, Way};
use super::standing::Standing;

/// How many are remembered. A forgotten one costs a trip to the store.
const DENIED_MAX: usize = 16_384;

/// How long the store is not asked again at most, in microseconds: another node may have given something
/// back, or somebody may have emptied the store.
const TRUSTED_US: u64 = 10_000_000;

/// What was refused. Times are of this process.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    /// So much can't pass before.
    until: u64,
    cost: u32,
    standing: Standing,
    at: u64,
}

#[derive(Debug)]
pub(super) struct Denied {
    refusals: Cache<Key, Refusal>,
    /// How often something was given back.
    given_back: AtomicU64,
}

impl Denied {
    pub(super) fn new() -> Self {
        Self { refusals: Cache::new(DENIED_MAX), given_back: AtomicU64::new(0) }
    }

    pub(super) fn len(&self) -> usize {
        self.refusals.len()
    }

    /// A refusal, if one of the charges is known not to pass: the one that lasts longest.
    pub(super) fn refusal(&self, charges: &[Charge], now: u64) -> Option<Decision> {
        let mut decision = None;
        for (place, charge) in charges.iter().enumerate() {
            if charge.policy().is_shadow() {
                continue;
            }
            let Some(refusal) = self.refusals.get(&charge.key()) else { continue };
            if refusal.until.min(refusal.at + TRUSTED_US) <= now {
                self.refusals.remove(&charge.key());
            } else if charge.cost() >= refusal.cost {
                let later = now.saturating_sub(refusal.at);
                let standing = refusal.standing.later(place, later, 0);
                let decision = decision.get_or_insert_with(|| Decision::new(Way::Denied));
                decision.push(standing, refusal.until - now);
            }
        }
        decision
    }

    /// To be looked at before the store is asked.
    pub(super) fn given_back(&self) -> u64 {
        self.given_back.load(Ordering::SeqCst)
    }

    /// Remembers who was refused. `at`: when the store was asked, so that nobody is kept out for longer
    /// than it takes; `given_back`: as of then. If something came back since, the refusal may be from before
    /// that, and is not remembered.
    pub(super) fn remember(
        &self,
        charges: &[Charge],
        decision: &Decision,
        at: u64,
        given_back: u64,
    ) {
        if self.given_back() != given_back {
            return;
        }
        for standing in decision.standings() {
            let Some(charge) = charges.get(standing.charge()) else { continue };
            let wait = standing.wait(charge.cost());
            if wait > 0
                && !standing.is_shadow()
                && decision.refused_by().any(|n| n == standing.charge())
            {
                let standing = *standing;
                let refusal = Refusal { until: at + wait, cost: charge.cost(), standing, at };
                self.refusals.insert(charge.key(), refusal);
            }
        }
    }

    /// Something was given back, and the store has said so.
    pub(super) fn forget(&self, charge: &Charge) {
        self.given_back.fetch_add(1, Ordering::SeqCst);
        self.refusals.remove(&charge.key());
    }
}
