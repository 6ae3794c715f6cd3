//! What is told to a cache. The second level comes first: else a reader in between fills the first
//! with what is still in the second.

use std::fmt::Display;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{SemaphorePermit, TryAcquireError};

use super::super::level1::Held;
use super::super::level2::Level2Error;
use super::desk::{Filling, Landed};
use super::{Found, Inner, Loaded, Look, TwoLevelCache, found};

/// How long who fills several keys waits for those who ask for one, before it looks again.
const FILL_PAUSE: Duration = Duration::from_millis(5);

impl<K, V> TwoLevelCache<K, V>
where
    K: Eq + Hash + Clone + Display + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// What both levels have of some keys, in their order. Nothing is loaded.
    pub async fn get_many(&self, keys: &[K], now_ms: u64) -> Vec<Option<Found<V>>> {
        let inner = &self.inner;
        let at_hand = |key| match inner.look(key, now_ms) {
            Look::Fresh { held, .. } => Some(found(held, false)),
            Look::Stale(_) | Look::Nothing => None,
        };
        let mut answers: Vec<_> = keys.iter().map(at_hand).collect();
        let Some(shared) = inner.shared.as_ref().filter(|shared| !shared.is_away()) else {
            return answers;
        };
        let stamp = inner.marks.number();
        let missing: Vec<usize> = (0..keys.len()).filter(|at| answers[*at].is_none()).collect();
        let asked: Vec<&K> = missing.iter().map(|at| &keys[*at]).collect();
        let filling = inner.desk.begin_fill(asked.iter().copied());
        let there = shared.get_many(&asked).await.unwrap_or_default();
        for (at, loaded) in missing.into_iter().zip(there) {
            let Some(loaded) = loaded.filter(|loaded| inner.is_believed(&keys[at], loaded, now_ms))
            else {
                continue;
            };
            let held = inner.hold(loaded, stamp, now_ms);
            if inner.keep(&keys[at], held.clone(), Some(&filling)) {
                inner.counts.level2_hits.add_one();
                answers[at] = Some(found(held, false));
            }
        }
        answers
    }

    /// Writes a value to both levels, unless they have a newer one.
    ///
    /// # Errors
    /// When the second level does not take it: it is kept here and written later.
    pub async fn set(&self, key: &K, loaded: Loaded<V>, now_ms: u64) -> Result<(), Level2Error> {
        self.set_many(&[(key.clone(), loaded)], now_ms).await
    }

    /// The same for several.
    ///
    /// # Errors
    /// When the second level does not take all: they are kept here and written later.
    pub async fn set_many(
        &self,
        entries: &[(K, Loaded<V>)],
        now_ms: u64,
    ) -> Result<(), Level2Error> {
        let shared = self.share_many(entries, now_ms).await;
        for (key, loaded) in entries {
            self.remember(key, loaded.clone(), now_ms);
        }
        shared
    }

    /// Offers values to the second level that can't be there as something older: of keys that are new.
    /// What it does not take is not kept.
    ///
    /// # Errors
    /// When the second level does not take all.
    pub async fn offer_many(
        &self,
        entries: &[(K, Loaded<V>)],
        now_ms: u64,
    ) -> Result<(), Level2Error> {
        let Some(shared) = &self.inner.shared else { return Ok(()) };
        shared.entries.set_if_newer(&shared.writes(entries, now_ms)).await.map(|_| ())
    }

    /// Writes values to the second level only: what changed, whether anybody asks for it here or not.
    ///
    /// # Errors
    /// When the second level does not take all: they are kept here and written later.
    pub async fn share_many(
        &self,
        entries: &[(K, Loaded<V>)],
        now_ms: u64,
    ) -> Result<(), Level2Error> {
        let Some(shared) = &self.inner.shared else { return Ok(()) };
        shared.entries.set_in_any_case(&shared.writes(entries, now_ms)).await.map(|_| ())
    }

    /// Keeps what this process knows in the first level, unless something newer is known.
    pub fn remember(&self, key: &K, loaded: Loaded<V>, now_ms: u64) {
        self.fill(key, loaded, self.stamp(), None, now_ms);
    }

    /// By what number of invalid things that is valid which is begun to be loaded now.
    pub(crate) fn stamp(&self) -> u64 {
        self.inner.marks.number()
    }

    /// Keeps what was begun to be loaded at a stamp, unless something newer is known.
    pub(crate) fn fill(
        &self,
        key: &K,
        loaded: Loaded<V>,
        stamp: u64,
        filling: Option<&Filling<K, V>>,
        now_ms: u64,
    ) {
        let inner = &self.inner;
        if inner.marks.admits(loaded.as_of, &loaded.tags) {
            inner.keep(key, inner.hold(loaded, stamp, now_ms), filling);
        }
    }

    /// Begins to fill some keys from the source: as many others as may ask it at once come first. The second
    /// is the right to ask it.
    pub(in super::super) async fn begin_fill(
        &self,
        keys: &[K],
        places: u32,
    ) -> (Filling<K, V>, Option<SemaphorePermit<'_>>) {
        let inner = &self.inner;
        let all = u32::try_from(inner.options.loads_max).unwrap_or(u32::MAX);
        let places = loop {
            match inner.loads.try_acquire_many(places.min(all)) {
                Err(TryAcquireError::NoPermits) => tokio::time::sleep(FILL_PAUSE).await,
                places => break places.ok(),
            }
        };
        (inner.desk.begin_fill(keys.iter()), places)
    }

    /// Whether the first level can answer.
    pub(in super::super) fn is_at_hand(&self, key: &K, now_ms: u64) -> bool {
        matches!(self.inner.look(key, now_ms), Look::Fresh { .. })
    }

    pub(in super::super) fn count_warmed(&self, count: usize) {
        metrics::counter!("hoplog_cache_warmed_total", "cache" => self.inner.options.name)
            .increment(count as u64);
    }

    /// There is no value from this position on: in both levels, also for those who are about to
    /// write what they read before.
    ///
    /// # Errors
    /// When the second level does not take it: it is kept here and written later.
    pub async fn delete(&self, key: &K, position: u64, now_ms: u64) -> Result<(), Level2Error> {
        let buried = match &self.inner.shared {
            Some(shared) => shared.bury(key, position).await.map(|_| ()),
            None => Ok(()),
        };
        self.remember(key, Loaded::absent(position), now_ms);
        buried
    }

    /// It has changed at this position: what is older is dropped here. For whoever hears of changes; the
    /// second level is written by whoever makes them.
    pub fn invalidate(&self, key: &K, position: u64) {
        self.inner.desk.invalidate(key, position);
    }

    /// Entries with a tag that account for less than a position are invalid, in both levels.
    ///
    /// # Errors
    /// When the second level does not take it: it is kept here and written later.
    pub async fn delete_tagged(&self, tag: &str, position: u64) -> Result<(), Level2Error> {
        let marked = match &self.inner.shared {
            Some(shared) => shared.mark(tag, position).await.map(|_| ()),
            None => Ok(()),
        };
        self.invalidate_tagged(tag, position);
        marked
    }

    /// The same, in the first level only: for whoever hears of it.
    pub fn invalidate_tagged(&self, tag: &str, position: u64) {
        self.inner.marks.tag(tag, position);
    }

    /// Changes may have been missed: what is here is no longer vouched for, and shown only if there
    /// is nobody to ask.
    pub fn doubt_everything(&self) {
        self.inner.marks.gap();
    }

    /// Drops everything in the first level. What is being loaded is loaded again.
    pub fn clear(&self) {
        self.inner.desk.clear(self.inner.marks.gap());
    }

    /// All positions so far mean nothing any more, as those of a log that was put back: drops everything,
    /// also what is still to be written to the second level.
    pub fn start_over(&self) {
        if let Some(shared) = &self.inner.shared {
            shared.forget_missed();
        }
        self.inner.desk.start_over(self.inner.marks.start_over());
    }
}

impl<K, V> Inner<K, V>
where
    K: Eq + Hash + Clone + Display + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Keeps what somebody knows in the first level, unless something newer is known.
    fn keep(&self, key: &K, held: Held<V>, filling: Option<&Filling<K, V>>) -> bool {
        self.desk.put(key, held, filling, || self.witness.newest(key))
    }

    /// Writes what was loaded from the source to the second level, if there is time for it.
    pub(super) async fn share(self: &Arc<Self>, key: &K, landed: Landed<V>, now_ms: u64) {
        let Some(shared) = &self.shared else { return };
        if !landed.is_loaded || landed.is_behind || shared.is_away() {
            return;
        }
        let Ok(_place) = self.sharing.try_acquire() else {
            metrics::counter!("hoplog_shared_cache_dropped_total", "what" => "loaded").increment(1);
            return;
        };
        let held = landed.held;
        let loaded = Loaded {
            value: held.value,
            position: held.position,
            as_of: held.as_of,
            ends_ms: held.ends_ms,
            tags: held.tags,
        };
        if let Some(write) = shared.write(key, &loaded, now_ms) {
            // Who comes next loads it again.
            let _ = shared.entries.set_if_newer(&[write]).await;
        }
    }
}
