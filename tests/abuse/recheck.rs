//! Links that are there when a list changes.

use std::path::Path;

use serde_json::{Value, json};

use super::{List, creations_become};
use crate::support::{Client, NewLink, Settings};

const GOOD: &str = "https://example.com/";
const BAD: &str = "https://www.turns-bad.example/page";

/// How often a link was put in quarantine by a list.
async fn quarantines(client: &Client, code: &str) -> usize {
    let path = format!("/api/v1/links/{code}/history");
    let history = client.get(&path).await.expect(200).json();
    let events = history["data"].as_array().unwrap().iter();
    let events = events.filter(|event| event["type"] == "hoplog.link.quarantined.v1");
    events.filter(|event| event["actor"] == "system:blocklist").count()
}

/// Links to every kind of bad destination; those in the end are found with the last page of a look.
async fn create_all(client: &Client) {
    let rule = json!([{ "when": { "visitor": "bot" }, "url": BAD }]);
    let split = json!([{ "name": "own", "weight": 1 }, { "name": "bad", "weight": 0, "url": BAD }]);
    for (code, url, field, value) in [
        ("own", BAD, "title", json!("t")),
        ("later", GOOD, "expiredUrl", json!(BAD)),
        ("some", GOOD, "rules", rule),
        ("varied", GOOD, "split", split),
        ("away", BAD, "archived", json!(true)),
        ("off", BAD, "title", json!("t")),
        ("held", BAD, "title", json!("t")),
        ("good", GOOD, "title", json!("t")),
    ] {
        client.create(NewLink::to(url).with("alias", code).with(field, value)).await;
    }
    for canary in 0..3 {
        let url = format!("https://canary-{canary}.example/");
        client.create(NewLink::to(&url).with("alias", format!("canary{canary}"))).await;
    }
    client.post("/api/v1/links/off/disable", &json!({})).await.expect(200);
    let reason = json!({ "reason": "by hand" });
    client.post("/api/v1/links/held/quarantine", &reason).await.expect(200);
}

/// Waits until the look by another list is over: the links before the last were looked at before.
async fn looked(list: &List, client: &Client, canary: usize, more: &str) {
    let canaries: Vec<_> = (0..=canary).map(|n| format!("canary-{n}.example")).collect();
    list.write(&format!("{more}\n{}\n", canaries.join("\n")));
    client.visit_becomes(&format!("/canary{canary}"), 451).await;
}

async fn shown(client: &Client, code: &str) -> Value {
    client.get(&format!("/api/v1/links/{code}")).await.expect(200).json()
}

/// Trap 19: whichever destination it is that has got on the list.
#[tokio::test]
async fn trap_19_links_whose_destination_gets_on_a_list_are_put_in_quarantine_once() {
    let (list, settings) = List::of("nothing.example\n");
    let server = settings.with("HOPLOG_BLOCKLIST_RELOAD", "1").start();
    let client = &server.client;
    create_all(client).await;
    looked(&list, client, 0, "turns-bad.example").await;
    for code in ["own", "later", "some", "varied", "away", "off", "held"] {
        client.visit_becomes(&format!("/{code}"), 451).await;
    }
    client.visit("/good").await.expect(302);
    let own = shown(client, "own").await;
    assert_eq!(own["quarantine"]["by"], "blocklist", "{own}");
    assert_eq!(own["quarantine"]["entry"], "turns-bad.example", "{own}");
    assert_eq!(shown(client, "held").await["quarantine"]["reason"], "by hand");
    // What an operator has released is not found by the same entry again, and nothing twice.
    client.post("/api/v1/links/own/release", &json!({})).await.expect(200);
    for canary in [1, 2] {
        looked(&list, client, canary, "turns-bad.example").await;
    }
    client.visit("/own").await.expect(302);
    for (code, times) in [("own", 1), ("later", 1), ("some", 1), ("off", 1), ("held", 0)] {
        assert_eq!(quarantines(client, code).await, times, "{code}");
    }
    // Nor is one released by itself.
    list.write("nothing.example\n");
    creations_become(client, BAD, 201).await;
    client.visit("/later").await.expect(451);
    client.verify_read_models().await;
}

fn listing(settings: Settings, list: &Path) -> Settings {
    let settings = settings.with("HOPLOG_BLOCKLIST_RELOAD", "1");
    settings.with("HOPLOG_BLOCKLIST", list.to_str().unwrap())
}

/// Of several nodes one looks, and a start looks as well: also by a list that has changed meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_start_with_a_list_find_what_was_there_before() {
    let settings = Settings::production();
    let before = settings.start();
    create_all(&before.client).await;
    let (list, _) = List::of("turns-bad.example\ncanary-0.example\n");
    let settings = listing(before.stop(), &list.path);
    let (one, two) = (settings.clone().start(), settings.another_node().start());
    for client in [&one.client, &two.client] {
        for code in ["own", "later", "some", "varied", "away", "off", "held", "canary0"] {
            client.visit_becomes(&format!("/{code}"), 451).await;
        }
        client.visit("/good").await.expect(302);
    }
    // The other node looks when the first is gone.
    one.kill();
    looked(&list, &two.client, 1, "turns-bad.example").await;
    looked(&list, &two.client, 2, "turns-bad.example").await;
    for code in ["own", "later", "some", "off"] {
        assert_eq!(quarantines(&two.client, code).await, 1, "{code}");
    }
}
