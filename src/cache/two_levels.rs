//! A cache of two levels, with types.
//!
//! ```text
//!   get ──► first level ──fresh──► answer          (older than nine tenths of its life: and one
//!              │                                    load in the background)
//!              ▼ not there, stale, doubtful
//!           one load per key ──► second level ──believed──► first level, answer
//!              │                       │ not there, not believed, slow, away
//!              │                       ▼
//!              │                    source ──► first level, answer ──► second level
//!              ▼ fails, takes too long
//!           what is here as stale, said to be so, if its own end has not come
//! ```
//!
//! Every value has the position of the last change in it, and says up to where everything is accounted
//! for. What decides between two values is the position, never a clock. Times are handed in, in
//! milliseconds since 1970, so that a hit does not have to ask for it.

use std::fmt::{self, Display};
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

mod answer;
mod counts;
mod desk;
mod load;
mod marks;
mod options;
mod shared;
#[cfg(test)]
mod tests;
mod writes;

pub use answer::{AtHand, Found, LoadError, Loaded, NobodyElse, SourceAway, Witness};
pub use counts::CacheCounts;
pub use options::CacheOptions;
pub use shared::{Form, SharedLevel};

use super::level1::Held;
use counts::Counts;
use desk::{Desk, Landed};
use marks::{Marks, Verdict};

/// How many entries may be on their way to the second level.
const SHARED_AT_ONCE: usize = 256;

/// How many keys are known to have been hot.
const HOT_MAX: usize = 1_024;

/// A cache of two levels. Clones are the same cache.
pub struct TwoLevelCache<K: Eq + Hash + Clone, V: Clone> {
    inner: Arc<Inner<K, V>>,
}

struct Inner<K: Eq + Hash + Clone, V: Clone> {
    options: CacheOptions,
    desk: Arc<Desk<K, V>>,
    marks: Marks,
    counts: Counts,
    witness: Arc<dyn Witness<K>>,
    shared: Option<SharedLevel<K, V>>,
    /// Protects the source.
    loads: Semaphore,
    /// So many waited for these that one node should load them for all.
    hot: Cache<K, ()>,
    sharing: Semaphore,
}

impl<K: Eq + Hash + Clone, V: Clone> Clone for TwoLevelCache<K, V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K: Eq + Hash + Clone, V: Clone> fmt::Debug for TwoLevelCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwoLevelCache")
            .field("name", &self.inner.options.name)
            .finish_non_exhaustive()
    }
}

/// What the first level has.
enum Look<V> {
    Fresh { held: Held<V>, is_worn: bool },
    Stale(Held<V>),
    Nothing,
}

impl<K, V> TwoLevelCache<K, V>
where
    K: Eq + Hash + Clone + Display + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// An empty cache, with a second level or without.
    #[must_use]
    pub fn new(
        options: CacheOptions,
        shared: Option<SharedLevel<K, V>>,
        witness: Arc<dyn Witness<K>>,
    ) -> Self {
        let (desk, loads) = (Desk::new(options.entries_max), Semaphore::new(options.loads_max));
        let inner = Inner {
            desk: Arc::new(desk),
            marks: Marks::default(),
            counts: Counts::default(),
            witness,
            shared,
            loads,
            hot: Cache::new(HOT_MAX),
            sharing: Semaphore::new(SHARED_AT_ONCE),
            options,
        };
        Self { inner: Arc::new(inner) }
    }

    /// What the first level has at hand: one look, nothing allocated, nobody waited for.
    #[inline]
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q, now_ms: u64) -> AtHand<V> {
        let inner = &*self.inner;
        match inner.desk.get(key) {
            Some(held) if held.refresh_at_ms > now_ms && held.stamp == inner.marks.number() => {
                inner.counts.level1_hits.add_one();
                held.value.map_or(AtHand::Absent, AtHand::Value)
            }
            Some(_) | None => AtHand::Nothing,
        }
    }

    /// The value of a key, loaded if need be: by one of those who ask at the same time, also if it
    /// does not wait for the end. The source is asked again if what it said is older than what this
    /// process was told meanwhile.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub async fn get_or_load<F>(
        &self,
        key: &K,
        now_ms: u64,
        load: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<Found<V>, LoadError>
    where
        F: Future<Output = Result<Loaded<V>, SourceAway>> + Send + 'static,
    {
        let inner = &self.inner;
        let stale = match inner.look(key, now_ms) {
            Look::Fresh { held, is_worn } => {
                inner.counts.level1_hits.add_one();
                if is_worn {
                    inner.counts.refreshes.add_one();
                    // Not past its own end, which nobody may see it at.
                    let end = held.fresh_until_ms;
                    let at_ms = after(now_ms, inner.options.retry_after).min(end);
                    let later = |held: &mut Held<V>| held.refresh_at_ms = at_ms;
                    inner.desk.level1().update(key, &held, later);
                    drop(inner.fly(key, now_ms, load));
                }
                return Ok(found(held, false));
            }
            Look::Stale(held) if now_ms < held.retry_at_ms => return Ok(inner.show_stale(held)),
            Look::Stale(held) => Some(held),
            Look::Nothing => None,
        };
        inner.counts.misses.add_one();
        let (started, flying) = (Instant::now(), inner.fly(key, now_ms, load));
        let CacheOptions { soft_timeout, hard_timeout, retry_after, .. } = inner.options;
        let has_just_failed =
            |held: &&Held<V>| held.retry_at_ms > 0 && now_ms < after(held.retry_at_ms, retry_after);
        if let Some(held) = stale.as_ref().filter(has_just_failed) {
            // Somebody has just waited in vain.
            inner.retry_later(key, held, now_ms);
            return Ok(inner.show_stale(held.clone()));
        }
        let patience = if stale.is_some() { soft_timeout } else { hard_timeout };
        let landed = tokio::time::timeout(patience, flying).await;
        // What was waited for, or is shown instead, may have ended meanwhile.
        let now_ms = after(now_ms, started.elapsed());
        match (landed.unwrap_or(Err(LoadError::TimedOut)), stale) {
            (Ok(landed), _) => inner.answer(key, landed, now_ms),
            (Err(error), Some(stale)) => {
                inner.retry_later(key, &stale, now_ms);
                // Not what was here before the wait: somebody may have told of a change since.
                match inner.look(key, now_ms) {
                    Look::Fresh { held, .. } => Ok(found(held, false)),
                    Look::Stale(held) => Ok(inner.show_stale(held)),
                    Look::Nothing => Err(error),
                }
            }
            (Err(error), None) => Err(error),
        }
    }

    /// What this cache did since it is there.
    #[must_use]
    pub fn counts(&self) -> CacheCounts {
        let level1 = self.inner.desk.level1();
        self.inner.counts.read(level1.evictions(), level1.len() as u64)
    }

    /// Sets its metrics.
    pub fn measure(&self) {
        self.counts().publish(self.inner.options.name);
    }
}

fn found<V>(held: Held<V>, is_stale: bool) -> Found<V> {
    Found { value: held.value, position: held.position, is_stale }
}

fn after(now_ms: u64, duration: Duration) -> u64 {
    now_ms.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

impl<K: Eq + Hash + Clone, V: Clone> Inner<K, V> {
    fn look(&self, key: &K, now_ms: u64) -> Look<V> {
        self.desk.get(key).map_or(Look::Nothing, |held| self.judge(key, held, now_ms))
    }

    /// What an entry is good for.
    fn judge(&self, key: &K, held: Held<V>, now_ms: u64) -> Look<V> {
        let number = self.marks.number();
        let verdict = if held.stamp == number {
            Verdict::Valid(number)
        } else {
            self.marks.judge(held.stamp, held.as_of, &held.tags)
        };
        // That there was no value is no answer once that is old.
        let may_be_stale = held.value.is_some() && now_ms < held.kept_until_ms;
        match verdict {
            Verdict::Invalid => Look::Nothing,
            _ if held.ends_ms <= now_ms => Look::Nothing,
            Verdict::Valid(number) if now_ms < held.fresh_until_ms => {
                if held.stamp != number {
                    let judged = |here: &mut Held<V>| here.stamp = here.stamp.max(number);
                    self.desk.level1().update(key, &held, judged);
                }
                let is_worn = held.refresh_at_ms <= now_ms;
                Look::Fresh { held, is_worn }
            }
            Verdict::Valid(_) | Verdict::Doubtful if may_be_stale => Look::Stale(held),
            Verdict::Valid(_) | Verdict::Doubtful => Look::Nothing,
        }
    }

    /// What a load has brought. If that is older than what was here, the source is behind: what was here
    /// is shown if it may be.
    fn answer(&self, key: &K, landed: Landed<V>, now_ms: u64) -> Result<Found<V>, LoadError> {
        if landed.is_behind {
            return match self.judge(key, landed.held, now_ms) {
                Look::Fresh { held, .. } => Ok(found(held, false)),
                Look::Stale(held) => Ok(self.show_stale(held)),
                Look::Nothing => Err(LoadError::Behind),
            };
        }
        if !landed.is_loaded {
            self.counts.level2_hits.add_one();
        }
        let ends_ms = landed.held.ends_ms;
        let found = found(landed.held, false);
        Ok(Found { value: found.value.filter(|_| ends_ms > now_ms), ..found })
    }

    fn retry_later(&self, key: &K, stale: &Held<V>, now_ms: u64) {
        let retry_at_ms = after(now_ms, self.options.retry_after);
        self.desk.level1().update(key, stale, |held| held.retry_at_ms = retry_at_ms);
    }

    fn show_stale(&self, held: Held<V>) -> Found<V> {
        self.counts.stale.add_one();
        found(held, true)
    }

    /// As it is kept here, if it was begun to be loaded when this was the number of what is invalid.
    fn hold(&self, mut loaded: Loaded<V>, stamp: u64, now_ms: u64) -> Held<V> {
        if loaded.ends_ms <= now_ms {
            (loaded.value, loaded.ends_ms) = (None, u64::MAX);
        }
        let CacheOptions { ttl, absent_ttl, fail_safe, .. } = &self.options;
        let ttl = if loaded.value.is_some() { *ttl } else { *absent_ttl };
        // What was loaded together does not end together.
        let ttl = ttl.mul_f64(1.0 - rand::random_range(0.0..0.1));
        let until = |duration| after(now_ms, duration).min(loaded.ends_ms);
        let refresh_at_ms =
            if loaded.value.is_some() { until(ttl.mul_f64(0.9)) } else { until(ttl) };
        Held {
            refresh_at_ms,
            fresh_until_ms: until(ttl),
            kept_until_ms: until(ttl + *fail_safe),
            retry_at_ms: 0,
            ends_ms: loaded.ends_ms,
            value: loaded.value,
            position: loaded.position,
            as_of: loaded.as_of,
            stamp,
            tags: loaded.tags,
        }
    }
}
