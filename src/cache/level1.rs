//! The first level: in this process, bounded, one load per key at a time.
//!
//! Storage is `quick_cache` (S3-FIFO): a hit is one shard read lock and one hash.

use std::fmt;
use std::hash::Hash;

use quick_cache::Equivalent;
use quick_cache::sync::{Cache, EntryAction, EntryResult};

/// A value and the version it comes from.
#[derive(Debug, Clone)]
struct Entry<V> {
    version: u64,
    value: V,
}

/// The first level: in this process.
pub struct Level1<K, V> {
    entries: Cache<K, Entry<V>>,
}

impl<K, V> fmt::Debug for Level1<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Level1").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash + Clone, V: Clone> Level1<K, V> {
    /// A cache of at most `entries_max` entries.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        Self { entries: Cache::new(entries_max) }
    }

    /// The value, if it is here.
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<V> {
        self.entries.get(key).map(|entry| entry.value)
    }

    /// The value, loaded if it is not here. Callers that ask for the same key meanwhile wait
    /// for the one load.
    ///
    /// # Errors
    /// When `load` fails; nothing is kept then, and the next waiting caller tries.
    pub async fn get_or_load<E>(
        &self,
        key: &K,
        load: impl Future<Output = Result<(u64, V), E>>,
    ) -> Result<V, E> {
        let load = async { load.await.map(|(version, value)| Entry { version, value }) };
        self.entries.get_or_insert_async(key, load).await.map(|entry| entry.value)
    }

    /// Keeps a value unless what is here is newer.
    pub async fn put_if_newer(&self, key: &K, version: u64, value: V) {
        let replace = |_: &K, entry: &mut Entry<V>| {
            if entry.version <= version {
                *entry = Entry { version, value: value.clone() };
            }
            EntryAction::Retain(())
        };
        if let EntryResult::Vacant(guard) = self.entries.entry_async(key, replace).await {
            // The key was removed meanwhile if this fails; then the next reader loads it.
            let _ = guard.insert(Entry { version, value });
        }
    }

    /// Drops what is here if it is older than `version`.
    pub fn invalidate(&self, key: &K, version: u64) {
        self.entries.remove_if(key, |entry| entry.version < version);
    }

    /// Drops everything.
    pub fn clear(&self) {
        self.entries.clear();
    }

    /// How many entries are here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// Trap C2: a slow reader's fill does not overwrite a newer write.
    #[tokio::test]
    async fn an_older_value_never_replaces_a_newer() {
        let cache: Level1<u8, &str> = Level1::new(10);
        cache.put_if_newer(&1, 2, "new").await;
        cache.put_if_newer(&1, 1, "old").await;
        assert_eq!(cache.get(&1), Some("new"));
        cache.invalidate(&1, 2);
        assert_eq!(cache.get(&1), Some("new"), "as new as the invalidation");
        cache.invalidate(&1, 3);
        assert_eq!(cache.get(&1), None);
    }

    #[tokio::test]
    async fn a_write_during_a_load_wins_over_what_was_loaded() {
        let cache: Arc<Level1<u8, &str>> = Arc::new(Level1::new(10));
        let (go, wait) = tokio::sync::oneshot::channel::<()>();
        let loading = Arc::clone(&cache);
        let load = tokio::spawn(async move {
            let load = async {
                let _ = wait.await;
                Ok::<_, ()>((1, "old"))
            };
            loading.get_or_load(&1, load).await
        });
        tokio::task::yield_now().await;
        let writing = Arc::clone(&cache);
        let write = tokio::spawn(async move { writing.put_if_newer(&1, 2, "new").await });
        go.send(()).unwrap();
        load.await.unwrap().unwrap();
        write.await.unwrap();
        assert_eq!(cache.get(&1), Some("new"));
    }

    /// Trap C3 (U19): one load per key at a time.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn ten_thousand_readers_of_a_cold_key_cause_one_load() {
        let cache: Arc<Level1<u8, u32>> = Arc::new(Level1::new(10));
        let loads = Arc::new(AtomicU32::new(0));
        let readers: Vec<_> = (0..10_000)
            .map(|_| {
                let (cache, loads) = (Arc::clone(&cache), Arc::clone(&loads));
                tokio::spawn(async move {
                    let load = async {
                        tokio::task::yield_now().await;
                        Ok::<_, ()>((1, loads.fetch_add(1, Ordering::Relaxed)))
                    };
                    cache.get_or_load(&7, load).await
                })
            })
            .collect();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), Ok(0));
        }
        assert_eq!(loads.load(Ordering::Relaxed), 1);
    }
}
