//! What other services ask.

use super::*;

const PATH: &str = "/api/v1/ratelimit/check";

fn texts(limit: u32) -> String {
    policy("texts", "service", "subject", limit, "")
}

async fn ask(client: &Client, subject: &str, cost: u32) -> Value {
    let body = json!({ "policy": "texts", "subject": subject, "cost": cost });
    client.post(PATH, &body).await.expect(200).json()
}

#[tokio::test]
async fn a_service_asks_whether_something_may_pass() {
    let server = server(&texts(5));
    let asker = server.client.keyed("shop", &["ratelimit"]).await;
    let first = ask(&asker, "customer", 3).await;
    let expected = json!({
        "allowed": true, "policy": "texts", "limit": 5, "windowSeconds": 86_400, "remaining": 2,
        "resetSeconds": first["resetSeconds"], "retryAfterSeconds": null, "shadowed": false,
        "degraded": false,
    });
    assert_eq!(first, expected);
    let reset = first["resetSeconds"].as_u64().unwrap();
    assert!((51_800..=51_840).contains(&reset), "{reset}");
    let refused = ask(&asker, "customer", 3).await;
    assert_eq!((&refused["allowed"], &refused["remaining"]), (&json!(false), &json!(2)));
    let after = refused["retryAfterSeconds"].as_u64().unwrap();
    assert!((17_200..=17_280).contains(&after), "{after}");
    // Nothing was taken by what was refused.
    assert_eq!(ask(&asker, "customer", 2).await["remaining"], 0);
    assert_eq!(ask(&asker, "another", 1).await["remaining"], 4);
    // Trap 13: what another owner asks about is not the same.
    let other = server.client.keyed("other", &["ratelimit"]).await;
    assert_eq!(ask(&other, "customer", 1).await["remaining"], 4);
}

#[tokio::test]
async fn a_dry_run_takes_nothing() {
    let server = server(&texts(2));
    let body = json!({ "policy": "texts", "subject": "a", "dryRun": true });
    for _ in 0..5 {
        let answer = server.client.post(PATH, &body).await.expect(200).json();
        assert_eq!((&answer["allowed"], &answer["remaining"]), (&json!(true), &json!(2)));
    }
    ask(&server.client, "a", 2).await;
    let answer = server.client.post(PATH, &body).await.expect(200).json();
    assert_eq!(answer["allowed"], false);
}

/// Traps 10 and 13 (R14): costs that are no costs.
#[tokio::test]
async fn traps_10_and_13_what_can_t_be_asked_is_named() {
    let server = server(&format!("{}{}", texts(5), policy("api", "api", "key", 1_000, "")));
    let client = &server.client;
    for (body, pointer) in [
        (json!({ "policy": "texts", "subject": "a", "cost": -1 }), "/cost"),
        (json!({ "policy": "texts", "subject": "a", "cost": 0 }), "/cost"),
        (json!({ "policy": "texts", "subject": "a", "cost": 1.5 }), "/cost"),
        (json!({ "policy": "texts", "subject": "a", "cost": "1" }), "/cost"),
        (json!({ "policy": "texts", "subject": "" }), "/subject"),
        (json!({ "policy": "texts", "subject": "a\u{7}" }), "/subject"),
        (json!({ "policy": "texts", "subject": "a".repeat(257) }), "/subject"),
        (json!({ "policy": "texts" }), "/subject"),
        (json!({ "subject": "a" }), "/policy"),
        (json!({ "policy": "texts", "subject": "a", "dryrun": true }), "/dryrun"),
    ] {
        let answer = client.post(PATH, &body).await.expect(422).json();
        assert_eq!(answer["errors"][0]["pointer"], pointer, "{body}: {answer}");
    }
    let body = json!({ "policy": "texts", "subject": "a", "cost": 6 });
    assert_eq!(client.post(PATH, &body).await.expect(422).code(), "cost_too_high");
    // Only what is meant for services.
    for policy in ["api", "nothing"] {
        let answer =
            client.post(PATH, &json!({ "policy": policy, "subject": "a" })).await.expect(404);
        assert_eq!(answer.code(), "policy_not_found");
        assert!(answer.body.contains("texts"), "{answer:?}");
    }
    assert_eq!(ask(client, "a", 1).await["remaining"], 4, "nothing of that was counted");
}

#[tokio::test]
async fn limits_are_asked_about_on_the_command_line() {
    let server = server(&texts(3));
    let table = server.cli_ok(&["ratelimit", "policies"]);
    assert!(table.contains("texts") && table.contains("3/86400s gcra"), "{table}");
    let policies = server.cli_ok(&["ratelimit", "policies", "--json"]);
    let policies: Value = serde_json::from_str(&policies).unwrap();
    assert_eq!(policies["data"][0]["tiers"][0]["algorithm"], "gcra");
    let check = ["ratelimit", "check", "texts", "customer", "--cost", "2", "--json"];
    for allowed in [true, false] {
        let answer: Value = serde_json::from_str(&server.cli_ok(&check)).unwrap();
        assert_eq!(answer["allowed"], allowed);
    }
    assert!(server.cli_ok(&["ratelimit", "check", "texts", "other"]).contains("true"));
    let output = server.cli(&["ratelimit", "check", "nothing", "other"]);
    assert_eq!(output.status.code(), Some(1));
}
