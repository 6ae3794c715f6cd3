//! Rust and the script are one function: the same charges, at the same times, give the same numbers.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::super::store::Mode;
use super::*;

const REQUESTS: u64 = 3_000;

fn policies() -> Vec<Arc<Policy>> {
    use Algorithm::{FixedWindow, Gcra, SlidingLog, SlidingWindow, TokenBucket};
    let (second, minute) = (tier(Gcra, 7, 1), tier(FixedWindow, 30, 60));
    let bucket = Tier::new(TokenBucket, 13, Duration::from_secs(9), Some(20)).unwrap();
    let most = Tier::new(Gcra, LIMIT_MAX, WINDOW_MAX, Some(LIMIT_MAX)).unwrap();
    let long = tier(SlidingWindow, LIMIT_MAX, WINDOW_MAX.as_secs());
    [
        policy("a", &[second, minute, tier(SlidingWindow, 100, 300)]),
        policy("b", &[tier(SlidingLog, 11, 5)]).with_refund(Refund::OnFailure),
        policy("c", &[bucket, tier(SlidingLog, 8, 20)]).with_shadow(true),
        policy("d", &[tier(SlidingWindow, 5, 3)]).with_refund(Refund::OnFailure),
        policy("e", &[most, long]).with_refund(Refund::OnFailure),
        policy("f", &[minute, second, bucket]).with_refund(Refund::OnFailure),
    ]
    .map(Arc::new)
    .to_vec()
}

fn request(random: &mut StdRng, policies: &[Arc<Policy>]) -> Vec<Charge> {
    let count = random.random_range(1..=4);
    let chosen: Vec<_> = policies.sample(random, count).collect();
    let charge = |policy: &&Arc<Policy>| {
        let subject = ["x", "y"][random.random_range(0..2)];
        let most = policy.capacity().min(3);
        charge(policy, subject, random.random_range(1..=most))
    };
    chosen.iter().map(charge).collect()
}

/// Traps 5 and 6, in all their combinations: several policies with several tiers, shadows, costs, refunds
/// and a clock that goes on by nothing, by fractions and by windows, and now and then back.
#[tokio::test]
async fn the_script_and_the_process_agree_on_every_number() {
    let (redis, clock) = (RedisServer::start(), clock());
    let node = Node::with_clock(&redis, &clock).await;
    let shared = node.limiter.shared_for_tests();
    let here = here::Here::new(SUBJECTS_MAX);
    let (policies, mut random) = (policies(), StdRng::seed_from_u64(2));
    let (mut receipts, mut allowed, mut shadowed) = (Vec::new(), 0, 0);
    for request_id in 0..REQUESTS {
        let most = [0, 1, 1_000, 100_000, 1_000_000, 5_000_000][random.random_range(0..6)];
        clock.advance(Duration::from_micros(random.random_range(0..=most)));
        if random.random_bool(0.02) {
            // A little, or by more than the shorter windows.
            let back = [1_000, 2_000_000, 90_000_000][random.random_range(0..3)];
            clock.go_back(Duration::from_micros(random.random_range(0..=back)));
        }
        let charges = request(&mut random, &policies);
        let (now, take) = (clock.now(), random.random_bool(0.9));
        let mode = if take { Mode::Take } else { Mode::Look };
        let mut there = shared.ask(mode, &charges, request_id, now).await.unwrap();
        let mut here_too = here.decide(Way::Store, &charges, request_id, || now, take);
        let receipt = (there.take_receipt(), here_too.take_receipt());
        assert_eq!(format!("{there:?}"), format!("{here_too:?}"), "request {request_id}");
        allowed += u64::from(there.is_allowed());
        shadowed += there.shadowed().count();
        if let (Some(there), Some(here)) = receipt {
            receipts.push((there, here));
        }
        if !receipts.is_empty() && random.random_bool(0.3) {
            let at = random.random_range(0..receipts.len());
            let (there, back) = receipts.swap_remove(at);
            shared.refund(&there.due(Outcome::Failure).unwrap()).await;
            here.refund(&back.due(Outcome::Failure).unwrap(), clock.now());
        }
    }
    assert!(allowed > REQUESTS / 10 && allowed < REQUESTS * 9 / 10 && shadowed > 100, "{allowed}");
}
