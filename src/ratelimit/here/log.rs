//! A sliding log: what was taken when.

use std::collections::VecDeque;

use super::super::arithmetic::Numbers;
use super::super::tier::Tier;

/// Entries in the order of their times; at most `LOG_LIMIT_MAX` units.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<Entry>,
    units: u64,
}

/// Units of one request: requests of the same instant have an entry each.
#[derive(Debug, Clone, Copy)]
struct Entry {
    at: u64,
    request: u64,
    units: u64,
}

impl Log {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What is older than a window is gone.
    pub(super) fn advance(&mut self, tier: &Tier, now: u64) {
        while let Some(oldest) = self.entries.front() {
            if oldest.at + tier.window_us() > now {
                break;
            }
            self.units -= oldest.units;
            self.entries.pop_front();
        }
        // Nor from when the clock was far ahead.
        while let Some(newest) = self.entries.back().filter(|e| e.at > now + tier.window_us()) {
            self.units -= newest.units;
            self.entries.pop_back();
        }
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
        }
    }

    /// As numbers: `before` is the entry that must leave before so much more fits, or of all the oldest
    /// one if it fits.
    pub(super) fn numbers(&self, tier: &Tier, cost: u64) -> Numbers {
        let mut excess = (self.units + cost).saturating_sub(u64::from(tier.limit())).max(1);
        let leaves_last = self.entries.iter().find(|entry| {
            excess = excess.saturating_sub(entry.units);
            excess == 0
        });
        let at = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.at);
        Numbers { at: at(self.entries.back()), count: self.units, before: at(leaves_last) }
    }

    /// The clock may have gone back: entries stay in order.
    pub(super) fn take(&mut self, request: u64, now: u64, units: u64) {
        let at = self.entries.back().map_or(now, |newest| newest.at.max(now));
        self.entries.push_back(Entry { at, request, units });
        self.units += units;
    }

    pub(super) fn refund(&mut self, request: u64) {
        self.entries.retain(|entry| entry.request != request);
        self.units = self.entries.iter().map(|entry| entry.units).sum();
    }
}
