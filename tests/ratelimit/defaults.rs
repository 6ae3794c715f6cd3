//! What is limited without anybody having said so.

use super::*;
use crate::support::NewLink;

/// All on one node, whatever backends the tests are run on: what is counted in windows of the clock must
/// not meet a border.
fn limited() -> Server {
    Settings::embedded().limited().start()
}

#[tokio::test]
async fn a_key_makes_100_links_in_15_minutes_and_the_operators_as_many_as_it_likes() {
    let server = limited();
    let one = server.client.keyed("one", &["links:write", "links:read"]).await;
    for n in 0..100 {
        let answer = create(&one).await.expect(201);
        assert_eq!(answer.header("x-ratelimit-remaining"), (99 - n).to_string(), "{answer:?}");
    }
    let refused = create(&one).await.expect(429);
    assert_eq!(violated(&refused), json!(["create"]));
    assert!(seconds(&refused, "retry-after") >= 1);
    let short = json!({ "longURL": URL });
    one.post("/api/shorten", &short).await.expect(429);
    // The limit is of links that are made, and of this key.
    one.get("/api/v1/links").await.expect(200);
    create(&server.client.keyed("two", &["links:write"]).await).await.expect(201);
    for _ in 0..120 {
        create(&server.client).await.expect(201);
    }
}

#[tokio::test]
async fn a_bulk_request_costs_its_links() {
    let server = limited();
    let one = server.client.keyed("one", &["links:write"]).await;
    let links = |count: usize| json!({ "links": vec![json!({ "url": URL }); count] });
    let made = one.post("/api/v1/links/bulk", &links(300)).await.expect(200);
    let fields = made.header("ratelimit").to_owned();
    assert!(fields.contains("\"create-bulk\";r=9700;"), "{fields}");
    assert_eq!(made.header("x-ratelimit-limit"), "10000");
    // What does not fit is refused as a whole.
    let refused = one.post("/api/v1/links/bulk", &links(9_800)).await.expect(429);
    assert_eq!(violated(&refused), json!(["create-bulk"]));
    let made = one.post("/api/v1/links/bulk", &links(1)).await.expect(200);
    assert!(made.header("ratelimit").contains("\"create-bulk\";r=9699;"), "{made:?}");
    // Nor do they count as links that are made one by one.
    assert_eq!(create(&one).await.expect(201).header("x-ratelimit-remaining"), "99");
}

/// Trap 7 of the shortener (U26): whoever tries codes is stopped; those whose code is at hand are not.
#[tokio::test]
async fn whoever_looks_for_codes_that_nobody_has_is_refused() {
    let server = limited();
    let client = &server.client;
    let code = client.code(NewLink::to(URL)).await;
    let known = format!("/{code}");
    client.visit(&known).await.expect(302);
    let (mut tried, began) = (0_u64, Instant::now());
    let refused = loop {
        let answer = client.visit(&format!("/guess{tried}")).await;
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.expect(404).code(), "link_not_found");
        tried += 1;
        assert!(tried <= 61 + began.elapsed().as_secs(), "{tried} guesses");
    };
    assert!(tried >= 60, "{tried}");
    assert!(seconds(&refused, "retry-after") >= 1);
    // The same code, which is known to be nobody's by now, and other ways to look for one.
    client.visit("/guess0").await.expect(429);
    client.visit("/guess1+").await.expect(429);
    client.visit("/guess2.qr").await.expect(429);
    client.visit(&known).await.expect(302);
    let name = "hoplog_ratelimit_decisions_total{policy=\"unknown-code\",decision=\"refused\"}";
    assert!(metric(client, name).await >= 4.0);
}

/// What browsers ask for on their own is no guess.
#[tokio::test]
async fn what_can_t_be_a_code_costs_nothing() {
    let server = limited();
    for _ in 0..100 {
        server.client.visit("/favicon.ico").await.expect(404);
    }
    server.client.visit("/guess").await.expect(404);
}

#[tokio::test]
async fn redirects_are_for_many() {
    let server = limited();
    let code = server.client.code(NewLink::to(URL)).await;
    for _ in 0..300 {
        server.client.visit(&format!("/{code}")).await.expect(302);
    }
}

#[tokio::test]
async fn nothing_is_limited_where_limits_are_off() {
    let server = Settings::embedded().with("HOPLOG_RATE_LIMITS", "off").start();
    let one = server.client.keyed("one", &["links:write", "ratelimit"]).await;
    for n in 0..120 {
        let answer = create(&one).await.expect(201);
        let fields = answer.headers.keys().filter(|name| name.as_str().contains("ratelimit"));
        assert_eq!(fields.count(), 0);
        server.client.visit(&format!("/guess{n}")).await.expect(404);
    }
    let policies = one.get("/api/v1/ratelimit/policies").await.expect(200).json();
    assert_eq!(policies, json!({ "data": [] }));
}

/// Requests without any key are counted by their address.
#[tokio::test]
async fn the_api_has_a_limit_also_without_a_key() {
    let server = limited();
    let answer = server.client.send(server.client.request(Method::GET, "/api/v1/links")).await;
    assert_eq!(answer.header("x-ratelimit-limit"), "6000");
    assert_eq!(answer.expect(401).code(), "missing_key");
    let answer = server.client.get("/api/v1/links").await.expect(200);
    assert_eq!(answer.header("x-ratelimit-limit"), "1000000");
}
