//! Of webhooks and what they were sent.

use std::collections::BTreeSet;

use serde_json::json;

use super::{check_contract, keys, list};
use crate::support::{Manner, Receiver, Settings};

const WEBHOOK: &[&str] = &[
    "createdAt",
    "description",
    "disabledAt",
    "disabledReason",
    "id",
    "link",
    "owner",
    "previousSecretUntil",
    "state",
    "tag",
    "types",
    "url",
];

const DELIVERY: &[&str] = &[
    "at",
    "attempt",
    "durationMs",
    "error",
    "messageId",
    "nextAttemptAt",
    "outcome",
    "response",
    "status",
    "type",
];

#[tokio::test]
async fn a_webhook_and_its_deliveries_have_the_same_fields_wherever_they_are_answered() {
    let server = Settings::new().with("HOPLOG_WEBHOOK_ALLOW", "private").start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::Takes("")).await;
    let least = json!({ "url": receiver.url, "types": ["hoplog.link.created"] });
    let full = json!({
        "url": receiver.url, "types": ["hoplog.link.created"], "link": "a", "tag": "t",
        "description": "d", "owner": "ann",
    });
    let with_secret: BTreeSet<&str> = WEBHOOK.iter().copied().chain(["secret"]).collect();
    let with_secret: Vec<&str> = with_secret.into_iter().collect();
    for wanted in [least, full] {
        let made = client.post("/api/v1/webhooks", &wanted).await.expect(201).json();
        assert_eq!(keys(&made), with_secret);
        let path = format!("/api/v1/webhooks/{}", made["id"].as_str().unwrap());
        let act = async |verb: &str| {
            client.post(&format!("{path}/{verb}"), &json!({})).await.expect(200).json()
        };
        assert_eq!(keys(&act("rotate-secret").await), with_secret);
        for answer in [act("disable").await, act("enable").await] {
            assert_eq!(keys(&answer), WEBHOOK);
        }
        assert_eq!(keys(&client.get(&path).await.expect(200).json()), WEBHOOK);
        let patched = client.patch(&path, &json!({ "description": "e" })).await.expect(200);
        assert_eq!(keys(&patched.json()), WEBHOOK);
        assert_eq!(keys(&act("test").await), DELIVERY);
        let deliveries = list(client, &format!("{path}/deliveries")).await;
        assert!(deliveries.iter().all(|it| keys(it) == DELIVERY), "{deliveries:?}");
        assert_eq!(deliveries.len(), 1);
    }
    let webhooks = list(client, "/api/v1/webhooks").await;
    assert_eq!(webhooks.len(), 2);
    assert!(webhooks.iter().all(|it| keys(it) == WEBHOOK), "{webhooks:?}");
    let contract = client.visit("/openapi.json").await.json();
    check_contract(&contract, "WebhookAnswer", &with_secret);
    check_contract(&contract, "DeliveryAnswer", DELIVERY);
}
