//! The clock of this process. It goes forward, but for microseconds by which it is set right.

mod counter;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use counter::Counter;

/// Where the time comes from. Only differences of it mean anything.
#[derive(Debug, Clone)]
pub struct MonotonicClock(Source);

#[derive(Debug, Clone)]
enum Source {
    Counted(Arc<Counter>),
    /// Microseconds.
    Set(Arc<AtomicU64>),
}

impl MonotonicClock {
    /// The machine's.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::Counted(Arc::new(Counter::new())))
    }

    /// One that stands still until it is moved.
    #[must_use]
    pub fn set_by_hand() -> Self {
        Self(Source::Set(Arc::default()))
    }

    /// Moves a clock that is set by hand; the machine's goes on by itself.
    pub fn advance(&self, by: Duration) {
        if let Source::Set(micros) = &self.0 {
            micros.fetch_add(micros_of(by), Ordering::SeqCst);
        }
    }

    /// Moves a clock that is set by hand back.
    #[cfg(test)]
    pub(super) fn go_back(&self, by: Duration) {
        if let Source::Set(micros) = &self.0 {
            micros.fetch_sub(micros_of(by), Ordering::SeqCst);
        }
    }

    /// Microseconds since some instant.
    #[must_use]
    #[inline]
    pub fn now(&self) -> u64 {
        match &self.0 {
            Source::Counted(counter) => counter.now() / 1_000,
            Source::Set(micros) => micros.load(Ordering::SeqCst),
        }
    }
}

fn micros_of(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
