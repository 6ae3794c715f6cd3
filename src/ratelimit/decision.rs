//! What was decided, and how things stand.

use std::time::Duration;

use smallvec::SmallVec;

use super::arithmetic::Numbers;
use super::charge::ChargeRef;
use super::receipt::Receipt;
use super::standing::{Standing, rank};
use super::tier::Tier;

/// Where it was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In this process, which is all there is.
    Here,
    /// In the shared store.
    Store,
    /// Here, as the store has refused it until later.
    Denied,
    /// Here, out of units that this node has taken ahead.
    Leased,
    /// Here, as the store can't be asked: standings are those of this node's share.
    Degraded,
}

impl Way {
    /// In one word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Here => "here",
            Self::Store => "store",
            Self::Denied => "denied",
            Self::Leased => "leased",
            Self::Degraded => "degraded",
        }
    }
}

/// What was decided.
#[derive(Debug)]
pub struct Decision {
    way: Way,
    /// Charges that refuse, and shadows that would have, by their places: one bit each.
    refused: u8,
    shadowed: u8,
    unavailable: bool,
    matters: u8,
    standings: SmallVec<[Standing; 1]>,
    retry_after_us: u64,
    /// In a box, as most have none.
    receipt: Option<Box<Receipt>>,
}

impl Decision {
    pub(super) fn new(way: Way) -> Self {
        Self {
            way,
            refused: 0,
            shadowed: 0,
            unavailable: false,
            matters: 0,
            standings: SmallVec::new(),
            retry_after_us: 0,
            receipt: None,
        }
    }

    /// Whether the request may pass.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.refused == 0 && !self.unavailable
    }

    /// Where it was decided.
    #[must_use]
    pub fn way(&self) -> Way {
        self.way
    }

    /// Whether the store could not be asked.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.way == Way::Degraded
    }

    /// Whether it is refused as a policy lets nobody pass while the store can't be asked.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        self.unavailable
    }

    /// How things stand for each charge that was looked at, in their order. All are, but in
    /// [`Denied`](Way::Denied), where it is only the charge that refuses, and in
    /// [`Degraded`](Way::Degraded), where policies that are open or closed have none.
    #[must_use]
    pub fn standings(&self) -> &[Standing] {
        &self.standings
    }

    /// The standing that matters most: of a refusal the one to wait for longest, else the one with the
    /// fewest units left.
    #[must_use]
    pub fn standing(&self) -> Option<&Standing> {
        self.standings.get(usize::from(self.matters))
    }

    /// Of a refusal: how long until the request can pass, if nobody else takes anything. Never 0.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        (!self.is_allowed()).then(|| Duration::from_micros(self.retry_after_us.max(1)))
    }

    /// The places of the charges that refuse.
    pub fn refused_by(&self) -> impl Iterator<Item = usize> + use<> {
        places(self.refused)
    }

    /// The places of the charges whose policies are shadows and would have refused.
    pub fn shadowed(&self) -> impl Iterator<Item = usize> + use<> {
        places(self.shadowed)
    }

    /// Takes out what is needed to give charges back; there if a policy gives something back.
    pub fn take_receipt(&mut self) -> Option<Receipt> {
        self.receipt.take().map(|receipt| *receipt)
    }

    pub(super) fn set_receipt(&mut self, receipt: Option<Box<Receipt>>) {
        self.receipt = receipt;
    }

    /// A policy lets nobody pass while the store is away.
    pub(super) fn close(&mut self, charge: usize, again_us: u64) {
        self.unavailable = true;
        self.refused |= 1 << charge;
        self.retry_after_us = self.retry_after_us.max(again_us);
    }

    /// Of a request with one charge; `numbers` of its tiers, in their order.
    #[inline]
    pub(super) fn one(
        way: Way,
        charge: &ChargeRef<'_>,
        numbers: &[Numbers],
        now: u64,
        fits: bool,
        receipt: Option<Box<Receipt>>,
    ) -> Self {
        let (standing, wait) = standing_of(0, charge, numbers, now, fits);
        let shadow = standing.shadow;
        Self {
            way,
            refused: u8::from(!fits && !shadow),
            shadowed: u8::from(!fits && shadow),
            unavailable: false,
            matters: 0,
            standings: SmallVec::from_buf([standing]),
            retry_after_us: if shadow { 0 } else { wait },
            receipt,
        }
    }

    /// How things stand for a charge; `numbers` of its tiers, in their order.
    pub(super) fn add(
        &mut self,
        place: usize,
        charge: &ChargeRef<'_>,
        numbers: &[Numbers],
        now: u64,
        fits: bool,
    ) {
        let place = u8::try_from(place).unwrap_or(u8::MAX);
        let (standing, wait) = standing_of(place, charge, numbers, now, fits);
        self.push(standing, wait);
    }

    /// Charges have other places than they were decided at.
    pub(super) fn relabel(&mut self, place: impl Fn(usize) -> usize) {
        let moved = |bits: u8| places(bits).fold(0, |moved, at| moved | 1 << place(at));
        (self.refused, self.shadowed) = (moved(self.refused), moved(self.shadowed));
        for standing in &mut self.standings {
            standing.charge = u8::try_from(place(standing.charge())).unwrap_or(u8::MAX);
        }
    }

    /// One more standing. `wait`: for so long it refuses; 0: it does not.
    #[inline]
    pub(super) fn push(&mut self, standing: Standing, wait: u64) {
        let (bit, at) = (1 << standing.charge, self.standings.len());
        let matters = if standing.shadow {
            self.shadowed |= if wait > 0 { bit } else { 0 };
            false
        } else if wait > 0 {
            self.refused |= bit;
            wait > self.retry_after_us
        } else {
            let before = self.standing();
            let is_shorter = before.is_none_or(|b| b.shadow || standing.is_shorter(b));
            self.refused == 0 && is_shorter
        };
        if matters {
            self.matters = u8::try_from(at).unwrap_or(u8::MAX);
            self.retry_after_us = self.retry_after_us.max(wait);
        }
        self.standings.push(standing);
    }
}

/// How things stand for the charge at a place, in the tier that matters, and how long it is refused; 0: it is not.
#[inline]
fn standing_of(
    place: u8,
    charge: &ChargeRef<'_>,
    numbers: &[Numbers],
    now: u64,
    fits: bool,
) -> (Standing, u64) {
    let at = matters(charge, numbers, now, fits);
    let (tier, numbers) = (charge.policy().tiers()[at], numbers[at]);
    let shadow = charge.policy().is_shadow();
    let wait = if fits { 0 } else { tier.wait(numbers, now, charge.cost().into()).max(1) };
    (Standing { charge: place, tier, numbers, now, ahead: 0, shadow }, wait)
}

/// The place of the tier that matters.
#[inline]
fn matters(charge: &ChargeRef<'_>, numbers: &[Numbers], now: u64, fits: bool) -> usize {
    let tiers = charge.policy().tiers();
    if tiers.len() == 1 {
        return 0;
    }
    let tiers = tiers.iter().zip(numbers).enumerate();
    let first = if fits {
        tiers.min_by_key(|(_, (tier, numbers))| rank(tier, **numbers, now))
    } else {
        let wait = |tier: &Tier, numbers: &Numbers| tier.wait(*numbers, now, charge.cost().into());
        tiers.rev().max_by_key(|(_, (tier, numbers))| wait(tier, numbers))
    };
    first.map_or(0, |(at, _)| at)
}

fn places(bits: u8) -> impl Iterator<Item = usize> + use<> {
    (0..8).filter(move |place| bits & 1 << place != 0)
}
