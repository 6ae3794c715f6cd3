//! Counts that every node adds to in memory, and that are written to Redis a little later.
//!
//! A node writes how much it has counted as a whole, under its own name, and only what is more. So a
//! write that is repeated, late or overtaken changes nothing, two that run at the same time do no harm,
//! and a count is never added twice. What all have counted is the sum.
//!
//! A count is a help for the eye, never the source of a total: what a node has not written yet when it is
//! killed is missing until the node has been told by the log ([`LiveCounts::restore`]), and what finds no
//! place is not counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::level2::{Level2Error, Space};

const RAISE: &str = include_str!("live_counts/raise.lua");

/// How often counts are written.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// The counts of a node.
#[derive(Debug)]
pub struct LiveCounts {
    space: Space,
    node: Box<str>,
    keys_max: usize,
    counts: Mutex<HashMap<Box<str>, Count>>,
    dropped: AtomicU64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    /// What this node had counted before it was started, as the log says.
    before: u64,
    /// What it has counted since.
    counted: u64,
    written: u64,
}

impl Count {
    fn all(self) -> u64 {
        self.before.saturating_add(self.counted)
    }
}

impl LiveCounts {
    /// Counts under the name of a node, which no other has, of so many keys at most. They live in
    /// Redis for as long as entries of the space do, from the last time that they are written.
    #[must_use]
    pub fn new(space: Space, node: &str, keys_max: usize) -> Self {
        let (counts, dropped) = (Mutex::default(), AtomicU64::new(0));
        Self { space, node: node.into(), keys_max, counts, dropped }
    }

    /// Counts one. `false`: there is no place for another key.
    pub fn count(&self, key: &str) -> bool {
        self.change(key, |count| count.counted += 1)
    }

    /// The log says that this node had counted so much before it was started: what it has counted since
    /// comes to that.
    pub fn restore(&self, key: &str, counted: u64) -> bool {
        self.change(key, |count| count.before = count.before.max(counted))
    }

    fn change(&self, key: &str, change: impl FnOnce(&mut Count)) -> bool {
        let mut counts = self.counts();
        if let Some(count) = counts.get_mut(key) {
            change(count);
            return true;
        }
        if counts.len() >= self.keys_max {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        change(counts.entry(key.into()).or_default());
        true
    }

    /// How often there was no place.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Writes what has been counted since it was last written. Returns how many keys that were.
    ///
    /// # Errors
    /// When Redis does not take all: the rest is written the next time.
    pub async fn flush(&self) -> Result<usize, Level2Error> {
        let unwritten = self.unwritten();
        for some in unwritten.chunks(super::level2::ENTRIES_PER_CALL) {
            let pairs: Vec<(&str, u64)> =
                some.iter().map(|(key, count)| (&**key, *count)).collect();
            self.space.raise_many(RAISE, &self.node, &pairs).await?;
            self.note_written(some);
        }
        Ok(unwritten.len())
    }

    fn unwritten(&self) -> Vec<(Box<str>, u64)> {
        let counts = self.counts();
        let unwritten = counts.iter().filter(|(_, count)| count.all() > count.written);
        unwritten.map(|(key, count)| (key.clone(), count.all())).collect()
    }

    fn note_written(&self, written: &[(Box<str>, u64)]) {
        let mut counts = self.counts();
        for (key, written) in written {
            if let Some(count) = counts.get_mut(key) {
                count.written = count.written.max(*written);
            }
        }
    }

    /// Writes every second, and once more when `stop` is there.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let stopped = tokio::time::timeout(FLUSH_INTERVAL, &mut stop).await.is_ok();
            if let Err(error) = self.flush().await {
                tracing::debug!(%error, "live counts were not written");
            }
            if stopped {
                return;
            }
        }
    }

    /// What all nodes have counted, as far as they have written it.
    ///
    /// # Errors
    /// When Redis can't be asked.
    pub async fn of_all(&self, key: &str) -> Result<u64, Level2Error> {
        self.space.sum(key).await
    }

    /// What a panic elsewhere left is still a count.
    fn counts(&self) -> MutexGuard<'_, HashMap<Box<str>, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
