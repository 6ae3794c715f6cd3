//! How clients are told how they stand.

use reqwest::header::HeaderName;

use super::*;
use crate::support::{NewLink, now};

fn told(answer: &Answer) -> Vec<&str> {
    answer
        .headers
        .keys()
        .map(HeaderName::as_str)
        .filter(|name| name.contains("ratelimit"))
        .collect()
}

/// Traps 6 and 7 (R1 to R4): fields and decision are of one call, times are seconds and in the future.
#[tokio::test]
async fn traps_6_and_7_fields_agree_with_the_decision() {
    let day = 86_400;
    let server = server(&policy("reads", "api", "key", 5, ""));
    for n in 0..5_u64 {
        let before = u64::try_from(now().timestamp()).unwrap();
        let answer = server.client.get("/api/v1/links").await.expect(200);
        assert_eq!(answer.header("ratelimit-policy"), "\"reads\";q=5;w=86400");
        assert!(answer.header("ratelimit").starts_with("\"reads\";r="), "{answer:?}");
        assert_eq!(parameter(answer.header("ratelimit"), "r"), 4 - n);
        let t = parameter(answer.header("ratelimit"), "t");
        assert!((1..=day / 5).contains(&t), "{t}");
        assert_eq!(answer.header("x-ratelimit-limit"), "5");
        assert_eq!(answer.header("x-ratelimit-remaining"), (4 - n).to_string());
        // All of it is back after a fifth of a day for each.
        let reset = seconds(&answer, "x-ratelimit-reset");
        let expected = before + (n + 1) * day / 5;
        assert!((expected - 60..=expected + 60).contains(&reset), "{reset} {expected}");
    }
    let refused = server.client.get("/api/v1/links").await.expect(429);
    assert_eq!(violated(&refused), json!(["reads"]));
    assert_eq!(parameter(refused.header("ratelimit"), "r"), 0);
    let (t, after) =
        (parameter(refused.header("ratelimit"), "t"), seconds(&refused, "retry-after"));
    assert!(t >= 1 && after >= t, "{after} is earlier than {t}");
    assert!(after <= day / 5, "{after}");
    assert_eq!(refused.header("cache-control"), "no-store");
    assert!(!refused.header("x-request-id").is_empty());
}

/// Several policies, and a policy with several tiers.
#[tokio::test]
async fn every_policy_that_was_charged_is_told_of() {
    let tiers = "[[policies]]\nname = 'tiers'\nmatch = { routes = ['/api/v1/links'] }\nby = 'owner'\n\
                 tiers = [{ limit = 2, per = '1d' }, { limit = 1000, per = '2d' }]\n";
    let server = server(&format!("{tiers}{}", policy("reads", "api", "key", 5, "")));
    let answer = server.client.get("/api/v1/links").await.expect(200);
    let policies =
        "\"tiers-86400s\";q=2;w=86400, \"tiers-172800s\";q=1000;w=172800, \"reads\";q=5;w=86400";
    assert_eq!(answer.header("ratelimit-policy"), policies);
    let standings: Vec<&str> = answer.header("ratelimit").split(", ").collect();
    assert!(standings[0].starts_with("\"tiers-86400s\";r=1;t="), "{standings:?}");
    assert!(standings[1].starts_with("\"reads\";r=4;t="), "{standings:?}");
    assert_eq!(standings.len(), 2);
    // The one with the least left matters.
    assert_eq!(answer.header("x-ratelimit-limit"), "2");
    server.client.get("/api/v1/links").await.expect(200);
    let refused = server.client.get("/api/v1/links").await.expect(429);
    assert_eq!(violated(&refused), json!(["tiers-86400s"]));
    // Trap 5 (R8): the policy that would have let it pass is not charged.
    let other = server.client.get("/api/v1/stats").await.expect(200);
    assert_eq!(other.header("x-ratelimit-remaining"), "2");
}

/// Trap 16 (R22): clients may delay following a redirect that has fields.
#[tokio::test]
async fn trap_16_redirects_have_no_fields_refused_or_not() {
    let server = server(&policy("redirect", "redirect", "address", 2, ""));
    let client = &server.client;
    let path = format!("/{}", client.code(NewLink::to(URL)).await);
    for _ in 0..2 {
        let answer = client.visit(&path).await.expect(302);
        assert_eq!(told(&answer), [""; 0]);
        assert_eq!(answer.header("retry-after"), "");
    }
    let refused = client.visit(&path).await.expect(429);
    assert_eq!(told(&refused), [""; 0]);
    assert!((1..=43_200).contains(&seconds(&refused, "retry-after")));
    assert!(refused.body.len() < 200, "{}", refused.body);
    assert_eq!(refused.header("cache-control"), "no-store");
    assert_eq!(refused.header("location"), "");
    assert_eq!(refused.code(), "rate_limited");
    client.visit(&format!("{path}+")).await.expect(429);
}

/// A page that caches keep for ever would tell of another time.
#[tokio::test]
async fn answers_that_are_kept_have_no_fields() {
    let server = server(&policy("reads", "api", "key", 50, ""));
    let client = &server.client;
    for _ in 0..6 {
        client.code(NewLink::to(URL)).await;
    }
    let page = |path: String| client.authorized(Method::GET, &path);
    let first = client.send(page("/api/v1/events?limit=2".to_owned())).await.expect(200);
    assert_eq!(told(&first).len(), 5, "{first:?}");
    let next = first.header("link").trim_start_matches('<').split('>').next().unwrap();
    let kept = client.send(page(next.to_owned())).await.expect(200);
    assert!(kept.header("cache-control").contains("immutable"), "{kept:?}");
    assert_eq!(told(&kept), [""; 0]);
}

#[tokio::test]
async fn what_is_not_the_api_is_not_limited() {
    let server = server(&policy("reads", "api", "everyone", 1, ""));
    server.client.get("/api/v1/links").await.expect(200);
    server.client.get("/api/v1/links").await.expect(429);
    for path in ["/health/live", "/health/ready", "/metrics", "/docs", "/openapi.json"] {
        let answer = server.client.visit(path).await.expect(200);
        assert_eq!(told(&answer), [""; 0], "{path}");
    }
}
