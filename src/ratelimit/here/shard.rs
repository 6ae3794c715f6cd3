//! A part of the store of this process. When it is full, a newcomer takes the place of a subject that
//! has all its units back, else of the one that was asked for longest ago, of a few that it looks at.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use smallvec::SmallVec;

use super::super::charge::{Charge, Key};
use super::super::policy::Policy;
use super::super::receipt::Taken;
use super::super::tier::Tier;
use super::Tiers;
use super::count::Count;

/// How many are looked at for one that makes room.
const CANDIDATES: usize = 16;

/// Entries of logs for each slot, on average: subjects with long logs leave before there are more.
const ENTRIES_EACH: usize = 32;

/// A key whose hash is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hashed {
    pub(super) hash: u64,
    pub(super) key: Key,
}

impl Hash for Hashed {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Hands a hash through that is one already.
#[derive(Debug, Default)]
pub(super) struct HandThrough(u64);

impl Hasher for HandThrough {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    /// Never called for `Hashed`; still a hash.
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

#[derive(Debug)]
pub(super) struct Shard {
    slots_max: usize,
    places: HashMap<Hashed, usize, BuildHasherDefault<HandThrough>>,
    slots: Vec<Slot>,
    /// Of all logs.
    entries: usize,
    hand: usize,
}

/// What is counted for a subject under a policy.
#[derive(Debug)]
struct Slot {
    key: Hashed,
    /// When it was asked for.
    asked: u64,
    /// When all its units are back.
    full_at: u64,
    counts: SmallVec<[Count; 1]>,
}

impl Slot {
    fn entries(&self) -> usize {
        self.counts.iter().map(Count::entries).sum()
    }
}

impl Shard {
    pub(super) fn new(slots_max: usize) -> Self {
        Self { slots_max, places: HashMap::default(), slots: Vec::new(), entries: 0, hand: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        assert_eq!(self.entries, self.slots.iter().map(Slot::entries).sum::<usize>());
        self.entries
    }

    /// Where a charge is counted, if it is, and whether it fits.
    pub(super) fn look(
        &mut self,
        key: &Hashed,
        charge: &Charge,
        now: u64,
    ) -> (Option<usize>, bool) {
        let at = self.places.get(key).copied();
        let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) else {
            // Nothing is taken: any cost that a charge may have fits.
            return (None, true);
        };
        // Before anybody of this request needs room: not in the place of another of it.
        slot.asked = now;
        let (cost, before) = (u64::from(charge.cost()), slot.entries());
        let fits = |(count, tier): (&mut Count, &Tier)| {
            let numbers = count.numbers(tier, cost, now);
            tier.fits(numbers, now, cost)
        };
        let fits = slot.counts.iter_mut().zip(charge.policy().tiers()).all(fits);
        self.entries = self.entries + slot.entries() - before;
        (at, fits)
    }

    /// What is counted, as it is.
    pub(super) fn numbers(
        &mut self,
        key: &Hashed,
        at: Option<usize>,
        charge: &Charge,
        now: u64,
    ) -> Tiers {
        let cost = u64::from(charge.cost());
        let tiers = charge.policy().tiers().iter();
        match at.and_then(|at| self.slots.get_mut(at)).filter(|slot| slot.key == *key) {
            Some(slot) => {
                let counts = slot.counts.iter_mut().zip(tiers);
                counts.map(|(count, tier)| count.numbers(tier, cost, now)).collect()
            }
            None => tiers.map(|tier| Count::of(tier).numbers(tier, cost, now)).collect(),
        }
    }

    /// Takes what fits.
    pub(super) fn take(
        &mut self,
        key: &Hashed,
        at: Option<usize>,
        charge: &Charge,
        request: u64,
        now: u64,
    ) -> Tiers {
        let cost = u64::from(charge.cost());
        let known = at.filter(|at| self.slots.get(*at).is_some_and(|slot| slot.key == *key));
        let known = known.or_else(|| self.places.get(key).copied());
        let at = known.unwrap_or_else(|| self.make_room(key, charge.policy(), now));
        let Some(slot) = self.slots.get_mut(at) else { return Tiers::new() };
        slot.asked = now;
        slot.full_at = now;
        let before = slot.entries();
        let tiers = charge.policy().tiers();
        let mut taken = Tiers::new();
        for (count, tier) in slot.counts.iter_mut().zip(tiers) {
            let numbers = count.take(tier, cost, request, now);
            slot.full_at = slot.full_at.max(tier.full_at(numbers, now));
            taken.push(numbers);
        }
        self.entries = self.entries + slot.entries() - before;
        if self.entries > self.slots_max * ENTRIES_EACH {
            self.drop_logs(now);
        }
        taken
    }

    pub(super) fn refund(&mut self, key: &Hashed, taken: &Taken, request: u64, now: u64) {
        let at = self.places.get(key).copied();
        let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) else { return };
        let (cost, before) = (u64::from(taken.charge.cost()), slot.entries());
        let tiers = taken.charge.policy().tiers().iter().zip(&taken.marks);
        for (count, (tier, marks)) in slot.counts.iter_mut().zip(tiers) {
            count.refund(tier, *marks, cost, request, now);
        }
        self.entries = self.entries + slot.entries() - before;
    }

    /// Subjects with logs leave until there are few enough entries, or only those of this request.
    fn drop_logs(&mut self, now: u64) {
        for _ in 0..=self.slots.len() {
            let at = self.victim(now, true);
            let goes = |slot: &Slot| slot.asked != now && slot.entries() > 0;
            if self.slots.get(at).is_some_and(goes) {
                let slot = self.slots.swap_remove(at);
                self.entries -= slot.entries();
                self.places.remove(&slot.key);
                if let Some(moved) = self.slots.get(at) {
                    self.places.insert(moved.key, at);
                }
            }
            if self.entries <= self.slots_max * ENTRIES_EACH {
                return;
            }
        }
    }

    /// A slot for a newcomer.
    fn make_room(&mut self, key: &Hashed, policy: &Policy, now: u64) -> usize {
        let counts = policy.tiers().iter().map(Count::of).collect();
        let slot = Slot { key: *key, asked: now, full_at: now, counts };
        if self.slots.len() < self.slots_max {
            self.slots.push(slot);
            self.places.insert(*key, self.slots.len() - 1);
            return self.slots.len() - 1;
        }
        let at = self.victim(now, false);
        if let Some(old) = self.slots.get_mut(at) {
            self.entries -= old.entries();
            self.places.remove(&old.key);
            *old = slot;
            self.places.insert(*key, at);
        }
        at
    }

    /// One that is full again, else the one that was asked for longest ago. Nobody of this very request:
    /// it is asked for now, and shards hold more slots than a request has charges.
    fn victim(&mut self, now: u64, log: bool) -> usize {
        let candidates = CANDIDATES.min(self.slots.len());
        let ring = (0..candidates).map(|n| (self.hand + n) % self.slots.len());
        let rank = |at: &usize| {
            self.slots.get(*at).map_or((true, true, 0), |slot| {
                let asked = if slot.asked == now { u64::MAX } else { slot.asked };
                (log && slot.entries() == 0, slot.full_at > now, asked)
            })
        };
        let at = ring.min_by_key(rank).unwrap_or(0);
        self.hand = (self.hand + candidates) % self.slots.len().max(1);
        at
    }
}
