//! Several nodes on one Redis.

use futures::future::join_all;

use super::*;

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
    for node in [&one, &two, &one, &two, &one] {
        node.client.post("/api/v1/links", &wrong).await.expect(422);
    }
    create(&one.client).await.expect(201);
    create(&two.client).await.expect(201);
    create(&one.client).await.expect(201);
    create(&two.client).await.expect(429);
}

/// Trap 9 (R17): a Redis that hangs costs nobody an answer, and each policy does what it says.
#[tokio::test]
async fn trap_9_a_redis_that_hangs_is_not_waited_for() {
    let local = policy("local", "/api/v1/stats", "key", 50, "");
    let open = policy("open", "/api/v1/links", "key", 1, "outage = 'open'");
    let closed = policy("closed", "/api/v1/keys", "key", 50, "outage = 'closed'");
    let settings = only(&format!("{local}{open}{closed}")).on_redis();
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
    becomes(client, "hoplog_ratelimit_degraded", 0.0).await;
    client.get("/api/v1/keys").await.expect(200);
}

/// Asks until the node has noticed that it is alone.
async fn becomes_degraded(client: &Client) {
    let deadline = Instant::now() + PATIENCE;
    while metric(client, "hoplog_ratelimit_degraded").await.abs() < f64::EPSILON {
        assert!(Instant::now() < deadline, "the outage is not noticed");
        client.get("/api/v1/links").await;
    }
}
