//! Keys that do not work.

use super::*;

const WRONG: &str = "wrong-key-0123456789-0123456789-0123456789";

fn limited() -> Server {
    Settings::embedded().limited().with("HOPLOG_TRUSTED_PROXIES", "127.0.0.1").start()
}

async fn list_with(client: &Client, key: &str, address: &str) -> Answer {
    let request = client.request(Method::GET, "/api/v1/links").bearer_auth(key);
    client.send(request.header("x-forwarded-for", address)).await
}

/// Trap 14 (R13, R18): log-ins that fail are counted.
#[tokio::test]
async fn trap_14_whoever_tries_keys_is_refused() {
    let server = limited();
    let client = &server.client;
    let random = client.keyed("one", &["links:read"]).await;
    let (mut tried, began) = (0_u64, Instant::now());
    let refused = loop {
        // Each begins differently.
        let key = format!("{tried:08}-{WRONG}");
        let answer = list_with(client, &key, "203.0.113.9").await;
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.expect(401).code(), "invalid_key");
        tried += 1;
        assert!(tried <= 31 + began.elapsed().as_secs() / 30, "{tried} keys");
    };
    assert!(tried >= 30, "{tried}");
    assert_eq!(violated(&refused), json!(["auth-failure"]));
    assert!(seconds(&refused, "retry-after") >= 1);
    assert_eq!(
        refused.header("ratelimit-policy"),
        "\"auth-failure\";q=30;w=900, \"auth-failure-key\";q=100;w=3600"
    );
    assert_eq!(parameter(refused.header("ratelimit"), "r"), 0);
    assert_eq!(refused.header("x-ratelimit-remaining"), "0");
    assert!(seconds(&refused, "x-ratelimit-reset") > 1_000_000_000);
    // Whether the next one is right is not told: the operator's could be guessed.
    let name = "hoplog_ratelimit_decisions_total{policy=\"auth-failure\",decision=\"refused\"}";
    let before = metric(client, name).await;
    let refused = list_with(client, crate::support::ADMIN_KEY, "203.0.113.9").await.expect(429);
    assert_eq!(parameter(refused.header("ratelimit"), "r"), 0);
    assert!((metric(client, name).await - before - 1.0).abs() < f64::EPSILON, "it is counted");
    list_with(client, crate::support::ADMIN_KEY, "203.0.113.10").await.expect(200);
    // One that is random can't, and its holder is not locked out by a neighbour.
    let request = random.authorized(Method::GET, "/api/v1/links");
    client.send(request.header("x-forwarded-for", "203.0.113.9")).await.expect(200);
}

/// Trap 14 (R18): not by address only.
#[tokio::test]
async fn trap_14_one_key_is_not_tried_from_many_addresses() {
    let server = limited();
    let client = &server.client;
    keys_that_begin_alike_are_refused(client, |tried| {
        format!("198.51.{}.{}", tried / 250, tried % 250 + 1)
    })
    .await;
    // Other keys are not concerned.
    list_with(client, "another-key", "198.51.100.1").await.expect(401);
    list_with(client, crate::support::ADMIN_KEY, "198.51.100.1").await.expect(200);
}

/// Tries keys that do not work and begin alike, each from an address, until the limit of such keys is reached.
async fn keys_that_begin_alike_are_refused(client: &Client, address: impl Fn(u32) -> String) {
    let mut tried = 0_u32;
    let refused = loop {
        let answer = list_with(client, &format!("{WRONG}{tried}"), &address(tried)).await;
        if answer.status == 429 {
            break answer;
        }
        answer.expect(401);
        tried += 1;
        assert!(tried <= 130, "{tried} keys");
    };
    assert!(tried >= 100, "{tried}");
    assert_eq!(violated(&refused), json!(["auth-failure-key"]));
}

/// Behind a proxy that is not trusted yet everybody has its address, also the operator: nobody keeps them out
/// by keys that do not work. The limit of keys that begin alike holds there, too.
#[tokio::test]
async fn nobody_keeps_the_operator_out_behind_a_proxy_that_is_not_trusted_yet() {
    let server = Settings::embedded().limited().start();
    let client = &server.client;
    for n in 0..40 {
        list_with(client, &format!("{n:08}-{WRONG}"), "203.0.113.9").await.expect(401);
    }
    client.get("/api/v1/links").await.expect(200);
    keys_that_begin_alike_are_refused(client, |_| "203.0.113.9".to_owned()).await;
}

#[tokio::test]
async fn a_request_without_a_key_is_no_guess() {
    let server = limited();
    for _ in 0..40 {
        let bare = server.client.request(Method::GET, "/api/v1/links");
        assert_eq!(server.client.send(bare).await.expect(401).code(), "missing_key");
    }
    server.client.get("/api/v1/links").await.expect(200);
}
