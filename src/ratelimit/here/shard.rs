//! A part of the store of this process. When it is full, a newcomer takes the place of a subject that
//! has all its units back, else of the one that was asked for longest ago, of a few that it looks at.

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::super::arithmetic::Numbers;
use super::super::charge::{ChargeRef, Key};
use super::super::policy::Policy;
use super::super::receipt::Taken;
use super::super::tier::MICROS;
use super::Turn;
use super::count::Count;
use super::hashed::{Hashed, Hashing};

/// How many are looked at for one that makes room.
const CANDIDATES: usize = 16;

/// Entries of logs for each slot, on average: subjects with long logs leave before there are more.
const ENTRIES_EACH: usize = 32;

#[derive(Debug)]
pub(super) struct Shard {
    slots_max: usize,
    hashing: Hashing,
    slots: HashTable<Slot>,
    /// Of all logs.
    entries: usize,
    hand: usize,
}

/// What is counted for a subject under a policy: a line of the processor's memory for most.
#[derive(Debug)]
#[repr(align(64))]
struct Slot {
    key: Key,
    /// When it was asked for.
    asked: u64,
    /// When all its units are back, in seconds, rounded up.
    full_at_s: u32,
    count: Count,
}

impl Slot {
    /// Entries of logs.
    #[inline]
    fn entries(&self, charge: &ChargeRef<'_>) -> usize {
        if charge.policy().has_log() { self.count.entries() } else { 0 }
    }

    /// Whether a charge fits. Into `numbers` goes what is counted in its tiers, as it is now.
    #[inline]
    fn look(&mut self, charge: &ChargeRef<'_>, now: u64, numbers: &mut [Numbers]) -> bool {
        // Before anybody of this request needs room: not in the place of another of it.
        self.asked = now;
        let (cost, mut fits) = (u64::from(charge.cost()), true);
        let tiers = charge.policy().tiers().iter().zip(self.count.tiers());
        for ((tier, count), numbers) in tiers.zip(numbers) {
            *numbers = count.numbers(tier, cost, now);
            fits &= tier.fits(*numbers, now, cost);
        }
        fits
    }

    /// Takes what was seen to fit. `numbers` are as they were seen, and then what is counted after it.
    #[inline]
    fn take(&mut self, charge: &ChargeRef<'_>, turn: Turn, numbers: &mut [Numbers]) {
        let (cost, mut full_at) = (u64::from(charge.cost()), turn.now);
        let tiers = charge.policy().tiers().iter().zip(self.count.tiers());
        for ((tier, count), numbers) in tiers.zip(numbers) {
            *numbers = count.take(tier, *numbers, cost, turn);
            full_at = full_at.max(tier.full_at(*numbers, turn.now));
        }
        self.full_at_s = u32::try_from(full_at.div_ceil(MICROS)).unwrap_or(u32::MAX);
    }
}

impl Shard {
    pub(super) fn new(slots_max: usize, hashing: Hashing) -> Self {
        Self { slots_max, hashing, slots: HashTable::new(), entries: 0, hand: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        let counted = self.slots.iter().map(|slot| slot.count.entries()).sum::<usize>();
        assert_eq!(self.entries, counted);
        self.entries
    }

    /// Whether a charge fits, which is the only one of its request; if so it is taken, unless it is only
    /// looked. Into `numbers` goes what is counted then.
    #[inline]
    pub(super) fn decide(
        &mut self,
        key: &Hashed,
        charge: &ChargeRef<'_>,
        turn: Turn,
        numbers: &mut [Numbers],
    ) -> bool {
        let Some(slot) = self.slots.find_mut(key.hash, |slot| slot.key == key.key) else {
            nothing(charge, turn.now, numbers);
            if turn.take {
                self.take(key, charge, turn, numbers);
            }
            return true;
        };
        let before = slot.entries(charge);
        let fits = slot.look(charge, turn.now, numbers);
        if fits && turn.take {
            slot.take(charge, turn, numbers);
        }
        let after = slot.entries(charge);
        self.count_entries(before, after, turn.now);
        fits
    }

    /// Whether a charge fits. Into `numbers` goes what is counted in its tiers, as it is now.
    pub(super) fn look(
        &mut self,
        key: &Hashed,
        charge: &ChargeRef<'_>,
        now: u64,
        numbers: &mut [Numbers],
    ) -> bool {
        let Some(slot) = self.slots.find_mut(key.hash, |slot| slot.key == key.key) else {
            nothing(charge, now, numbers);
            return true;
        };
        let before = slot.count.entries();
        let fits = slot.look(charge, now, numbers);
        self.entries = self.entries + slot.count.entries() - before;
        fits
    }

    /// Takes what was seen to fit. `numbers` are as they were seen, and then what is counted after it.
    pub(super) fn take(
        &mut self,
        key: &Hashed,
        charge: &ChargeRef<'_>,
        turn: Turn,
        numbers: &mut [Numbers],
    ) {
        // Another charge of the request may have moved it.
        let known = self.slots.find_bucket_index(key.hash, |slot| slot.key == key.key);
        let at = known.unwrap_or_else(|| self.make_room(key, charge.policy(), turn.now));
        let Some(slot) = self.slots.get_bucket_mut(at) else { return };
        let before = slot.count.entries();
        slot.take(charge, turn, numbers);
        let after = slot.count.entries();
        self.count_entries(before, after, turn.now);
    }

    /// A subject has other entries than before.
    #[inline]
    fn count_entries(&mut self, before: usize, after: usize, now: u64) {
        self.entries = self.entries + after - before;
        if self.entries > self.slots_max * ENTRIES_EACH {
            self.drop_logs(now);
        }
    }

    pub(super) fn refund(&mut self, key: &Hashed, taken: &Taken, request: u64, now: u64) {
        let Some(slot) = self.slots.find_mut(key.hash, |slot| slot.key == key.key) else { return };
        let (cost, before) = (u64::from(taken.charge.cost()), slot.count.entries());
        let tiers = taken.charge.policy().tiers().iter().zip(&taken.marks);
        for (count, (tier, marks)) in slot.count.tiers().iter_mut().zip(tiers) {
            count.refund(tier, *marks, cost, request, now);
        }
        self.entries = self.entries + slot.count.entries() - before;
    }

    /// Subjects with logs leave until there are few enough entries, or only those of this request.
    fn drop_logs(&mut self, now: u64) {
        for _ in 0..=self.slots.len() {
            let at = self.victim(now, true);
            let goes = |slot: &Slot| slot.asked != now && slot.count.entries() > 0;
            if self.slots.get_bucket(at).is_some_and(goes) {
                self.forget(at);
            }
            if self.entries <= self.slots_max * ENTRIES_EACH {
                return;
            }
        }
    }

    /// A slot for a newcomer.
    fn make_room(&mut self, key: &Hashed, policy: &Policy, now: u64) -> usize {
        if self.slots.len() >= self.slots_max {
            let at = self.victim(now, false);
            self.forget(at);
        }
        let slot = Slot { key: key.key, asked: now, full_at_s: 0, count: Count::of(policy) };
        let hash_of = |slot: &Slot| self.hashing.hash(&slot.key);
        self.slots.insert_unique(key.hash, slot, hash_of).bucket_index()
    }

    fn forget(&mut self, at: usize) {
        if let Ok(slot) = self.slots.get_bucket_entry(at) {
            let (slot, _) = slot.remove();
            self.entries -= slot.count.entries();
        }
    }

    /// One that is full again, else the one that was asked for longest ago. Nobody of this very request:
    /// it is asked for now, and shards hold more slots than a request has charges.
    fn victim(&mut self, now: u64, log: bool) -> usize {
        let buckets = self.slots.num_buckets();
        let rank = |slot: &Slot| {
            let asked = if slot.asked == now { u64::MAX } else { slot.asked };
            let is_full = u64::from(slot.full_at_s) <= now / MICROS;
            (log && slot.count.entries() == 0, !is_full, asked)
        };
        let ring = (0..buckets).map(|n| (self.hand + n) % buckets);
        let taken = ring.filter_map(|at| Some((at, rank(self.slots.get_bucket(at)?))));
        let candidates: SmallVec<[_; CANDIDATES]> = taken.take(CANDIDATES).collect();
        self.hand = candidates.last().map_or(0, |(at, _)| at + 1);
        let first = candidates.into_iter().min_by_key(|(_, rank)| *rank);
        first.map_or(0, |(at, _)| at)
    }
}

/// Nothing is taken of any tier: any cost that a charge may have fits.
#[inline]
fn nothing(charge: &ChargeRef<'_>, now: u64, numbers: &mut [Numbers]) {
    for (tier, numbers) in charge.policy().tiers().iter().zip(numbers) {
        *numbers = tier.advanced(Numbers::default(), now);
    }
}
