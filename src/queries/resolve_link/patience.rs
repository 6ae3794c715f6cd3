//! How long a database that does not answer is left alone: one look-up at a time finds out whether
//! it is back, and nobody else waits for it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long after a look-up that failed before the next one is tried.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether the read model is worth asking.
#[derive(Debug, Default)]
pub(super) struct Patience(Mutex<Option<Instant>>);

impl Patience {
    /// Whether to ask. After a failure that is one look-up in [`PAUSE`].
    pub(super) fn may_ask(&self, now: Instant) -> bool {
        let mut away_until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = away_until.is_none_or(|until| until <= now);
        if may && away_until.is_some() {
            *away_until = Some(now + PAUSE);
        }
        may
    }

    /// It answered, or did not.
    pub(super) fn answered(&self, answered: bool, now: Instant) {
        let mut away_until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *away_until = (!answered).then(|| now + PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_one_asks_at_a_time_until_there_is_an_answer() {
        let (patience, start) = (Patience::default(), Instant::now());
        assert!(patience.may_ask(start) && patience.may_ask(start));
        patience.answered(false, start);
        assert!(!patience.may_ask(start) && !patience.may_ask(start + PAUSE / 2));
        assert!(patience.may_ask(start + PAUSE), "one finds out");
        assert!(!patience.may_ask(start + PAUSE), "the others do not wait");
        patience.answered(true, start + PAUSE);
        assert!(patience.may_ask(start + PAUSE) && patience.may_ask(start + PAUSE));
    }
}
