//! A test for each trap of the requirements that is not elsewhere: 9 is in `outages`, 11 in `room`, 13 in
//! `subject`, 15 in `refunds`.

use super::*;

/// Asks a limiter in process and one in Redis, which have the same clock.
struct Both {
    here: Limiter,
    there: Node,
    redis: RedisServer,
    clock: MonotonicClock,
}

impl Both {
    async fn new() -> Self {
        let (redis, clock) = (RedisServer::start(), clock());
        let there = Node::with_clock(&redis, &clock).await;
        let here = Limiter::in_process(SUBJECTS_MAX, clock.clone());
        Self { here, there, redis, clock }
    }

    async fn decide(&self, charges: &[Charge]) -> Decision {
        let here = self.here.decide(charges).await.unwrap();
        let there = self.there.decide(charges).await;
        assert_eq!(here.is_allowed(), there.is_allowed(), "{here:?}, {there:?}");
        assert_eq!(here.retry_after(), there.retry_after());
        assert!(!there.is_degraded());
        there
    }

    async fn passes(&self, charge: &Charge) -> bool {
        self.decide(std::slice::from_ref(charge)).await.is_allowed()
    }

    async fn passed_of(&self, charge: &Charge, requests: u32) -> u32 {
        let mut passed = 0;
        for _ in 0..requests {
            passed += u32::from(self.passes(charge).await);
        }
        passed
    }
}

/// Trap 1: requests of the same instant count each.
#[tokio::test]
async fn requests_of_the_same_instant_count_each() {
    let both = Both::new().await;
    for algorithm in Algorithm::ALL {
        let policy = Arc::new(policy(algorithm.name(), &[tier(algorithm, 5, 60)]));
        assert_eq!(both.passed_of(&charge(&policy, "a", 1), 20).await, 5, "{algorithm}");
    }
}

/// Traps 2 and 3: every key ends by itself, and none before all is given back: written in one step.
#[tokio::test]
async fn a_key_lives_until_all_is_given_back_and_not_for_ever() {
    let redis = RedisServer::start();
    let node = Node::new(&redis.url(), patient("t:")).await;
    for algorithm in Algorithm::ALL {
        redis.flush();
        let policy = Arc::new(policy("p", &[tier(algorithm, 1_000, 3_600)]));
        let charge = charge(&policy, "a", 500);
        for passes in [true, true, false] {
            let decision = node.decide(std::slice::from_ref(&charge)).await;
            assert_eq!(decision.is_allowed(), passes, "{algorithm}");
            let key = redis.command(&["RANDOMKEY"]);
            let left = redis.command(&["PTTL", &key]);
            let left: u64 = left.trim_start_matches(':').parse().expect("it ends");
            let reset = decision.standing().unwrap().reset();
            // Some of it has passed by the time it is asked for; a minute is more than that.
            let least = reset.saturating_sub(Duration::from_mins(1));
            let most = reset + Duration::from_secs(1);
            let left = Duration::from_millis(left);
            assert!(least < left && left <= most, "{algorithm}: {left:?} of {reset:?}");
        }
    }
}

/// Trap 3: silence gives back what it takes time to give back, and nothing more.
#[tokio::test]
async fn a_minute_of_silence_refills_no_bucket_of_an_hour() {
    let both = Both::new().await;
    let policy = Arc::new(policy("p", &[tier(Algorithm::TokenBucket, 1_000, 3_600)]));
    assert!(both.passes(&charge(&policy, "a", 1_000)).await);
    both.clock.advance(Duration::from_secs(61));
    assert_eq!(both.passed_of(&charge(&policy, "a", 1), 30).await, 16);
}

/// Trap 4: the weight is between 0 and 1, of the window just before, and of no older one.
#[tokio::test]
async fn the_weight_is_that_of_the_window_just_before() {
    let both = Both::new().await;
    let policy = Arc::new(policy("p", &[tier(Algorithm::SlidingWindow, 100, 60)]));
    let one = charge(&policy, "a", 1);
    let window = 60_000_000;
    let to_border = |clock: &MonotonicClock| Duration::from_micros(window - clock.now() % window);
    both.clock.advance(to_border(&both.clock) + Duration::from_secs(59));
    assert_eq!(both.passed_of(&one, 110).await, 100);
    both.clock.advance(to_border(&both.clock) + Duration::from_millis(10));
    assert_eq!(both.passed_of(&one, 10).await, 0, "right behind the border it weighs all");
    both.clock.advance(Duration::from_secs(30));
    assert_eq!(both.passed_of(&one, 110).await, 50, "half");
    both.clock.advance(Duration::from_secs(29));
    assert_eq!(both.passed_of(&one, 110).await, 48, "and no more than nothing is left of it");
    both.clock.advance(Duration::from_mins(10));
    assert_eq!(both.passed_of(&one, 1_100).await, 100, "of long ago nothing");
}

/// Trap 5: nothing is charged for a request that any tier of any policy refuses.
#[tokio::test]
async fn what_one_tier_refuses_no_other_is_charged_for() {
    let both = Both::new().await;
    let (many, few) = (tier(Algorithm::Gcra, 100, 60), tier(Algorithm::FixedWindow, 2, 3_600));
    let tiers = Arc::new(policy("tiers", &[many, few]));
    let (wide, narrow) = (Arc::new(policy("wide", &[many])), Arc::new(policy("narrow", &[few])));
    for charges in [
        vec![charge(&tiers, "a", 1)],
        vec![charge(&wide, "a", 1), charge(&narrow, "b", 1)],
        vec![charge(&narrow, "c", 1), charge(&wide, "c", 1)],
    ] {
        let mut passed = 0;
        for _ in 0..50 {
            passed += u32::from(both.decide(&charges).await.is_allowed());
        }
        assert_eq!(passed, 2);
    }
    for subject in ["a", "c"] {
        let left = both.decide(&[charge(&wide, subject, 1)]).await.standing().unwrap().remaining();
        assert_eq!(left, 97, "two and this one");
    }
}

/// Traps 6 and 7: what is reported is what was decided by: so many more pass, and a refused request passes
/// after `retry_after` and not a microsecond before. Nothing is said to come before `more_in`, and after
/// `reset` all is back.
#[tokio::test]
async fn what_is_reported_is_what_happens() {
    for algorithm in Algorithm::ALL {
        let both = Both::new().await;
        let policy = Arc::new(policy("p", &[tier(algorithm, 7, 60)]));
        let one = charge(&policy, "a", 1);
        let decision = both.decide(&[charge(&policy, "a", 3)]).await;
        let standing = *decision.standing().unwrap();
        assert_eq!((standing.remaining(), standing.limit()), (4, 7), "{algorithm}");
        both.clock.advance(Duration::from_micros(7));
        assert_eq!(both.passed_of(&one, 5).await, 4, "{algorithm}");
        for cost in [1, 2, 7, 5] {
            let charge = charge(&policy, "a", cost);
            let refused = both.decide(std::slice::from_ref(&charge)).await;
            let retry = refused.retry_after().unwrap_or_else(|| panic!("{algorithm} {cost}"));
            let standing = refused.standing().unwrap();
            assert!(standing.more_in() <= retry && standing.reset() >= standing.more_in());
            both.clock.advance(retry.checked_sub(Duration::from_micros(1)).unwrap());
            assert!(!both.passes(&charge).await, "{algorithm} {cost}: a microsecond early");
            both.clock.advance(Duration::from_micros(1));
            let passed = both.decide(std::slice::from_ref(&charge)).await;
            assert!(passed.is_allowed(), "{algorithm} {cost}: {passed:?}");
            if cost == 5 {
                both.clock.advance(passed.standing().unwrap().reset());
                assert!(both.passes(&self::charge(&policy, "a", 7)).await, "{algorithm}: all");
            } else {
                let mut left = passed.standing().unwrap().remaining();
                while left > 0 {
                    assert!(both.passes(&one).await);
                    left -= 1;
                }
            }
        }
    }
}

/// Trap 7: a bucket's reset is not longer than its window, although 60 s can't be divided by 7.
#[test]
fn a_reset_is_whole() {
    let (limiter, _) = in_process();
    let policy = Arc::new(policy("p", &[tier(Algorithm::Gcra, 7, 60)]));
    let decision = limiter.decide_here(&[charge(&policy, "a", 7)]).unwrap();
    assert_eq!(decision.standing().unwrap().reset(), Duration::from_mins(1));
}

/// Trap 8: the store's clock decides, whatever the nodes' are.
#[tokio::test]
async fn the_clocks_of_the_nodes_do_not_matter() {
    let redis = RedisServer::start();
    let policy = Arc::new(policy("p", &[tier(Algorithm::Gcra, 10, 3_600)]));
    let mut passed = 0;
    for ahead in [0, 86_400, 3_600 * 24 * 365] {
        let clock = MonotonicClock::set_by_hand();
        clock.advance(Duration::from_secs(ahead));
        let address = redis.url().parse().unwrap();
        let node = Limiter::shared(address, patient("t:"), SUBJECTS_MAX, clock);
        let node = Node::of(node).await;
        for _ in 0..10 {
            passed += u32::from(node.passes(&charge(&policy, "a", 1)).await);
        }
    }
    assert_eq!(passed, 10);
}

/// A clock that goes back gives nothing back, and is no outage.
#[test]
fn a_clock_that_goes_back_gives_nothing_back() {
    let store = here::Here::new(SUBJECTS_MAX);
    let (early, late) = (1_764_000_000_000_000, 1_764_000_050_000_000);
    for algorithm in Algorithm::ALL {
        let policy = Arc::new(policy(algorithm.name(), &[tier(algorithm, 3, 60)]));
        let one = [charge(&policy, "a", 1)];
        let decide = |now, request| store.decide(Way::Here, &one, request, || now, true);
        let passed: usize = (0..5).filter(|n| decide(late, *n).is_allowed()).count();
        assert_eq!(passed, 3);
        let refused = decide(early, 9);
        assert!(!refused.is_allowed(), "{algorithm}");
        let later = refused.retry_after().unwrap();
        assert!(later <= Duration::from_secs(60 + 50), "{algorithm}: {later:?}");
        // A clock that was a day ahead keeps nobody out for that long.
        let ahead = late + 86_400_000_000;
        let ahead = |request| decide(ahead, request).is_allowed();
        assert_eq!((10..15).filter(|n| ahead(*n)).count(), 3, "{algorithm}");
        let wait = decide(late, 16).retry_after().unwrap_or_default();
        assert!(wait <= Duration::from_mins(2), "{algorithm}: {wait:?}");
    }
}

/// Trap 10: what can never pass is an error, not a refusal.
#[test]
fn a_cost_above_the_capacity_is_an_error() {
    let small = tier(Algorithm::FixedWindow, 3, 1);
    let policy = Arc::new(policy("p", &[tier(Algorithm::Gcra, 10, 60), small]));
    let subject = Subject::new("user", "a");
    let error = Charge::new(Arc::clone(&policy), subject, 4).unwrap_err();
    assert_eq!(error.to_string(), "4 is more than the policy p ever allows at once: 3");
    let error = Charge::new(Arc::clone(&policy), subject, 0).unwrap_err();
    assert_eq!(error.to_string(), "a request costs at least 1 of the policy p");
    let one = charge(&policy, "a", 1);
    let (limiter, _) = in_process();
    let twice = limiter.decide_here(&[one.clone(), one.clone()]).unwrap_err();
    assert!(matches!(twice, ChargeError::Twice { .. }));
    let nine: Vec<Charge> = (0..9).map(|n| charge(&policy, &format!("{n}"), 1)).collect();
    assert_eq!(limiter.decide_here(&nine).unwrap_err(), ChargeError::TooMany);
}

/// Trap 12: something else under a key is an error that is counted, and lets nobody pass uncounted, also
/// where an outage would.
#[tokio::test]
async fn a_key_of_another_type_lets_nobody_pass_uncounted() {
    let redis = RedisServer::start();
    let node = Node::new(&redis.url(), patient("t:")).await;
    for algorithm in Algorithm::ALL {
        let policy = policy("p", &[tier(algorithm, 3, 3_600)]).with_outage(Outage::Open);
        let policy = Arc::new(policy);
        let one = charge(&policy, "a", 1);
        redis.flush();
        assert!(node.passes(&one).await);
        let key = redis.command(&["RANDOMKEY"]);
        let before = node.limiter.state().store_refusals;
        for wrong in [&["LPUSH", &key, "x"][..], &["SET", &key, "x"][..]] {
            redis.command(&["DEL", &key]);
            redis.command(wrong);
            let mut passed = 0;
            for _ in 0..10 {
                passed += u32::from(node.passes(&one).await);
            }
            assert!(passed <= 3, "{algorithm} {wrong:?}: {passed}");
        }
        assert!(node.limiter.state().store_refusals > before, "{algorithm}");
        assert_eq!(node.limiter.state().breaker, Some(BreakerState::Closed));
    }
}

/// Trap 13: tiers, policies and subjects have keys of their own.
#[tokio::test]
async fn no_two_counts_share_a_key() {
    let both = Both::new().await;
    let same = tier(Algorithm::FixedWindow, 2, 3_600);
    let policies = [policy("a", &[same, same]), policy("a-0", &[same]), policy("b", &[same])];
    let policies = policies.map(Arc::new);
    for policy in &policies {
        for (kind, name) in [("user", "1"), ("key", "1"), ("user", "1:0"), ("user", "{1}")] {
            let charge = Charge::new(Arc::clone(policy), Subject::new(kind, name), 1).unwrap();
            assert_eq!(both.passed_of(&charge, 4).await, 2, "{kind} {name}");
        }
    }
    assert_eq!(both.redis.command(&["DBSIZE"]), format!(":{}", 4 * 4));
}

/// A shadow counts and reports, and refuses nobody; nor is it charged for what another refuses.
#[tokio::test]
async fn a_shadow_refuses_nobody() {
    let both = Both::new().await;
    let shadow = policy("s", &[tier(Algorithm::Gcra, 2, 3_600)]).with_shadow(true);
    let real = policy("r", &[tier(Algorithm::Gcra, 4, 3_600)]);
    let (shadow, real) = (Arc::new(shadow), Arc::new(real));
    let charges = [charge(&shadow, "a", 1), charge(&real, "a", 1)];
    let mut seen = Vec::new();
    for _ in 0..6 {
        let decision = both.decide(&charges).await;
        seen.push((decision.is_allowed(), decision.shadowed().collect::<Vec<_>>()));
        assert_eq!(decision.standing().unwrap().charge(), 1);
    }
    let none = Vec::new();
    let expected =
        [(true, none.clone()), (true, none), (true, vec![0]), (true, vec![0])].into_iter();
    assert_eq!(seen[..4].to_vec(), expected.collect::<Vec<_>>());
    assert!(seen[4..].iter().all(|(allowed, _)| !allowed));
}

/// A look takes nothing.
#[tokio::test]
async fn a_look_takes_nothing() {
    let both = Both::new().await;
    let policy = Arc::new(policy("p", &[tier(Algorithm::SlidingLog, 1, 60)]));
    let one = [charge(&policy, "a", 1)];
    for _ in 0..3 {
        assert!(both.here.peek(&one).await.unwrap().is_allowed());
        assert!(both.there.limiter.peek(&one).await.unwrap().is_allowed());
    }
    assert!(both.decide(&one).await.is_allowed());
    assert!(!both.here.peek(&one).await.unwrap().is_allowed());
    assert!(!both.there.limiter.peek(&one).await.unwrap().is_allowed());
}

/// Trap 4: how far off the two counters can be. A burst at the end of a window, then whatever passes: in no
/// time as long as a window is it twice the limit.
#[test]
fn two_counters_admit_less_than_twice_the_limit_in_any_window() {
    let (limiter, clock) = in_process();
    let (limit, window) = (50_u64, 60_000_000);
    let policy = Arc::new(policy("p", &[tier(Algorithm::SlidingWindow, 50, 60)]));
    let one = [charge(&policy, "a", 1)];
    clock.advance(Duration::from_micros(2 * window - clock.now() % window - 1));
    let mut passed = Vec::new();
    for _ in 0..60_000 {
        while limiter.decide_here(&one).unwrap().is_allowed() {
            passed.push(clock.now());
        }
        clock.advance(Duration::from_millis(2));
    }
    let until = |first: u64| passed.partition_point(|at| *at < first + window);
    let most =
        passed.iter().enumerate().map(|(n, first)| (until(*first) - n) as u64).max().unwrap();
    assert!(most > limit && most < 2 * limit, "{most}");
}
