//! What can be set.

use std::time::Duration;

/// How a cache behaves.
#[derive(Debug, Clone)]
pub struct CacheOptions {
    /// Its name in the metrics.
    pub name: &'static str,
    /// Bound of the first level.
    pub entries_max: usize,
    /// How long an entry is fresh in the first level, less up to a tenth by chance. When nine tenths of
    /// that are over the next reader has it loaded anew, and does not wait.
    pub ttl: Duration,
    /// How long it is remembered that there is no value.
    pub absent_ttl: Duration,
    /// How long after that it may be shown as stale, if there is nothing better.
    pub fail_safe: Duration,
    /// After a load that failed or was slow: how long what is stale is shown without another one, and for
    /// as long again the next one is not waited for.
    pub retry_after: Duration,
    /// How long the second level is waited for before the source is asked.
    pub level2_patience: Duration,
    /// How long is waited for a load where there is something stale to show, for a place to load, and
    /// for another node's load of a hot key.
    pub soft_timeout: Duration,
    /// How long the source may take, and how long is waited for an answer.
    pub hard_timeout: Duration,
    /// How many may ask the source at once.
    pub loads_max: usize,
    /// If so many wait for a key, or did the last time, one node asks the source for all.
    pub hot_waiters: usize,
}

impl CacheOptions {
    /// Of a name, with so many entries at most.
    #[must_use]
    pub fn new(name: &'static str, entries_max: usize) -> Self {
        Self {
            name,
            entries_max,
            ttl: Duration::from_mins(10),
            absent_ttl: Duration::from_secs(1),
            fail_safe: Duration::from_mins(10),
            retry_after: Duration::from_secs(1),
            level2_patience: Duration::from_millis(20),
            soft_timeout: Duration::from_millis(200),
            hard_timeout: Duration::from_secs(10),
            loads_max: 64,
            hot_waiters: 8,
        }
    }
}
