//! What is served while its source is away, slow or broken, and for how long.

use super::*;

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
