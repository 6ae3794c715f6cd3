//! Each algorithm, in process and in Redis, against the reference, on random timelines.
//!
//! In Redis the script is the real one but for two lines: the time comes from an argument, and keys are
//! kept longer (`Script::with_clock`). That the real script takes the store's clock, and how long its keys
//! live, is tested in `traps`.

use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::reference::{Reference, Verdict};
use super::*;

const DECISIONS: usize = 10_000;

/// Subjects that are asked for at the same instants.
const SUBJECTS: usize = 50;

/// Tiers whose numbers don't go up evenly, with windows short and long.
fn tiers(algorithm: Algorithm) -> Vec<Tier> {
    let burst = matches!(algorithm, Algorithm::TokenBucket | Algorithm::Gcra);
    [(7, 1, 3), (100, 60, 13), (13, 900, 40), (1_000, 86_400, 1_000), (3, 7, 3)]
        .map(|(limit, seconds, most)| {
            let burst = burst.then_some(most);
            Tier::new(algorithm, limit, Duration::from_secs(seconds), burst).unwrap()
        })
        .to_vec()
}

/// A step that often is none, often a small part of the window, seldom several windows.
fn step(random: &mut StdRng, tier: &Tier) -> Duration {
    let window = tier.window_us();
    Duration::from_micros(match random.random_range(0..20) {
        0..5 => 0,
        5..10 => random.random_range(0..=window / 1_000),
        10..17 => random.random_range(0..=window / u64::from(tier.limit())),
        17..19 => random.random_range(0..=window),
        _ => random.random_range(0..=3 * window),
    })
}

fn cost(random: &mut StdRng, tier: &Tier) -> u32 {
    if random.random_bool(0.7) { 1 } else { random.random_range(1..=tier.capacity().min(20)) }
}

/// Compares, and says how often the reference left it open.
fn compare(reference: &mut Reference, decision: &Decision, now: u64, cost: u32) -> usize {
    let verdict = reference.verdict(now, cost);
    let expected = if decision.is_allowed() { Verdict::Passes } else { Verdict::Refused };
    assert!(verdict == expected || verdict == Verdict::Either, "{verdict:?}: {decision:?}");
    if decision.is_allowed() {
        reference.pass(now, cost);
    }
    usize::from(verdict == Verdict::Either)
}

#[test]
fn in_process_every_algorithm_decides_as_its_reference() {
    for algorithm in Algorithm::ALL {
        let (mut passed, mut open) = (0, 0);
        for (n, tier) in tiers(algorithm).into_iter().enumerate() {
            let mut random = StdRng::seed_from_u64(n as u64);
            let (limiter, clock) = in_process();
            let policy = Arc::new(policy("p", &[tier]));
            let mut reference = Reference::new(tier);
            for _ in 0..DECISIONS {
                clock.advance(step(&mut random, &tier));
                let cost = cost(&mut random, &tier);
                let decision = limiter.decide_here(&[charge(&policy, "a", cost)]).unwrap();
                passed += usize::from(decision.is_allowed());
                open += compare(&mut reference, &decision, clock.now(), cost);
            }
        }
        let refused = 5 * DECISIONS - passed;
        assert!(passed > DECISIONS && refused > DECISIONS, "{algorithm}: {passed} {refused}");
        assert!(open < DECISIONS / 100, "{algorithm}: {open}");
    }
}

async fn in_redis_as_its_reference(algorithm: Algorithm) {
    let (redis, clock) = (RedisServer::start(), clock());
    let node = Node::with_clock(&redis, &clock).await;
    let shared = node.limiter.shared_for_tests();
    let mut random = StdRng::seed_from_u64(1);
    let mut passed = 0;
    for (n, tier) in tiers(algorithm).into_iter().enumerate() {
        let policy = Arc::new(policy("p", &[tier]));
        let mut references: Vec<_> = (0..SUBJECTS).map(|_| Reference::new(tier)).collect();
        for round in 0..DECISIONS / SUBJECTS / 5 {
            clock.advance(step(&mut random, &tier));
            let charges: Vec<[Charge; 1]> = (0..SUBJECTS)
                .map(|subject| [charge(&policy, &format!("{subject}"), cost(&mut random, &tier))])
                .collect();
            let ask = |(at, charges)| {
                let request = ((n * DECISIONS + round) * SUBJECTS + at) as u64;
                shared.ask(super::super::store::Mode::Take, charges, request, clock.now())
            };
            let decisions = join_all(charges.iter().map(|c| &c[..]).enumerate().map(ask)).await;
            for ((decision, reference), [charge]) in
                decisions.into_iter().zip(&mut references).zip(&charges)
            {
                let decision = decision.unwrap();
                passed += usize::from(decision.is_allowed());
                compare(reference, &decision, clock.now(), charge.cost());
            }
        }
    }
    assert!(passed > DECISIONS / 10 && passed < DECISIONS * 9 / 10, "{algorithm}: {passed}");
}

#[tokio::test]
async fn in_redis_a_fixed_window_decides_as_its_reference() {
    in_redis_as_its_reference(Algorithm::FixedWindow).await;
}

#[tokio::test]
async fn in_redis_a_sliding_log_decides_as_its_reference() {
    in_redis_as_its_reference(Algorithm::SlidingLog).await;
}

#[tokio::test]
async fn in_redis_a_sliding_window_decides_as_its_reference() {
    in_redis_as_its_reference(Algorithm::SlidingWindow).await;
}

#[tokio::test]
async fn in_redis_a_token_bucket_decides_as_its_reference() {
    in_redis_as_its_reference(Algorithm::TokenBucket).await;
}

#[tokio::test]
async fn in_redis_gcra_decides_as_its_reference() {
    in_redis_as_its_reference(Algorithm::Gcra).await;
}
