//! Domains on two nodes of one service.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{BASE_URL, ONE, TWO, add, visit};
use crate::support::{Client, NewLink, Settings};

/// How long one node may take to hear of something, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

async fn becomes(client: &Client, host: &str, path: &str, expected: (u16, &str)) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = visit(client, host, path).await;
        if (answer.status.as_u16(), answer.header("location")) == expected {
            return;
        }
        assert!(Instant::now() < deadline, "{host}{path} stays {answer:?}");
        tokio::task::yield_now().await;
    }
}

/// Trap 2, and trap 1 of caches: what one node knows of a domain or its links the other one does, in both caches.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_2_every_node_knows_a_domain_and_its_links() {
    let settings = Settings::production().with("HOPLOG_BASE_URL", BASE_URL);
    let (one, two) = (settings.another_node().start(), settings.start());
    let (one, two) = (&one.client, &two.client);
    let lost = "https://example.com/lost";
    add(one, json!({ "name": ONE, "notFoundUrl": lost })).await;
    becomes(two, ONE, "/a", (302, lost)).await;
    let new = |domain: &str, url: &str| NewLink::to(url).with("alias", "a").with("domain", domain);
    one.create(new("default", "https://example.com/own")).await;
    becomes(one, TWO, "/a", (302, "https://example.com/own")).await;
    add(two, json!({ "name": TWO })).await;
    // Whoever was told by one node that there is a domain may make a link on it by another, at once.
    one.create(NewLink::to("https://example.com/b").with("alias", "b").with("domain", TWO)).await;
    becomes(one, TWO, "/a", (404, "")).await;
    one.create(new(ONE, "https://example.com/1")).await;
    for client in [one, two] {
        becomes(client, ONE, "/a", (302, "https://example.com/1")).await;
        becomes(client, "own.example", "/a", (302, "https://example.com/own")).await;
        becomes(client, TWO, "/a", (404, "")).await;
    }
    // A change of one is no change of the other.
    let to = json!({ "url": "https://example.com/2" });
    two.patch("/api/v1/links/a?domain=one.example", &to).await.expect(200);
    for client in [one, two] {
        becomes(client, ONE, "/a", (302, "https://example.com/2")).await;
        becomes(client, "own.example", "/a", (302, "https://example.com/own")).await;
    }
    two.delete("/api/v1/domains/one.example").await.expect(204);
    for client in [one, two] {
        becomes(client, ONE, "/a", (404, "")).await;
        becomes(client, "own.example", "/a", (302, "https://example.com/own")).await;
    }
}
