//! The promise: the log can be followed live, and resumed without a gap or a repeat.

use reqwest::Method;
use serde_json::Value;

use crate::support::{NewLink, Server};

/// Reads a live stream until it has given `count` events; their ids and data.
async fn live(
    server: &Server,
    query: &str,
    last_id: Option<&str>,
    count: usize,
) -> Vec<(String, Value)> {
    let request = server
        .client
        .authorized(Method::GET, &format!("/api/v1/events?{query}"))
        .header("accept", "text/event-stream");
    let request = match last_id {
        Some(id) => request.header("last-event-id", id),
        None => request,
    };
    let mut response = request.send().await.unwrap().error_for_status().unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    while text.matches("\n\n").count() < count {
        let chunk = response.chunk().await.unwrap().expect("the stream goes on");
        text.push_str(std::str::from_utf8(&chunk).unwrap());
    }
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned()
    };
    let event =
        |event: &str| (field(event, "id:"), serde_json::from_str(&field(event, "data:")).unwrap());
    text.split("\n\n").filter(|event| event.starts_with("id:")).map(event).collect()
}

#[tokio::test]
async fn a_live_stream_is_resumed_without_a_gap_or_a_repeat() {
    let server = Server::start();
    for n in 0..3 {
        server
            .client
            .create(NewLink::to("https://example.com/").with("alias", format!("a{n}")))
            .await;
    }
    let first = live(&server, "topic=links&after=earliest", None, 2).await;
    let (last, data) = &first[1];
    assert_eq!(
        (data["subject"].as_str(), data["position"].as_str()),
        (Some("default/a1"), Some(&**last))
    );
    // What comes while nobody listens, and what comes while somebody does.
    server.client.create(NewLink::to("https://example.com/").with("alias", "a3")).await;
    let resumed = live(&server, "topic=links", Some(last), 3);
    let (resumed, _) = tokio::join!(resumed, async {
        server.client.create(NewLink::to("https://example.com/").with("alias", "a4")).await
    });
    let subjects: Vec<_> =
        resumed.iter().map(|(_, data)| data["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["default/a2", "default/a3", "default/a4"]);
}

#[tokio::test]
async fn a_live_stream_can_be_about_some_types_only() {
    let server = Server::start();
    let code = server.client.code(NewLink::to("https://example.com/")).await;
    server.client.delete(&format!("/api/v1/links/{code}")).await.expect(204);
    let events = live(&server, "types=hoplog.link.deleted", None, 1).await;
    assert_eq!(events[0].1["type"], "hoplog.link.deleted.v1");
}
