//! The promise: while the log's servers are away, redirects go on and their clicks wait on this
//! disk; everything else says "not now". When the servers are back, each click is counted once.

use serde_json::json;

use crate::support::{Client, NewLink, Settings};

const URL: &str = "https://example.com/";

async fn visits(client: &Client, code: &str, marks: std::ops::Range<u32>) {
    let paths: Vec<_> = marks.map(|mark| format!("/{code}?utm_content=m{mark}")).collect();
    for answer in futures::future::join_all(paths.iter().map(|path| client.visit(path))).await {
        answer.expect(302);
    }
}

/// Every mark once, in the events and in the numbers.
async fn counted_once(client: &Client, code: &str, marks: u32) {
    client.recovered().await;
    let mut seen = client.click_marks().await;
    seen.sort_unstable();
    let mut expected: Vec<String> = (0..marks).map(|mark| format!("m{mark}")).collect();
    expected.sort_unstable();
    assert_eq!(seen, expected);
    assert_eq!(client.stats(code, "").await["totalClicks"], marks);
    client.verify_read_models().await;
}

/// Trap 11 (U23): the broker away is no reason to lose a click, nor to turn a visitor away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_clicks_wait_in_the_spool_while_the_broker_is_away() {
    let server = Settings::embedded().on_jetstream().start();
    let client = &server.client;
    let code = client.code(NewLink::to(URL)).await;
    visits(client, &code, 0..20).await;
    client.caught_up("click_statistics").await;
    server.settings.broker().kill();
    visits(client, &code, 20..60).await;
    let refused = client.post("/api/v1/links", &json!({ "url": URL })).await.expect(503);
    assert_eq!(refused.code(), "log_unavailable");
    assert!(refused.header("retry-after").parse::<u32>().is_ok());
    // Numbers get older, but they are there; the node goes on taking visitors.
    assert_eq!(
        client.get(&format!("/api/v1/links/{code}/stats")).await.expect(200).json()["totalClicks"],
        20
    );
    let ready = client.visit("/health/ready").await.expect(200).json();
    assert!(ready["spool"].as_str().unwrap().contains("40 clicks"), "{ready}");
    visits(client, &code, 60..80).await;
    server.settings.broker().restart();
    counted_once(client, &code, 80).await;
    client.create(NewLink::to(URL)).await;
}

/// The node is killed while its clicks wait, more than once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_the_spool_outlives_a_killed_node() {
    let mut server = Settings::embedded().on_jetstream().start();
    let code = server.client.code(NewLink::to(URL)).await;
    for round in 0..3 {
        let first = round * 30;
        visits(&server.client, &code, first..first + 10).await;
        server.settings.broker().kill();
        visits(&server.client, &code, first + 10..first + 30).await;
        let settings = server.kill();
        settings.broker().restart();
        server = settings.start();
    }
    counted_once(&server.client, &code, 90).await;
}

/// The servers come back with an older copy, and what waited makes it longer than it was before
/// anybody can look how long it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_put_back_is_told_although_the_spool_makes_it_longer() {
    let server = Settings::embedded().on_jetstream().start();
    let client = &server.client;
    let code = client.code(NewLink::to(URL)).await;
    visits(client, &code, 0..1).await;
    client.caught_up("clicks").await;
    server.settings.broker().copy_store();
    client.recovered().await;
    visits(client, &code, 1..2).await;
    for projection in ["clicks", "click_statistics"] {
        client.caught_up(projection).await;
    }
    server.settings.broker().kill();
    for mark in 2..20 {
        visits(client, &code, mark..mark + 1).await;
    }
    server.settings.broker().put_copy_back();
    client.recovered().await;
    for projection in ["clicks", "click_statistics"] {
        let error = client.failed(projection).await;
        assert!(error.contains("the log was put back"), "{error}");
    }
    // Every click is on the log that there is now, but for the one it was put back behind.
    let mut marks = client.click_marks().await;
    marks.sort_unstable();
    let mut expected: Vec<String> = (0..20).filter(|n| *n != 1).map(|n| format!("m{n}")).collect();
    expected.sort_unstable();
    assert_eq!(marks, expected);
}

/// A node without its log does not start, and says why on one line.
#[test]
fn without_a_broker_the_start_fails_with_one_line() {
    let settings = Settings::embedded().on_jetstream();
    settings.broker().kill();
    let output = settings.command().arg("serve").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.trim_end().lines().count() == 1 && said.contains("HOPLOG_LOG_URL"), "{said}");
}
