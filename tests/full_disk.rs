//! The promise: a full disk costs answers, never anything that was answered, and nobody has to
//! start anything again when there is room.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;

use crate::support::{Answer, Client, NewLink, Server, Settings};

const URL: &str = "https://example.com/";

/// Visits that may wait for the log, as the operations guide has it.
const QUEUE_VISITS_MAX: usize = 65_536;

/// How long a raw connection waits for an answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// What says "not now": when to come again, and why in words for programs.
#[track_caller]
fn check_unavailable(answer: &Answer, code: &str) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.code(), code);
    let retry_after: u32 = answer.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&retry_after));
    assert_eq!(answer.json()["status"], 503);
}

/// Visits with marks of their own, all at once.
async fn visits(client: &Client, code: &str, marks: &[String]) -> Vec<Answer> {
    let paths: Vec<_> = marks.iter().map(|mark| format!("/{code}?utm_content={mark}")).collect();
    futures::future::join_all(paths.iter().map(|path| client.visit(path))).await
}

fn marks(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|n| format!("{prefix}{n}")).collect()
}

/// Trap 11 (U23).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_a_full_disk_refuses_and_forgets_nothing() {
    let server = Settings::embedded().start_with_a_disk_that_fills();
    let client = &server.client;
    let code = client.code(NewLink::to(URL)).await;
    let before = marks("before", 20);
    for answer in visits(client, &code, &before).await {
        answer.expect(302);
    }
    // The read models have not seen all of this when the disk is full.
    server.fill_the_disk();
    let during = marks("during", 20);
    let path = format!("/api/v1/links/{code}");
    for answer in [
        client.post("/api/v1/links", &json!({ "url": URL, "alias": "during" })).await,
        client.patch(&path, &json!({ "title": "during" })).await,
        client.post("/api/v1/keys", &json!({ "name": "k", "scopes": ["admin"] })).await,
    ] {
        check_unavailable(&answer, "log_unavailable");
    }
    for answer in visits(client, &code, &during).await {
        check_unavailable(&answer, "clicks_unavailable");
    }
    // Questions are answered, of links and of numbers, and those about the log itself.
    let shown = client.get(&path).await.expect(200).json();
    assert_eq!((&shown["title"], &shown["version"]), (&json!(null), &json!(1)));
    client.get(&format!("{path}/stats")).await.expect(200);
    client.get("/api/v1/links").await.expect(200);
    client.visit(&format!("/{code}+")).await.expect(200);
    client.visit("/during").await.expect(404);
    client.visit("/health/live").await.expect(200);
    assert_eq!(client.click_marks().await.len(), before.len());

    // Somebody is waiting while room is made.
    let waiting = tokio::spawn({
        let (client, code) = (client.clone(), code.clone());
        async move { visits(&client, &code, &marks("waiting", 5)).await }
    });
    server.make_room();
    for answer in waiting.await.unwrap() {
        answer.expect(302);
    }
    let after = marks("after", 20);
    for answer in visits(client, &code, &after).await {
        answer.expect(302);
    }
    client.create(NewLink::to(URL).with("alias", "during")).await;
    let expected = [before, marks("waiting", 5), after].concat();
    check_recorded(client, &code, &expected).await;
    // And so it is on the disk.
    let server = server.kill().start();
    check_recorded(&server.client, &code, &expected).await;
    server.client.verify_read_models().await;
}

/// These clicks are on the log, each once, and counted.
async fn check_recorded(client: &Client, code: &str, expected: &[String]) {
    let recorded = client.click_marks().await;
    let unique: HashSet<_> = recorded.iter().collect();
    assert_eq!(unique, expected.iter().collect());
    assert_eq!(recorded.len(), unique.len(), "none twice");
    assert_eq!(client.stats(code, "").await["totalClicks"], expected.len());
}

/// Sends many visits over one connection, without waiting for answers in between; gives the
/// status lines.
fn pipelined_visits(server: &Server, code: &str, count: usize) -> Vec<String> {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).expect("the server listens");
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    let answers = BufReader::new(connection.try_clone().unwrap());
    let request = format!("GET /{code} HTTP/1.1\r\nhost: {address}\r\nuser-agent: pipe\r\n\r\n");
    let sending = std::thread::spawn(move || {
        for _ in 0..count {
            connection.write_all(request.as_bytes()).expect("the server reads on");
        }
    });
    let lines = answers.lines().map(|line| line.expect("the server answers"));
    let statuses = lines.filter(|line| line.starts_with("HTTP/1.1 ")).take(count).collect();
    sending.join().unwrap();
    statuses
}

/// `queued` keeps redirects up for as long as the queue holds, and not a visit longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_a_queue_that_is_full_refuses_and_forgets_nothing() {
    let settings = Settings::embedded().with("HOPLOG_CLICKS_ACK", "queued");
    let server = settings.start_with_a_disk_that_fills();
    let client = &server.client;
    let code = client.code(NewLink::to(URL)).await;
    // Not even the visitors' salt of the day is on the disk yet.
    server.fill_the_disk();
    let statuses = pipelined_visits(&server, &code, QUEUE_VISITS_MAX);
    assert_eq!(statuses.len(), QUEUE_VISITS_MAX);
    assert!(statuses.iter().all(|status| status == "HTTP/1.1 302 Found"));
    for answer in visits(client, &code, &marks("beyond", 3)).await {
        check_unavailable(&answer, "clicks_unavailable");
    }
    check_unavailable(
        &client.post("/api/v1/links", &json!({ "url": URL })).await,
        "log_unavailable",
    );
    client.get("/api/v1/links").await.expect(200);
    assert_eq!(client.click_marks().await.len(), 0);

    server.make_room();
    client.visit(&format!("/{code}")).await.expect(302);
    let settings = server.stop();
    let server = settings.start();
    let stats = server.client.stats(&code, "").await;
    assert_eq!(stats["totalClicks"], QUEUE_VISITS_MAX + 1);
    assert_eq!(stats["uniqueVisitors"], 2, "the salt of the day is one");
}
