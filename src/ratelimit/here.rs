//! The store of this process: shards with a lock each, bounded, for one moment at a time.
//!
//! A request locks the shards of its subjects in the order of their numbers, looks at all its tiers, and
//! takes from all or from none.

mod count;
mod log;
mod shard;

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use super::arithmetic::Numbers;
use super::charge::{CHARGES_MAX, Charge, Key};
use super::decision::{Decision, Way};
use super::policy::Refund;
use super::receipt::{Place, Receipt, Taken};
use shard::{Hashed, Shard};

/// Shards: more than threads that decide at the same time.
const SHARDS: usize = 64;

/// What has been counted in this process.
#[derive(Debug)]
pub(super) struct Here {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

/// The shards that a request needs.
type Locked<'a> = SmallVec<[(usize, MutexGuard<'a, Shard>); 2]>;

/// Where a charge is counted.
#[derive(Clone, Copy)]
struct Spot {
    key: Hashed,
    shard: usize,
    slot: Option<usize>,
    fits: bool,
}

/// The numbers of a charge's tiers.
type Tiers = SmallVec<[Numbers; 1]>;

impl Here {
    /// Room for so many subjects, each under one policy.
    pub(super) fn new(subjects_max: NonZeroUsize) -> Self {
        Self::with_shards(SHARDS, subjects_max)
    }

    pub(super) fn with_shards(shards: usize, subjects_max: NonZeroUsize) -> Self {
        let each = subjects_max.get().div_ceil(shards).max(CHARGES_MAX * 2);
        let shards = (0..shards).map(|_| Mutex::new(Shard::new(each))).collect();
        Self { shards, hasher: RandomState::new() }
    }

    /// How many subjects are held.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Entries of all logs.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).entries()).sum()
    }

    /// Decides, and takes if it is allowed and not only a look.
    pub(super) fn decide(
        &self,
        way: Way,
        charges: &[Charge],
        request: u64,
        now: u64,
        take: bool,
    ) -> Decision {
        let mut spots: SmallVec<[Spot; 2]> =
            charges.iter().map(|charge| self.spot(&charge.key())).collect();
        let mut locked = self.lock(&spots);
        let mut allowed = true;
        for (charge, spot) in charges.iter().zip(&mut spots) {
            let shard = shard_of(&mut locked, spot.shard);
            (spot.slot, spot.fits) = shard.look(&spot.key, charge, now);
            allowed &= spot.fits || charge.policy().is_shadow();
        }
        let mut decision = Decision::new(way);
        let mut given = Vec::new();
        for (place, (charge, spot)) in charges.iter().zip(&spots).enumerate() {
            let shard = shard_of(&mut locked, spot.shard);
            let takes = take && allowed && spot.fits;
            let numbers: Tiers = if takes {
                shard.take(&spot.key, spot.slot, charge, request, now)
            } else {
                shard.numbers(&spot.key, spot.slot, charge, now)
            };
            decision.add(place, charge, &numbers, now, spot.fits);
            if takes && charge.policy().refund() != Refund::Never {
                given.push(Taken { charge: charge.clone(), marks: numbers });
            }
        }
        if !given.is_empty() {
            decision.set_receipt(Some(Receipt { place: Place::Here, request, taken: given }));
        }
        decision
    }

    /// Gives back what a request was charged.
    pub(super) fn refund(&self, receipt: &Receipt, now: u64) {
        for taken in &receipt.taken {
            let spot = self.spot(&taken.charge.key());
            let Some(shard) = self.shards.get(spot.shard) else { continue };
            lock(shard).refund(&spot.key, taken, receipt.request, now);
        }
    }

    fn spot(&self, key: &Key) -> Spot {
        let [high, low] = key.subject.halves();
        let hash = self.hasher.hash_one((key.version, high, low));
        let shard = usize::try_from(hash >> 32).unwrap_or(0) % self.shards.len();
        Spot { key: Hashed { hash, key: *key }, shard, slot: None, fits: false }
    }

    /// In the order of their numbers, so that no two requests wait for each other.
    fn lock(&self, spots: &[Spot]) -> Locked<'_> {
        let mut numbers: SmallVec<[usize; CHARGES_MAX]> =
            spots.iter().map(|spot| spot.shard).collect();
        if numbers.len() > 1 {
            numbers.sort_unstable();
            numbers.dedup();
        }
        let guard = |number: usize| Some((number, lock(self.shards.get(number)?)));
        numbers.into_iter().filter_map(guard).collect()
    }
}

/// What a panic elsewhere left is still a count.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shard_of<'a>(locked: &'a mut Locked<'_>, shard: usize) -> &'a mut Shard {
    let at = locked.iter().position(|(number, _)| *number == shard).unwrap_or(0);
    &mut locked[at].1
}
