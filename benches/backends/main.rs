//! Both backends in one run, embedded (log and read models on SQLite) and production (JetStream with
//! `sync_interval: always`, PostgreSQL, Redis), servers and load generator on the same machine:
//! appends a second, clicks a second from redirect to read model, lag at a steady rate, and how soon a
//! change made through one node is seen on another. `cargo bench --bench backends` prints the table;
//! with `-- --write` it also goes into `docs/performance.md`. Needs what `./test` installs.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "the figures are the point, and a measurement that fails says where"
)]

use std::time::{Duration, Instant};

use serde_json::json;

mod appends;
mod ingest;
mod load;
mod report;
mod support;
mod visibility;

use report::Report;
use support::{Client, Settings};

/// How often everything is measured, the backends in turn.
const ROUNDS: usize = 3;

/// Codes that visits are drawn from, by Zipf's law.
const LINKS: usize = 1_000;

/// Visitors at the same time.
const CONNECTIONS: u32 = 256;

/// How long what is on the log may take to be in the read models.
const PATIENCE: Duration = Duration::from_mins(5);

/// The two ways to run hoplog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Everything in the data directory.
    Embedded,
    /// Everything on servers.
    Production,
}

impl Backend {
    fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Production => "JetStream, PostgreSQL, Redis",
        }
    }

    fn settings(self) -> Settings {
        match self {
            Self::Embedded => Settings::embedded(),
            Self::Production => Settings::production(),
        }
    }
}

/// Creates the links that are visited: `b0`, `b1`, …
async fn create_links(client: &Client) {
    let links: Vec<_> = (0..LINKS)
        .map(|n| json!({ "url": "https://example.com/landing?utm_source=bench", "alias": format!("b{n}") }))
        .collect();
    client.post("/api/v1/links/bulk", &json!({ "links": links })).await.expect(200);
    caught_up(client, "link_directory").await;
}

/// Waits until a projection has nothing left to do.
async fn caught_up(client: &Client, projection: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let path = format!("/api/v1/projections/{projection}");
        if client.get(&path).await.expect(200).json()["lagEvents"] == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "{projection} does not catch up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut report = Report::default();
    for round in 1..=ROUNDS {
        for backend in [Backend::Embedded, Backend::Production] {
            println!("round {round} of {ROUNDS}: {}", backend.name());
            appends::measure(backend, &mut report).await;
            ingest::measure(backend, &mut report).await;
        }
    }
    visibility::measure(&mut report).await;
    println!("\n{}", report.table());
    if std::env::args().any(|argument| argument == "--write") {
        report.write();
    }
}
