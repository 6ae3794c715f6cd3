//! The promise: that a link has ended becomes a fact on the log, once, soon after its instant,
//! whether a server ran at that instant or not.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::support::{Client, Live, NewLink, Server, now};

const URL: &str = "https://example.com/";

/// The subscribers' view of the sweep.
const NOTED: &str = "topic=links&types=hoplog.link.expired&after=earliest";

/// Creates a link that lives for a second; gives its instant.
async fn brief(client: &Client, alias: &str) -> DateTime<Utc> {
    let link = client.create(NewLink::to(URL).with("alias", alias).with("expiresIn", 1)).await;
    link["expiresAt"].as_str().unwrap().parse().unwrap()
}

async fn history(client: &Client, alias: &str) -> Vec<Value> {
    let path = format!("/api/v1/links/{alias}/history");
    let history = client.get(&path).await.expect(200).json();
    history["data"].as_array().unwrap().clone()
}

/// The end of a link is on the log, once, and everybody is told of it.
async fn check_ended(client: &Client, alias: &str, ended: DateTime<Utc>) {
    let history = history(client, alias).await;
    let types: Vec<_> = history.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["hoplog.link.created.v2", "hoplog.link.expired.v1"], "{alias}");
    assert_eq!(history[1]["actor"], "system:expiry");
    let noted: DateTime<Utc> = history[1]["time"].as_str().unwrap().parse().unwrap();
    assert!(noted >= ended, "noted at {noted}, before {ended}");
    let visit = client.visit(&format!("/{alias}")).await;
    assert_eq!(visit.expect(410).code(), "link_expired");
    client.caught_up("link_directory").await;
    let link = client.get(&format!("/api/v1/links/{alias}")).await.expect(200);
    assert_eq!(link.json()["state"], "expired");
    assert_eq!(link.header("etag"), "\"2\"");
    let list = client.get("/api/v1/links?state=expired").await.expect(200).json();
    let listed = list["data"].as_array().unwrap().iter().filter(|link| link["code"] == alias);
    assert_eq!(listed.count(), 1, "{list}");
}

/// Trap 14 (U31).
#[tokio::test]
async fn trap_14_the_end_of_a_link_is_noted_once() {
    let server = Server::start();
    let client = &server.client;
    let mut noted = Live::open(client, NOTED, None).await;
    let first = brief(client, "first").await;
    client.create(NewLink::to(URL).with("alias", "endless")).await;
    client.create(NewLink::to(URL).with("alias", "later").with("expiresIn", "1h")).await;
    assert_eq!(noted.next().await.event["subject"], "default/first");
    check_ended(client, "first", first).await;
    // A later sweep notes a later end, and nothing for a second time.
    let second = brief(client, "second").await;
    assert_eq!(noted.next().await.event["subject"], "default/second");
    check_ended(client, "second", second).await;
    check_ended(client, "first", first).await;
    // An end that is moved is noted where it is now.
    client.patch("/api/v1/links/later", &json!({ "expiresIn": 1 })).await.expect(200);
    assert_eq!(noted.next().await.event["subject"], "default/later");
    client.visit("/later").await.expect(410);
    client.visit("/endless").await.expect(302);
    let all = client.events("links").await;
    let ends = all.iter().filter(|event| event["type"] == "hoplog.link.expired.v1");
    assert_eq!(ends.count(), 3);
    client.verify_read_models().await;
}

#[tokio::test]
async fn trap_14_an_end_that_no_server_saw_is_noted_once_at_the_next_start() {
    let server = Server::start();
    let ended = brief(&server.client, "unseen").await;
    let settings = server.stop();
    // Nothing but time can bring the instant about.
    tokio::time::sleep((ended - now()).to_std().unwrap_or_default()).await;
    let server = settings.start();
    server.client.visit("/unseen").await.expect(410);
    let mut noted = Live::open(&server.client, NOTED, None).await;
    assert_eq!(noted.next().await.event["subject"], "default/unseen");
    check_ended(&server.client, "unseen", ended).await;
    // Neither the next start nor a rebuilt read model notes it again.
    let server = server.kill().start();
    let rebuild = "/api/v1/projections/link_directory/rebuild";
    server.client.post(rebuild, &json!({})).await.expect(200);
    let mut noted = Live::open(&server.client, NOTED, None).await;
    let after = brief(&server.client, "after").await;
    let subjects = noted.take(2).await.into_iter().map(|sent| sent.event["subject"].clone());
    assert!(subjects.eq(["default/unseen", "default/after"]));
    check_ended(&server.client, "after", after).await;
    check_ended(&server.client, "unseen", ended).await;
}
