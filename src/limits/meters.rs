//! What is measured of each policy. Its name is the only label with values of the operator's, and
//! there are [`POLICIES_MAX`](super::POLICIES_MAX) at most.

use std::time::Duration;

use hashbrown::HashMap;
use metrics::{Counter, Histogram, counter, histogram};

use super::rules::{Rule, Rules};
use crate::ratelimit::{ChargeRef, Decision};

/// When a subject is near its limit: less than a fifth of it is left.
const NEAR_PART: u32 = 5;

/// The counters of one policy.
#[derive(Clone)]
pub(super) struct Meter {
    allowed: Counter,
    refused: Counter,
    shadowed: Counter,
    degraded: Counter,
    near: Counter,
}

/// The counters of all policies.
pub(super) struct Meters {
    /// By the version of the policy: a number to look for, not a text, in every redirect.
    by_version: HashMap<u64, Meter>,
    seconds: Histogram,
}

impl Meter {
    fn new(policy: &str) -> Self {
        let decisions = |decision: &'static str| counter!("hoplog_ratelimit_decisions_total", "policy" => policy.to_owned(), "decision" => decision);
        Self {
            allowed: decisions("allowed"),
            refused: decisions("refused"),
            shadowed: decisions("shadowed"),
            degraded: counter!("hoplog_ratelimit_degraded_total", "policy" => policy.to_owned()),
            near: counter!("hoplog_ratelimit_near_limit_total", "policy" => policy.to_owned()),
        }
    }
}

impl Meters {
    pub(super) fn new(rules: &Rules) -> Self {
        let meter = |rule: &Rule| (rule.policy().version(), Meter::new(rule.name()));
        let by_version = rules.all().iter().map(meter).collect();
        Self { by_version, seconds: histogram!("hoplog_ratelimit_decision_seconds") }
    }

    /// Counts a decision for each of its policies.
    pub(super) fn decided<'a, C>(&self, charges: &'a [C], decision: &Decision)
    where
        &'a C: Into<ChargeRef<'a>>,
    {
        let bits = |places: &mut dyn Iterator<Item = usize>| {
            places.fold(0_u32, |bits, place| bits | 1 << place)
        };
        let refused = bits(&mut decision.refused_by());
        let shadowed = bits(&mut decision.shadowed());
        for (place, charge) in charges.iter().enumerate() {
            let Some(meter) = self.of(charge.into()) else { continue };
            let is_in = |bits: u32| bits & 1 << place != 0;
            match (is_in(refused), is_in(shadowed)) {
                (true, _) => meter.refused.increment(1),
                (false, true) => meter.shadowed.increment(1),
                (false, false) if refused == 0 => meter.allowed.increment(1),
                // It would have passed, but was taken nothing of.
                (false, false) => {}
            }
            if decision.is_degraded() {
                meter.degraded.increment(1);
            }
        }
        for standing in decision.standings() {
            let near = standing.remaining() < standing.limit() / NEAR_PART;
            if near
                && let Some(charge) = charges.get(standing.charge())
                && let Some(meter) = self.of(charge.into())
            {
                meter.near.increment(1);
            }
        }
    }

    fn of(&self, charge: ChargeRef<'_>) -> Option<&Meter> {
        self.by_version.get(&charge.policy().version())
    }

    /// How long a decision took that may have asked the shared store.
    pub(super) fn took(&self, time: Duration) {
        self.seconds.record(time.as_secs_f64());
    }
}

impl std::fmt::Debug for Meters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meters").field("policies", &self.by_version.len()).finish_non_exhaustive()
    }
}
