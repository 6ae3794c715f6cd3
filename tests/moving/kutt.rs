//! A Kutt server, as its API is documented.

use serde_json::{Value, json};

use super::source::{Source, json as answer, refused};
use super::{TOKEN, conflicts, counts, import};
use crate::support::Server;

fn link(n: usize, more: &Value) -> Value {
    let mut link = json!({
        "address": format!("k{n}"), "link": format!("https://kutt.test/k{n}"),
        "target": format!("https://example.com/{n}"), "banned": false, "password": false,
        "description": null, "expire_in": null, "visit_count": 2, "created_at": "2024-01-01T00:00:00.000Z",
        "id": "8f5b7ff2-7a0f-4d2b-9b4e-1d6a4f0d3b11",
    });
    for (name, value) in more.as_object().unwrap() {
        link[name] = value.clone();
    }
    link
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_come_in_page_by_page() {
    let mut links: Vec<Value> = (0..60).map(|n| link(n, &json!({}))).collect();
    links[7] = link(7, &json!({"password": true}));
    links[8] = link(8, &json!({"banned": true, "description": "seen by nobody"}));
    links[9] = link(9, &json!({"expire_in": "2099-01-01T00:00:00.000Z"}));
    let source = Source::start(move |asked, _| {
        if (asked.token.as_str(), asked.path.as_str()) != (TOKEN, "/api/v2/links") {
            return refused(401, &json!({"error": "Unauthorized"}));
        }
        // More is asked for than Kutt gives.
        let skip = asked.parameter("skip").parse().unwrap();
        let data: Vec<&Value> = links.iter().skip(skip).take(25).collect();
        answer(&json!({"total": links.len(), "limit": 25, "skip": skip, "data": data}))
    })
    .await;
    let server = Server::start();
    let arguments = ["kutt", "--from", &source.url];
    let (code, summary, _) = import(&server, &arguments);
    assert_eq!((code, counts(&summary)), (Some(1), [60, 59, 0]), "{summary}");
    let conflicts = conflicts(&summary);
    assert_eq!((conflicts.len(), conflicts[0].0), (1, "k7"), "fault 6: protected, and not opened");
    assert_eq!(summary["clicks"]["onlyCounted"], 118);
    let client = &server.client;
    client.visit("/k59").await.expect(302);
    client.visit("/k7").await.expect(404);
    assert_eq!(client.visit_becomes("/k8", 404).await.code(), "link_disabled");
    let link = client.get("/api/v1/links/k9").await.json();
    assert_eq!(link["expiresAt"], "2099-01-01T00:00:00Z");
    let heads = client.heads().await;
    let (_, again, _) = import(&server, &arguments);
    assert_eq!(counts(&again), [60, 0, 59]);
    assert_eq!(client.heads().await, heads, "a second run changes nothing");
}

/// Whoever was switched off at the source and is switched on here stays on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_switched_on_here_stays_on() {
    let source = Source::start(|_, _| {
        answer(&json!({"total": 1, "limit": 50, "skip": 0, "data": [link(1, &json!({"banned": true}))]}))
    })
    .await;
    let server = Server::start();
    super::imported(&server, &["kutt", "--from", &source.url]);
    server.client.post("/api/v1/links/k1/enable", &json!({})).await.expect(200);
    server.client.caught_up("link_directory").await;
    super::imported(&server, &["kutt", "--from", &source.url]);
    server.client.visit_becomes("/k1", 302).await;
}
