//! What the algorithms mean, written down slowly and exactly: from the list of all that passed, or in
//! fractions with whole numbers that can't overflow.

use super::super::tier::MICROS;
use super::*;

/// What a reference says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Passes,
    Refused,
    /// Within the documented bound either is right.
    Either,
}

/// One subject under one tier.
pub(super) struct Reference {
    tier: Tier,
    passed: Vec<(i128, i128)>,
    /// Of a token bucket: tokens times the window, and when that was; of GCRA: the theoretical arrival
    /// time, times the limit.
    fraction: i128,
    at: i128,
}

impl Reference {
    pub(super) fn new(tier: Tier) -> Self {
        let full = i128::from(tier.capacity()) * i128::from(tier.window_us());
        let is_bucket = tier.algorithm() == Algorithm::TokenBucket;
        Self { tier, passed: Vec::new(), fraction: if is_bucket { full } else { 0 }, at: 0 }
    }

    fn sum(&self, counts: impl Fn(i128) -> bool) -> i128 {
        self.passed.iter().filter(|(at, _)| counts(*at)).map(|(_, cost)| cost).sum()
    }

    pub(super) fn verdict(&mut self, now: u64, cost: u32) -> Verdict {
        let (now, cost) = (i128::from(now), i128::from(cost));
        let (window, limit) = (i128::from(self.tier.window_us()), i128::from(self.tier.limit()));
        let burst = i128::from(self.tier.capacity());
        let fits = match self.tier.algorithm() {
            Algorithm::FixedWindow => self.sum(|at| at / window == now / window) + cost <= limit,
            Algorithm::SlidingLog => self.sum(|at| at > now - window) + cost <= limit,
            Algorithm::SlidingWindow => return self.by_two_windows(now, cost),
            Algorithm::TokenBucket => {
                let refilled = self.fraction + (now - self.at) * limit;
                (self.fraction, self.at) = (refilled.min(burst * window), now);
                self.fraction >= cost * window
            }
            Algorithm::Gcra => {
                let arrival = self.fraction.max(now * limit);
                arrival + cost * window <= now * limit + burst * window
            }
        };
        if fits { Verdict::Passes } else { Verdict::Refused }
    }

    /// The estimate in fractions; the limiter's may weigh the window before by a millionth more.
    fn by_two_windows(&self, now: i128, cost: i128) -> Verdict {
        let (window, limit) = (i128::from(self.tier.window_us()), i128::from(self.tier.limit()));
        let current = self.sum(|at| at / window == now / window);
        let before = self.sum(|at| at / window == now / window - 1);
        let left = window - now % window;
        let fits = |left: i128| before * left + (current + cost) * window <= limit * window;
        match (fits(left), fits((left + window / i128::from(MICROS)).min(window))) {
            (true, true) => Verdict::Passes,
            (false, _) => Verdict::Refused,
            (true, false) => Verdict::Either,
        }
    }

    /// It has passed.
    pub(super) fn pass(&mut self, now: u64, cost: u32) {
        let (now, cost) = (i128::from(now), i128::from(cost));
        let (window, limit) = (i128::from(self.tier.window_us()), i128::from(self.tier.limit()));
        match self.tier.algorithm() {
            Algorithm::TokenBucket => self.fraction -= cost * window,
            Algorithm::Gcra => self.fraction = self.fraction.max(now * limit) + cost * window,
            _ => {
                self.passed.retain(|(at, _)| *at > now - 3 * window);
                self.passed.push((now, cost));
            }
        }
    }
}
