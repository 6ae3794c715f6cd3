//! The description of the streams.

use std::fs;

use serde_json::{Value, json};

use super::clients::program;
use crate::support::{NewLink, Server, Settings, checkout};

/// Something of many types on every topic.
async fn do_all_sorts_of_things(server: &Server) {
    let client = &server.client;
    let full = json!({
        "url": "https://example.com/?utm_source=s", "alias": "a", "expiresIn": "1d",
        "redirect": 301, "title": "t", "tags": ["x"], "note": "n", "externalId": "e",
        "validFrom": "2020-01-01T00:00:00Z", "expiredUrl": "https://example.com/over",
    });
    client.create(NewLink(full)).await;
    client.create(NewLink::to("https://example.com/").with("alias", "b")).await;
    let asking = NewLink::to("https://example.com/").with("alias", "c").with("password", "sesame");
    client.create(asking).await;
    for patch in [
        json!({ "url": "https://example.com/2", "title": null, "tags": ["y"], "note": "m" }),
        json!({ "expiresAt": null, "redirect": 302, "externalId": "f", "archived": true }),
        json!({ "validFrom": null, "expiredUrl": null, "archived": false, "forwardPath": true }),
        json!({ "forwardQuery": "append", "password": "sesame" }),
        json!({ "password": null, "maxClicks": 9 }),
        json!({ "rules": [{ "when": { "visitor": "bot" }, "url": "https://example.com/" }] }),
        json!({ "preview": { "title": "t", "image": "https://example.com/i.png" } }),
        json!({ "split": [{ "name": "a", "weight": 1 }, { "name": "b", "weight": 2, "url": "https://example.com/" }] }),
    ] {
        client.patch("/api/v1/links/a", &patch).await.expect(200);
    }
    client.post("/api/v1/links/a/disable", &json!({})).await.expect(200);
    client.post("/api/v1/links/a/enable", &json!({})).await.expect(200);
    let reason = json!({ "reason": "asks for passwords" });
    client.post("/api/v1/links/a/quarantine", &reason).await.expect(200);
    client.post("/api/v1/links/a/appeal", &json!({ "text": "It is ours." })).await.expect(200);
    client.post("/api/v1/links/a/release", &json!({})).await.expect(200);
    client.visit("/a?utm_medium=m").await.expect(302);
    client.visit("/b").await.expect(302);
    client.delete("/api/v1/links/b").await.expect(204);
    client.visit("/nobody").await.expect(404);
    client.orphans(1).await;
    client.keyed("one", &["links:read"]).await;
}

/// What was on the log, each event with the channels that it is on.
async fn entries(server: &Server) -> String {
    let mut lines = Vec::new();
    for topic in ["links", "clicks", "accounts"] {
        for event in server.client.events(topic).await {
            lines.push(json!({ "channel": topic, "event": event }).to_string());
            if topic != "accounts" {
                let mut stored = event;
                for place in ["sequence", "position", "streamversion"] {
                    stored.as_object_mut().unwrap().remove(place);
                }
                let channel = format!("{topic}-subjects");
                lines.push(json!({ "channel": channel, "event": stored }).to_string());
            }
        }
    }
    lines.join("\n")
}

/// The document is as `AsyncAPI` 3.0 wants it, and events are as the document says.
#[tokio::test]
async fn the_description_of_the_streams_is_valid_and_true() {
    let server = Server::start();
    do_all_sorts_of_things(&server).await;
    let document = server.client.visit("/asyncapi.json").await.expect(200);
    assert_eq!(document.header("content-type"), "application/json");
    let entries = entries(&server).await;
    assert!(entries.lines().count() > 25, "{entries}");
    let dir = tempfile::tempdir().unwrap();
    let check = |document: &Value, entries: &str| {
        let [place, lines] = ["asyncapi.json", "events"].map(|name| dir.path().join(name));
        fs::write(&place, document.to_string()).unwrap();
        fs::write(&lines, entries).unwrap();
        let mut command = program("check_asyncapi.py");
        command.arg(checkout("tests/streams/asyncapi-3.0.0.schema.json"));
        let output = command.arg(place).arg(lines).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let document = document.json();
    assert_eq!(check(&document, &entries), "");

    // The check finds what it looks for.
    let mut broken = document.clone();
    broken["channels"]["links"]["adress"] = json!("x");
    assert!(check(&broken, "").contains("adress"));
    let mut broken = document.clone();
    broken["components"]["schemas"].as_object_mut().unwrap().remove("envelope");
    assert!(check(&broken, "").contains("#/components/schemas/envelope leads nowhere"));
    let mut broken = document;
    let code = &mut broken["components"]["schemas"]["hoplog.link.created.v2.data"]["properties"];
    code["url"] = json!({ "type": "integer" });
    assert!(check(&broken, &entries).contains("hoplog.link.created.v2 fits []"));
}

/// Every type of every topic; keys for administrators only, and nothing of what nodes agree on.
#[tokio::test]
async fn the_description_says_what_there_is_and_to_whom() {
    let settings = Settings::embedded().with("HOPLOG_BASE_URL", "https://go.example.com");
    let server = settings.start();
    let document = server.client.visit("/asyncapi.json").await.expect(200).json();
    assert_eq!(document["asyncapi"], "3.0.0");
    assert_eq!(document["servers"]["http"]["host"], "go.example.com");
    assert_eq!(document["servers"]["http"]["protocol"], "https");
    let channels = document["channels"].as_object().unwrap();
    let names: Vec<&String> = channels.keys().collect();
    assert_eq!(names, ["accounts", "clicks", "clicks-subjects", "links", "links-subjects"]);
    assert_eq!(channels["links"]["address"], "/api/v1/events");
    assert_eq!(channels["links-subjects"]["address"], "links.{partition}.{domain}.{code}");
    assert_eq!(channels["links"]["messages"].as_object().unwrap().len(), 32);
    for (name, reference) in channels["links-subjects"]["messages"].as_object().unwrap() {
        let stored = json!({ "$ref": format!("#/components/messages/subject.{name}") });
        assert_eq!(*reference, stored);
        assert!(channels["links"]["messages"][name].is_object(), "{name}");
    }
    let operations = document["operations"].as_object().unwrap();
    assert_eq!(operations.len(), 9 + 2);
    for (name, operation) in operations {
        if name.ends_with("-subjects") {
            assert!(operation["bindings"]["nats"].is_object(), "{name}");
            continue;
        }
        let key = if name.ends_with("accounts") { "adminKey" } else { "apiKey" };
        let expected = json!([{ "$ref": format!("#/components/securitySchemes/{key}") }]);
        assert_eq!(operation["security"], expected, "{name}");
        let query = &operation["bindings"]["http"]["query"]["properties"];
        assert_eq!(query["limit"].is_object(), name.starts_with("page"), "{name}");
    }
    assert!(!document.to_string().to_lowercase().contains("agreement"));
}
