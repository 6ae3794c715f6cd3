//! The promise: whoever subscribes gets the log, whole and in order, however often it comes back,
//! however many there are, with whatever client; and who does not keep up costs nobody else.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, NewLink};

mod asyncapi;
mod bulk;
mod clients;
mod filters;
mod pages;
mod readers;
mod resume;
mod slow;

/// Links that are asked for at once: a busy disk has synced so many in time.
const LINKS_AT_ONCE: usize = 250;

/// Creates links `<prefix>0` to `<prefix>n-1`, one event each.
async fn make_links(client: &Client, prefix: &str, n: usize) {
    let link = |at| json!({ "url": "https://example.com/", "alias": format!("{prefix}{at}") });
    for first in (0..n).step_by(LINKS_AT_ONCE) {
        let links: Vec<_> = (first..n.min(first + LINKS_AT_ONCE)).map(link).collect();
        let answer = client.post("/api/v1/links/bulk", &json!({ "links": links })).await;
        let answer = answer.expect(200).json();
        let results = answer["results"].as_array().unwrap();
        assert!(results.iter().all(|result| result["status"] == 201), "{answer}");
    }
}

/// Links that weigh as much on the log as this.
async fn make_heavy_links(client: &Client, megabytes: usize) {
    for megabyte in 0..megabytes {
        let url = |at| format!("https://example.com/{megabyte}/{at}/{}", "x".repeat(7_900));
        let links: Vec<Value> = (0..128).map(|at| json!({ "url": url(at) })).collect();
        client.post("/api/v1/links/bulk", &json!({ "links": links })).await.expect(200);
    }
}

/// A page by its address, as a `Link` header or a reader gives it.
fn page(client: &Client, address: &str) -> reqwest::RequestBuilder {
    client.authorized(Method::GET, address)
}

/// The codes of links in events, which name them in order.
fn subjects<'a>(events: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let subject = |event: &Value| event["subject"].as_str().unwrap().to_owned();
    events.into_iter().map(subject).collect()
}

/// A whole number among the metrics; 0 as long as there is none.
async fn metric(client: &Client, name: &str) -> u64 {
    let metrics = client.visit("/metrics").await.expect(200).body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().unwrap())
}

/// Waits until a number among the metrics is as it is to be.
async fn metric_is(client: &Client, name: &str, is: impl Fn(u64) -> bool) {
    let waiting = async {
        while !is(metric(client, name).await) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let patience = std::time::Duration::from_mins(1);
    assert!(tokio::time::timeout(patience, waiting).await.is_ok(), "{name} does not get there");
}

/// Creates a link with this code.
async fn make_link(client: &Client, code: &str) {
    client.create(NewLink::to("https://example.com/").with("alias", code)).await;
}
