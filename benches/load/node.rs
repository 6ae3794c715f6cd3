//! A hoplog that is measured: its limits are on, its projections run.

use std::time::{Duration, Instant};

use serde_json::json;

use super::Backend;
use super::support::{Client, Server, Settings};

/// The load comes from this machine, which the policies that are built in do not count: here it is, and
/// never reaches its limit.
const LIMITS: &str = r#"
builtin = false
[[policies]]
name = "redirect"
match = { routes = ["redirect"] }
by = "address"
tiers = [{ limit = 10000000, per = "1s" }]
[[policies]]
name = "api"
match = { routes = ["api"] }
by = "key-or-address"
tiers = [{ limit = 10000000, per = "1s" }]
"#;

/// The most links that one request makes.
const BULK_LINKS_MAX: usize = 10_000;

/// How long read models may take to catch up.
const PATIENCE: Duration = Duration::from_mins(5);

/// How a node is set.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    pub backend: Backend,
    pub ack: &'static str,
    pub limited: bool,
    /// How many links it has: `b0`, `b1`, …
    pub links: usize,
}

impl Node {
    /// Starts it, and makes its links.
    pub async fn start(self) -> Server {
        let settings = match self.backend {
            Backend::Embedded => Settings::embedded(),
            Backend::Servers => Settings::production(),
        };
        let settings = settings.with("RUST_LOG", "warn").with("HOPLOG_CLICKS_ACK", self.ack);
        let settings = if self.limited { settings.limited_by(LIMITS) } else { settings };
        let server = settings.start();
        for first in (0..self.links).step_by(BULK_LINKS_MAX) {
            let links = first..(first + BULK_LINKS_MAX).min(self.links);
            let links: Vec<_> = links
                .map(|n| json!({ "url": "https://example.com/landing?utm_source=bench", "alias": format!("b{n}") }))
                .collect();
            let body = json!({ "links": links });
            server.client.post("/api/v1/links/bulk", &body).await.expect(200);
        }
        caught_up(&server.client, "link_directory").await;
        server
    }
}

/// Waits until a projection has nothing left to do.
async fn caught_up(client: &Client, projection: &str) {
    let deadline = Instant::now() + PATIENCE;
    let path = format!("/api/v1/projections/{projection}");
    while client.get(&path).await.expect(200).json()["lagEvents"] != 0 {
        assert!(Instant::now() < deadline, "{projection} does not catch up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
