//! What a cache did, for the metrics.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Into how many numbers one that is counted all the time is split, so that no thread waits for
/// another's.
const STRIPES: usize = 64;

#[repr(align(128))]
#[derive(Debug, Default)]
struct Stripe(AtomicU64);

/// Counts what happens in every redirect.
#[derive(Debug)]
pub(super) struct Striped(Box<[Stripe]>);

impl Default for Striped {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Stripe::default()).collect())
    }
}

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static STRIPE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES;
}

impl Striped {
    /// Not in one step, which would cost as much as the look-up: of more threads than stripes one may
    /// overwrite another's count.
    pub(super) fn add_one(&self) {
        let stripe = STRIPE.try_with(|stripe| *stripe).unwrap_or_default();
        let Stripe(count) = &self.0[stripe];
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    fn sum(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.0.load(Ordering::Relaxed)).sum()
    }
}

/// Counts what is rarer.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) level1_hits: Striped,
    pub(super) level2_hits: Count,
    pub(super) misses: Count,
    pub(super) loads: Count,
    pub(super) failures: Count,
    pub(super) stale: Count,
    pub(super) coalesced: Count,
    pub(super) refreshes: Count,
}

/// What a cache did since it is there, and what is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Answers from this process.
    pub level1_hits: u64,
    /// Answers from the second level.
    pub level2_hits: u64,
    /// Questions that the first level could not answer.
    pub misses: u64,
    /// How often the source was asked.
    pub loads: u64,
    /// How often it did not answer.
    pub failures: u64,
    /// Answers that were known to be stale.
    pub stale: u64,
    /// Questions that waited for somebody else's load.
    pub coalesced: u64,
    /// Loads of what was still fresh.
    pub refreshes: u64,
    /// Entries that had to make room.
    pub evictions: u64,
    /// Entries in the first level.
    pub entries: u64,
}

impl Counts {
    pub(super) fn read(&self, evictions: u64, entries: u64) -> CacheCounts {
        CacheCounts {
            level1_hits: self.level1_hits.sum(),
            level2_hits: self.level2_hits.get(),
            misses: self.misses.get(),
            loads: self.loads.get(),
            failures: self.failures.get(),
            stale: self.stale.get(),
            coalesced: self.coalesced.get(),
            refreshes: self.refreshes.get(),
            evictions,
            entries,
        }
    }
}

impl CacheCounts {
    /// Sets the metrics of a cache of this name.
    pub fn publish(&self, cache: &'static str) {
        for (level, hits) in [("1", self.level1_hits), ("2", self.level2_hits)] {
            metrics::counter!("hoplog_cache_hits_total", "cache" => cache, "level" => level)
                .absolute(hits);
        }
        for (name, count) in [
            ("hoplog_cache_misses_total", self.misses),
            ("hoplog_cache_loads_total", self.loads),
            ("hoplog_cache_load_failures_total", self.failures),
            ("hoplog_cache_stale_served_total", self.stale),
            ("hoplog_cache_coalesced_total", self.coalesced),
            ("hoplog_cache_refreshes_total", self.refreshes),
            ("hoplog_cache_evictions_total", self.evictions),
        ] {
            metrics::counter!(name, "cache" => cache).absolute(count);
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of entries is exact")]
        metrics::gauge!("hoplog_cache_entries", "cache" => cache).set(self.entries as f64);
    }
}
