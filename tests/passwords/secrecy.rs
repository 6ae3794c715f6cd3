//! Nobody is ever shown a password, or the hash that is kept of it.

use futures::future::join_all;

use super::*;
use crate::support::{Manner, Receiver};

/// Words that passwords of this test have, and no answer may.
const SECRETS: [&str; 5] = ["hush-one", "hush-two", "hush-three", "hush-four", "argon2"];

/// All that is ours. What a driver writes at its lowest level is all that it is sent.
const LOGGED: &str = "debug,hoplog=trace,hoplog_events=trace,hoplog_projections=trace";

#[track_caller]
fn keeps_secrets(what: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} in {what}: {text}");
    }
}

/// Sets passwords in every way there is; gives what was answered.
async fn set_passwords(client: &Client) -> Vec<(String, Answer)> {
    let links = "/api/v1/links";
    let mut told = Vec::new();
    for (path, body) in [
        (links, json!({ "url": URL, "alias": "a", "password": "hush-one" })),
        (links, json!({ "url": URL, "externalId": "e", "upsert": true, "password": "hush-two" })),
        (links, json!({ "url": URL, "externalId": "e", "upsert": true, "password": "hush-three" })),
        (
            "/api/v1/links/bulk",
            json!({ "links": [
                { "url": URL, "alias": "b", "password": "hush-four" },
                { "url": "no", "alias": "c", "password": "hush-four" },
            ]}),
        ),
        // Mistakes are told without what was wrong.
        (links, json!({ "url": URL, "password": "hush-one\u{7}" })),
        (links, json!({ "url": URL, "password": format!("hush-one{}", "x".repeat(200)) })),
        (links, json!({ "url": URL, "password": ["hush-one"] })),
        (links, json!({ "url": URL, "alias": "a", "password": "hush-one" })),
    ] {
        told.push((format!("{path} {body}"), client.post(path, &body).await));
    }
    let patch = json!({ "password": "hush-two", "title": "t" });
    told.push(("patch".to_owned(), client.patch("/api/v1/links/a", &patch).await.expect(200)));
    for n in 0..2 {
        let request = client.authorized(Method::PATCH, "/api/v1/links/b");
        let request =
            request.header("idempotency-key", "k").json(&json!({ "password": "hush-one" }));
        told.push((format!("patch {n}"), client.send(request).await.expect(200)));
    }
    told.push(("wrong".to_owned(), try_password(client, "/a", "hush-four").await.expect(403)));
    told
}

/// Everything that can be asked about it.
async fn ask_about_everything(client: &Client) -> Vec<(String, Answer)> {
    let paths = [
        "/api/v1/links",
        "/api/v1/links/a",
        "/api/v1/links/a?asOf=2999-01-01T00:00:00Z",
        "/api/v1/links/a/history",
        "/api/v1/links/b/history",
        "/api/v1/links/a/clicks",
        "/api/v1/links/a/stats",
        "/api/v1/events?topic=links",
        "/api/v1/events?topic=clicks",
        "/api/v1/events?topic=accounts",
        "/api/v1/webhooks",
        "/api/v1/projections",
        "/api/v1/top",
        "/api/v1/ratelimit/policies",
        "/metrics",
        "/health/ready",
        "/a",
        "/a+",
        "/a.qr",
    ];
    let asked = paths.map(|path| async move { (path.to_owned(), client.get(path).await) });
    let mut told = join_all(asked).await;
    for media in ["application/x-ndjson", "application/cloudevents-batch+json"] {
        let request = client.authorized(Method::GET, "/api/v1/events?topic=links");
        told.push((media.to_owned(), client.send(request.header("accept", media)).await));
    }
    told
}

/// Fault 6: the password is in no answer, no event, no message to receivers and no line of the log; nor is the
/// hash.
#[tokio::test]
async fn fault_6_no_password_and_no_hash_ever_leaves() {
    let settings = Settings::new().with("RUST_LOG", LOGGED).with("HOPLOG_WEBHOOK_ALLOW", "private");
    let server = settings.start();
    let client = &server.client;
    let receiver = Receiver::start(Manner::Takes("thanks")).await;
    let webhook = json!({ "url": receiver.url, "types": ["hoplog.link.created", "hoplog.link.password-changed"] });
    let made = client.post("/api/v1/webhooks", &webhook).await;
    assert_eq!(made.status, 201, "{made:?}");
    let mut told = set_passwords(client).await;
    let position = told
        .iter()
        .rev()
        .map(|(_, answer)| answer.header("hoplog-position"))
        .find(|it| !it.is_empty());
    assert!(position.is_some());
    client.caught_up("link_directory").await;
    told.extend(ask_about_everything(client).await);
    for (what, answer) in &told {
        keeps_secrets(what, &format!("{:?} {}", answer.headers, answer.body));
    }
    let events = client.events("links").await;
    let has: Vec<(&str, bool)> = events
        .iter()
        .filter_map(|event| {
            Some((event["type"].as_str()?, event["data"]["hasPassword"].as_bool()?))
        })
        .collect();
    let (created, changed) = ("hoplog.link.created.v2", "hoplog.link.password-changed.v1");
    let count = |kind: &str| has.iter().filter(|one| **one == (kind, true)).count();
    assert_eq!((count(created), count(changed)), (3, 3), "{has:?}");
    let messages = receiver
        .until("the passwords", |received| {
            received.iter().filter(|one| one.kind() == changed).count() >= 3
        })
        .await;
    for message in messages {
        keeps_secrets("a message", &message.event().to_string());
    }
    let deliveries = client.get("/api/v1/webhooks").await.json();
    let id = deliveries["data"][0]["id"].as_str().unwrap();
    let deliveries = client.get(&format!("/api/v1/webhooks/{id}/deliveries")).await;
    keeps_secrets("deliveries", &deliveries.body);
    let settings = server.stop();
    let log = settings.log();
    assert!(log.contains("DEBUG hoplog::http: answered"), "the log has all there is");
    keeps_secrets("the log", &log);
}

/// What is kept of a request to know it again is no quick way to try passwords: it is the same for every one.
#[tokio::test]
async fn fault_6_what_an_idempotency_key_leaves_says_nothing_of_a_password() {
    let server = Server::start();
    let client = &server.client;
    let mut hashes = Vec::new();
    for (key, code) in [("k1", "one"), ("k2", "two")] {
        client.create(NewLink::to(URL).with("alias", code)).await;
        let request =
            client.authorized(Method::POST, "/api/v1/links/bulk").header("idempotency-key", key);
        let links = json!({ "links": [{ "url": URL, "password": code }] });
        let made = client.send(request.json(&links)).await.expect(200).json();
        let made = made["results"][0]["link"]["code"].as_str().unwrap().to_owned();
        let history = client.get(&format!("/api/v1/links/{made}/history")).await.json();
        hashes.push(history["data"][0]["commandhash"].clone());
    }
    assert!(hashes[0].is_string());
    assert_eq!(hashes[0], hashes[1]);
}
