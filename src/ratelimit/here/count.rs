//! What is counted for a subject.

use super::super::arithmetic::Numbers;
use super::super::policy::Policy;
use super::super::tier::{Algorithm, Tier};
use super::Turn;
use super::log::Log;

/// What is counted in a tier, or in each of several. Memory holds one for every subject: it is as small as
/// can be.
#[derive(Debug)]
pub(super) enum Count {
    /// [`Numbers`]; units, and parts of one limit, are at most `LIMIT_MAX`.
    Numbers {
        at: u64,
        before: u64,
        count: u32,
    },
    Log(Box<Log>),
    /// Of a policy with several tiers, in their order.
    Tiers(Box<[Count]>),
}

impl Count {
    /// Nothing, in all tiers of a policy.
    pub(super) fn of(policy: &Policy) -> Self {
        match policy.tiers() {
            [tier] => Self::of_tier(tier),
            tiers => Self::Tiers(tiers.iter().map(Self::of_tier).collect()),
        }
    }

    fn of_tier(tier: &Tier) -> Self {
        match tier.algorithm() {
            Algorithm::SlidingLog => Self::Log(Box::default()),
            _ => Self::Numbers { at: 0, before: 0, count: 0 },
        }
    }

    /// Of each tier of the policy.
    #[inline]
    pub(super) fn tiers(&mut self) -> &mut [Self] {
        match self {
            Self::Tiers(tiers) => tiers,
            one => std::slice::from_mut(one),
        }
    }

    /// The numbers of a tier as they are now; of a log those that matter to such a cost.
    #[inline]
    pub(super) fn numbers(&mut self, tier: &Tier, cost: u64, now: u64) -> Numbers {
        match self {
            // A look changes nothing: the clock may go back.
            Self::Numbers { at, before, count } => {
                let numbers = Numbers { at: *at, count: u64::from(*count), before: *before };
                tier.advanced(numbers, now)
            }
            Self::Log(log) => {
                log.advance(tier, now);
                log.numbers(tier, cost)
            }
            Self::Tiers(_) => Numbers::default(),
        }
    }

    /// Takes what fits of the numbers that were seen, and says what they are then.
    #[inline]
    pub(super) fn take(&mut self, tier: &Tier, seen: Numbers, cost: u64, turn: Turn) -> Numbers {
        if let Self::Log(log) = self {
            log.take(turn.request, turn.now, cost);
            return log.numbers(tier, 0);
        }
        self.set(tier.charged(seen, turn.now, cost))
    }

    pub(super) fn refund(
        &mut self,
        tier: &Tier,
        marks: Numbers,
        cost: u64,
        request: u64,
        now: u64,
    ) {
        if let Self::Log(log) = self {
            log.refund(request);
            return;
        }
        let numbers = self.numbers(tier, cost, now);
        self.set(tier.refunded(numbers, marks, now, cost));
    }

    #[inline]
    fn set(&mut self, numbers: Numbers) -> Numbers {
        if let Self::Numbers { at, before, count } = self {
            (*at, *before) = (numbers.at, numbers.before);
            *count = u32::try_from(numbers.count).unwrap_or(u32::MAX);
        }
        numbers
    }

    /// Entries of logs.
    #[inline]
    pub(super) fn entries(&self) -> usize {
        match self {
            Self::Numbers { .. } => 0,
            Self::Log(log) => log.len(),
            Self::Tiers(tiers) => tiers.iter().map(Self::entries).sum(),
        }
    }
}
