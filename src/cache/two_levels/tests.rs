//! In one process, without a second level; `two_nodes` has one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use super::*;

mod interleavings;
mod two_nodes;

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

/// A source that is away costs nobody an answer, until the value itself is over.
#[tokio::test]
async fn while_the_source_is_away_what_is_stale_is_served_and_said_to_be_so() {
    let seconds = |n: u64| n * 1_000;
    let cache = cache(|options| {
        options.ttl = Duration::from_secs(10);
        options.fail_safe = Duration::from_secs(100);
    });
    let source = Source::with("one", 1);
    source.says(1, value("one", 1).until(seconds(60)));
    assert_eq!(ask(&cache, &source, 0).await, fresh("one", 1));
    source.goes_away(true);
    assert_eq!(ask(&cache, &source, seconds(20)).await, stale("one", 1));
    assert_eq!(source.asked(), 2);
    assert_eq!(ask(&cache, &source, seconds(20) + 999).await, stale("one", 1));
    assert_eq!(source.asked(), 2, "nobody tries again within a second");
    source.goes_away(false);
    source.says(1, value("two", 2));
    // Somebody has just waited in vain: the first one after that does not.
    let now = seconds(21) + 500;
    assert_eq!(ask(&cache, &source, now).await, stale("one", 1));
    eventually("it is loaded", async || cache.get(&1, now) == AtHand::Value("two".into())).await;
    assert_eq!(cache.counts().stale, 3);

    source.says(1, value("three", 3).until(seconds(60)));
    assert_eq!(ask(&cache, &source, seconds(50)).await, fresh("three", 3));
    source.goes_away(true);
    for over in [60, 61, 1_000] {
        let answer = cache.get_or_load(&1, seconds(over), source.load(1)).await;
        assert!(answer.is_err(), "the value's own end: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_stale_is_kept_for_so_long_and_not_longer() {
    let cache = cache(|options| {
        options.ttl = Duration::from_secs(10);
        options.fail_safe = Duration::from_secs(10);
    });
    let source = Source::with("one", 1);
    ask(&cache, &source, 0).await;
    source.goes_away(true);
    assert_eq!(ask(&cache, &source, 18_999).await, stale("one", 1));
    assert!(cache.get_or_load(&1, 20_000, source.load(1)).await.is_err());
}

/// A failure is no reason to show something stale for ever: whoever comes long after it asks the source,
/// and waits for it.
#[tokio::test]
async fn long_after_a_failure_nothing_stale_is_shown_while_the_source_answers() {
    let cache = cache(|options| options.ttl = Duration::from_secs(10));
    let source = Source::with("one", 1);
    ask(&cache, &source, 0).await;
    source.goes_away(true);
    assert_eq!(ask(&cache, &source, 20_000).await, stale("one", 1));
    source.goes_away(false);
    source.says(1, value("two", 2));
    assert_eq!(ask(&cache, &source, 60_000).await, fresh("two", 2));
}

/// C1: what is shown as stale after a wait may have ended during the wait.
#[tokio::test]
async fn what_ends_while_a_load_is_waited_for_is_not_shown() {
    let cache = cache(|options| {
        options.ttl = Duration::from_secs(10);
        options.soft_timeout = Duration::from_millis(50);
    });
    cache.remember(&1, value("one", 1).until(20_001), 0);
    let never = || std::future::pending::<Result<Loaded<String>, SourceAway>>();
    assert_eq!(cache.get_or_load(&1, 20_000, never).await, Err(LoadError::TimedOut));
}

/// Trap 1: what is told while a load is waited for in vain is what the reader is shown, not what was here
/// before.
#[tokio::test]
async fn who_waits_in_vain_is_shown_what_was_told_meanwhile() {
    for is_told in [false, true] {
        let cache = cache(|options| options.soft_timeout = Duration::from_millis(200));
        cache.remember(&1, value("old", 5), 0);
        cache.doubt_everything();
        let never = || std::future::pending::<Result<Loaded<String>, SourceAway>>();
        let mut reader = std::pin::pin!(cache.get_or_load(&1, 0, never));
        assert!(futures::poll!(&mut reader).is_pending());
        if is_told {
            cache.remember(&1, value("new", 10), 0);
        } else {
            cache.invalidate(&1, 10);
        }
        let expected = if is_told { Ok(fresh("new", 10)) } else { Err(LoadError::TimedOut) };
        assert_eq!(reader.await, expected);
    }
}

/// C1: who finds a value worn has it refreshed, and if that fails it is not shown beyond its own end.
#[tokio::test]
async fn a_refresh_that_fails_keeps_no_value_beyond_its_end() {
    let hours = |n: u64| n * 3_600_000;
    let cache = cache(|options| options.ttl = Duration::from_hours(100));
    let source = Source::with("one", 1);
    source.goes_away(true);
    let end = hours(90) + 500;
    cache.remember(&1, value("one", 1).until(end), 0);
    assert_eq!(ask(&cache, &source, hours(90)).await, fresh("one", 1));
    assert_eq!(cache.counts().refreshes, 1);
    assert_eq!(cache.get(&1, end - 1), AtHand::Value("one".into()));
    assert_eq!(cache.get(&1, end), AtHand::Nothing, "not for another second");
}

/// A slow source costs a reader who can be shown something stale no more than so much; the load goes
/// on for the next one.
#[tokio::test]
async fn a_slow_load_is_waited_for_softly_and_goes_on() {
    let cache = cache(|options| {
        options.ttl = Duration::from_secs(10);
        options.soft_timeout = Duration::from_millis(5);
    });
    cache.remember(&1, value("one", 1), 0);
    let (found, wait) = oneshot::channel();
    let wait = Arc::new(Mutex::new(Some(wait)));
    let load = move || {
        let wait = wait.lock().unwrap().take();
        async move { wait.unwrap().await.map_err(|_| SourceAway("gone".into())) }
    };
    assert_eq!(cache.get_or_load(&1, 10_000, load).await, Ok(stale("one", 1)));
    found.send(value("two", 2)).unwrap();
    eventually("it lands", async || cache.get(&1, 10_000) == AtHand::Value("two".into())).await;
}

#[tokio::test]
async fn a_load_that_never_ends_ends_at_the_hard_timeout() {
    let cache = cache(|options| options.hard_timeout = Duration::from_millis(20));
    let never = || std::future::pending::<Result<Loaded<String>, SourceAway>>();
    assert_eq!(cache.get_or_load(&1, 0, never).await, Err(LoadError::TimedOut));
    let source = Source::with("one", 1);
    let loads = async || cache.get_or_load(&1, 0, source.load(1)).await == Ok(fresh("one", 1));
    eventually("the next one loads", loads).await;
}

/// A load that panics is its own reader's trouble; the next one loads.
#[tokio::test]
async fn a_load_that_panics_keeps_nobody_out() {
    let cache = cache(|_| ());
    let broken = cache.clone();
    let load = || async { panic!("on purpose") };
    assert!(tokio::spawn(async move { broken.get_or_load(&1, 0, load).await }).await.is_err());
    assert_eq!(ask(&cache, &Source::with("one", 1), 0).await, fresh("one", 1));
}

/// Who asks for what is worn is answered at once, and one load makes it new.
#[tokio::test]
async fn what_is_worn_is_refreshed_once_before_it_is_stale() {
    let cache = cache(|options| options.ttl = Duration::from_secs(100));
    let source = Source::with("two", 2);
    cache.remember(&1, value("one", 1), 0);
    assert_eq!(cache.get(&1, 80_999), AtHand::Value("one".into()));
    assert_eq!(cache.get(&1, 90_000), AtHand::Nothing, "it is worn");
    let (found, reader) = (oneshot::channel(), cache.clone());
    let (found, wait) = found;
    let wait = Arc::new(Mutex::new(Some(wait)));
    let asked = source.clone();
    let load = move || {
        let (wait, asked) = (wait.lock().unwrap().take(), asked.clone());
        async move {
            let _ = wait.unwrap().await;
            asked.load(1)().await
        }
    };
    for _ in 0..100 {
        let answer = reader.get_or_load(&1, 90_000, load.clone()).await;
        assert_eq!(answer, Ok(fresh("one", 1)));
    }
    found.send(()).unwrap();
    eventually("it is new", async || cache.get(&1, 90_000) == AtHand::Value("two".into())).await;
    assert_eq!((source.asked(), cache.counts().refreshes), (1, 1));
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

/// Trap 1 (C2): after a gap nothing is served that was here before, unless nobody can be asked.
#[tokio::test]
async fn after_a_gap_what_was_here_is_asked_for_again() {
    let (cache, source) = (cache(|_| ()), Source::with("two", 2));
    cache.remember(&1, value("one", 1), 0);
    cache.remember(&2, Loaded::absent(1), 0);
    cache.doubt_everything();
    assert_eq!([cache.get(&1, 0), cache.get(&2, 0)], [AtHand::Nothing, AtHand::Nothing]);
    source.goes_away(true);
    assert_eq!(ask(&cache, &source, 0).await, stale("one", 1));
    assert!(cache.get_or_load(&2, 0, source.load(2)).await.is_err(), "it may have been created");
    source.goes_away(false);
    assert_eq!(ask(&cache, &source, 60_000).await, fresh("two", 2));
}

/// A load that began before a gap does not end behind it.
#[tokio::test]
async fn what_was_loaded_across_a_gap_is_doubtful() {
    let cache = cache(|_| ());
    let (found, reader) = held_up(&cache);
    eventually("it loads", async || cache.counts().loads == 1).await;
    cache.doubt_everything();
    found.send(value("one", 1)).unwrap();
    assert_eq!(reader.await.unwrap().value.as_deref(), Some("one"));
    assert_eq!(cache.get(&1, 0), AtHand::Nothing);
}

/// Trap 1: what was begun to be loaded before everything was dropped does not stay, however new it
/// says it is: that may be the position of another log.
#[tokio::test]
async fn what_was_loaded_before_everything_was_dropped_does_not_stay() {
    let cache = cache(|_| ());
    let (found, reader) = held_up(&cache);
    eventually("it loads", async || cache.counts().loads == 1).await;
    cache.remember(&1, value("lost, too", 1_001), 0);
    cache.start_over();
    found.send(value("lost", 1_000)).unwrap();
    assert_eq!(reader.await.unwrap(), fresh("again", 9));
    assert_eq!(cache.get(&1, 0), AtHand::Value("again".into()));
    let stamp = cache.stamp();
    cache.start_over();
    cache.fill(&1, value("lost", 1_000), stamp, None, 0);
    assert_eq!(cache.get(&1, 0), AtHand::Nothing);
}

/// Whoever tells of a change between a fill's look at what is known and its end.
#[derive(Default)]
struct Interrupting {
    newest: Arc<AtomicU64>,
    cache: std::sync::OnceLock<Cache>,
}

impl Witness<u32> for Interrupting {
    fn newest(&self, _: &u32) -> u64 {
        let before = self.newest.load(Ordering::SeqCst);
        if let (Some(cache), 0) = (self.cache.get(), before) {
            let (newest, cache) = (Arc::clone(&self.newest), cache.clone());
            let (done, is_done) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                newest.store(5, Ordering::SeqCst);
                cache.invalidate(&1, 5);
                let _ = done.send(());
            });
            // It may have to wait until the fill has ended.
            let _ = is_done.recv_timeout(Duration::from_millis(200));
        }
        before
    }

    fn believes(&self, _: &u32, _: u64, _: u64) -> bool {
        true
    }
}

/// Trap 2 (C6): a change that is told while something older is filled in wins over it.
#[tokio::test]
async fn a_change_between_the_look_and_the_fill_wins() {
    let witness = Arc::new(Interrupting::default());
    let shared: Arc<dyn Witness<u32>> = Arc::<Interrupting>::clone(&witness);
    let cache = Cache::new(CacheOptions::new("test", 100), None, shared);
    assert!(witness.cache.set(cache.clone()).is_ok());
    cache.remember(&1, value("old", 4), 0);
    eventually("it is told", async || cache.get(&1, 0) == AtHand::Nothing).await;
    assert_eq!(witness.newest.load(Ordering::SeqCst), 5);
    cache.remember(&1, value("old", 4), 0);
    assert_eq!(cache.get(&1, 0), AtHand::Nothing);
}

/// Trap 7 (C15): a tag counts for what comes after it as well, be it told or loaded.
#[tokio::test]
async fn what_a_tag_makes_invalid_does_not_come_back() {
    let (cache, source) = (cache(|_| ()), Source::default());
    let anns = |as_of| value("ann's", 1).as_of(as_of).tagged(["ann"]);
    cache.invalidate_tagged("ann", 7);
    cache.remember(&1, anns(6), 0);
    assert_eq!(cache.get(&1, 0), AtHand::Nothing);
    source.says(1, anns(6));
    let behind = cache.get_or_load(&1, 0, source.load(1)).await;
    assert_eq!(behind, Err(LoadError::Behind));
    source.says(1, anns(7));
    assert_eq!(ask(&cache, &source, 0).await, fresh("ann's", 1));
    assert_eq!(cache.get(&1, 0), AtHand::Value("ann's".into()));
}

/// A source that is behind is no reason to show what is invalid, or over.
#[tokio::test]
async fn what_was_here_is_shown_for_a_source_that_is_behind_only_if_it_may_be() {
    let (cache, source) = (cache(|_| ()), Source::with("older", 8));
    cache.remember(&1, value("newer", 9).tagged(["ann"]), 0);
    cache.doubt_everything();
    assert_eq!(ask(&cache, &source, 0).await, stale("newer", 9));
    cache.invalidate_tagged("ann", 10);
    let answer = cache.get_or_load(&1, 10_000, source.load(1)).await;
    assert_eq!(answer, Err(LoadError::Behind));
    cache.remember(&1, value("ends", 11).until(20_000), 10_000);
    let answer = cache.get_or_load(&1, 20_000, source.load(1)).await;
    assert_eq!(answer, Err(LoadError::Behind));
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

/// Links are brought in from the source, at a pace, and what changed meanwhile is not undone.
#[tokio::test]
async fn warming_fills_what_is_missing() {
    let cache = cache(|_| ());
    cache.remember(&1, value("new", 9), 0);
    let asked = AtomicU64::new(0);
    let load_many = |keys: Vec<u32>| {
        asked.fetch_add(keys.len() as u64, Ordering::Relaxed);
        cache.remember(&2, value("newer", 9), 0);
        let known = keys.into_iter().filter(|key| *key < 4);
        std::future::ready(known.map(|key| (key, value("warm", 5))).collect())
    };
    let pace = crate::cache::Pace { loads_per_second: 1_000_000 };
    let warmed = cache.warm(&[1, 2, 3, 4], pace, || 0, load_many).await;
    assert_eq!((warmed.found, warmed.loaded, warmed.missing), (1, 2, 1));
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    for (key, expected) in [(1, "new"), (2, "newer"), (3, "warm")] {
        assert_eq!(cache.get(&key, 0), AtHand::Value(expected.into()), "{key}");
    }
}

/// Trap 2: what is told of a key while it is being filled binds the fill, also if nothing of that is at hand
/// any more, and nobody bears witness. What is not kept is not warm.
#[tokio::test]
async fn what_is_told_during_a_fill_wins_over_it_without_a_witness() {
    let cache = cache(|_| ());
    let load_many = |keys: Vec<u32>| {
        cache.remember(&1, Loaded::absent(9), 0);
        evict(&cache);
        cache.invalidate(&2, 9);
        std::future::ready(keys.into_iter().map(|key| (key, value("old", 5))).collect())
    };
    let pace = crate::cache::Pace { loads_per_second: 1_000_000 };
    let warmed = cache.warm(&[1, 2, 3], pace, || 0, load_many).await;
    assert_eq!((warmed.found, warmed.loaded, warmed.missing), (0, 1, 2));
    assert_eq!(cache.get(&1, 0), AtHand::Nothing);
    assert_eq!(cache.get(&2, 0), AtHand::Nothing);
    assert_eq!(cache.get(&3, 0), AtHand::Value("old".into()));
    // It binds no later one.
    cache.remember(&2, value("old", 5), 0);
    assert_eq!(cache.get(&2, 0), AtHand::Value("old".into()));
}

/// What became doubtful while it was brought in is not warm.
#[tokio::test]
async fn what_was_warmed_across_a_gap_is_missing() {
    let cache = cache(|_| ());
    let load_many = |keys: Vec<u32>| {
        cache.doubt_everything();
        std::future::ready(keys.into_iter().map(|key| (key, value("x", 5))).collect())
    };
    let pace = crate::cache::Pace { loads_per_second: 1_000_000 };
    let warmed = cache.warm(&[1, 2], pace, || 0, load_many).await;
    assert_eq!((warmed.found, warmed.loaded, warmed.missing), (0, 0, 2));
}

/// Trap 15: warming is among the so many who ask the source at once, and waits for readers.
#[tokio::test]
async fn warming_waits_until_readers_have_asked() {
    let cache = cache(|options| options.loads_max = 1);
    let (go, wait) = oneshot::channel::<()>();
    let wait = Mutex::new(Some(wait));
    let reader = cache.clone();
    let held_up = move || {
        let wait = wait.lock().unwrap().take();
        async move {
            let _ = wait.unwrap().await;
            Ok(value("read", 1))
        }
    };
    let reading = tokio::spawn(async move { reader.get_or_load(&9, 0, held_up).await });
    eventually("it asks the source", async || cache.counts().loads == 1).await;
    let asked = AtomicBool::new(false);
    let load_many = |keys: Vec<u32>| {
        asked.store(true, Ordering::Relaxed);
        std::future::ready(keys.into_iter().map(|key| (key, value("x", 5))).collect())
    };
    let pace = crate::cache::Pace { loads_per_second: 1_000_000 };
    let mut warming = Box::pin(cache.warm(&[1], pace, || 0, load_many));
    assert!(futures::poll!(&mut warming).is_pending());
    assert!(!asked.load(Ordering::Relaxed), "somebody else asks");
    go.send(()).unwrap();
    assert_eq!(reading.await.unwrap(), Ok(fresh("read", 1)));
    assert_eq!(warming.await.loaded, 1);
}
