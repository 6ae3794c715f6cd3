//! A cluster, and a primary that a Sentinel watches.

use super::*;
use crate::redis_connection::redis_servers::Servers;

/// What is given back to others is not waited for by who is refused.
async fn left_is(node: &Node, charge: &Charge, expected: u32) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let look = node.limiter.peek(std::slice::from_ref(charge)).await.unwrap();
        let left = look.standing().unwrap().remaining();
        if look.way() == Way::Store && left == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{left} of {expected}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Trap 5: what a subject was charged comes back as well if another's node can't decide.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_nobody_is_charged_for_what_another_node_can_not_decide() {
    let servers = Servers::cluster();
    let url = format!("redis-cluster://127.0.0.1:{}", servers.ports()[0]);
    let node = Node::new(&url, patient("t:")).await;
    let policy = Arc::new(policy("p", &[tier(Algorithm::FixedWindow, 100, 86_400)]));
    let (fine, broken) = (charge(&policy, "fine", 1), charge(&policy, "broken", 1));
    assert!(node.passes(&broken).await);
    let ports = servers.ports();
    let port = ports.iter().find(|port| Servers::command(**port, &["DBSIZE"]) == ":1").unwrap();
    let key = Servers::command(*port, &["RANDOMKEY"]);
    Servers::command(*port, &["DEL", &key]);
    Servers::command(*port, &["LPUSH", &key, "x"]);
    for _ in 0..20 {
        let decision = node.decide(&[fine.clone(), broken.clone()]).await;
        assert!(decision.is_degraded() && decision.is_allowed(), "by the share");
    }
    left_is(&node, &fine, 100).await;
}

/// Each subject has a slot, so several subjects are decided by several calls, at once: still all or none. What
/// one was charged when another refuses is given back exactly.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_cluster_all_subjects_pass_or_none_is_charged() {
    let servers = Servers::cluster();
    let url = format!("redis-cluster://127.0.0.1:{}", servers.ports()[1]);
    let node = Node::new(&url, patient("t:")).await;
    for algorithm in Algorithm::ALL {
        let wide = [tier(algorithm, 100, 86_400), tier(Algorithm::Gcra, 90, 86_400)];
        let wide = Arc::new(policy(&format!("wide-{algorithm}"), &wide));
        let narrow = [tier(algorithm, 5, 86_400)];
        let narrow = Arc::new(policy(&format!("narrow-{algorithm}"), &narrow));
        let mut passed = 0;
        for n in 0..30 {
            // Whoever was refused is not asked for again: several ask for each to see the store decide.
            let charges = [
                charge(&wide, "everybody", 1),
                charge(&narrow, &format!("{}", n % 3), 1),
                charge(&wide, "somebody", 1),
            ];
            passed += u32::from(node.decide(&charges).await.is_allowed());
            for charge in &charges {
                node.limiter.shared_for_tests().denied.forget(charge);
            }
        }
        assert_eq!(passed, 15, "{algorithm}");
        left_is(&node, &charge(&wide, "everybody", 1), 90 - 15).await;
    }
    let holds = |port: &u16| Servers::command(*port, &["DBSIZE"]) != ":0";
    assert!(
        servers.ports().iter().filter(|port| holds(port)).count() > 1,
        "there are several slots"
    );
}

/// The primary is found through the Sentinel, and the next one when that is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_the_new_primary_decides() {
    let mut servers = Servers::sentinel();
    let ports = servers.ports();
    let url = format!("redis-sentinel://127.0.0.1:{}/main", ports[2]);
    let node = Node::new(&url, patient("t:")).await;
    let policy = Arc::new(policy("p", &[tier(Algorithm::Gcra, 1_000_000, 3_600)]));
    let one = charge(&policy, "a", 1);
    let decide = || node.decide(std::slice::from_ref(&one));
    assert_eq!(decide().await.way(), Way::Store);
    servers.kill(ports[0]);
    let deadline = Instant::now() + PATIENCE;
    let mut degraded = false;
    while !degraded || decide().await.way() != Way::Store {
        degraded |= decide().await.is_degraded();
        assert!(Instant::now() < deadline, "no new primary");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(Servers::command(ports[1], &["INFO", "replication"]).contains("role:master"));
}
