//! Filling the first level before anybody asks, slowly enough that nobody notices.

use std::fmt::Display;
use std::hash::Hash;
use std::time::Duration;

use super::two_levels::{Loaded, TwoLevelCache};

/// How many keys are looked for at once.
const KEYS_AT_ONCE: usize = 100;

/// How many questions to the source may be under way for one call of `load_many`.
pub const WARMING_LOADS_AT_ONCE: u32 = 8;

/// How fast it may go.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Keys that the source is asked for, at most.
    pub loads_per_second: u32,
}

impl Pace {
    /// What so many loads have to wait for.
    fn pause(self, loads: usize) -> Duration {
        let loads = u32::try_from(loads).unwrap_or(u32::MAX);
        Duration::from_secs(1).saturating_mul(loads) / self.loads_per_second.max(1)
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Warmed {
    /// Keys that were here, or in the second level.
    pub found: usize,
    /// Keys that were loaded from the source, and are here now.
    pub loaded: usize,
    /// Keys that the source could not say anything about, or not in time, or only what is not kept.
    pub missing: usize,
}

impl<K, V> TwoLevelCache<K, V>
where
    K: Eq + Hash + Clone + Display + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Brings keys into the first level: from the second, else from the source, which is asked for
    /// many at once, and may leave some out. It takes the places of [`WARMING_LOADS_AT_ONCE`] of those
    /// that may ask the source at once, and waits until they are free.
    pub async fn warm<F>(
        &self,
        keys: &[K],
        pace: Pace,
        now_ms: impl Fn() -> u64,
        load_many: impl Fn(Vec<K>) -> F,
    ) -> Warmed
    where
        F: Future<Output = Vec<(K, Loaded<V>)>>,
    {
        let mut warmed = Warmed::default();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            let stamp = self.stamp();
            let there = self.get_many(keys, now_ms()).await;
            let missing = keys.iter().zip(&there).filter(|(_, found)| found.is_none());
            let missing: Vec<K> = missing.map(|(key, _)| key.clone()).collect();
            warmed.found += keys.len() - missing.len();
            if missing.is_empty() {
                continue;
            }
            let asked = missing.len();
            let (filling, places) = self.begin_fill(&missing, WARMING_LOADS_AT_ONCE).await;
            let brought = load_many(missing.clone()).await;
            drop(places);
            for (key, loaded) in brought {
                self.fill(&key, loaded, stamp, Some(&filling), now_ms());
            }
            // Not what was brought: it may be doubtful by now, or too old to be kept.
            let loaded = missing.iter().filter(|key| self.is_at_hand(key, now_ms())).count();
            warmed.loaded += loaded;
            warmed.missing += asked - loaded;
            self.count_warmed(loaded);
            tokio::time::sleep(pace.pause(asked)).await;
        }
        warmed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_bounds_the_loads_in_a_second() {
        assert_eq!(Pace { loads_per_second: 200 }.pause(100), Duration::from_millis(500));
        assert_eq!(Pace { loads_per_second: 0 }.pause(1), Duration::from_secs(1));
    }
}
