//! The clock that everything outside the pure core reads, so that tests can set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};

/// Where the time comes from.
#[derive(Debug, Clone, Default)]
pub struct Clock(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    System,
    /// Microseconds since 1970.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is set.
    #[must_use]
    pub fn fixed(now: DateTime<Utc>) -> Self {
        Self(Source::Fixed(Arc::new(AtomicI64::new(now.timestamp_micros()))))
    }

    /// Moves a fixed clock; the machine's clock stays as it is.
    pub fn set(&self, now: DateTime<Utc>) {
        if let Source::Fixed(micros) = &self.0 {
            micros.store(now.timestamp_micros(), Ordering::Relaxed);
        }
    }

    /// The time, in whole microseconds: what the log and the databases keep.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = match &self.0 {
            #[expect(
                clippy::disallowed_methods,
                reason = "the one place that reads the machine's clock"
            )]
            Source::System => Utc::now().timestamp_micros(),
            Source::Fixed(micros) => micros.load(Ordering::Relaxed),
        };
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    }
}
