//! How long a database that does not answer is left alone: one look-up at a time finds out whether
//! it is back, and nobody else waits for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long after a look-up that failed before the next one is tried.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether the read model is worth asking.
#[derive(Debug, Default)]
pub(super) struct Patience(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Another one whenever it goes away or comes back.
    generation: u64,
    /// `None`: it is there.
    away_until: Option<Instant>,
}

/// A question to the read model: its answer counts only while things stand as they did when it was asked.
#[derive(Debug)]
pub(super) struct Asked {
    generation: u64,
}

impl Patience {
    /// Whether to ask; `None`: no. After a failure that is one look-up in [`PAUSE`].
    pub(super) fn may_ask(&self, now: Instant) -> Option<Asked> {
        let mut state = self.state();
        if let Some(until) = state.away_until {
            if until > now {
                return None;
            }
            state.away_until = Some(now + PAUSE);
        }
        Some(Asked { generation: state.generation })
    }

    /// It answered, or did not.
    pub(super) fn answered(&self, asked: &Asked, answered: bool, now: Instant) {
        let mut state = self.state();
        if asked.generation != state.generation {
            return;
        }
        if answered == state.away_until.is_some() {
            state.generation += 1;
        }
        state.away_until = (!answered).then(|| now + PAUSE);
    }

    /// What a panic elsewhere left is still whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_one_asks_at_a_time_until_there_is_an_answer() {
        let (patience, start) = (Patience::default(), Instant::now());
        let may_ask = |at| patience.may_ask(at).is_some();
        let asked = patience.may_ask(start).unwrap();
        assert!(may_ask(start));
        patience.answered(&asked, false, start);
        assert!(!may_ask(start) && !may_ask(start + PAUSE / 2));
        let probe = patience.may_ask(start + PAUSE).expect("one finds out");
        assert!(!may_ask(start + PAUSE), "the others do not wait");
        patience.answered(&probe, false, start + PAUSE);
        assert!(!may_ask(start + PAUSE), "it is still away");
        let probe = patience.may_ask(start + 2 * PAUSE).unwrap();
        patience.answered(&probe, true, start + 2 * PAUSE);
        assert!(may_ask(start + 2 * PAUSE) && may_ask(start + 2 * PAUSE));
    }

    /// Trap 16 (C18): a late answer changes no newer state: neither do those who hung in an outage send
    /// everybody away when it is over, nor does who was answered before it end it.
    #[test]
    fn what_was_asked_before_it_went_away_or_came_back_changes_nothing() {
        let (patience, start) = (Patience::default(), Instant::now());
        let mut late: Vec<_> = (0..64).map(|_| patience.may_ask(start).unwrap()).collect();
        patience.answered(&late.remove(0), false, start);
        patience.answered(&late.remove(0), true, start);
        assert!(patience.may_ask(start).is_none(), "it answered before it went away");
        let probe = patience.may_ask(start + PAUSE).unwrap();
        patience.answered(&probe, true, start + PAUSE);
        for asked in late {
            patience.answered(&asked, false, start + PAUSE);
            assert!(patience.may_ask(start + PAUSE).is_some(), "it is back");
        }
    }
}
