//! What is brought in before anybody asks for it.

use super::*;

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
