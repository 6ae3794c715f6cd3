//! A workspace of Dub, as its API is documented.

use serde_json::{Value, json};

use super::source::{Asked, Source, json as answer, refused};
use super::{TOKEN, conflicts, counts, import, imported};
use crate::support::Server;

fn link(n: usize) -> Value {
    json!({
        "id": format!("link_{n:03}"), "domain": "d.test", "key": format!("Key{n}"), "url": format!("https://example.com/{n}"),
        "shortLink": format!("https://d.test/Key{n}"), "archived": false, "expiresAt": null, "expiredUrl": null,
        "password": if n == 1 { json!("sesame") } else { Value::Null },
        "title": format!("T{n}"), "comments": null, "externalId": format!("ext-{n}"), "disabledAt": null,
        "tags": [{"id": "tag_1", "name": "spring", "color": "red"}], "clicks": if n == 2 { 103 } else { 0 },
        "ios": if n == 3 { json!("https://apps.test/") } else { Value::Null },
        "android": null, "geo": null, "proxy": false, "rewrite": false, "trackConversion": false,
    })
}

fn event(n: usize) -> Value {
    json!({
        "event": "click", "timestamp": format!("2024-03-01T{:02}:{:02}:00.000Z", n / 60, n % 60),
        "click": {
            "id": format!("click_{n}"), "country": "DE", "city": "Berlin", "device": "Desktop", "browser": "Chrome", "os": "Windows",
            "referer": "news.example", "refererUrl": if n == 0 { "(direct)" } else { "https://news.example/" },
        },
        "link": {"id": "link_002"},
    })
}

fn answers(asked: &Asked, has_events: bool) -> axum::response::Response {
    if asked.token != format!("Bearer {TOKEN}") {
        return refused(401, &json!({"error": {"code": "unauthorized", "message": "no such key"}}));
    }
    match asked.path.as_str() {
        "/links" => {
            let after = asked.parameter("startingAfter");
            let from: usize =
                after.strip_prefix("link_").map_or(0, |n| n.parse::<usize>().unwrap() + 1);
            answer(&(from..120.min(from + 100)).map(link).collect())
        }
        "/events" if has_events => {
            assert_eq!(
                (asked.parameter("linkId"), asked.parameter("interval")),
                ("link_002", "all")
            );
            let from = (asked.parameter("page").parse::<usize>().unwrap() - 1) * 100;
            answer(&(from..103.min(from + 100)).map(event).collect())
        }
        "/events" => {
            refused(403, &json!({"error": {"code": "forbidden", "message": "needs another plan"}}))
        }
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_and_clicks_come_in_once() {
    let source = Source::start(|asked, _| answers(asked, true)).await;
    let server = Server::start();
    let arguments = ["dub", "--from", &source.url];
    let summary = imported(&server, &arguments);
    assert_eq!(counts(&summary), [120, 120, 0], "{summary}");
    assert_eq!(summary["left"], json!({"iOS targeting": 1}));
    assert_eq!(summary["clicks"]["added"], 103);
    let client = &server.client;
    let link = client.get("/api/v1/links/Key1").await.json();
    assert_eq!((&link["externalId"], &link["hasPassword"]), (&"ext-1".into(), &true.into()));
    let stats = client.stats("Key2", "").await;
    assert_eq!(stats["totalClicks"], 103);
    assert_eq!(
        (&stats["countries"][0]["value"], &stats["classes"][0]["value"]),
        (&"DE".into(), &"human".into())
    );
    let first = |name: &str| stats[name][0]["value"].clone();
    assert_eq!(
        [first("browsers"), first("systems"), first("devices")],
        ["Chrome", "Windows", "desktop"]
    );
    let heads = client.heads().await;
    let again = imported(&server, &arguments);
    assert_eq!((counts(&again), &again["clicks"]["known"]), ([120, 0, 120], &103.into()));
    assert_eq!(client.heads().await, heads, "a second run changes nothing");
}

/// A plan without events gives none; the links come in all the same, and it is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_without_events_is_told() {
    let source = Source::start(|asked, _| answers(asked, false)).await;
    let server = Server::start();
    let (code, summary, told) = import(&server, &["dub", "--from", &source.url]);
    assert_eq!((code, counts(&summary)), (Some(1), [120, 120, 0]), "not everything is here");
    assert!(told.contains("the clicks did not come in"), "{told}");
    assert_eq!(
        counts(&imported(&server, &["dub", "--from", &source.url, "--no-clicks"])),
        [120, 0, 120]
    );
    let reason = summary["clicks"]["refused"].as_str().unwrap();
    assert!(reason.contains("needs another plan"), "{reason}");
}

/// An external id that another link has is a conflict; that of the same link is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_external_id_is_one_links() {
    let source = Source::start(|asked, _| answers(asked, false)).await;
    let server = Server::start();
    let other = json!({"url": "https://example.com/other", "alias": "mine", "externalId": "ext-5"});
    server.client.post("/api/v1/links", &other).await.expect(201);
    server.client.caught_up("link_directory").await;
    let (code, summary, _) = import(&server, &["dub", "--from", &source.url, "--no-clicks"]);
    assert_eq!((code, counts(&summary)), (Some(1), [120, 119, 0]));
    let conflicts = conflicts(&summary);
    assert_eq!(conflicts.len(), 1, "{summary}");
    assert!(conflicts[0].1.contains("external id"), "{summary}");
}
