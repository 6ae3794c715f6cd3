//! Where the first level is written: one writer at a time, so that what is loaded, what is told and
//! what is invalidated come in some order. Readers take no part in this.
//!
//! A load that is under way is remembered with the least position that it may bring: whatever is told
//! or invalidated meanwhile raises it, also if the entry itself is evicted before the load has ended.
//! The same is remembered of the keys of a fill of several.
//! What was begun to be loaded before everything was dropped is not kept at all.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{BoxFuture, FutureExt, Shared};
use quick_cache::Equivalent;

use super::super::level1::{Held, Level1};
use super::super::level2::Lease;
use super::LoadError;

/// What a load has brought, and from where.
#[derive(Debug, Clone)]
pub(super) struct Landed<V> {
    pub(super) held: Held<V>,
    /// From the source, not from the second level.
    pub(super) is_loaded: bool,
    /// What was here is newer than what was loaded.
    pub(super) is_behind: bool,
    /// Other nodes wait until it is shared.
    pub(super) lease: Option<Arc<Lease>>,
}

/// A load that many wait for.
pub(super) type Flying<V> = Shared<BoxFuture<'static, Result<Landed<V>, LoadError>>>;

struct Flight<V> {
    id: u64,
    least: u64,
    waiting: Arc<AtomicUsize>,
    answer: Flying<V>,
}

struct Flights<K, V> {
    under_way: HashMap<K, Flight<V>>,
    /// Fills of several keys that are under way, each with what was told of them since it began.
    fills: HashMap<u64, HashMap<K, u64>>,
    last: u64,
    /// What was begun to be loaded at an older number is not kept.
    cleared: u64,
}

pub(super) struct Desk<K: Eq + Hash + Clone, V: Clone> {
    level1: Level1<K, V>,
    flights: Mutex<Flights<K, V>>,
}

/// Who has joined a load.
pub(super) struct Joined<V> {
    pub(super) answer: Flying<V>,
    /// It was begun for this one, who has to see to it that it goes on.
    pub(super) is_first: bool,
}

impl<K: Eq + Hash + Clone, V: Clone> Desk<K, V> {
    pub(super) fn new(entries_max: usize) -> Self {
        let flights =
            Flights { under_way: HashMap::new(), fills: HashMap::new(), last: 0, cleared: 0 };
        Self { level1: Level1::new(entries_max), flights: Mutex::new(flights) }
    }

    pub(super) fn level1(&self) -> &Level1<K, V> {
        &self.level1
    }

    pub(super) fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<Held<V>> {
        self.level1.get(key)
    }

    /// Joins the load of a key, or begins one.
    pub(super) fn join(
        self: &Arc<Self>,
        key: &K,
        begin: impl FnOnce(Ticket<K, V>) -> BoxFuture<'static, Result<Landed<V>, LoadError>>,
    ) -> Joined<V> {
        let mut flights = self.flights();
        if let Some(flight) = flights.under_way.get(key) {
            flight.waiting.fetch_add(1, Ordering::Relaxed);
            return Joined { answer: flight.answer.clone(), is_first: false };
        }
        flights.last += 1;
        let (id, waiting) = (flights.last, Arc::new(AtomicUsize::new(1)));
        let desk = Arc::clone(self);
        let ticket = Ticket { desk, key: key.clone(), id, waiting: Arc::clone(&waiting) };
        let answer = begin(ticket).shared();
        let flight = Flight { id, least: 0, waiting, answer: answer.clone() };
        flights.under_way.insert(key.clone(), flight);
        Joined { answer, is_first: true }
    }

    /// Begins to fill some keys: what is told of them from now on bounds what is kept of them.
    pub(super) fn begin_fill<'a>(
        self: &Arc<Self>,
        keys: impl Iterator<Item = &'a K>,
    ) -> Filling<K, V>
    where
        K: 'a,
    {
        let mut flights = self.flights();
        flights.last += 1;
        let id = flights.last;
        flights.fills.insert(id, keys.map(|key| (key.clone(), 0)).collect());
        Filling { desk: Arc::clone(self), id }
    }

    /// Keeps what somebody knows, unless something newer is known. Whoever tells of a change waits
    /// here, so that the last one that is known is so until this is kept. `false`: it is not kept.
    pub(super) fn put(
        &self,
        key: &K,
        held: Held<V>,
        filling: Option<&Filling<K, V>>,
        newest: impl FnOnce() -> u64,
    ) -> bool {
        let mut flights = self.flights();
        let told = filling.and_then(|filling| flights.fills.get(&filling.id)?.get(key).copied());
        let least = told.unwrap_or_default().max(newest());
        if held.stamp < flights.cleared || held.position < least {
            return false;
        }
        flights.raise(key, held.position);
        let position = held.position;
        self.level1.put_if_newer(key, held).position == position
    }

    /// Drops what is older than a change.
    pub(super) fn invalidate(&self, key: &K, position: u64) {
        let mut flights = self.flights();
        flights.raise(key, position);
        self.level1.invalidate(key, position);
    }

    /// Drops everything, also what is under way at an older number.
    pub(super) fn clear(&self, number: u64) {
        let mut flights = self.flights();
        flights.cleared = number;
        self.level1.clear();
    }

    /// The same, and what was told so far does not bind what is loaded from now on.
    pub(super) fn start_over(&self, number: u64) {
        let mut flights = self.flights();
        flights.cleared = number;
        flights.under_way.values_mut().for_each(|flight| flight.least = 0);
        self.level1.clear();
    }

    /// What a panic elsewhere left is still whole.
    fn flights(&self) -> MutexGuard<'_, Flights<K, V>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V> Flights<K, V> {
    fn raise(&mut self, key: &K, position: u64) {
        if let Some(flight) = self.under_way.get_mut(key) {
            flight.least = flight.least.max(position);
        }
        for told in self.fills.values_mut().filter_map(|fill| fill.get_mut(key)) {
            *told = position.max(*told);
        }
    }
}

/// A fill of several keys that is under way.
pub(crate) struct Filling<K: Eq + Hash + Clone, V: Clone> {
    desk: Arc<Desk<K, V>>,
    id: u64,
}

impl<K: Eq + Hash + Clone, V: Clone> Drop for Filling<K, V> {
    fn drop(&mut self) {
        self.desk.flights().fills.remove(&self.id);
    }
}

/// The right to end a load. Dropped without an end, as in a panic, it lets the next one begin.
pub(super) struct Ticket<K: Eq + Hash + Clone, V: Clone> {
    desk: Arc<Desk<K, V>>,
    key: K,
    id: u64,
    waiting: Arc<AtomicUsize>,
}

impl<K: Eq + Hash + Clone, V: Clone> Ticket<K, V> {
    /// How many have asked for it.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Keeps what was loaded, and ends the load; `None`: it is older than what was told or
    /// invalidated meanwhile, or everything was dropped, and it has to be loaded again.
    pub(super) fn land(&self, held: Held<V>, is_loaded: bool) -> Option<Landed<V>> {
        let mut flights = self.desk.flights();
        let least = flights.under_way.get(&self.key).map_or(0, |flight| flight.least);
        if held.position < least || held.stamp < flights.cleared {
            return None;
        }
        let position = held.position;
        let here = self.desk.level1.put_if_newer(&self.key, held);
        flights.remove(&self.key, self.id);
        let is_behind = here.position > position;
        Some(Landed { is_behind, held: here, is_loaded, lease: None })
    }
}

impl<K: Eq + Hash, V> Flights<K, V> {
    fn remove(&mut self, key: &K, id: u64) {
        if self.under_way.get(key).is_some_and(|flight| flight.id == id) {
            self.under_way.remove(key);
        }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Drop for Ticket<K, V> {
    fn drop(&mut self) {
        self.desk.flights().remove(&self.key, self.id);
    }
}
