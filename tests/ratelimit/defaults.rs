//! What is limited without anybody having said so.

use futures::future::join_all;

use super::*;
use crate::support::NewLink;

/// All on one node, whatever backends the tests are run on: what is counted in windows of the clock must
/// not meet a border.
fn limited() -> Server {
    Settings::embedded().limited().start()
}

/// Where the proxy is trusted: addresses of this machine are excepted from some limits.
fn limited_behind_a_proxy() -> Server {
    Settings::embedded().limited().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.1").start()
}

const VISITOR: &str = "203.0.113.9";

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
    let server = limited_behind_a_proxy();
    let client = &server.client;
    let code = client.code(NewLink::to(URL)).await;
    let known = format!("/{code}");
    let visit = async |path: &str| visit_from(client, VISITOR, path).await;
    visit(&known).await.expect(302);
    let (mut tried, began) = (0_u64, Instant::now());
    let refused = loop {
        let answer = visit(&format!("/guess{tried}")).await;
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
    visit("/guess0").await.expect(429);
    visit("/guess1+").await.expect(429);
    visit("/guess2.qr").await.expect(429);
    visit(&known).await.expect(302);
    let name = "hoplog_ratelimit_decisions_total{policy=\"unknown-code\",decision=\"refused\"}";
    assert!(metric(client, name).await >= 4.0);
}

/// Trap 7 of the shortener (U26): also whoever tries many codes at the same time. What is looked for over the
/// limit is not looked up, and a link that would be found by it is not told.
#[tokio::test]
async fn trap_7_guesses_at_the_same_time_are_no_way_around_the_limit() {
    let guesses = policy("guesses", "unknown-code", "address", 10, "");
    let settings = only(&guesses).with("HOPLOG_TRUSTED_PROXIES", "127.0.0.1");
    let server = settings.start();
    let code = server.client.code(NewLink::to(URL)).await;
    // No link is at hand now.
    let server = server.stop().start();
    let client = &server.client;
    let loads = "hoplog_cache_loads_total{cache=\"links\"}";
    let before = metric(client, loads).await;
    let visits = (0..200).map(|n| async move {
        visit_from(client, VISITOR, &format!("/guess{n}")).await.status.as_u16()
    });
    let answers = join_all(visits).await;
    let told = answers.iter().filter(|status| **status == 404).count();
    assert_eq!(told, 10);
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 190);
    let looked_up = metric(client, loads).await - before;
    assert!((1.0..=10.0).contains(&looked_up), "{looked_up}");
    visit_from(client, VISITOR, &format!("/{code}")).await.expect(429);
    visit_from(client, "203.0.113.10", &format!("/{code}")).await.expect(302);
}

/// Links that are somebody's cost nothing, also if they have to be looked for.
#[tokio::test]
async fn links_that_are_looked_for_and_found_cost_nothing() {
    let guesses = policy("guesses", "unknown-code", "address", 1, "");
    let server = only(&guesses).start();
    let mut paths = Vec::new();
    for _ in 0..5 {
        paths.push(format!("/{}", server.client.code(NewLink::to(URL)).await));
    }
    let server = server.stop().start();
    for path in &paths {
        server.client.visit(path).await.expect(302);
    }
    server.client.visit("/guess1").await.expect(404);
    server.client.visit("/guess2").await.expect(429);
}

/// Behind a proxy that is not trusted yet all visitors have one address: a private one.
#[tokio::test]
async fn a_visitor_who_guesses_keeps_out_nobody_behind_a_proxy_that_is_not_trusted_yet() {
    let server = limited();
    for n in 0..80 {
        visit_from(&server.client, VISITOR, &format!("/guess{n}")).await.expect(404);
    }
}

/// What browsers ask for on their own is no guess.
#[tokio::test]
async fn what_can_t_be_a_code_costs_nothing() {
    let server = limited_behind_a_proxy();
    for _ in 0..100 {
        visit_from(&server.client, VISITOR, "/favicon.ico").await.expect(404);
    }
    visit_from(&server.client, VISITOR, "/guess").await.expect(404);
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
