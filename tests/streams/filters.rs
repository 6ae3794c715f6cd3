//! Of some types, or of one link.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::{make_link, make_links, subjects};
use crate::support::{Client, Live, Server, events};

/// The three forms of a selection, up to now.
async fn forms(client: &Client, query: &str, n: usize) -> [Vec<Value>; 3] {
    let page = client.send(events(client, &format!("{query}&limit=1000"))).await.expect(200).json();
    let bulk = events(client, query).header("accept", "application/x-ndjson");
    let bulk = client.send(bulk).await.expect(200).body;
    let bulk = bulk.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut live = Live::open(client, query, None).await;
    let live = live.take(n).await.into_iter().map(|sent| sent.event).collect();
    [page.as_array().unwrap().clone(), bulk, live]
}

/// Where an answer ends.
fn position(headers: &HeaderMap) -> String {
    headers["hoplog-position"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_events_of_one_link_are_chosen_by_its_code_or_its_subject() {
    let server = Server::start();
    let client = &server.client;
    make_links(client, "a", 30).await;
    client.post("/api/v1/links/a7/disable", &json!({})).await.expect(200);
    make_links(client, "b", 30).await;
    client.delete("/api/v1/links/a7").await.expect(204);
    make_link(client, "late").await;
    let log = client.events("links").await;
    let of_link: Vec<Value> =
        log.iter().filter(|event| event["subject"] == "default/a7").cloned().collect();
    assert_eq!(of_link.len(), 3);
    for query in ["link=a7", "link=default/a7", "link=default%2Fa7"] {
        for form in forms(client, query, 3).await {
            assert_eq!(form, of_link, "{query}");
        }
    }
    for form in forms(client, "link=a7&types=hoplog.link.disabled", 1).await {
        assert_eq!(form, of_link[1..2]);
    }
    // Places are the topic's: the rest of the log is behind them.
    let head = client.heads().await.remove(0);
    let page = client.send(events(client, "link=a7")).await.expect(200);
    assert_eq!(page.position(), head);
    let first = client.send(events(client, "link=a7&limit=1")).await.expect(200);
    assert_eq!(json!(first.position()), of_link[0]["position"]);
    let rest = client.send(events(client, &format!("after={}", first.position()))).await.json();
    assert_eq!(rest.as_array().unwrap()[..], log[8..]);
    let page = client.send(events(client, "link=nobody")).await.expect(200);
    assert_eq!((page.json(), page.position()), (json!([]), head));
    // A domain that is none of ours has no links that could ever come.
    let refused = client.send(events(client, "link=elsewhere.example/a7")).await.expect(400);
    assert_eq!(refused.json()["errors"][0]["pointer"], "?link");
}

/// A batch with a click of the link is given as it is: it keeps its id and its clicks theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_with_a_click_of_the_link_are_chosen_and_left_whole() {
    let server = Server::start();
    let client = &server.client;
    for code in ["one", "other", "on"] {
        make_link(client, code).await;
    }
    for round in 0..5 {
        let paths = (0..4).map(|n| format!("/one?utm_content=one-{round}-{n}"));
        let paths: Vec<String> = paths.chain((0..4).map(|_| "/other".to_owned())).collect();
        for answer in futures::future::join_all(paths.iter().map(|path| client.visit(path))).await {
            answer.expect(302);
        }
        client.visit("/on").await.expect(302);
    }
    let log = client.events("clicks").await;
    let has = |event: &&Value, code: &str| {
        event["data"]["clicks"].as_array().unwrap().iter().any(|click| click["code"] == code)
    };
    for code in ["one", "other", "on"] {
        let expected: Vec<Value> = log.iter().filter(|event| has(event, code)).cloned().collect();
        assert!(!expected.is_empty() && expected.len() < log.len(), "{}", log.len());
        let query = format!("topic=clicks&link={code}");
        for form in forms(client, &query, expected.len()).await {
            assert_eq!(form, expected, "{code}");
        }
    }
}

/// A reader of rare events is told where it is, and does not begin anew when it comes back.
#[tokio::test]
async fn a_stream_says_where_it_is_although_nothing_is_wanted() {
    let server = Server::start();
    let client = &server.client;
    make_links(client, "a", 2_500).await;
    let (rare, link) = ("types=hoplog.link.deleted", "link=a1&types=hoplog.link.deleted");
    let mut live = Live::open(client, rare, None).await;
    let (start, on_the_way) = (live.place().await, live.place().await);
    assert_ne!(start, on_the_way);
    client.delete("/api/v1/links/a1").await.expect(204);
    for query in [rare, link] {
        let mut resumed = Live::open(client, query, Some(&on_the_way)).await;
        assert_eq!(resumed.place().await, on_the_way);
        loop {
            let place = resumed.place().await;
            if place == client.heads().await[0] {
                break;
            }
        }
    }
    assert_eq!(live.next().await.event["subject"], "default/a1");

    let head = client.heads().await.remove(0);
    for query in [rare, link, "types=hoplog.link.enabled"] {
        let bulk = events(client, query).header("accept", "application/x-ndjson");
        assert_eq!(position(&client.send(bulk).await.expect(200).headers), head, "{query}");
        let page = client.send(events(client, query)).await.expect(200);
        assert_eq!(page.position(), head, "{query}");
    }
    // A page is as full as it may be, whatever is between its events.
    let page = client.send(events(client, "types=hoplog.link.created&limit=1000")).await;
    assert_eq!(page.expect(200).json().as_array().unwrap().len(), 1_000);
}

/// Also where there is nothing else to say: the place moves with what is left out.
#[tokio::test]
async fn a_heartbeat_says_where_the_stream_is() {
    let server = Server::start();
    let client = &server.client;
    let mut live = Live::open(client, "types=hoplog.link.deleted", None).await;
    let start = live.place().await;
    make_links(client, "a", 10).await;
    let head = client.heads().await.remove(0);
    assert_ne!(start, head);
    assert_eq!(live.place().await, head);
}

/// On the command line, too.
#[tokio::test]
async fn the_command_line_takes_the_same_filters() {
    let server = Server::start();
    make_links(&server.client, "a", 5).await;
    server.client.visit("/a2").await.expect(302);
    server.client.visit("/a3").await.expect(302);
    let tail = |arguments: &[&str]| -> Vec<Value> {
        let text = server.cli_ok(&[&["events", "tail"], arguments].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    assert_eq!(subjects(&tail(&["--link", "a3"])), ["default/a3"]);
    assert_eq!(tail(&["--link", "a3", "--types", "hoplog.link.deleted"]), [] as [Value; 0]);
    let clicks = tail(&["--topic", "clicks", "--link", "a2"]);
    assert_eq!(clicks.len(), 1);
    assert_eq!(clicks[0]["data"]["clicks"][0]["code"], "a2");
    let refused = server.cli(&["events", "tail", "--link", "a b"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
}
