//! A tier: so many units in a window, counted by one of five algorithms.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

/// The highest limit and burst. Products of two of them, and of one with the microseconds in a second, are
/// exact in the numbers of a Redis script (53 bits).
pub const LIMIT_MAX: u32 = 10_000_000;

/// The highest limit of a sliding log, which keeps an entry for every unit.
pub const LOG_LIMIT_MAX: u32 = 10_000;

/// The longest window: a year.
pub const WINDOW_MAX: Duration = Duration::from_hours(366 * 24);

/// The longest time that an empty bucket may take to be full again: ten years.
const FILL_MAX_US: u64 = 3_660 * 86_400 * MICROS;

/// Microseconds in a second; also into how many parts the sliding counter divides a window.
pub(super) const MICROS: u64 = 1_000_000;

/// How units are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// So many in each window of the store's clock. Twice as many may pass around its border.
    FixedWindow,
    /// So many in any window, exactly; keeps an entry for every unit.
    SlidingLog,
    /// So many in any window, by two counters: as if what came in the last window had come evenly.
    SlidingWindow,
    /// So many at once, and what is taken comes back evenly.
    TokenBucket,
    /// The generic cell rate algorithm: the token bucket, kept as the instant when it is full again.
    Gcra,
}

impl Algorithm {
    /// All five.
    pub const ALL: [Self; 5] =
        [Self::FixedWindow, Self::SlidingLog, Self::SlidingWindow, Self::TokenBucket, Self::Gcra];

    /// As it is written in settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FixedWindow => "fixed-window",
            Self::SlidingLog => "sliding-log",
            Self::SlidingWindow => "sliding-window",
            Self::TokenBucket => "token-bucket",
            Self::Gcra => "gcra",
        }
    }

    fn has_burst(self) -> bool {
        matches!(self, Self::TokenBucket | Self::Gcra)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = TierError;

    fn from_str(text: &str) -> Result<Self, TierError> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == text).ok_or(TierError::Algorithm)
    }
}

/// Correct the tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TierError {
    /// No such algorithm.
    #[error(
        "the algorithm is one of fixed-window, sliding-log, sliding-window, token-bucket and gcra"
    )]
    Algorithm,
    /// A limit that can't be kept.
    #[error("the limit is a whole number from 1 to {LIMIT_MAX}")]
    Limit,
    /// A log that would be too long.
    #[error("the limit of a sliding log is at most {LOG_LIMIT_MAX}: it keeps an entry for each")]
    LogLimit,
    /// A window that can't be counted.
    #[error("the window is a whole number of seconds, from one to 366 days")]
    Window,
    /// A burst that can't be kept.
    #[error("the burst is a whole number from 1 to {LIMIT_MAX}")]
    Burst,
    /// A burst where there is no such thing.
    #[error("only token-bucket and gcra have a burst")]
    NoBurst,
    /// A bucket that practically never is full again.
    #[error("burst x window / limit, the time until all is given back, is at most ten years")]
    Fill,
}

/// So many units in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tier {
    algorithm: Algorithm,
    limit: NonZeroU32,
    /// Whole seconds.
    window: NonZeroU32,
    burst: NonZeroU32,
    /// How long until one unit is given back, and until all are: divided once, not in every decision.
    /// Parts are smaller than the limit. Decisions hold copies, so this is packed.
    unit_us: u64,
    full_us: u64,
    unit_part: u32,
    full_part: u32,
}

/// A time with the fraction of a microsecond, in parts of one limit: exact, whatever the limit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Span {
    pub(super) us: u64,
    pub(super) part: u64,
}

impl Tier {
    /// `limit` units in each `window`; of a bucket at most `burst` at once (without: the limit).
    ///
    /// # Errors
    /// When a number is out of its bounds, which the error names.
    pub fn new(
        algorithm: Algorithm,
        limit: u32,
        window: Duration,
        burst: Option<u32>,
    ) -> Result<Self, TierError> {
        let bounded = |number: u32| NonZeroU32::new(number).filter(|n| n.get() <= LIMIT_MAX);
        let limit = bounded(limit).ok_or(TierError::Limit)?;
        if algorithm == Algorithm::SlidingLog && limit.get() > LOG_LIMIT_MAX {
            return Err(TierError::LogLimit);
        }
        if burst.is_some() && !algorithm.has_burst() {
            return Err(TierError::NoBurst);
        }
        let burst = burst.map_or(Some(limit), bounded).ok_or(TierError::Burst)?;
        let whole = window.subsec_nanos() == 0 && window <= WINDOW_MAX;
        let seconds = u32::try_from(window.as_secs()).ok().filter(|_| whole);
        let window = seconds.and_then(NonZeroU32::new).ok_or(TierError::Window)?;
        let fill = u128::from(burst.get()) * u128::from(window.get()) * u128::from(MICROS);
        if fill / u128::from(limit.get()) > u128::from(FILL_MAX_US) {
            return Err(TierError::Fill);
        }
        Ok(Self::of(algorithm, limit, window, burst))
    }

    /// Of numbers within their bounds.
    fn of(algorithm: Algorithm, limit: NonZeroU32, window: NonZeroU32, burst: NonZeroU32) -> Self {
        let (us, divisor) = (u64::from(window.get()) * MICROS, u64::from(limit.get()));
        let packed = |part: u64| u32::try_from(part).unwrap_or(u32::MAX);
        let (unit_us, unit_part) = (us / divisor, packed(us % divisor));
        let (full_us, full_part) = (unit_us, unit_part);
        let tier = Self { algorithm, limit, window, burst, unit_us, full_us, unit_part, full_part };
        let full = tier.span(u64::from(burst.get()));
        Self { full_us: full.us, full_part: packed(full.part), ..tier }
    }

    /// How long it takes until all units are given back.
    #[inline]
    pub(super) fn full(&self) -> Span {
        Span { us: self.full_us, part: u64::from(self.full_part) }
    }

    /// How units are counted.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Units in a window.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit.get()
    }

    /// The window, in whole seconds.
    #[must_use]
    pub fn window(&self) -> Duration {
        Duration::from_secs(u64::from(self.window.get()))
    }

    /// Units at once: the burst of a bucket, else the limit.
    #[must_use]
    pub fn capacity(&self) -> u32 {
        self.burst.get()
    }

    /// Whether an entry is kept for every unit.
    pub(super) fn is_log(&self) -> bool {
        self.algorithm == Algorithm::SlidingLog
    }

    /// What one of so many nodes may admit alone: an equal part, rounded down, but at least one unit.
    #[must_use]
    pub(super) fn share(&self, nodes: NonZeroU32) -> Self {
        let part =
            |number: NonZeroU32| NonZeroU32::new(number.get() / nodes).unwrap_or(NonZeroU32::MIN);
        Self::of(self.algorithm, part(self.limit), self.window, part(self.burst))
    }

    pub(super) fn window_us(&self) -> u64 {
        u64::from(self.window.get()) * MICROS
    }

    /// A millionth of the window, in microseconds.
    pub(super) fn tick_us(&self) -> u64 {
        u64::from(self.window.get())
    }

    /// How long it takes until so many units are given back. At most `capacity` units: more could
    /// overflow.
    #[inline]
    pub(super) fn span(&self, units: u64) -> Span {
        let (limit, parts) = (u64::from(self.limit.get()), units * u64::from(self.unit_part));
        let us = units * self.unit_us;
        if parts < limit {
            return Span { us, part: parts };
        }
        Span { us: us + parts / limit, part: parts % limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(
        algorithm: Algorithm,
        limit: u32,
        seconds: u64,
        burst: Option<u32>,
    ) -> Result<Tier, TierError> {
        Tier::new(algorithm, limit, Duration::from_secs(seconds), burst)
    }

    #[test]
    fn a_tier_is_within_its_bounds() {
        use Algorithm::{FixedWindow, Gcra, SlidingLog, TokenBucket};
        assert!(tier(Gcra, LIMIT_MAX, 1, Some(LIMIT_MAX)).is_ok());
        assert!(tier(FixedWindow, 1, WINDOW_MAX.as_secs(), None).is_ok());
        for (wrong, because) in [
            (tier(Gcra, 0, 1, None), TierError::Limit),
            (tier(Gcra, LIMIT_MAX + 1, 1, None), TierError::Limit),
            (tier(SlidingLog, LOG_LIMIT_MAX + 1, 1, None), TierError::LogLimit),
            (tier(FixedWindow, 1, 0, None), TierError::Window),
            (tier(FixedWindow, 1, WINDOW_MAX.as_secs() + 1, None), TierError::Window),
            (Tier::new(Gcra, 1, Duration::from_millis(1_500), None), TierError::Window),
            (tier(FixedWindow, 1, 1, Some(1)), TierError::NoBurst),
            (tier(TokenBucket, 1, 1, Some(0)), TierError::Burst),
            (tier(TokenBucket, 1, 86_400, Some(10_000)), TierError::Fill),
        ] {
            assert_eq!(wrong, Err(because));
        }
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
        }
        assert_eq!("Gcra".parse::<Algorithm>(), Err(TierError::Algorithm));
    }

    #[test]
    fn spans_are_exact() {
        let seven = tier(Algorithm::Gcra, 7, 60, None).unwrap();
        assert_eq!(seven.span(1), Span { us: 8_571_428, part: 4 });
        assert_eq!(seven.span(7), Span { us: 60 * MICROS, part: 0 });
        let most = tier(Algorithm::Gcra, LIMIT_MAX, 1, None).unwrap();
        assert_eq!(most.span(u64::from(LIMIT_MAX)), Span { us: MICROS, part: 0 });
    }
}
