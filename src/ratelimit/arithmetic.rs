//! The pure core: what a tier's numbers say at an instant, and what a charge and a refund make of them.
//! Whole numbers only. The script of the shared store (`store/limits.lua`) does the same with the same
//! numbers; a test holds the two together.
//!
//! Times are microseconds of the clock of whoever keeps the numbers. If that goes back, a subject's time
//! stands still meanwhile: nothing is given back early. If it was ahead by more than a window, windows begin
//! with what they held where the clock is now, a log forgets what was then, and a bucket is at most empty: so
//! nobody is kept out for longer than two windows.

use super::tier::{Algorithm, MICROS, Span, Tier};

/// What is kept for a tier and a subject. What the numbers are is the algorithm's business:
///
/// | | `at` | `count` | `before` |
/// |---|---|---|---|
/// | fixed window | its start | units in it | |
/// | sliding window | start of the current one | units in it | units in the one before |
/// | sliding log (seen from outside) | the newest entry | units in it | the entry that must leave next |
/// | token bucket, GCRA | when it is full again | fraction of that, in 1/limit µs | the last charge |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Numbers {
    pub(super) at: u64,
    pub(super) count: u64,
    pub(super) before: u64,
}

impl Numbers {
    fn span(self) -> Span {
        Span { us: self.at, part: self.count }
    }
}

impl Tier {
    /// The numbers as they are now: windows have moved on, a bucket that is full is so from now on.
    #[inline]
    pub(super) fn advanced(&self, numbers: Numbers, now: u64) -> Numbers {
        match self.algorithm() {
            Algorithm::FixedWindow | Algorithm::SlidingWindow => {
                let start = now - now % self.window_us();
                if numbers.at > start + self.window_us() {
                    // The clock was far ahead, and is not any more.
                    return Numbers { at: start, before: 0, ..numbers };
                }
                // Nothing moves back: see above.
                if start <= numbers.at {
                    return numbers;
                }
                let is_next = start - numbers.at == self.window_us();
                let slides = self.algorithm() == Algorithm::SlidingWindow && is_next;
                Numbers { at: start, count: 0, before: if slides { numbers.count } else { 0 } }
            }
            Algorithm::SlidingLog => numbers,
            Algorithm::TokenBucket | Algorithm::Gcra if numbers.at < now => {
                Numbers { at: now, count: 0, ..numbers }
            }
            Algorithm::TokenBucket | Algorithm::Gcra => {
                // It can't be emptier than empty, wherever the clock has been.
                let latest = self.latest(now);
                let is_later = numbers.span() > latest;
                let span = if is_later { latest } else { numbers.span() };
                Numbers { at: span.us, count: span.part, ..numbers }
            }
        }
    }

    /// When a bucket that is empty now is full again.
    #[inline]
    fn latest(&self, now: u64) -> Span {
        Span { us: now + self.full().us, part: self.full().part }
    }

    /// Whether so many units are there. The numbers are advanced.
    #[inline]
    pub(super) fn fits(&self, numbers: Numbers, now: u64, cost: u64) -> bool {
        match self.algorithm() {
            Algorithm::FixedWindow | Algorithm::SlidingLog => {
                numbers.count + cost <= u64::from(self.limit())
            }
            Algorithm::SlidingWindow => {
                let room = self.room(numbers.count + cost);
                room.is_some_and(|room| self.weighed(numbers, now) <= room)
            }
            Algorithm::TokenBucket | Algorithm::Gcra => {
                self.plus(numbers.span(), self.span(cost)) <= self.latest(now)
            }
        }
    }

    /// What the limit leaves besides so many units, in millionths.
    fn room(&self, units: u64) -> Option<u64> {
        u64::from(self.limit()).checked_sub(units).map(|rest| rest * MICROS)
    }

    /// The window before, as far as it still reaches into the last window's length, in millionths of
    /// units. Time is counted in whole millionths of the window, rounded so that it weighs more.
    fn weighed(&self, numbers: Numbers, now: u64) -> u64 {
        numbers.before * (MICROS - (now.saturating_sub(numbers.at) / self.tick_us()).min(MICROS))
    }

    #[inline]
    fn plus(&self, one: Span, other: Span) -> Span {
        // Both fractions are smaller than one: so much is carried at most.
        let (part, limit) = (one.part + other.part, u64::from(self.limit()));
        let carry = u64::from(part >= limit);
        Span { us: one.us + other.us + carry, part: part - carry * limit }
    }

    fn minus(&self, one: Span, other: Span) -> Span {
        let borrow = u64::from(one.part < other.part);
        let part = one.part + borrow * u64::from(self.limit()) - other.part;
        Span { us: one.us.saturating_sub(other.us + borrow), part }
    }

    /// With so many units taken, which fit. The numbers are advanced.
    #[inline]
    pub(super) fn charged(&self, numbers: Numbers, now: u64, cost: u64) -> Numbers {
        match self.algorithm() {
            Algorithm::FixedWindow | Algorithm::SlidingWindow | Algorithm::SlidingLog => {
                Numbers { count: numbers.count + cost, ..numbers }
            }
            Algorithm::TokenBucket | Algorithm::Gcra => {
                let full = self.plus(numbers.span(), self.span(cost));
                Numbers { at: full.us, count: full.part, before: now }
            }
        }
    }

    /// With a charge given back that left these `marks` behind: to the same window and nowhere else, at
    /// most what still counts of it. The numbers are advanced. A log takes its entries out instead.
    pub(super) fn refunded(
        &self,
        numbers: Numbers,
        marks: Numbers,
        now: u64,
        cost: u64,
    ) -> Numbers {
        match self.algorithm() {
            Algorithm::FixedWindow | Algorithm::SlidingWindow if marks.at == numbers.at => {
                Numbers { count: numbers.count.saturating_sub(cost), ..numbers }
            }
            Algorithm::SlidingWindow if marks.at + self.window_us() == numbers.at => {
                Numbers { before: numbers.before.saturating_sub(cost), ..numbers }
            }
            Algorithm::FixedWindow | Algorithm::SlidingWindow | Algorithm::SlidingLog => numbers,
            Algorithm::TokenBucket | Algorithm::Gcra => {
                // What would have come back by itself before the last charge is not given again: so
                // much of this charge is left in the bucket's debt at least.
                let last = Span { us: numbers.before, part: 0 };
                if marks.span() <= last {
                    return numbers;
                }
                let back = self.span(cost).min(self.minus(marks.span(), last));
                let debt = self.minus(numbers.span(), Span { us: now, part: 0 });
                let full = self.minus(numbers.span(), back.min(debt));
                Numbers { at: full.us, count: full.part, ..numbers }
            }
        }
    }

    /// When nothing is taken any more. The numbers are advanced.
    #[inline]
    pub(super) fn full_at(&self, numbers: Numbers, now: u64) -> u64 {
        let window = self.window_us();
        match self.algorithm() {
            Algorithm::SlidingWindow if numbers.count > 0 => numbers.at + 2 * window,
            Algorithm::SlidingWindow if numbers.before > 0 => numbers.at + window,
            Algorithm::FixedWindow | Algorithm::SlidingLog if numbers.count > 0 => {
                numbers.at + window
            }
            Algorithm::FixedWindow | Algorithm::SlidingWindow | Algorithm::SlidingLog => now,
            Algorithm::TokenBucket | Algorithm::Gcra => numbers.at + u64::from(numbers.count > 0),
        }
    }

    /// How many units are there. The numbers are advanced.
    pub(super) fn remaining(&self, numbers: Numbers, now: u64) -> u32 {
        let rest = match self.algorithm() {
            Algorithm::FixedWindow | Algorithm::SlidingLog => {
                u64::from(self.limit()).saturating_sub(numbers.count)
            }
            Algorithm::SlidingWindow => {
                let room = self.room(numbers.count).unwrap_or(0);
                room.saturating_sub(self.weighed(numbers, now)) / MICROS
            }
            Algorithm::TokenBucket | Algorithm::Gcra => {
                let latest = self.latest(now);
                if latest <= numbers.span() {
                    return 0;
                }
                let left = self.minus(latest, numbers.span());
                self.units_in(left)
            }
        };
        u32::try_from(rest).unwrap_or(u32::MAX)
    }

    /// How many whole units are given back in a time.
    fn units_in(&self, time: Span) -> u64 {
        let limit = u64::from(self.limit());
        let exact = time.us.checked_mul(limit).and_then(|parts| parts.checked_add(time.part));
        exact.map_or_else(
            || {
                let parts = u128::from(time.us) * u128::from(limit) + u128::from(time.part);
                u64::try_from(parts / u128::from(self.window_us())).unwrap_or(u64::MAX)
            },
            |parts| parts / self.window_us(),
        )
    }

    /// How long until so many units fit, at most the capacity; 0: they do. Rounded up. The numbers are
    /// advanced.
    pub(super) fn wait(&self, numbers: Numbers, now: u64, cost: u64) -> u64 {
        if self.fits(numbers, now, cost) {
            return 0;
        }
        let window = self.window_us();
        let at = match self.algorithm() {
            Algorithm::FixedWindow => numbers.at + window,
            Algorithm::SlidingLog => numbers.before + window,
            Algorithm::SlidingWindow => self.room_at(numbers, cost),
            Algorithm::TokenBucket | Algorithm::Gcra => {
                let needed = self.plus(numbers.span(), self.span(cost));
                let at = self.minus(needed, self.latest(0));
                at.us + u64::from(at.part > 0)
            }
        };
        at.saturating_sub(now).max(1)
    }

    /// When the windows before weigh so little that so many units fit.
    fn room_at(&self, numbers: Numbers, cost: u64) -> u64 {
        if let Some(room) = self.room(numbers.count + cost) {
            return numbers.at + Self::ticks_until(numbers.before, room) * self.tick_us();
        }
        let room = self.room(cost).unwrap_or(0);
        let next = numbers.at + self.window_us();
        next + Self::ticks_until(numbers.count, room) * self.tick_us()
    }

    /// How many millionths of a window until so many units of the one before weigh no more than `room`.
    fn ticks_until(units: u64, room: u64) -> u64 {
        room.checked_div(units).map_or(0, |weight| MICROS - weight.min(MICROS))
    }
}
