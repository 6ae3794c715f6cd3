//! The promise: the log can be read from outside, page by page, in bulk or live, and resumed
//! anywhere without a gap or a repeat.

use serde_json::{Value, json};

use crate::support::{Client, Live, NewLink, Sent, Server, events};

/// Creates links `<prefix>0` to `<prefix>n-1`, one event each.
async fn make_links(client: &Client, prefix: &str, n: usize) {
    for at in 0..n {
        let alias = format!("{prefix}{at}");
        client.create(NewLink::to("https://example.com/").with("alias", alias)).await;
    }
}

/// The codes of links in events, which name them in order.
fn subjects<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    events.into_iter().map(|event| event["subject"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_follow_each_other_by_position() {
    let server = Server::start();
    let client = &server.client;
    make_links(client, "a", 25).await;
    let (mut seen, mut after) = (Vec::new(), "earliest".to_owned());
    loop {
        let page = client.send(events(client, &format!("limit=10&after={after}"))).await;
        let page = page.expect(200);
        assert_eq!(page.header("content-type"), "application/cloudevents-batch+json");
        let list = page.json();
        let list = list.as_array().unwrap();
        if list.is_empty() {
            assert_eq!(page.position(), after, "at the end the position stays");
            break;
        }
        assert!(list.len() <= 10);
        seen.extend(subjects(list));
        after = page.position();
    }
    let expected: Vec<String> = (0..25).map(|n| format!("default/a{n}")).collect();
    assert_eq!(seen, expected);
    let latest = client.send(events(client, "after=latest")).await.expect(200);
    assert_eq!((latest.json(), latest.position()), (json!([]), after));
}

/// Every event is as CloudEvents 1.0 wants it.
#[tokio::test]
async fn an_event_is_a_cloud_event() {
    let server = Server::start();
    let before = crate::support::now();
    make_links(&server.client, "a", 1).await;
    let [event] = &server.client.events("links").await[..] else { panic!("one event") };
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["type"], "hoplog.link.created.v2");
    assert_eq!(event["subject"], "default/a0");
    for text in ["id", "source", "time"] {
        assert!(event[text].as_str().is_some_and(|text| !text.is_empty()), "{text}: {event}");
    }
    let time: chrono::DateTime<chrono::Utc> = event["time"].as_str().unwrap().parse().unwrap();
    assert!(before - chrono::Duration::milliseconds(1) <= time && time <= crate::support::now());
    assert_eq!(event["data"]["url"], "https://example.com/");
}

#[tokio::test]
async fn the_three_forms_say_the_same() {
    let server = Server::start();
    let client = &server.client;
    make_links(client, "a", 12).await;
    let page = client.send(events(client, "limit=1000")).await.expect(200).json();
    let bulk = client.events("links").await;
    let mut live = Live::open(client, "topic=links", None).await;
    let live: Vec<Value> = live.take(12).await.into_iter().map(|sent| sent.event).collect();
    assert_eq!(page.as_array().unwrap(), &bulk);
    assert_eq!(live, bulk);
    let strange = events(client, "").header("accept", "application/xml");
    assert_eq!(client.send(strange).await.expect(406).code(), "not_acceptable");
}

#[tokio::test]
async fn types_are_chosen_with_or_without_their_version() {
    let server = Server::start();
    let client = &server.client;
    make_links(client, "a", 2).await;
    client.post("/api/v1/links/a0/disable", &json!({})).await.expect(200);
    client.delete("/api/v1/links/a1").await.expect(204);
    for (types, expected) in [
        ("hoplog.link.created", 2),
        ("hoplog.link.created.v2", 2),
        ("hoplog.link.created.v1", 0),
        ("hoplog.link.disabled,hoplog.link.deleted.v1", 2),
    ] {
        let page = client.send(events(client, &format!("types={types}"))).await.expect(200);
        assert_eq!(page.json().as_array().unwrap().len(), expected, "{types}");
        let wanted = events(client, &format!("types={types}"));
        let bulk = client.send(wanted.header("accept", "application/x-ndjson")).await.expect(200);
        assert_eq!(bulk.body.lines().count(), expected, "{types}");
    }
    let mut live = Live::open(client, "types=hoplog.link.deleted", None).await;
    assert_eq!(live.next().await.event["type"], "hoplog.link.deleted.v1");
}

/// A reader that comes back with its last event goes on behind it, also across a restart, while
/// others write.
#[tokio::test]
async fn a_live_stream_is_resumed_without_a_gap_or_a_repeat() {
    let server = Server::start();
    make_links(&server.client, "old", 5).await;
    let mut seen: Vec<Sent> = Vec::new();
    let mut server = server;
    for round in 0..4 {
        let last = seen.last().map(|sent| sent.id.clone());
        let client = server.client.clone();
        let mut live = Live::open(&client, "topic=links", last.as_deref()).await;
        let writer =
            tokio::spawn(async move { make_links(&client, &format!("r{round}n"), 20).await });
        // Leaves in the middle, some events before the writer's last.
        seen.extend(live.take(if round == 0 { 17 } else { 20 }).await);
        drop(live);
        writer.await.unwrap();
        if round == 1 {
            server = server.kill().start();
        }
    }
    let last = seen.last().map(|sent| sent.id.clone());
    let mut live = Live::open(&server.client, "topic=links", last.as_deref()).await;
    seen.extend(live.take(85 - seen.len()).await);
    let live: Vec<Value> = seen.iter().map(|sent| sent.event.clone()).collect();
    assert_eq!(live, server.client.events("links").await);
    for Sent { id, kind, event } in &seen {
        assert_eq!((&event["position"], &event["type"]), (&json!(id), &json!(kind)));
    }
}

/// A stream says where it starts before there is anything to tell: a reader that loses it then has
/// a place to come back to, and misses nothing of what happened meanwhile.
#[tokio::test]
async fn a_live_stream_can_be_resumed_before_its_first_event() {
    let server = Server::start();
    let client = &server.client;
    for query in ["topic=links&after=latest", "topic=links"] {
        let place = Live::open(client, query, None).await.place().await;
        make_links(client, &format!("{}x", query.len()), 2).await;
        let mut live = Live::open(client, query, Some(&place)).await;
        assert_eq!(live.place().await, place);
        let sent = live.take(2).await;
        let expected = [0, 1].map(|n| format!("default/{}x{n}", query.len()));
        if query.ends_with("latest") {
            assert_eq!(subjects(sent.iter().map(|sent| &sent.event)), expected);
        }
    }
}

/// `after=latest` starts at the end: nothing old, everything new.
#[tokio::test]
async fn a_live_stream_from_the_end_has_only_what_is_new() {
    let server = Server::start();
    let client = &server.client;
    make_links(client, "old", 3).await;
    let mut live = Live::open(client, "after=latest", None).await;
    make_links(client, "new", 3).await;
    let sent = live.take(3).await;
    let expected = ["default/new0", "default/new1", "default/new2"];
    assert_eq!(subjects(sent.iter().map(|sent| &sent.event)), expected);
}

/// Junk where the last event is named is refused, never read as "from the start".
#[tokio::test]
async fn a_last_event_id_that_is_none_is_refused() {
    let server = Server::start();
    for id in [&b"17"[..], b"latest-ish", b"\xff\xfe", b"a b"] {
        let request = events(&server.client, "").header("accept", "text/event-stream");
        let id = reqwest::header::HeaderValue::from_bytes(id).unwrap();
        let answer = server.client.send(request.header("last-event-id", id)).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(["invalid_parameter", "invalid_header"].contains(&&*answer.code()), "{answer:?}");
    }
}
