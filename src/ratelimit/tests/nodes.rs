//! Several nodes and one Redis.

use futures::future::join_all;

use super::*;

const CLIENTS: usize = 64;

/// So many clients on two nodes, each with so many requests, at the same time.
async fn hammer(nodes: &[Node; 2], charges: &[Charge], requests: usize) -> usize {
    let clients = (0..CLIENTS).map(|client| {
        let limiter = Arc::clone(&nodes[client % 2].limiter);
        let charges = charges.to_vec();
        tokio::spawn(async move {
            let mut passed = 0;
            for _ in 0..requests {
                passed += usize::from(limiter.decide(&charges).await.unwrap().is_allowed());
            }
            passed
        })
    });
    join_all(clients).await.into_iter().map(Result::unwrap).sum()
}

async fn two_nodes(redis: &RedisServer, lease: u32) -> [Node; 2] {
    let options = || SharedOptions { lease, nodes: nodes(2), ..patient("t:") };
    [Node::new(&redis.url(), options()).await, Node::new(&redis.url(), options()).await]
}

/// Trap 5 and 12: nobody passes beyond the limit, not one, whatever the algorithm.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_clients_on_two_nodes_do_not_exceed_the_limit_by_one() {
    let redis = RedisServer::start();
    let nodes = two_nodes(&redis, 0).await;
    for algorithm in Algorithm::ALL {
        let narrow = Arc::new(policy(algorithm.name(), &[tier(algorithm, 300, 86_400)]));
        let wide = Arc::new(policy("wide", &[tier(Algorithm::Gcra, 1_000_000, 3_600)]));
        let charges = [charge(&wide, "all", 1), charge(&narrow, "a", 1)];
        assert_eq!(hammer(&nodes, &charges, 20).await, 300, "{algorithm}");
    }
}

/// Units taken ahead: what passes in a window is at most the limit and the leases of the nodes, a request
/// in many goes to the store, and what is left goes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leases_save_trips_and_keep_their_bound() {
    let (redis, lease) = (RedisServer::start(), 20);
    let nodes = two_nodes(&redis, lease).await;
    let policy = Arc::new(policy("p", &[tier(Algorithm::FixedWindow, 2_000, 86_400)]));
    let charges = [charge(&policy, "a", 1)];
    let before = calls(&redis);
    let mut passed = 0;
    for n in 0..800 {
        passed += usize::from(nodes[n % 2].decide(&charges).await.is_allowed());
    }
    let trips = calls(&redis) - before;
    assert!(trips < 400, "{trips} trips for 800 requests");
    passed += hammer(&nodes, &charges, 12).await;
    assert_eq!(passed, 800 + 768, "nobody is refused before the limit is counted");
    nodes[0].limiter.give_back().await;
    assert_eq!(nodes[0].limiter.state().leases, 0);
    // The other node gives back by itself what nobody asks for.
    let deadline = Instant::now() + PATIENCE;
    let look = || nodes[0].limiter.peek(&charges);
    while look().await.unwrap().standing().unwrap().remaining() < 2_000 - 1_568 {
        assert!(Instant::now() < deadline, "what was not used is not back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(nodes[0].decide(&charges).await.is_allowed());
    let passed = passed + 1 + hammer(&nodes, &charges, 25).await;
    // What one node has in hand when the other is refused may stay unused: never more than the limit
    // in one window, as units are counted when they are taken.
    assert!((2_000 - 2 * lease as usize..=2_000).contains(&passed), "{passed}");
}

/// Across a border of windows what was taken ahead before it may be used behind it: so much more, for
/// each node, and nothing beyond that.
#[tokio::test]
async fn what_is_admitted_in_a_window_exceeds_the_limit_by_the_leases_at_most() {
    let (redis, clock) = (RedisServer::start(), clock());
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let address = redis.url().parse().unwrap();
        let options = SharedOptions { lease: 8, ..patient("t:") };
        let limiter = Limiter::shared(address, options, SUBJECTS_MAX, clock.clone());
        nodes.push(Node::of(limiter.with_store_clock()).await);
    }
    let policy = Arc::new(policy("p", &[tier(Algorithm::FixedWindow, 100, 60)]));
    let one = charge(&policy, "a", 1);
    let window = 60_000_000;
    clock.advance(Duration::from_micros(window - clock.now() % window - 50_000));
    for node in &nodes {
        // Enough to be hot, and to have a whole lease in hand.
        while node.limiter.shared_for_tests().leases.in_hand() < 8 {
            assert!(node.passes(&one).await);
        }
    }
    clock.advance(Duration::from_micros(50_001));
    let mut passed = 0;
    for n in 0..400 {
        passed += usize::from(nodes[n % 2].passes(&one).await);
    }
    assert!(passed > 100, "leases were in use: {passed}");
    assert!(passed <= 100 + 2 * 8, "{passed}");
}

/// Blocked subjects cost no trips until they can pass again.
#[tokio::test]
async fn who_is_refused_is_not_asked_for_again_before() {
    let (redis, clock) = (RedisServer::start(), clock());
    let node = Node::with_clock(&redis, &clock).await;
    let policy = Arc::new(policy("p", &[tier(Algorithm::Gcra, 3, 60)]));
    let one = charge(&policy, "a", 1);
    for _ in 0..3 {
        assert!(node.passes(&one).await);
    }
    let refused = node.decide(std::slice::from_ref(&one)).await;
    assert_eq!((refused.is_allowed(), refused.way()), (false, Way::Store));
    let before = calls(&redis);
    for _ in 0..100 {
        let again = node.decide(std::slice::from_ref(&one)).await;
        assert_eq!((again.way(), again.retry_after()), (Way::Denied, refused.retry_after()));
    }
    assert_eq!(calls(&redis), before);
    clock.advance(refused.retry_after().unwrap());
    assert!(node.passes(&one).await);
    // Who wants less than was refused is asked for.
    assert!(!node.passes(&charge(&policy, "a", 3)).await);
    clock.advance(Duration::from_secs(20));
    assert!(node.passes(&one).await);
}

/// How many scripts were run.
fn calls(redis: &RedisServer) -> u64 {
    let stats = redis.command(&["INFO", "commandstats"]);
    let count = |name: &str| {
        let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:")));
        let calls = line.and_then(|line| line.split("calls=").nth(1)?.split(',').next());
        calls.and_then(|calls| calls.parse::<u64>().ok()).unwrap_or(0)
    };
    count("evalsha") + count("eval")
}

/// What another node gives back, or somebody who empties Redis, is heard of after ten seconds at most.
#[tokio::test]
async fn a_refusal_is_not_believed_for_long() {
    let (redis, clock) = (RedisServer::start(), clock());
    let node = Node::with_clock(&redis, &clock).await;
    let policy = Arc::new(policy("p", &[tier(Algorithm::FixedWindow, 1, 86_400)]));
    let one = charge(&policy, "a", 1);
    assert!(node.passes(&one).await && !node.passes(&one).await);
    redis.flush();
    let denied = node.decide(std::slice::from_ref(&one)).await;
    assert_eq!(denied.way(), Way::Denied);
    assert!(denied.retry_after().unwrap() > Duration::from_mins(1), "it tells the whole wait");
    clock.advance(Duration::from_secs(10));
    assert!(node.passes(&one).await);
}

/// The same for GCRA, in any span of time: what the burst and the rate admit, and the leases.
#[tokio::test]
async fn with_leases_gcra_admits_what_it_may_and_the_leases_at_most() {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};
    let (redis, clock) = (RedisServer::start(), clock());
    let mut nodes = Vec::new();
    for _ in 0..2 {
        let address = redis.url().parse().unwrap();
        let options = SharedOptions { lease: 4, ..patient("t:") };
        let limiter = Limiter::shared(address, options, SUBJECTS_MAX, clock.clone());
        nodes.push(Node::of(limiter.with_store_clock()).await);
    }
    let tier = Tier::new(Algorithm::Gcra, 100, Duration::from_secs(10), Some(40)).unwrap();
    let one = charge(&Arc::new(policy("p", &[tier])), "a", 1);
    let (mut random, mut passed, mut leased) = (StdRng::seed_from_u64(5), Vec::new(), 0);
    for _ in 0..2_000 {
        clock.advance(Duration::from_micros(random.random_range(0..=60_000)));
        if random.random_bool(0.005) {
            clock.advance(Duration::from_secs(3));
        }
        let node = &nodes[random.random_range(0..2)];
        let decision = node.decide(std::slice::from_ref(&one)).await;
        leased += usize::from(decision.way() == Way::Leased);
        if decision.is_allowed() {
            passed.push(clock.now());
        }
    }
    assert!(leased > 10 && passed.len() < 2_000, "{leased} {}", passed.len());
    for (n, first) in passed.iter().enumerate() {
        for (m, last) in passed.iter().enumerate().skip(n) {
            let most = 40 + (last - first) / 100_000 + 2 * 4;
            assert!((m - n + 1) as u64 <= most, "{} of {most}", m - n + 1);
        }
    }
}
