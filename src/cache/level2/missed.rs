//! What could not be written while Redis was away: it is written before anybody reads there again.
//! Of a key only the newest is kept, and of keys only so many: of what is dropped, the position
//! remains, and no entry that is older than that is believed any more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many keys are kept.
const KEYS_MAX: usize = 10_000;

/// How many are written at once.
const KEYS_PER_CALL: usize = 100;

/// An entry as it is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MissedWrite {
    /// The key as a whole.
    pub(super) key: String,
    pub(super) version: u64,
    /// Header and value.
    pub(super) bytes: Vec<u8>,
    pub(super) ttl_ms: u64,
}

/// What Redis has missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    writes: Mutex<HashMap<String, MissedWrite>>,
    /// Every write up to this version may be lost.
    lost: AtomicU64,
}

impl Missed {
    /// Keeps what was not written.
    pub(super) fn keep(&self, missed: Vec<MissedWrite>) {
        let mut writes = self.writes();
        for write in missed {
            if writes.get(&write.key).is_some_and(|other| other.version >= write.version) {
                continue;
            }
            if writes.len() >= KEYS_MAX && !writes.contains_key(&write.key) {
                self.lost.fetch_max(write.version, Ordering::AcqRel);
                metrics::counter!("hoplog_shared_cache_dropped_total", "what" => "missed")
                    .increment(1);
                continue;
            }
            writes.insert(write.key.clone(), write);
        }
    }

    /// Some of it, to be written now; `None`: nothing is left. It counts as missed until it is written.
    pub(super) fn some(&self) -> Option<Vec<MissedWrite>> {
        let some: Vec<_> = self.writes().values().take(KEYS_PER_CALL).cloned().collect();
        (!some.is_empty()).then_some(some)
    }

    /// So much is written. What came since remains.
    pub(super) fn written(&self, written: &[MissedWrite]) {
        let mut writes = self.writes();
        for write in written {
            if writes.get(&write.key).is_some_and(|there| there.version <= write.version) {
                writes.remove(&write.key);
            }
        }
    }

    /// Whether nothing is missed.
    pub(super) fn is_empty(&self) -> bool {
        self.writes().is_empty()
    }

    /// The least version that an entry must have to be believed, with what may be lost.
    pub(super) fn least(&self, key: &str) -> u64 {
        self.writes().get(key).map_or(0, |write| write.version).max(self.lost())
    }

    /// No entry that is older than this is to be believed.
    fn lost(&self) -> u64 {
        self.lost.load(Ordering::Acquire)
    }

    /// What a panic elsewhere left is still whole.
    fn writes(&self) -> MutexGuard<'_, HashMap<String, MissedWrite>> {
        self.writes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(key: &str, version: u64) -> MissedWrite {
        MissedWrite { key: key.into(), version, bytes: Vec::new(), ttl_ms: 1 }
    }

    /// Trap 6 (C14): what is put back later does not replace what is newer.
    #[test]
    fn of_a_key_the_newest_is_kept() {
        let missed = Missed::default();
        missed.keep(vec![write("a", 2), write("a", 1), write("b", 1)]);
        let some = missed.some().unwrap();
        assert_eq!(missed.least("a"), 2, "until it is written");
        missed.keep(vec![write("a", 3)]);
        missed.keep(some.clone());
        assert_eq!([missed.least("a"), missed.least("b"), missed.least("c")], [3, 1, 0]);
        missed.written(&some);
        assert_eq!(missed.some().unwrap(), [write("a", 3)], "what came since");
        missed.written(&[write("a", 3)]);
        assert!(missed.is_empty() && missed.some().is_none());
        assert_eq!(missed.least("a"), 0);
    }

    #[test]
    fn what_finds_no_place_costs_trust() {
        let missed = Missed::default();
        let many = (0..=KEYS_MAX as u64).map(|n| write(&format!("k{n}"), n + 1));
        missed.keep(many.collect());
        assert_eq!(missed.least("other"), KEYS_MAX as u64 + 1);
        let mut count = 0;
        while let Some(some) = missed.some() {
            assert!(some.len() <= KEYS_PER_CALL);
            missed.written(&some);
            count += some.len();
        }
        assert_eq!(count, KEYS_MAX);
    }
}
