//! How two parts compare: of those who saw one page and of those who saw another, so many did what was hoped for.

use std::f64::consts::{FRAC_2_SQRT_PI, SQRT_2};

#[cfg(test)]
mod tests;

/// The quantile of the normal distribution that 97.5 % are below: 95 % are between it and its opposite.
const Z_95: f64 = 1.959_963_984_540_054;

/// As many at least have to be expected on each side of each part for the test to hold.
const EXPECTED_MIN: f64 = 5.0;

/// An estimate is above or below the truth by more than so many standard errors once in 370 times.
const ESTIMATE_ERRORS: f64 = 3.0;

/// The part of some who did something.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Proportion {
    successes: f64,
    trials: f64,
    /// The standard error of the trials, as a part of them: 0 if they were counted.
    error: f64,
}

/// How a part differs from another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// By how much it is greater; below 0: smaller.
    pub difference: f64,
    /// The same in standard errors.
    pub z: f64,
    /// How probable it is that parts which are the same in truth differ as much or more, in either direction.
    pub p: f64,
    /// Whether there are enough of both for the test to hold: 5 expected at least who did and 5 who did not.
    pub is_sound: bool,
}

impl Proportion {
    /// So many of so many; `None`: nobody, or more than all.
    #[must_use]
    pub fn new(successes: u64, trials: u64) -> Option<Self> {
        (trials > 0 && successes <= trials).then(|| Self {
            successes: float(successes),
            trials: float(trials),
            error: 0.0,
        })
    }

    /// So many of about so many, who were estimated with this standard error, as a part of them. Where the estimate is below
    /// the successes by no more than it may err, they are all; `None`: nobody, or more than that.
    #[must_use]
    pub fn of_estimate(successes: u64, estimate: u64, error: f64) -> Option<Self> {
        // A whole one at least: it is rounded.
        let most = (float(estimate) * (1.0 + ESTIMATE_ERRORS * error)).ceil();
        let exact = Self::new(successes, estimate.max(successes));
        exact.filter(|_| float(successes) <= most).map(|exact| Self { error, ..exact })
    }

    /// Which part they are, from 0 to 1.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.successes / self.trials
    }

    /// Where the true part is with a confidence of 95 %: never outside of 0 to 1, also for few. The parts π from which this one
    /// is no further than (p − π)² = z²(π(1 − π)/n + π²e²), with e the error of n: without one, Wilson's score interval.
    #[must_use]
    pub fn interval(self) -> (f64, f64) {
        let (n, p, square) = (self.trials, self.rate(), Z_95 * Z_95);
        let scale = 1.0 + square / n - square * self.error * self.error;
        let centre = (p + square / (2.0 * n)) / scale;
        let of_trials = p * p * self.error * self.error;
        let half = Z_95 * (p * (1.0 - p) / n + of_trials + square / (4.0 * n * n)).sqrt() / scale;
        // What both terms are equal to for nobody is not subtracted to the last bit.
        let low = if self.successes > 0.0 { (centre - half).max(0.0) } else { 0.0 };
        (low, (centre + half).min(1.0))
    }

    /// How it differs from another one: the two-proportion z-test with pooled variance, two-sided. Each estimate of trials adds
    /// its part to the variance: it does not become less with more of them.
    #[must_use]
    pub fn compared_with(self, other: Self) -> Comparison {
        let pooled = (self.successes + other.successes) / (self.trials + other.trials);
        let chance = pooled * (1.0 - pooled) * (self.trials.recip() + other.trials.recip());
        let errors = self.error * self.error + other.error * other.error;
        let variance = chance + pooled * pooled * errors;
        let difference = self.rate() - other.rate();
        // If all did, or nobody, they do not differ.
        let z = if variance > 0.0 { difference / variance.sqrt() } else { 0.0 };
        let least = self.trials.min(other.trials) * pooled.min(1.0 - pooled);
        let p = erfc(z.abs() / SQRT_2);
        Comparison { difference, z, p, is_sound: least >= EXPECTED_MIN }
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts 2^53 visitors")]
fn float(count: u64) -> f64 {
    count as f64
}

/// The complementary error function of a number that is not below 0: twice what of the normal distribution with variance ½
/// is above it.
fn erfc(x: f64) -> f64 {
    if x < 2.0 { 1.0 - erf_by_series(x) } else { erfc_by_fraction(x) }
}

/// The series of Maclaurin: 2/√π · Σ (−1)ⁿ x²ⁿ⁺¹ / (n! (2n+1)).
fn erf_by_series(x: f64) -> f64 {
    let (mut power, mut sum) = (x, x);
    for n in 1..60_u32 {
        power *= -x * x / f64::from(n);
        sum += power / f64::from(2 * n + 1);
    }
    FRAC_2_SQRT_PI * sum
}

/// The continued fraction of Laplace: e^(−x²)/√π / (x + ½/(x + 1/(x + 1½/(x + …)))).
fn erfc_by_fraction(x: f64) -> f64 {
    let rest = (1..=80_u32).rev().fold(x, |rest, n| x + f64::from(n) / 2.0 / rest);
    (-x * x).exp() * FRAC_2_SQRT_PI / 2.0 / rest
}
