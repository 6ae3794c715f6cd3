//! What became doubtful or invalid, and does not come back.

use super::*;

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
