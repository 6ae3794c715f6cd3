//! What could not be written while Redis was away, or did not take it: it is written as soon as it can
//! be, and until then nothing older is believed. Of a key only the newest is kept, and of keys only so
//! many: of what is dropped, the version remains, and nothing of its space that is older is believed.
//!
//! Nothing is kept for longer than entries live: what stood in Redis before has ended by then.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many keys are kept.
const KEYS_MAX: usize = 10_000;

/// How many are written at once.
pub(super) const KEYS_PER_CALL: usize = 100;

/// An entry as it is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MissedWrite {
    /// The beginning of all keys of its space.
    pub(super) space: Arc<str>,
    /// The key as a whole.
    pub(super) key: String,
    pub(super) version: u64,
    /// There is no value up to its version: a value of the same version is older.
    pub(super) is_tombstone: bool,
    /// Header and value.
    pub(super) bytes: Vec<u8>,
    pub(super) ttl_ms: u64,
    /// How long what it replaces may stand in Redis.
    pub(super) matters_for: Duration,
    /// Of when its version is: what its space has forgotten since is not kept any more.
    pub(super) era: u64,
}

impl MissedWrite {
    /// The least version of what is as new.
    fn least(&self) -> u64 {
        self.version.saturating_add(u64::from(self.is_tombstone))
    }
}

/// What Redis has missed.
#[derive(Debug, Default)]
pub(super) struct Missed {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    writes: HashMap<String, Kept>,
    /// By space: every write up to a version may be lost.
    lost: HashMap<Arc<str>, Lost>,
    /// By space: how often it was forgotten.
    eras: HashMap<Arc<str>, u64>,
}

#[derive(Debug)]
struct Kept {
    write: MissedWrite,
    until: Instant,
}

#[derive(Debug)]
struct Lost {
    least: u64,
    until: Instant,
}

impl Missed {
    /// Keeps what was not written.
    pub(super) fn keep(&self, missed: Vec<MissedWrite>, now: Instant) {
        let mut inner = self.inner();
        for write in missed {
            if write.era != inner.era(&write.space) {
                continue;
            }
            if inner
                .writes
                .get(&write.key)
                .is_some_and(|there| there.write.least() >= write.least())
            {
                continue;
            }
            let until = now + write.matters_for;
            if inner.writes.len() >= KEYS_MAX && !inner.writes.contains_key(&write.key) {
                inner.lose(&write, until);
                metrics::counter!("hoplog_shared_cache_dropped_total", "what" => "missed")
                    .increment(1);
                continue;
            }
            inner.writes.insert(write.key.clone(), Kept { write, until });
        }
    }

    /// The keys of all that is missed. What does not matter any more is dropped.
    pub(super) fn keys(&self, now: Instant) -> Vec<String> {
        let mut inner = self.inner();
        inner.writes.retain(|_, kept| kept.until > now);
        inner.lost.retain(|_, lost| lost.until > now);
        inner.writes.keys().cloned().collect()
    }

    /// What is missed of some keys. It counts as missed until it is written.
    pub(super) fn of(&self, keys: &[String]) -> Vec<MissedWrite> {
        let inner = self.inner();
        keys.iter().filter_map(|key| Some(inner.writes.get(key)?.write.clone())).collect()
    }

    /// It is written. What came since remains.
    pub(super) fn written(&self, write: &MissedWrite) {
        let mut inner = self.inner();
        if inner.writes.get(&write.key).is_some_and(|there| there.write.least() <= write.least()) {
            inner.writes.remove(&write.key);
        }
    }

    /// The least version that an entry must have to be believed.
    pub(super) fn least(&self, space: &str, key: &str, now: Instant) -> u64 {
        let inner = self.inner();
        let kept = inner.writes.get(key).filter(|kept| kept.until > now);
        let lost = inner.lost.get(space).filter(|lost| lost.until > now);
        kept.map_or(0, |kept| kept.write.least()).max(lost.map_or(0, |lost| lost.least))
    }

    /// Nothing of a space is to be written any more: its versions mean something else now. Nor is what is
    /// on its way kept if it is not taken.
    pub(super) fn forget(&self, space: &Arc<str>) {
        let mut inner = self.inner();
        inner.writes.retain(|_, kept| kept.write.space != *space);
        inner.lost.remove(space);
        *inner.eras.entry(Arc::clone(space)).or_default() += 1;
    }

    /// Of when the versions of a space are that are written from now on.
    pub(super) fn era(&self, space: &str) -> u64 {
        self.inner().era(space)
    }

    /// Whether nothing is missed.
    pub(super) fn is_empty(&self) -> bool {
        self.inner().writes.is_empty()
    }

    /// What a panic elsewhere left is still whole.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn era(&self, space: &str) -> u64 {
        self.eras.get(space).copied().unwrap_or_default()
    }

    fn lose(&mut self, write: &MissedWrite, until: Instant) {
        let lost = self.lost.entry(Arc::clone(&write.space)).or_insert(Lost { least: 0, until });
        (lost.least, lost.until) = (lost.least.max(write.least()), lost.until.max(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_mins(5);

    fn write(key: &str, version: u64) -> MissedWrite {
        MissedWrite {
            space: "s".into(),
            key: key.into(),
            version,
            is_tombstone: false,
            bytes: Vec::new(),
            ttl_ms: 1,
            matters_for: TTL,
            era: 0,
        }
    }

    fn all(missed: &Missed, now: Instant) -> Vec<MissedWrite> {
        missed.of(&missed.keys(now))
    }

    /// Trap 6 (C14): what is put back later does not replace what is newer.
    #[test]
    fn of_a_key_the_newest_is_kept() {
        let (missed, now) = (Missed::default(), Instant::now());
        missed.keep(vec![write("a", 2), write("a", 1), write("b", 1)], now);
        let some = all(&missed, now);
        assert_eq!(missed.least("s", "a", now), 2, "until it is written");
        missed.keep(vec![write("a", 3)], now);
        missed.keep(some.clone(), now);
        assert_eq!(["a", "b", "c"].map(|key| missed.least("s", key, now)), [3, 1, 0]);
        for write in &some {
            missed.written(write);
        }
        assert_eq!(all(&missed, now), [write("a", 3)], "what came since");
        missed.written(&write("a", 3));
        assert!(missed.is_empty());
        assert_eq!(missed.least("s", "a", now), 0);
    }

    /// Trap 9: a write that was on its way when its space was forgotten, and is not taken, does not come back:
    /// its version means something else by then. Other spaces go on.
    #[test]
    fn what_was_on_its_way_when_all_was_forgotten_is_not_kept() {
        let (missed, now) = (Missed::default(), Instant::now());
        let (on_its_way, space) = (write("a", 900), Arc::from("s"));
        missed.keep(vec![write("b", 1)], now);
        missed.forget(&space);
        missed.keep(vec![on_its_way], now);
        assert!(missed.is_empty());
        assert_eq!(missed.least("s", "a", now), 0);
        let other = MissedWrite { space: Arc::from("t"), ..write("c", 7) };
        let later = MissedWrite { era: missed.era("s"), ..write("a", 2) };
        missed.keep(vec![other, later], now);
        assert_eq!((missed.least("s", "a", now), missed.least("t", "c", now)), (2, 7));
    }

    /// Trap 9: a delete that was missed is newer than the value of the same version.
    #[test]
    fn a_missed_tombstone_makes_its_own_version_unbelieved() {
        let (missed, now) = (Missed::default(), Instant::now());
        let tombstone = MissedWrite { is_tombstone: true, ..write("a", 5) };
        missed.keep(vec![write("a", 5), tombstone.clone(), write("a", 5)], now);
        assert_eq!(missed.least("s", "a", now), 6);
        missed.written(&write("a", 5));
        assert_eq!(all(&missed, now), [tombstone]);
    }

    /// Of its own space only, and only for as long as what was there before may be there.
    #[test]
    fn what_finds_no_place_costs_trust_for_a_while() {
        let (missed, now) = (Missed::default(), Instant::now());
        let many = (0..=KEYS_MAX as u64).map(|n| write(&format!("k{n}"), n + 1));
        missed.keep(many.collect(), now);
        assert_eq!(missed.least("s", "other", now), KEYS_MAX as u64 + 1);
        assert_eq!(missed.least("another space", "other", now), 0);
        assert_eq!(missed.keys(now).len(), KEYS_MAX);
        let over = now + TTL;
        assert_eq!(missed.least("s", "other", over), 0);
        assert_eq!((missed.least("s", "k1", now), missed.least("s", "k1", over)), (10_001, 0));
        assert!(missed.keys(over).is_empty() && missed.is_empty());
    }

    #[test]
    fn a_space_that_begins_anew_has_missed_nothing() {
        let (missed, now) = (Missed::default(), Instant::now());
        let of_another = MissedWrite { space: "t".into(), ..write("b", 1) };
        missed.keep((0..=KEYS_MAX as u64).map(|n| write(&format!("k{n}"), 7)).collect(), now);
        missed.forget(&"s".into());
        missed.keep(vec![of_another.clone()], now);
        assert_eq!(missed.least("s", "k1", now), 0);
        missed.forget(&"s".into());
        assert_eq!(all(&missed, now), [of_another]);
    }
}
