//! Trap 9: Redis is stopped, frozen, slow, emptied and started again while it is asked. No request fails or
//! waits for more than its deadline: that is how a call is made, and how often one waits at all is counted
//! here. What passes stays within the bound of `docs/decisions/0027-the-rate-limiter.md`.

use futures::future::join_all;
use hoplog_events::log::contract::tcp_proxy::TcpProxy;

use super::*;
use crate::redis_connection::FAILURES_IN_A_ROW_MAX;

const LIMIT: u32 = 40;

fn limited(outage: Outage) -> Arc<Policy> {
    let limit = [tier(Algorithm::Gcra, LIMIT, 86_400)];
    Arc::new(policy("p", &limit).with_outage(outage))
}

async fn passed_of(node: &Node, charge: &Charge, requests: u32) -> u32 {
    let mut passed = 0;
    for _ in 0..requests {
        passed += u32::from(node.passes(charge).await);
    }
    passed
}

/// Trap 3: counts that are evicted begin anew. Whoever may not ask how Redis is set is told nothing.
#[tokio::test]
async fn trap_3_it_is_known_whether_the_store_may_evict_counts() {
    let redis = RedisServer::start();
    let node = Node::with_clock(&redis, &clock()).await;
    let store = &node.limiter.shared_for_tests().store;
    assert_eq!(store.eviction().await, None);
    for policy in ["allkeys-lru", "volatile-ttl"] {
        redis.command(&["CONFIG", "SET", "maxmemory-policy", policy]);
        assert_eq!(store.eviction().await.as_deref(), Some(policy));
    }
    redis.command(&["ACL", "SETUSER", "default", "-config"]);
    assert_eq!(store.eviction().await, None);
}

/// A frozen Redis is waited for three times, then it is left alone, until it is back. Meanwhile each of two
/// nodes admits half of the limit; what was counted before is still counted when it is back.
#[tokio::test]
async fn a_frozen_redis_is_waited_for_a_few_times_and_comes_back() {
    let redis = RedisServer::start();
    let options = || SharedOptions { nodes: nodes(2), ..patient("t:") };
    let quick = || SharedOptions { deadline: Duration::from_millis(50), ..options() };
    let one = charge(&limited(Outage::Local), "a", 1);
    let two = [Node::new(&redis.url(), quick()).await, Node::new(&redis.url(), quick()).await];
    let (mut before, mut lost) = (0, 0);
    for _ in 0..10 {
        // A busy machine may be late now already.
        let in_time = two[0].decide(std::slice::from_ref(&one)).await.way() == Way::Store;
        (before, lost) = (before + u32::from(in_time), lost + u32::from(!in_time));
    }
    redis.freeze();
    for (node, passed) in [(&two[0], lost), (&two[1], 0)] {
        let mut asked = 0;
        while node.limiter.state().breaker == Some(BreakerState::Closed) {
            assert!(node.decide(std::slice::from_ref(&one)).await.is_degraded());
            asked += 1;
        }
        assert!(asked <= FAILURES_IN_A_ROW_MAX, "{asked} waited");
        let passed = passed + asked + passed_of(node, &one, 100).await;
        assert_eq!(passed, LIMIT / 2, "this node's share");
    }
    redis.thaw();
    for node in &two {
        node.is(BreakerState::Closed).await;
    }
    let (mut after, deadline) = (0, Instant::now() + PATIENCE);
    loop {
        let decision = two[1].decide(std::slice::from_ref(&one)).await;
        after += u32::from(decision.is_allowed());
        lost += u32::from(decision.is_degraded());
        if !decision.is_allowed() && !decision.is_degraded() {
            break;
        }
        assert!(Instant::now() < deadline, "it is not back");
    }
    // A call that was given up may have counted.
    let lost = lost + 2 * FAILURES_IN_A_ROW_MAX;
    assert!(before + after <= LIMIT && before + after + lost >= LIMIT, "{before} {after}");
}

/// What each policy says of an outage, also of several that a request has.
#[tokio::test]
async fn open_passes_closed_refuses_and_local_counts() {
    let mut redis = RedisServer::start();
    let node = Node::new(&redis.url(), patient("t:")).await;
    let of = |outage| charge(&limited(outage), "a", 1);
    let (open, closed, local) = (of(Outage::Open), of(Outage::Closed), of(Outage::Local));
    redis.kill();
    while node.limiter.state().breaker == Some(BreakerState::Closed) {
        node.passes(&open).await;
    }
    assert_eq!(passed_of(&node, &open, 100).await, 100);
    assert_eq!(passed_of(&node, &local, 100).await, LIMIT, "one node's share");
    let refused = node.decide(std::slice::from_ref(&closed)).await;
    assert!(refused.is_unavailable() && refused.is_degraded() && !refused.is_allowed());
    assert!(refused.retry_after().unwrap() > Duration::ZERO);
    assert_eq!(refused.refused_by().collect::<Vec<_>>(), [0]);
    let fresh = charge(&limited(Outage::Local), "b", 1);
    let shadow = Arc::new(policy("s", &[tier(Algorithm::Gcra, 1, 60)]).with_shadow(true));
    let charges = [open, charge(&shadow, "b", 1), fresh];
    for n in 0..=LIMIT {
        let decision = node.decide(&charges).await;
        assert_eq!(decision.is_allowed(), n < LIMIT);
        let places: Vec<usize> = decision.standings().iter().map(Standing::charge).collect();
        assert_eq!(places, [1, 2], "open policies say nothing");
        let expected: &[usize] = if n == LIMIT { &[2] } else { &[] };
        assert_eq!(decision.refused_by().collect::<Vec<_>>(), expected);
    }
}

/// A limit smaller than the number of nodes, and a cost above the share, still pass now and then.
#[tokio::test]
async fn a_share_is_at_least_one_unit() {
    let redis = RedisServer::start();
    let options = SharedOptions { nodes: nodes(100), ..patient("t:") };
    let limiter = Limiter::shared(redis.url().parse().unwrap(), options, SUBJECTS_MAX, clock());
    let ten = charge(&limited(Outage::Local), "a", 10);
    // Nobody polls it: the store is away.
    assert!(limiter.decide(std::slice::from_ref(&ten)).await.unwrap().is_allowed());
    assert!(!limiter.decide(std::slice::from_ref(&ten)).await.unwrap().is_allowed());
}

/// A Redis that answers, but later than the deadline, is left alone for as long as it does.
#[tokio::test]
async fn a_slow_redis_is_left_alone_until_it_is_quick_again() {
    let redis = RedisServer::start();
    let proxy = TcpProxy::to(&redis.url());
    let url = format!("redis://{}", proxy.address());
    let options =
        SharedOptions { deadline: Duration::from_millis(100), ..SharedOptions::new("t:") };
    let node = Node::new(&url, options).await;
    let one = charge(&limited(Outage::Local), "a", 1);
    assert!(node.passes(&one).await);
    proxy.delay(Duration::from_millis(400));
    let mut waited = 0;
    while node.limiter.state().breaker == Some(BreakerState::Closed) {
        node.passes(&one).await;
        waited += 1;
    }
    assert!(waited <= FAILURES_IN_A_ROW_MAX, "{waited}");
    // Probes find it too slow as well: for two of its pauses it stays so, and nobody waits.
    let until = Instant::now() + 2 * super::super::store::PAUSE;
    while Instant::now() < until {
        assert!(node.decide(std::slice::from_ref(&one)).await.is_degraded());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    proxy.delay(Duration::ZERO);
    node.is(BreakerState::Closed).await;
    let deadline = Instant::now() + PATIENCE;
    let other = [charge(&limited(Outage::Local), "b", 1)];
    while node.decide(&other).await.way() != Way::Store {
        assert!(Instant::now() < deadline, "it is asked again");
    }
}

/// The script is loaded again where it is lost, within the same call.
#[tokio::test]
async fn a_script_that_was_flushed_is_loaded_again() {
    let redis = RedisServer::start();
    let node = Node::new(&redis.url(), patient("t:")).await;
    let one = charge(&limited(Outage::Closed), "a", 1);
    for _ in 0..5 {
        assert_eq!(redis.command(&["SCRIPT", "FLUSH"]), "+OK");
        assert_eq!(node.decide(std::slice::from_ref(&one)).await.way(), Way::Store);
        assert_eq!(node.decide(std::slice::from_ref(&one)).await.way(), Way::Store);
    }
    let left = node.decide(std::slice::from_ref(&one)).await.standing().unwrap().remaining();
    assert_eq!(left, LIMIT - 11, "each was counted once");
}

/// Redis is emptied, frozen, ended and started again under load from two nodes: every request is decided,
/// and what passes is at most the limit for each time that Redis forgot, and one limit in shares.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_load_every_request_is_decided_and_the_bound_holds() {
    let mut redis = RedisServer::start();
    let options = || SharedOptions { nodes: nodes(2), ..SharedOptions::new("t:") };
    let two = [Node::new(&redis.url(), options()).await, Node::new(&redis.url(), options()).await];
    let one = charge(&limited(Outage::Local), "a", 1);
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let (limiter, one) = (Arc::clone(&two[client % 2].limiter), one.clone());
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let (mut passed, mut decided) = (0, 0_u64);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let decision = limiter.decide(std::slice::from_ref(&one)).await;
                    passed += u32::from(decision.unwrap().is_allowed());
                    decided += 1;
                    tokio::task::yield_now().await;
                }
                (passed, decided)
            })
        })
        .collect();
    redis.flush();
    for node in &two {
        node.is(BreakerState::Closed).await;
    }
    redis.freeze();
    for node in &two {
        // Refused subjects are not asked for: somebody else finds out.
        while node.limiter.state().breaker == Some(BreakerState::Closed) {
            node.passes(&charge(&limited(Outage::Open), &format!("{:?}", Instant::now()), 1)).await;
        }
    }
    redis.thaw();
    redis.kill();
    redis.start_again();
    for node in &two {
        node.is(BreakerState::Closed).await;
        node.limiter.shared_for_tests().denied.forget(&one);
    }
    redis.command(&["SCRIPT", "FLUSH"]);
    while !two[0].decide(std::slice::from_ref(&one)).await.way().eq(&Way::Store) {
        two[0].limiter.shared_for_tests().denied.forget(&one);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let done: Vec<(u32, u64)> = join_all(clients).await.into_iter().map(Result::unwrap).collect();
    let passed: u32 = done.iter().map(|(passed, _)| passed).sum();
    assert!(done.iter().all(|(_, decided)| *decided > 0));
    // At the beginning, when it was emptied, when it was started again; and in shares.
    assert!((LIMIT..=4 * LIMIT).contains(&passed), "{passed}");
}
