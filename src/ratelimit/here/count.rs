//! What is counted in a tier for a subject.

use super::super::arithmetic::Numbers;
use super::super::tier::{Algorithm, Tier};
use super::log::Log;

/// What is counted in a tier.
#[derive(Debug)]
pub(super) enum Count {
    Numbers(Numbers),
    Log(Box<Log>),
}

impl Count {
    pub(super) fn of(tier: &Tier) -> Self {
        match tier.algorithm() {
            Algorithm::SlidingLog => Self::Log(Box::default()),
            _ => Self::Numbers(Numbers::default()),
        }
    }

    pub(super) fn numbers(&mut self, tier: &Tier, cost: u64, now: u64) -> Numbers {
        match self {
            // A look changes nothing: the clock may go back.
            Self::Numbers(numbers) => tier.advanced(*numbers, now),
            Self::Log(log) => {
                log.advance(tier, now);
                log.numbers(tier, cost)
            }
        }
    }

    pub(super) fn take(&mut self, tier: &Tier, cost: u64, request: u64, now: u64) -> Numbers {
        match self {
            Self::Numbers(numbers) => {
                *numbers = tier.charged(tier.advanced(*numbers, now), now, cost);
                *numbers
            }
            Self::Log(log) => {
                log.take(request, now, cost);
                log.numbers(tier, 0)
            }
        }
    }

    pub(super) fn refund(
        &mut self,
        tier: &Tier,
        marks: Numbers,
        cost: u64,
        request: u64,
        now: u64,
    ) {
        match self {
            Self::Numbers(numbers) => {
                *numbers = tier.refunded(tier.advanced(*numbers, now), marks, now, cost);
            }
            Self::Log(log) => log.refund(request),
        }
    }

    /// Entries of a log.
    pub(super) fn entries(&self) -> usize {
        match self {
            Self::Numbers(_) => 0,
            Self::Log(log) => log.len(),
        }
    }
}
