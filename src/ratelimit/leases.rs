//! Units that this node has taken ahead of the store for hot subjects, and hands out without asking it.
//!
//! They are counted in the store when they are taken, so no more can ever be admitted than was counted; but
//! some may be handed out a little later than they were counted. A node holds at most `most` for a subject
//! at any time: what is admitted in a window is at most the limit, and so much more for each node.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::charge::{Charge, Key};
use super::decision::{Decision, Way};
use super::receipt::Taken;
use super::standing::Standing;

/// How long units are kept, in microseconds. Whoever does not ask twice within this is not hot.
pub(super) const LIFE_US: u64 = 200_000;

/// For so many subjects at a time.
const SUBJECTS_MAX: usize = 4_096;

/// At most this part of what a policy holds is taken ahead.
const PART_OF_CAPACITY: u32 = 10;

#[derive(Debug)]
pub(super) struct Leases {
    most: u32,
    held: Mutex<HashMap<Key, Lease>>,
}

/// For one subject under one policy.
#[derive(Debug)]
struct Lease {
    /// When somebody asked last.
    asked: u64,
    /// How many units are wanted next time.
    wanted: u32,
    /// Somebody is asking for them: nobody else does, so that there are never more than wanted.
    asking: bool,
    granted: Option<Granted>,
}

#[derive(Debug)]
struct Granted {
    left: u32,
    until: u64,
    standing: Standing,
    at: u64,
    request: u64,
    taken: Taken,
}

/// Somebody asks for units ahead; when this goes, another may.
#[derive(Debug)]
pub(super) struct Asking<'a> {
    leases: &'a Leases,
    keys: Vec<(Key, u32)>,
}

impl Leases {
    /// At most so many units for a subject; 0: none.
    pub(super) fn new(most: u32) -> Self {
        Self { most, held: Mutex::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().values().filter(|lease| lease.granted.is_some()).count()
    }

    /// Units in hand, of all subjects.
    #[cfg(test)]
    pub(super) fn in_hand(&self) -> u32 {
        self.lock().values().filter_map(|lease| lease.granted.as_ref()).map(|g| g.left).sum()
    }

    /// Passes a request whose charges are all in hand, and takes them or only looks.
    pub(super) fn pass(&self, charges: &[Charge], now: u64, take: bool) -> Option<Decision> {
        if self.most == 0 || !charges.iter().all(may_be_leased) {
            return None;
        }
        let mut held = self.lock();
        let is_in_hand = |charge: &Charge| {
            let granted = held.get(&charge.key())?.granted.as_ref()?;
            (granted.left >= charge.cost() && granted.until > now).then_some(())
        };
        charges.iter().try_for_each(is_in_hand)?;
        let mut decision = Decision::new(Way::Leased);
        for (place, charge) in charges.iter().enumerate() {
            let lease = held.get_mut(&charge.key())?;
            lease.asked = now;
            let granted = lease.granted.as_mut()?;
            granted.left -= if take { charge.cost() } else { 0 };
            let later = now.saturating_sub(granted.at);
            decision.push(granted.standing.later(place, later, granted.left), 0);
        }
        Some(decision)
    }

    /// How many units to ask for besides, for each charge.
    pub(super) fn ask(&self, charges: &[Charge], now: u64) -> Asking<'_> {
        let mut keys = Vec::new();
        if self.most > 0 {
            let mut held = self.lock();
            for charge in charges.iter().filter(|charge| may_be_leased(charge)) {
                let wanted = self.want(&mut held, charge, now);
                if wanted > 0 {
                    keys.push((charge.key(), wanted));
                }
            }
        }
        Asking { leases: self, keys }
    }

    fn want(&self, held: &mut HashMap<Key, Lease>, charge: &Charge, now: u64) -> u32 {
        let full = held.len() >= SUBJECTS_MAX;
        let Some(lease) = held.get_mut(&charge.key()) else {
            if !full {
                let lease = Lease { asked: now, wanted: 0, asking: false, granted: None };
                held.insert(charge.key(), lease);
            }
            return 0;
        };
        let is_hot = now.saturating_sub(lease.asked) <= LIFE_US;
        lease.asked = now;
        // What is left is given back before more is taken.
        if lease.asking || lease.granted.as_ref().is_some_and(|granted| granted.left > 0) {
            return 0;
        }
        let most = self.most.min(charge.policy().capacity() / PART_OF_CAPACITY);
        lease.wanted = if is_hot { (lease.wanted * 2).clamp(1, most.max(1)).min(most) } else { 0 };
        lease.asking = lease.wanted > 0;
        lease.wanted
    }

    /// The store has counted units besides; `taken` with all of them.
    pub(super) fn grant(
        &self,
        ahead: u32,
        standing: Standing,
        request: u64,
        taken: Taken,
        now: u64,
    ) {
        if let Some(lease) = self.lock().get_mut(&taken.charge.key()) {
            let (left, until) = (ahead, now + LIFE_US);
            lease.granted = Some(Granted { left, until, standing, at: now, request, taken });
        }
    }

    /// Takes out what is to be given back: leases that are over, or all. Forgets who is not hot any more.
    pub(super) fn over(&self, now: Option<u64>) -> Vec<(u64, Taken)> {
        let mut back = Vec::new();
        self.lock().retain(|_, lease| {
            let is_over = |granted: &Granted| now.is_none_or(|now| granted.until <= now);
            if lease.granted.as_ref().is_some_and(is_over)
                && let Some(granted) = lease.granted.take()
                && granted.left > 0
            {
                let Taken { charge, marks } = granted.taken;
                back.push((granted.request, Taken { charge: charge.of(granted.left), marks }));
            }
            let is_cold = now.is_none_or(|now| now.saturating_sub(lease.asked) > LIFE_US);
            lease.granted.is_some() || lease.asking || !is_cold
        });
        back
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Lease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Not where it must be known of every request when it was, nor where it may be given back.
fn may_be_leased(charge: &Charge) -> bool {
    let policy = charge.policy();
    !policy.is_shadow() && !policy.gives_back() && !policy.has_log()
}

impl Asking<'_> {
    /// Units wanted besides a charge.
    pub(super) fn ahead(&self, charge: &Charge) -> u32 {
        let key = charge.key();
        self.keys.iter().find(|(of, _)| *of == key).map_or(0, |(_, wanted)| *wanted)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        let mut held = self.leases.lock();
        for (key, _) in &self.keys {
            if let Some(lease) = held.get_mut(key) {
                lease.asking = false;
            }
        }
    }
}
