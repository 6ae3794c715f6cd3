//! Trap 15: what is given back, and what is not.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const WINDOW: Duration = Duration::from_mins(1);

async fn both_kinds() -> (RedisServer, [Node; 2], MonotonicClock) {
    let (redis, clock) = (RedisServer::start(), clock());
    let there = Node::with_clock(&redis, &clock).await;
    let here = Limiter::in_process(SUBJECTS_MAX, clock.clone());
    let here = Node { limiter: Arc::new(here), keeper: tokio::spawn(async {}) };
    (redis, [here, there], clock)
}

fn refunding(name: &str, tiers: &[Tier]) -> Arc<Policy> {
    Arc::new(policy(name, tiers).with_refund(Refund::OnSuccess))
}

async fn left(node: &Node, charge: &Charge) -> u32 {
    let decision = node.limiter.peek(std::slice::from_ref(charge)).await.unwrap();
    decision.standing().unwrap().remaining()
}

/// Exactly what was taken, in every tier, and only after the end that the policy does not count.
#[tokio::test]
async fn what_was_taken_is_given_back() {
    let (_redis, nodes, _) = both_kinds().await;
    for (node, algorithm) in nodes.iter().flat_map(|node| Algorithm::ALL.map(|a| (node, a))) {
        let tiers = [tier(algorithm, 10, 60), tier(algorithm, 9, 3_600)];
        let policy = refunding(algorithm.name(), &tiers);
        let (three, one) = (charge(&policy, "a", 3), charge(&policy, "a", 1));
        let mut first = node.decide(std::slice::from_ref(&three)).await;
        let mut second = node.decide(std::slice::from_ref(&three)).await;
        assert_eq!(left(node, &one).await, 3, "{algorithm}");
        node.limiter.refund(first.take_receipt().unwrap(), Outcome::Success).await;
        assert_eq!(left(node, &one).await, 6, "{algorithm}");
        assert!(first.take_receipt().is_none(), "there is one receipt, and it is gone");
        node.limiter.refund(second.take_receipt().unwrap(), Outcome::Failure).await;
        assert_eq!(left(node, &one).await, 6, "{algorithm}: failures count");
    }
}

/// A refund that comes when its window is over changes nothing, also if others count by then.
#[tokio::test]
async fn a_late_refund_changes_nothing() {
    let (_redis, nodes, clock) = both_kinds().await;
    for (node, algorithm) in nodes.iter().flat_map(|node| Algorithm::ALL.map(|a| (node, a))) {
        let policy = refunding(algorithm.name(), &[tier(algorithm, 10, 60)]);
        let five = charge(&policy, "a", 5);
        let mut first = node.decide(std::slice::from_ref(&five)).await;
        clock.advance(3 * WINDOW);
        let before_any = left(node, &five).await;
        assert_eq!(before_any, 10, "{algorithm}");
        assert!(node.passes(&five).await);
        node.limiter.refund(first.take_receipt().unwrap(), Outcome::Success).await;
        assert_eq!(left(node, &five).await, 5, "{algorithm}: the other's window");
        clock.advance(3 * WINDOW);
    }
}

/// Of a sliding window, what was taken in the window before is given back to that.
#[tokio::test]
async fn a_refund_goes_to_the_window_before_if_it_was_taken_there() {
    let (_redis, nodes, clock) = both_kinds().await;
    for node in &nodes {
        let window = 60_000_000;
        clock.advance(Duration::from_micros(window - clock.now() % window));
        let policy = refunding("p", &[tier(Algorithm::SlidingWindow, 10, 60)]);
        let five = charge(&policy, "a", 5);
        let mut first = node.decide(std::slice::from_ref(&five)).await;
        clock.advance(WINDOW);
        assert!(node.passes(&five).await);
        assert_eq!(left(node, &five).await, 0);
        node.limiter.refund(first.take_receipt().unwrap(), Outcome::Success).await;
        assert_eq!(left(node, &five).await, 5);
        clock.advance(3 * WINDOW);
    }
}

/// A refund whose answer was lost may be sent again by the way to a cluster: it counts once.
#[tokio::test]
async fn a_refund_that_is_sent_twice_counts_once() {
    let (_redis, [_, node], _) = both_kinds().await;
    for algorithm in Algorithm::ALL {
        let policy = refunding(algorithm.name(), &[tier(algorithm, 10, 60)]);
        let mut first = node.decide(&[charge(&policy, "a", 2)]).await;
        assert!(node.passes(&charge(&policy, "a", 6)).await);
        let receipt = first.take_receipt().unwrap();
        for _ in 0..3 {
            let store = &node.limiter.shared_for_tests().store;
            store.give_back(&receipt.taken, receipt.request).await.unwrap();
        }
        assert_eq!(left(&node, &charge(&policy, "a", 1)).await, 4, "{algorithm}");
    }
}

/// A key that is gone is not brought back by a refund, nor is what a policy with other tiers counts.
#[tokio::test]
async fn a_refund_makes_nothing_of_nothing() {
    let (redis, [_, node], _) = both_kinds().await;
    for algorithm in Algorithm::ALL {
        let old = refunding("p", &[tier(algorithm, 10, 60)]);
        let new = refunding("p", &[tier(algorithm, 9, 60)]);
        let mut first = node.decide(&[charge(&old, "a", 5)]).await;
        redis.flush();
        assert!(node.passes(&charge(&new, "a", 5)).await);
        node.limiter.refund(first.take_receipt().unwrap(), Outcome::Success).await;
        let keys = redis.command(&["DBSIZE"]);
        assert_eq!(keys, ":2", "{algorithm}: the new policy's, and the mark of the refund");
        assert_eq!(left(&node, &charge(&new, "a", 1)).await, 4, "{algorithm}");
        redis.flush();
    }
}

/// Nobody gets more through with refunds than the limit lets through of what was not given back: in any
/// span of time a bucket admits its burst and what comes back in that time.
#[tokio::test]
async fn refunds_let_through_no_more_than_the_limit() {
    for seed in 0..200 {
        let mut random = StdRng::seed_from_u64(seed);
        let (limiter, clock) = in_process();
        let tier = Tier::new(Algorithm::Gcra, 10, Duration::from_secs(10), Some(5)).unwrap();
        let policy = refunding("p", &[tier]);
        let mut kept: Vec<u64> = Vec::new();
        let mut open: Option<(u64, Receipt)> = None;
        for _ in 0..200 {
            clock.advance(Duration::from_micros(random.random_range(0..1_500_000)));
            let mut decision = limiter.decide_here(&[charge(&policy, "a", 1)]).unwrap();
            let Some(receipt) = decision.take_receipt() else { continue };
            if open.is_none() && random.random_bool(0.5) {
                open = Some((clock.now(), receipt));
            } else {
                kept.push(clock.now());
            }
            if open.is_some() && random.random_bool(0.3) {
                let (_, receipt) = open.take().unwrap();
                limiter.refund(receipt, Outcome::Success).await;
            }
        }
        for (n, first) in kept.iter().enumerate() {
            for (m, last) in kept.iter().enumerate().skip(n) {
                let most = 5 + (last - first) / 1_000_000;
                assert!((m - n + 1) as u64 <= most, "seed {seed}: {} of {most}", m - n + 1);
            }
        }
    }
}

/// Where refunds of several requests overlap, too many may get through, but no more than was given back.
#[tokio::test]
async fn refunds_that_overlap_let_through_no_more_than_was_given_back() {
    let mut open_at_once = 0;
    for seed in 0..50 {
        let mut random = StdRng::seed_from_u64(seed);
        let (limiter, clock) = in_process();
        let tier = Tier::new(Algorithm::Gcra, 10, Duration::from_secs(10), Some(5)).unwrap();
        let policy = refunding("p", &[tier]);
        let (mut passed, mut given) = (Vec::<u64>::new(), Vec::<u64>::new());
        let mut open: Vec<Receipt> = Vec::new();
        for _ in 0..200 {
            clock.advance(Duration::from_micros(random.random_range(0..1_000_000)));
            let mut decision = limiter.decide_here(&[charge(&policy, "a", 1)]).unwrap();
            if let Some(receipt) = decision.take_receipt() {
                passed.push(clock.now());
                open.push(receipt);
            }
            open_at_once = open.len().max(open_at_once);
            while !open.is_empty() && random.random_bool(0.3) {
                let receipt = open.swap_remove(random.random_range(0..open.len()));
                limiter.refund(receipt, Outcome::Success).await;
                given.push(clock.now());
            }
        }
        for (n, first) in passed.iter().enumerate() {
            for (m, last) in passed.iter().enumerate().skip(n) {
                let given = given.iter().filter(|at| (first..=last).contains(at)).count() as u64;
                let most = 5 + (last - first) / 1_000_000 + given;
                assert!((m - n + 1) as u64 <= most, "seed {seed}: {} of {most}", m - n + 1);
            }
        }
    }
    assert!(open_at_once > 5, "{open_at_once} overlap");
}

/// Nobody has to wait for it.
#[tokio::test]
async fn what_is_to_be_given_back_soon_is_given_back() {
    let (_redis, nodes, _) = both_kinds().await;
    let policy = refunding("p", &[tier(Algorithm::Gcra, 10, 60)]);
    let (three, deadline) = (charge(&policy, "a", 3), Instant::now() + PATIENCE);
    for node in &nodes {
        let mut decision = node.decide(std::slice::from_ref(&three)).await;
        node.limiter.refund_soon(decision.take_receipt().unwrap(), Outcome::Success);
        while left(node, &three).await < 10 {
            assert!(Instant::now() < deadline, "it is not given back");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
