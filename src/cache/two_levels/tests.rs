//! In one process, without a second level; `two_nodes` has one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::*;

mod gaps;
mod interleavings;
mod stale;
mod two_nodes;
mod warming;

/// How long anything may take to happen.
const PATIENCE: Duration = Duration::from_secs(30);

type Cache = TwoLevelCache<u32, String>;

/// A cache without a second level.
fn cache(change: impl FnOnce(&mut CacheOptions)) -> Cache {
    let mut options = CacheOptions::new("test", 100);
    change(&mut options);
    Cache::new(options, None, Arc::new(NobodyElse))
}

fn value(text: &str, position: u64) -> Loaded<String> {
    Loaded::value(text.to_owned(), position)
}

async fn eventually(what: &str, mut is: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A source that counts how often it is asked, and can be told what to say.
#[derive(Clone, Default)]
struct Source {
    asked: Arc<AtomicU32>,
    is_away: Arc<AtomicBool>,
    holds: Arc<Mutex<HashMap<u32, Loaded<String>>>>,
}

impl Source {
    fn with(text: &str, position: u64) -> Self {
        let source = Self::default();
        source.says(1, value(text, position));
        source
    }

    fn says(&self, key: u32, loaded: Loaded<String>) {
        self.holds.lock().unwrap_or_else(PoisonError::into_inner).insert(key, loaded);
    }

    fn goes_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    fn load(
        &self,
        key: u32,
    ) -> impl Fn() -> std::future::Ready<Result<Loaded<String>, SourceAway>> + Send + Sync + 'static
    {
        let source = self.clone();
        move || {
            source.asked.fetch_add(1, Ordering::Relaxed);
            if source.is_away.load(Ordering::Relaxed) {
                return std::future::ready(Err(SourceAway("away".into())));
            }
            let holds = source.holds.lock().unwrap_or_else(PoisonError::into_inner);
            std::future::ready(Ok(holds.get(&key).cloned().unwrap_or(Loaded::absent(0))))
        }
    }
}

/// Everything in the first level makes room; what is under way goes on.
fn evict(cache: &Cache) {
    cache.inner.desk.level1().clear();
}

async fn ask(cache: &Cache, source: &Source, now_ms: u64) -> Found<String> {
    cache.get_or_load(&1, now_ms, source.load(1)).await.unwrap()
}

fn fresh(text: &str, position: u64) -> Found<String> {
    Found { value: Some(text.into()), position, is_stale: false }
}

fn stale(text: &str, position: u64) -> Found<String> {
    Found { is_stale: true, ..fresh(text, position) }
}

/// Trap 3 (U19): one load per key at a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_readers_of_a_cold_key_cause_one_load() {
    let (cache, loads) = (cache(|_| ()), Arc::new(AtomicU32::new(0)));
    let (go, wait) = tokio::sync::watch::channel(false);
    let readers: Vec<_> = (0..10_000)
        .map(|_| {
            let (cache, loads, wait) = (cache.clone(), Arc::clone(&loads), wait.clone());
            tokio::spawn(async move {
                let load = move || {
                    let (loads, mut wait) = (Arc::clone(&loads), wait.clone());
                    async move {
                        loads.fetch_add(1, Ordering::Relaxed);
                        let _ = wait.wait_for(|go| *go).await;
                        Ok(value("one", 1))
                    }
                };
                cache.get_or_load(&1, 0, load).await
            })
        })
        .collect();
    eventually("all wait", async || cache.counts().coalesced == 9_999).await;
    go.send(true).unwrap();
    for reader in readers {
        assert_eq!(reader.await.unwrap(), Ok(fresh("one", 1)));
    }
    assert_eq!(loads.load(Ordering::Relaxed), 1);
    assert_eq!((cache.counts().loads, cache.counts().misses), (1, 10_000));
}

/// A load that is held up until it is told what it has found.
fn held_up(
    cache: &Cache,
) -> (oneshot::Sender<Loaded<String>>, tokio::task::JoinHandle<Found<String>>) {
    let (found, wait) = oneshot::channel();
    let (cache, wait) = (cache.clone(), Arc::new(Mutex::new(Some(wait))));
    let load = move || {
        let wait = wait.lock().unwrap().take();
        async move {
            match wait {
                Some(wait) => wait.await.map_err(|_| SourceAway("gone".into())),
                None => Ok(value("again", 9)),
            }
        }
    };
    (found, tokio::spawn(async move { cache.get_or_load(&1, 0, load).await.unwrap() }))
}

/// Trap 2 (C6): a slow reader's fill does not overwrite what was told meanwhile, also if that has been
/// evicted since; and the reader itself is given no older value.
#[tokio::test]
async fn what_is_told_or_invalidated_during_a_load_wins_over_it() {
    for evicts in [false, true] {
        for is_told in [false, true] {
            let cache = cache(|_| ());
            let (found, reader) = held_up(&cache);
            eventually("it loads", async || cache.counts().loads == 1).await;
            if is_told {
                cache.remember(&1, value("new", 5), 0);
            } else {
                cache.invalidate(&1, 5);
            }
            if evicts {
                evict(&cache);
            }
            found.send(value("old", 4)).unwrap();
            assert_eq!(reader.await.unwrap(), fresh("again", 9), "{is_told} {evicts}");
            assert_eq!(cache.get(&1, 0), AtHand::Value("again".into()));
        }
    }
}

/// Trap 2: of two values the one with the greater position is kept, whoever comes last.
#[tokio::test]
async fn an_older_value_never_replaces_a_newer() {
    let cache = cache(|_| ());
    cache.remember(&1, value("new", 2), 0);
    cache.remember(&1, value("old", 1), 0);
    assert_eq!(cache.get(&1, 0), AtHand::Value("new".into()));
    cache.invalidate(&1, 2);
    assert_eq!(cache.get(&1, 0), AtHand::Value("new".into()), "as new as the invalidation");
    cache.delete(&1, 3, 0).await.unwrap();
    cache.remember(&1, value("new", 2), 0);
    assert_eq!(cache.get(&1, 0), AtHand::Absent, "a tombstone");
}

/// Traps 4 and 5 (C8, C9, C12): an empty value, no value and no answer are three things.
#[tokio::test]
async fn empty_absent_and_away_are_three_things() {
    let (cache, source) = (cache(|_| ()), Source::with("", 1));
    assert_eq!(ask(&cache, &source, 0).await, fresh("", 1));
    assert_eq!(cache.get(&1, 0), AtHand::Value(String::new()));
    let absent = cache.get_or_load(&2, 0, source.load(2)).await.unwrap();
    assert_eq!((absent.value, absent.is_stale), (None, false));
    assert_eq!(cache.get(&2, 899), AtHand::Absent, "it is not asked for again");
    assert_eq!(cache.get(&2, 1_000), AtHand::Nothing, "for a moment");
    source.goes_away(true);
    let away = cache.get_or_load(&2, 1_000, source.load(2)).await;
    assert_eq!(away, Err(LoadError::Source(SourceAway("away".into()))), "not: there is none");
    assert_eq!(source.asked(), 3);
    cache.remember(&2, value("created", 7), 1_000);
    assert_eq!(cache.get(&2, 1_000), AtHand::Value("created".into()));
}

/// Trap 12 (C17): what was warmed together does not end together.
#[tokio::test]
async fn entries_that_begin_together_end_at_different_times() {
    let cache = cache(|options| options.ttl = Duration::from_secs(100));
    for key in 0..50 {
        cache.remember(&key, value("x", 1), 0);
    }
    let ended = |at: u64| (0..50).filter(|key| cache.get(key, at) == AtHand::Nothing).count();
    assert_eq!((ended(80_999), ended(90_000)), (0, 50));
    assert!((1..50).contains(&ended(85_000)), "{}", ended(85_000));
}

/// Trap 15 (C19): the source is asked by so many at once, whatever becomes of Redis; others are told to
/// come again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_than_so_many_ask_the_source_at_once() {
    let cache = cache(|options| {
        options.loads_max = 4;
        options.soft_timeout = Duration::from_millis(50);
    });
    assert_eq!(crowd(&cache, 4).await, 96);
}

/// A hundred ask for different keys, until all that find no place have been told so; how many those are.
async fn crowd(cache: &Cache, places: u32) -> usize {
    let (at_once, most) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (go, wait) = tokio::sync::watch::channel(false);
    let (ended, mut refusals) = tokio::sync::mpsc::unbounded_channel();
    for key in 100..200_u32 {
        let (cache, at_once, most) = (cache.clone(), Arc::clone(&at_once), Arc::clone(&most));
        let (wait, ended) = (wait.clone(), ended.clone());
        tokio::spawn(async move {
            let load = move || {
                let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
                let mut wait = wait.clone();
                async move {
                    let now = at_once.fetch_add(1, Ordering::Relaxed) + 1;
                    most.fetch_max(now, Ordering::Relaxed);
                    let _ = wait.wait_for(|go| *go).await;
                    at_once.fetch_sub(1, Ordering::Relaxed);
                    Ok(value("x", 1))
                }
            };
            let _ = ended.send(cache.get_or_load(&key, 0, load).await);
        });
    }
    drop(ended);
    let mut refused = 0;
    while refused < 100 - places as usize {
        let answer = tokio::time::timeout(PATIENCE, refusals.recv()).await.unwrap().unwrap();
        assert_eq!(answer, Err(LoadError::Crowded));
        refused += 1;
    }
    go.send(true).unwrap();
    while let Some(answer) = refusals.recv().await {
        assert_eq!(answer, Ok(fresh("x", 1)));
    }
    assert_eq!(most.load(Ordering::Relaxed), places);
    refused
}

/// By tag: entries that account for less than the position are gone, all others stay, and are as fast
/// as before.
#[tokio::test]
async fn a_tag_makes_older_entries_invalid() {
    let (cache, source) = (cache(|_| ()), Source::default());
    cache.remember(&1, value("old", 1).as_of(4).tagged(["ann", "x"]), 0);
    cache.remember(&2, value("new", 1).as_of(5).tagged(["ann"]), 0);
    cache.remember(&3, value("other", 1).tagged(["bob"]), 0);
    cache.delete_tagged("ann", 5).await.unwrap();
    source.goes_away(true);
    for (key, expected) in [(1, None), (2, Some("new")), (3, Some("other"))] {
        assert_eq!(cache.get(&key, 0), AtHand::Nothing, "it has to be judged again");
        let answer = cache.get_or_load(&key, 0, source.load(key)).await.ok();
        assert_eq!(answer.and_then(|found| found.value).as_deref(), expected, "{key}");
        let at_hand = expected.map_or(AtHand::Nothing, |text| AtHand::Value(text.into()));
        assert_eq!(cache.get(&key, 0), at_hand, "{key}");
    }
}

/// The first level is bounded, and says what had to make room.
#[tokio::test]
async fn the_first_level_has_a_bound_and_counts_what_it_does() {
    let cache = cache(|_| ());
    for key in 0..1_000 {
        cache.remember(&key, value("x", 1), 0);
    }
    let counts = cache.counts();
    assert!(counts.entries <= 100 && counts.evictions >= 900, "{counts:?}");
    let there = (0..1_000).filter(|key| cache.get(key, 0) != AtHand::Nothing).count() as u64;
    assert_eq!(cache.counts().level1_hits, there);
}
