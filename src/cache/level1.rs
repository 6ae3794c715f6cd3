//! The first level: in this process, bounded.
//!
//! Storage is `quick_cache` (S3-FIFO): a hit is one shard read lock and one hash. Writers are kept
//! from one another by whoever owns this; see `two_levels::desk`.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, EntryAction, EntryResult};
use quick_cache::{DefaultHashBuilder, Equivalent, Lifecycle, UnitWeighter};

/// Names under which many entries are made invalid at once.
pub type Tags = Option<Arc<[Box<str>]>>;

/// An entry. Times are in milliseconds since 1970.
#[derive(Debug, Clone)]
pub(super) struct Held<V> {
    /// `None`: it is known that there is no value.
    pub(super) value: Option<V>,
    /// The last change that is in it.
    pub(super) position: u64,
    /// Everything up to here is accounted for.
    pub(super) as_of: u64,
    /// What was invalid when it was begun to be loaded is known.
    pub(super) stamp: u64,
    /// From then on it is worth loading anew.
    pub(super) refresh_at_ms: u64,
    /// From then on it is stale.
    pub(super) fresh_until_ms: u64,
    /// From then on it is not even shown as stale.
    pub(super) kept_until_ms: u64,
    /// While it is stale: until then nobody tries to load it.
    pub(super) retry_at_ms: u64,
    /// From then on the value itself is over.
    pub(super) ends_ms: u64,
    pub(super) tags: Tags,
}

/// Counts what had to make room.
#[derive(Debug, Clone, Default)]
struct Evictions(Arc<AtomicU64>);

impl<K, V> Lifecycle<K, V> for Evictions {
    type RequestState = ();

    fn on_evict(&self, (): &mut (), _: K, _: V) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) struct Level1<K, V> {
    entries: Cache<K, Held<V>, UnitWeighter, DefaultHashBuilder, Evictions>,
    evictions: Evictions,
}

impl<K: Eq + Hash + Clone, V: Clone> Level1<K, V> {
    pub(super) fn new(entries_max: usize) -> Self {
        let evictions = Evictions::default();
        let hash = DefaultHashBuilder::default();
        let entries =
            Cache::with(entries_max, entries_max as u64, UnitWeighter, hash, evictions.clone());
        Self { entries, evictions }
    }

    pub(super) fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<Held<V>> {
        self.entries.get(key)
    }

    /// Keeps an entry unless what is here is newer. Returns what is here then.
    pub(super) fn put_if_newer(&self, key: &K, new: Held<V>) -> Held<V> {
        let replace = |_: &K, here: &mut Held<V>| {
            if here.position <= new.position {
                // The same change: it accounts for what either of the two does.
                let known = if here.position == new.position { here.as_of } else { 0 };
                *here = new.clone();
                here.as_of = here.as_of.max(known);
            }
            EntryAction::Retain(here.clone())
        };
        match self.entries.entry(key, None, replace) {
            EntryResult::Retained(here) => here,
            EntryResult::Vacant(guard) => {
                // Fails if the key was removed meanwhile: then the next reader loads it.
                let _ = guard.insert(new.clone());
                new
            }
            EntryResult::Removed(..) | EntryResult::Replaced(..) | EntryResult::Timeout => new,
        }
    }

    /// Changes an entry that is as it was seen.
    pub(super) fn update(&self, key: &K, seen: &Held<V>, change: impl FnOnce(&mut Held<V>)) {
        let change = |_: &K, here: &mut Held<V>| {
            if here.position == seen.position && here.as_of == seen.as_of {
                change(here);
            }
            EntryAction::Retain(())
        };
        // A place that was empty stays so: the guard is dropped.
        let _ = self.entries.entry(key, None, change);
    }

    /// Drops what is older than a change.
    pub(super) fn invalidate(&self, key: &K, position: u64) {
        self.entries.remove_if(key, |held| held.position < position);
    }

    pub(super) fn clear(&self) {
        self.entries.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn evictions(&self) -> u64 {
        self.evictions.0.load(Ordering::Relaxed)
    }
}
