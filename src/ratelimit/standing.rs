//! How things stand for a charge.

use std::cmp::Reverse;
use std::time::Duration;

use super::arithmetic::Numbers;
use super::tier::Tier;

/// How things stand for one charge, by the tier of its policy that matters: of a refusal the one that
/// refuses longest, else the one with the fewest units left. As of the decision, after it.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    pub(super) charge: u8,
    pub(super) tier: Tier,
    pub(super) numbers: Numbers,
    /// By the clock of whoever keeps the numbers.
    pub(super) now: u64,
    /// Units that this node has in hand besides.
    pub(super) ahead: u32,
    pub(super) shadow: bool,
}

impl Standing {
    /// The charge's place among those that were decided.
    #[must_use]
    pub fn charge(&self) -> usize {
        usize::from(self.charge)
    }

    /// Whether the policy only counts and reports.
    #[must_use]
    pub fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// The tier that matters.
    #[must_use]
    pub fn tier(&self) -> &Tier {
        &self.tier
    }

    /// Units in a window.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.tier.limit()
    }

    /// The window, in whole seconds.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.tier.window()
    }

    /// Units that are left.
    #[must_use]
    pub fn remaining(&self) -> u32 {
        let remaining = self.tier.remaining(self.numbers, self.now).saturating_add(self.ahead);
        remaining.min(self.tier.capacity())
    }

    /// How long until all units are back, if nothing more is taken; 0: they are.
    #[must_use]
    pub fn reset(&self) -> Duration {
        let full_at = self.tier.full_at(self.numbers, self.now);
        Duration::from_micros(full_at.saturating_sub(self.now))
    }

    /// How long until there is one unit more than now; 0: there can't be more. Never longer than the
    /// decision's `retry_after`, if this charge was refused.
    #[must_use]
    pub fn more_in(&self) -> Duration {
        let remaining = self.tier.remaining(self.numbers, self.now);
        if remaining >= self.tier.capacity() {
            return Duration::ZERO;
        }
        let one_more = u64::from(remaining) + 1;
        Duration::from_micros(self.tier.wait(self.numbers, self.now, one_more))
    }

    /// Whether less is left, or the same for longer.
    pub(super) fn is_shorter(&self, other: &Self) -> bool {
        let rank = |standing: &Self| (standing.remaining(), Reverse(standing.tier.window_us()));
        rank(self) < rank(other)
    }

    /// How long until so many units fit, in microseconds.
    pub(super) fn wait(&self, cost: u32) -> u64 {
        self.tier.wait(self.numbers, self.now, u64::from(cost))
    }

    /// The same so much later, with units in hand.
    pub(super) fn later(mut self, charge: usize, by_us: u64, ahead: u32) -> Self {
        self.now += by_us;
        self.numbers = self.tier.advanced(self.numbers, self.now);
        self.charge = u8::try_from(charge).unwrap_or(u8::MAX);
        self.ahead = ahead;
        self
    }
}

/// Of several tiers the lowest matters: the fewest units left, or as few for longer.
pub(super) fn rank(tier: &Tier, numbers: Numbers, now: u64) -> (u32, Reverse<u64>) {
    (tier.remaining(numbers, now), Reverse(tier.window_us()))
}
