//! The store of this process: shards with a lock each, bounded, for one moment at a time.
//!
//! A request locks the shards of its subjects in the order of their numbers, looks at all its tiers, and
//! takes from all or from none.

mod count;
mod hashed;
mod log;
mod shard;

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use smallvec::SmallVec;

use super::arithmetic::Numbers;
use super::charge::{CHARGES_MAX, ChargeRef, Key};
use super::decision::{Decision, Way};
use super::policy::TIERS_MAX;
use super::receipt::{Place, Receipt, Taken};
use hashed::{Hashed, Hashing};
use shard::Shard;

/// Shards, a power of two: more than threads that decide at the same time.
const SHARDS: usize = 64;

/// What has been counted in this process.
#[derive(Debug)]
pub(super) struct Here {
    shards: Box<[Apart]>,
    hashing: Hashing,
}

/// A shard apart from its neighbours in memory: threads that use one don't wait for those that use another.
#[derive(Debug)]
#[repr(align(128))]
struct Apart(Mutex<Shard>);

/// The shards that a request needs.
type Locked<'a> = SmallVec<[(usize, MutexGuard<'a, Shard>); 2]>;

/// Where a charge is counted.
#[derive(Clone, Copy)]
struct Spot {
    key: Hashed,
    shard: usize,
}

/// The numbers of a charge's tiers; there is room for the most that there may be.
type Tiers = [Numbers; TIERS_MAX];

/// A request that is decided.
#[derive(Clone, Copy)]
struct Turn {
    request: u64,
    now: u64,
    take: bool,
}

impl Here {
    /// Room for so many subjects, each under one policy.
    pub(super) fn new(subjects_max: NonZeroUsize) -> Self {
        Self::with_shards(SHARDS, subjects_max)
    }

    pub(super) fn with_shards(shards: usize, subjects_max: NonZeroUsize) -> Self {
        let each = subjects_max.get().div_ceil(shards).max(CHARGES_MAX * 2);
        let hashing = Hashing::new();
        let shard = |_| Apart(Mutex::new(Shard::new(each, hashing.clone())));
        Self { shards: (0..shards).map(shard).collect(), hashing }
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

    /// Decides, and takes if it is allowed and not only a look. The time is taken when nobody else can
    /// decide for the same subjects: who comes later has the later time.
    pub(super) fn decide<'a, C>(
        &self,
        way: Way,
        charges: &'a [C],
        request: u64,
        now: impl FnOnce() -> u64,
        take: bool,
    ) -> Decision
    where
        &'a C: Into<ChargeRef<'a>>,
    {
        if let [charge] = charges {
            return self.decide_one(way, &charge.into(), request, now, take);
        }
        let charges: SmallVec<[_; 2]> = charges.iter().map(Into::into).collect();
        self.decide_all(way, &charges, || Turn { request, now: now(), take })
    }

    /// The same for one charge, as most requests have one: nothing is collected for it.
    #[inline]
    pub(super) fn decide_one(
        &self,
        way: Way,
        charge: &ChargeRef<'_>,
        request: u64,
        now: impl FnOnce() -> u64,
        take: bool,
    ) -> Decision {
        let key = self.hashing.hashed(charge.key());
        if charge.policy().tiers().len() == 1 {
            return self.decide_in(
                way,
                charge,
                &key,
                (request, now, take),
                &mut [Numbers::default()],
            );
        }
        self.decide_in(way, charge, &key, (request, now, take), &mut Tiers::default())
    }

    #[inline]
    fn decide_in(
        &self,
        way: Way,
        charge: &ChargeRef<'_>,
        key: &Hashed,
        (request, now, take): (u64, impl FnOnce() -> u64, bool),
        numbers: &mut [Numbers],
    ) -> Decision {
        let mut shard = lock(&self.shards[self.shard_of(key)]);
        let turn = Turn { request, now: now(), take };
        let fits = shard.decide(key, charge, turn, numbers);
        drop(shard);
        let gives = fits && take && charge.policy().gives_back();
        let back = if gives { vec![taken(charge, numbers)] } else { Vec::new() };
        let receipt = Receipt::of(Place::Here, request, back);
        Decision::one(way, charge, numbers, turn.now, fits, receipt)
    }

    fn decide_all(
        &self,
        way: Way,
        charges: &[ChargeRef<'_>],
        turn: impl FnOnce() -> Turn,
    ) -> Decision {
        let spots: SmallVec<[Spot; 2]> =
            charges.iter().map(|charge| self.spot(charge.key())).collect();
        let (mut locked, mut turn) = (self.lock(&spots), turn());
        let look = |(charge, spot): (&ChargeRef<'_>, &Spot)| {
            let mut numbers = Tiers::default();
            let shard = shard_of(&mut locked, spot.shard);
            (shard.look(&spot.key, charge, turn.now, &mut numbers), numbers)
        };
        let mut seen: SmallVec<[(bool, Tiers); 2]> = charges.iter().zip(&spots).map(look).collect();
        // A shadow holds up nobody.
        let passes = |(charge, (fits, _)): (&ChargeRef<'_>, &(bool, Tiers))| {
            *fits || charge.policy().is_shadow()
        };
        turn.take &= charges.iter().zip(&seen).all(passes);
        let (mut decision, mut back) = (Decision::new(way), Vec::new());
        let charges = charges.iter().zip(&spots).zip(&mut seen).enumerate();
        for (place, ((charge, spot), (fits, numbers))) in charges {
            let takes = *fits && turn.take;
            if takes {
                shard_of(&mut locked, spot.shard).take(&spot.key, charge, turn, numbers);
            }
            decision.add(place, charge, numbers, turn.now, *fits);
            if takes && charge.policy().gives_back() {
                back.push(taken(charge, numbers));
            }
        }
        decision.set_receipt(Receipt::of(Place::Here, turn.request, back));
        decision
    }

    /// Gives back what a request was charged.
    pub(super) fn refund(&self, receipt: &Receipt, now: u64) {
        for taken in &receipt.taken {
            let spot = self.spot(taken.charge.key());
            lock(&self.shards[spot.shard]).refund(&spot.key, taken, receipt.request, now);
        }
    }

    fn spot(&self, key: Key) -> Spot {
        let key = self.hashing.hashed(key);
        Spot { shard: self.shard_of(&key), key }
    }

    #[inline]
    fn shard_of(&self, key: &Hashed) -> usize {
        usize::try_from(key.hash >> 32).unwrap_or(0) & (self.shards.len() - 1)
    }

    /// In the order of their numbers, so that no two requests wait for each other.
    fn lock(&self, spots: &[Spot]) -> Locked<'_> {
        let mut numbers: SmallVec<[usize; CHARGES_MAX]> =
            spots.iter().map(|spot| spot.shard).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers.into_iter().map(|number| (number, lock(&self.shards[number]))).collect()
    }
}

fn taken(charge: &ChargeRef<'_>, numbers: &[Numbers]) -> Taken {
    Taken { charge: charge.to_charge(), marks: numbers[..charge.policy().tiers().len()].into() }
}

/// What a panic elsewhere left is still a count.
#[inline]
fn lock(shard: &Apart) -> MutexGuard<'_, Shard> {
    shard.0.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shard_of<'a>(locked: &'a mut Locked<'_>, shard: usize) -> &'a mut Shard {
    let at = locked.iter().position(|(number, _)| *number == shard).unwrap_or(0);
    &mut locked[at].1
}
