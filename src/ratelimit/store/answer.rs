//! What the script is asked of each charge, and what it answers.

use redis::Value;
use smallvec::SmallVec;

use super::StoreError;
use crate::ratelimit::arithmetic::Numbers;
use crate::ratelimit::charge::Charge;
use crate::ratelimit::receipt::Taken;
use crate::ratelimit::tier::Algorithm;

/// A charge, and how many units are wanted besides if they fit.
#[derive(Debug, Clone, Copy)]
pub(in crate::ratelimit) struct Asked<'a> {
    pub(in crate::ratelimit) charge: &'a Charge,
    pub(in crate::ratelimit) ahead: u32,
}

/// What the script said of each charge.
#[derive(Debug)]
pub(in crate::ratelimit) struct Answer {
    pub(in crate::ratelimit) charges: Vec<Answered>,
}

/// What it said of one.
#[derive(Debug, Clone, Default)]
pub(in crate::ratelimit) struct Answered {
    /// By the store's clock.
    pub(in crate::ratelimit) now: u64,
    pub(in crate::ratelimit) fits: bool,
    /// Units that were taken besides the cost.
    pub(in crate::ratelimit) ahead: u32,
    pub(in crate::ratelimit) numbers: SmallVec<[Numbers; 1]>,
    is_shadow: bool,
    /// Whether all that one call decided fits.
    group_fits: bool,
}

impl Answer {
    pub(super) fn new(asked: &[Asked<'_>]) -> Self {
        Self { charges: vec![Answered::default(); asked.len()] }
    }

    /// Reads what one call said of the charges of a group.
    pub(super) fn read(
        &mut self,
        asked: &[Asked<'_>],
        group: &[usize],
        reply: Value,
    ) -> Result<(), StoreError> {
        let wrong = || StoreError::Refused("the script answers something else".into());
        let numbers: Vec<u64> = redis::from_redis_value(reply).map_err(|_| wrong())?;
        let mut numbers = numbers.into_iter();
        let mut next = || numbers.next().ok_or_else(wrong);
        let now = next()?;
        let mut group_fits = true;
        for at in group {
            let (Some(asked), Some(place)) = (asked.get(*at), self.charges.get_mut(*at)) else {
                return Err(wrong());
            };
            let (verdict, policy) = (next()?, asked.charge.policy());
            let (fits, is_shadow) = (verdict > 0, policy.is_shadow());
            let ahead = if verdict == 2 { asked.ahead } else { 0 };
            let tiers = policy.tiers().iter();
            let tiers = tiers.map(|_| Ok(Numbers { at: next()?, count: next()?, before: next()? }));
            let numbers = tiers.collect::<Result<_, StoreError>>()?;
            group_fits &= fits || is_shadow;
            *place = Answered { now, fits, ahead, numbers, is_shadow, group_fits: true };
        }
        for at in group {
            if let Some(place) = self.charges.get_mut(*at) {
                place.group_fits = group_fits;
            }
        }
        Ok(())
    }

    /// Whether the request may pass.
    pub(in crate::ratelimit) fn is_allowed(&self) -> bool {
        self.charges.iter().all(|charge| charge.fits || charge.is_shadow)
    }

    /// What was taken although the request is refused; the numbers are as if it had not been.
    pub(super) fn take_back(&mut self, asked: &[Asked<'_>]) -> Vec<Taken> {
        let mut taken = Vec::new();
        for (answered, asked) in self.charges.iter_mut().zip(asked) {
            if !answered.group_fits || !answered.fits {
                continue;
            }
            let cost = asked.charge.cost() + answered.ahead;
            let charge = asked.charge.of(cost);
            taken.push(Taken { charge, marks: answered.numbers.clone() });
            let tiers = asked.charge.policy().tiers().iter();
            for (numbers, tier) in answered.numbers.iter_mut().zip(tiers) {
                let cost = u64::from(cost);
                *numbers = match tier.algorithm() {
                    Algorithm::SlidingLog => {
                        Numbers { count: numbers.count.saturating_sub(cost), ..*numbers }
                    }
                    _ => tier.refunded(*numbers, *numbers, answered.now, cost),
                };
            }
            answered.ahead = 0;
        }
        taken
    }
}
