//! The promise: a log on EventStoreDB is a log like any other. The server is a double of one.

use std::process::Output;

use hoplog_events::log::eventstore::double::{EventStoreDouble, Fault};
use serde_json::{Value, json};

use crate::support::{NewLink, Settings};

const URL: &str = "https://example.com/";

fn log(settings: &Settings, arguments: &[&str]) -> Output {
    let output = settings.command().arg("log").args(arguments).output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

async fn settings() -> (EventStoreDouble, Settings) {
    let log = EventStoreDouble::start().await;
    let settings = Settings::embedded().with("HOPLOG_LOG_URL", &log.url());
    (log, settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_and_clicks_outlive_the_log_being_away() {
    let (mut log, settings) = settings().await;
    let server = settings.on_redis().start();
    let client = &server.client;
    let code = client.code(NewLink::to(URL)).await;
    for _ in 0..10 {
        client.visit(&format!("/{code}")).await.expect(302);
    }
    client.caught_up("click_statistics").await;
    log.stop().await;
    for _ in 0..10 {
        client.visit(&format!("/{code}")).await.expect(302);
    }
    let refused = client.post("/api/v1/links", &json!({ "url": URL })).await.expect(503);
    assert_eq!(refused.code(), "log_unavailable");
    log.restart().await;
    client.recovered().await;
    log.next_append(Fault::AnswerLost);
    client.post("/api/v1/links", &json!({ "url": URL })).await.expect(503);
    client.create(NewLink::to(URL)).await;
    assert_eq!(client.stats(&code, "").await["totalClicks"], 20);
    client.verify_read_models().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_moves_there_and_back() {
    let server = Settings::embedded().start();
    let code = server.client.code(NewLink::to(URL)).await;
    server.client.visit(&format!("/{code}")).await.expect(302);
    let stats = server.client.stats(&code, "").await;
    let embedded = tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [there, back] = ["there", "back"].map(|name| directory.path().join(name));
    let [there, back] = [there.to_str().unwrap(), back.to_str().unwrap()];
    log(&embedded, &["export", there]);

    let (_log, moved) = settings().await;
    log(&moved, &["import", there]);
    let report = log(&moved, &["verify", "--json"]);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["problemCount"], &report["events"]["links"]), (&json!(0), &json!(1)));
    log(&moved, &["export", back]);
    // All but the places, which are this log's own.
    let events = |path| {
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let mut events: Vec<Value> = Vec::new();
        for line in &lines[1..lines.len() - 1] {
            let mut event: Value = serde_json::from_str(line).unwrap();
            event.as_object_mut().unwrap().remove("sequence").unwrap();
            events.push(event);
        }
        events
    };
    assert!(events(there).len() >= 2, "a link and a click");
    assert_eq!(events(there), events(back));
    assert_eq!(moved.start().client.stats(&code, "").await, stats);
}
