//! Several nodes on one Redis.

use futures::future::join_all;

use super::*;
use crate::support::{NewLink, RedisServer};

/// How many ask at the same time.
const CLIENTS: usize = 64;

/// Two nodes of one service, with these policies and no others. They wait for Redis longer than they would
/// by default: on a machine that is busy with other tests, 4 ms are missed, and the node decides alone.
fn two_nodes(policies: &str) -> (Server, Server) {
    let policies = format!("builtin = false\n{policies}");
    let settings = Settings::production().limited_by(&policies);
    let settings = settings.with("HOPLOG_RATE_LIMIT_DEADLINE_MS", "1000");
    let second = settings.another_node();
    (settings.start(), second.start())
}

/// Many at once, on two nodes, never get one more than the limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_together_admit_no_more_than_the_limit() {
    let (one, two) = two_nodes(&policy("reads", "/api/v1/stats", "key", 100, ""));
    let ask = |client: Client| async move {
        let mut passed = 0;
        for _ in 0..4 {
            match client.get("/api/v1/stats").await.status.as_u16() {
                200 => passed += 1,
                status => assert_eq!(status, 429),
            }
        }
        passed
    };
    let clients = (0..CLIENTS).map(|n| if n % 2 == 0 { &one } else { &two }.client.clone());
    let passed: u32 = join_all(clients.map(ask)).await.into_iter().sum();
    assert_eq!(passed, 100);
    // Neither was ever alone.
    for node in [&one, &two] {
        let alone = "hoplog_ratelimit_degraded_total{policy=\"reads\"}";
        assert!(metric(&node.client, alone).await.abs() < f64::EPSILON);
        let ready = node.client.visit("/health/ready").await.expect(200).json();
        assert_eq!(ready["rateLimits"], "ok");
    }
}

/// What fails is given back on whichever node it was.
#[tokio::test]
async fn what_is_given_back_on_one_node_is_there_for_the_other() {
    let (one, two) = two_nodes(&policy("writes", "create", "key", 3, "refund = 'failure'"));
    let wrong = json!({ "url": "javascript:alert(1)" });
    // Whoever is answered need not wait until it is given back: the next may have to.
    for node in [&one, &two, &one, &two, &one] {
        once_it_passes(async || node.client.post("/api/v1/links", &wrong).await).await.expect(422);
    }
    for node in [&one, &two, &one] {
        once_it_passes(async || create(&node.client).await).await.expect(201);
    }
    create(&two.client).await.expect(429);
}

async fn once_it_passes(ask: impl AsyncFn() -> Answer) -> Answer {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask().await;
        if answer.status != 429 {
            return answer;
        }
        assert!(Instant::now() < deadline, "it is never given back: {answer:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Trap 7 of the shortener (U26): guessing on all nodes at once brings no more than on one.
#[tokio::test]
async fn codes_are_guessed_on_all_nodes_together() {
    let policies = policy("unknown-code", "unknown-code", "address", 10, "");
    let (one, two) = two_nodes(&policies);
    let known = format!("/{}", one.client.code(NewLink::to(URL)).await);
    let mut told = 0;
    for n in 0..30 {
        let node = if n % 2 == 0 { &one } else { &two };
        match node.client.visit(&format!("/guess{n}")).await.status.as_u16() {
            404 => told += 1,
            status => assert_eq!(status, 429),
        }
    }
    assert_eq!(told, 10);
    // Where it is at hand, it is followed.
    one.client.visit(&known).await.expect(302);
}

/// One node reads its policies again, the other does not.
#[tokio::test]
async fn counts_in_redis_are_kept_when_policies_are_read_again() {
    let reads = policy("reads", "/api/v1/stats", "key", 3, "");
    let (one, two) = two_nodes(&reads);
    one.client.get("/api/v1/stats").await.expect(200);
    two.client.get("/api/v1/stats").await.expect(200);
    let text = format!("builtin = false\n{}{reads}", policy("new", "/api/v1/keys", "key", 9, ""));
    std::fs::write(one.settings.policy_file(), text).unwrap();
    one.hang_up();
    becomes(&one.client, "hoplog_ratelimit_reloads_total{outcome=\"done\"}", 1.0).await;
    one.client.get("/api/v1/stats").await.expect(200);
    two.client.get("/api/v1/stats").await.expect(429);
    one.client.get("/api/v1/stats").await.expect(429);
}

/// Trap 3: the cache's Redis may evict, so counts have one of their own if that is named: they stand there,
/// hold on all nodes, and outlast what happens to the cache. Links do not go there.
#[tokio::test]
async fn trap_3_counts_land_in_the_redis_of_the_limits_and_not_in_that_of_the_cache() {
    let counts = RedisServer::start();
    let reads = policy("reads", "/api/v1/stats", "key", 3, "");
    let settings = only(&reads).on_redis().with("HOPLOG_RATE_LIMIT_URL", &counts.url());
    let server = settings.with("HOPLOG_RATE_LIMIT_DEADLINE_MS", "1000").start();
    let path = format!("/{}", server.client.code(NewLink::to(URL)).await);
    server.client.visit(&path).await.expect(302);
    for _ in 0..3 {
        server.client.get("/api/v1/stats").await.expect(200);
    }
    let keys = ["EVAL", "return table.concat(redis.call('KEYS', '*'), ' ')", "0"];
    let (kept, counted) = (server.settings.redis().command(&keys), counts.command(&keys));
    assert!(!kept.contains("hoplog:limit:"), "{kept}");
    assert!(counted.contains(":reads:"), "{counted}");
    assert!(counted.split(' ').all(|key| key.starts_with("hoplog:limit:")), "{counted}");
    server.settings.redis().flush();
    server.client.get("/api/v1/stats").await.expect(429);
}

/// Trap 9 (R17): a Redis that hangs costs nobody an answer, and each policy does what it says.
#[tokio::test]
async fn trap_9_a_redis_that_hangs_is_not_waited_for() {
    let local = policy("local", "/api/v1/stats", "key", 50, "");
    let open = policy("open", "/api/v1/links", "key", 1, "outage = 'open'");
    let closed = policy("closed", "/api/v1/keys", "key", 50, "outage = 'closed'");
    let settings = only(&format!("{local}{open}{closed}")).on_redis();
    // Whether 4 ms are met when it is back depends on what else the machine does.
    let settings = settings.with("HOPLOG_RATE_LIMIT_DEADLINE_MS", "100");
    let server = settings.with("HOPLOG_RATE_LIMIT_NODES", "10").start();
    let client = &server.client;
    for path in ["/api/v1/stats", "/api/v1/links", "/api/v1/keys"] {
        client.get(path).await.expect(200);
    }
    client.get("/api/v1/links").await.expect(429);
    server.settings.redis().freeze();
    becomes_degraded(client).await;
    // A tenth of the limit, at most: some of it went while that was not known yet.
    let (passed, refused) = until_refused(client, "/api/v1/stats", 5).await;
    assert!(passed <= 5, "{passed}");
    assert_eq!(violated(&refused), json!(["local"]));
    for _ in 0..5 {
        client.get("/api/v1/links").await.expect(200);
    }
    let away = client.get("/api/v1/keys").await.expect(503);
    assert_eq!(away.code(), "limits_unavailable");
    let problem = away.json();
    let kind = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";
    assert_eq!(
        (&problem["type"], &problem["violated-policies"]),
        (&json!(kind), &json!(["closed"]))
    );
    assert!(seconds(&away, "retry-after") >= 1);
    let ready = client.visit("/health/ready").await.expect(200).json();
    assert_ne!(ready["rateLimits"], "ok", "{ready}");
    assert!(metric(client, "hoplog_ratelimit_degraded_total{policy=\"closed\"}").await >= 1.0);
    server.settings.redis().thaw();
    let deadline = Instant::now() + PATIENCE;
    while client.get("/api/v1/keys").await.status != 200 {
        assert!(Instant::now() < deadline, "Redis is not used again");
    }
    assert_eq!(client.visit("/health/ready").await.expect(200).json()["rateLimits"], "ok");
}

/// Asks until the node has noticed that it is alone.
async fn becomes_degraded(client: &Client) {
    let deadline = Instant::now() + PATIENCE;
    while metric(client, "hoplog_ratelimit_degraded").await.abs() < f64::EPSILON {
        assert!(Instant::now() < deadline, "the outage is not noticed");
        client.get("/api/v1/links").await;
    }
}
