//! The promise: clicks that the log no longer keeps are never left out without a word.

use serde_json::json;

use crate::support::{NewLink, Settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clicks_that_are_no_longer_kept_are_told_to_everybody() {
    let settings = Settings::embedded().on_jetstream();
    let url = format!("{}?clicks-max-bytes=32768", settings.broker().url());
    let server = settings.with("HOPLOG_LOG_URL", &url).start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/")).await;
    client.visit(&format!("/{code}")).await.expect(302);
    client.caught_up("clicks").await;
    let first = "/api/v1/events?topic=clicks&limit=1";
    let seen = client.get(first).await.expect(200).position();
    let path = "/api/v1/projections/clicks";
    client.post(&format!("{path}/pause"), &json!({})).await.expect(200);
    for _ in 0..150 {
        client.visit(&format!("/{code}")).await.expect(302);
    }
    client.post(&format!("{path}/resume"), &json!({})).await.expect(200);
    client.caught_up("clicks").await;
    let trimmed = client.get(path).await.expect(200).json()["trimmedEvents"].as_u64().unwrap();
    assert!((1..150).contains(&trimmed), "{trimmed}");
    let metrics = client.get("/metrics").await.expect(200).body;
    let line = format!("hoplog_projection_trimmed_events_total{{projection=\"clicks\"}} {trimmed}");
    assert!(metrics.contains(&line), "{metrics}");

    // Who was there before is told, who begins gets what there is.
    let behind = client.get(&format!("{first}&after={seen}")).await.expect(410);
    assert_eq!(behind.code(), "events_gone");
    let begun = client.get(first).await.expect(200);
    assert_eq!(begun.json().as_array().unwrap().len(), 1);
    assert!(begun.header("hoplog-starts-after").starts_with("p1c"), "its beginning is gone");
    assert_eq!(client.click_marks().await.len() as u64, 150 - trimmed);
    server.cli_ok(&["log", "verify", "--log-url", &url]);

    // The numbers that are there are not thrown away by mistake.
    let refused = client.post(&format!("{path}/rebuild"), &json!({})).await.expect(409);
    assert_eq!(refused.code(), "events_gone");
    let verified = client.post(&format!("{path}/verify"), &json!({})).await.expect(200).json();
    assert_eq!(verified["trimmedEvents"], trimmed + 1);
    server.cli_ok(&["projection", "rebuild", "clicks", "--force"]);
    let verified = client.post(&format!("{path}/verify"), &json!({})).await.expect(200).json();
    assert_eq!(verified["identical"], true, "{verified}");
}
