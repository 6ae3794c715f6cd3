//! The promise: what a link was at any moment can be asked for, and is what its events say.

use chrono::{DateTime, TimeDelta, Utc};
use hoplog_events::envelope::rfc3339;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server, now};

async fn as_of(client: &Client, at: &str) -> Answer {
    client.get(&format!("/api/v1/links/a?asOf={}", at.replace('+', "%2B"))).await
}

/// What happened to the link, and when.
async fn history(client: &Client) -> Vec<(DateTime<Utc>, String)> {
    let history = client.get("/api/v1/links/a/history").await.expect(200).json();
    let events = history["data"].as_array().unwrap().iter();
    let text = |event: &Value, name: &str| event[name].as_str().unwrap().to_owned();
    events.map(|event| (text(event, "time").parse().unwrap(), text(event, "type"))).collect()
}

/// Notes' §6: "where did this link lead last Tuesday", from the log.
#[tokio::test]
async fn a_link_is_shown_as_it_was() {
    let server = Server::start();
    let client = &server.client;
    let link = NewLink::to("https://example.com/1").with("alias", "a").with("title", "one");
    let mut seen = vec![client.create(link).await];
    for patch in [
        json!({ "url": "https://example.com/2" }),
        json!({ "title": null }),
        json!({ "validFrom": "2099-01-01T00:00:00Z" }),
        json!({ "archived": true }),
    ] {
        seen.push(client.patch("/api/v1/links/a", &patch).await.expect(200).json());
    }
    seen.push(client.post("/api/v1/links/a/disable", &json!({})).await.expect(200).json());
    client.delete("/api/v1/links/a").await.expect(204);
    let server = server.kill().start();
    let client = &server.client;
    let events = history(client).await;
    assert_eq!(events.len(), seen.len() + 1);
    let mut compared = 0;
    for (place, mut was) in seen.into_iter().enumerate() {
        was["clicks"] = Value::Null;
        // Another start, another port.
        was["shortUrl"] = format!("{}/a", server.url).into();
        // From its event on, until the next.
        let (from, until) = (events[place].0, events[place + 1].0 - TimeDelta::microseconds(1));
        for at in [from, until].into_iter().filter(|at| (from..=until).contains(at)) {
            let shown = as_of(client, &rfc3339(at)).await.expect(200);
            assert_eq!(shown.header("etag"), format!("\"{}\"", place + 1));
            assert_eq!(shown.json(), was, "at {at}: {events:?}");
            compared += 1;
        }
    }
    assert!(compared >= 6, "{events:?}");
    let deleted = rfc3339(events[events.len() - 1].0);
    assert_eq!(as_of(client, &deleted).await.expect(410).code(), "link_deleted");
    let before = rfc3339(events[0].0 - TimeDelta::microseconds(1));
    assert_eq!(as_of(client, &before).await.expect(404).code(), "link_not_found");
    let told = server.cli_ok(&["link", "show", "a", "--as-of", &rfc3339(events[0].0)]);
    assert!(told.contains("https://example.com/1") && !told.contains("clicks"), "{told}");
    let offset = events[0].0.with_timezone(&chrono::FixedOffset::east_opt(7_200).unwrap());
    as_of(client, &offset.to_rfc3339()).await.expect(200);
}

#[tokio::test]
async fn an_instant_that_can_not_be_asked_for_is_refused() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    let later = rfc3339(now() + TimeDelta::hours(1));
    for at in ["", "tuesday", "2026-01-01", "2026-01-01T00:00:00", &later] {
        let refused = as_of(client, at).await.expect(400).json();
        assert_eq!(refused["errors"][0]["pointer"], "?asOf", "{refused}");
    }
    let stranger = client.keyed("bob", &["links:read"]).await;
    let now = rfc3339(now());
    assert_eq!(as_of(&stranger, &now).await.expect(404).code(), "link_not_found");
    client.get("/api/v1/links/a?as=of").await.expect(400);
}

/// What was erased is not shown as it was.
#[tokio::test]
async fn an_erased_link_is_not_shown_as_it_was() {
    let server = Server::start();
    let client = &server.client;
    let link =
        NewLink::to("https://telltale.example/").with("alias", "a").with("title", "telltale");
    client.create(link.with("expiredUrl", "https://telltale.example/over")).await;
    client.delete("/api/v1/links/a/personal-data").await.expect(200);
    let created = rfc3339(history(client).await[0].0);
    let shown = as_of(client, &created).await.expect(200);
    assert!(!shown.body.contains("telltale"), "{shown:?}");
    assert_eq!(shown.json()["url"], "https://erased.invalid/");
}
