//! What a node takes of the machine's memory: as the kernel counts it (resident).

use std::time::Duration;

use super::node::Node;
use super::report::{Figures, Table};
use super::wrk::{Script, load};
use super::{Backend, Run};

/// How long a node has nothing to do before it is looked at.
const IDLE: Duration = Duration::from_secs(5);

/// Links that are hot: each is at hand in the process.
const HOT_LINKS: usize = 10_000;

/// Visitors at the same time.
const CONNECTIONS: u32 = 256;

/// What is measured, and what it may take in MB.
const ROWS: [(&str, &str); 4] = [
    ("idle, embedded", "30"),
    ("idle, on JetStream, PostgreSQL and Redis", "30"),
    ("10,000 hot links under full load, embedded, `queued`: the most", "150"),
    ("10,000 hot links under full load, embedded, `durable`: the most", "150"),
];

/// All rows once.
pub async fn measure(run: &Run, figures: &mut Figures) {
    if !run.wants("memory") {
        return;
    }
    let idle = Node { backend: Backend::Embedded, ack: "durable", limited: true, links: 0 };
    for ((title, _), backend) in ROWS.into_iter().zip([Backend::Embedded, Backend::Servers]) {
        let server = Node { backend, ..idle }.start().await;
        tokio::time::sleep(IDLE).await;
        figures.add(title, megabytes(server.memory_bytes("VmRSS:")));
        figures.add(&own(title), megabytes(server.memory_bytes("RssAnon:")));
    }
    for ((title, _), ack) in ROWS.into_iter().skip(2).zip(["queued", "durable"]) {
        let server = Node { ack, links: HOT_LINKS, ..idle }.start().await;
        let outcome = load(Script::Visit { links: HOT_LINKS }, CONNECTIONS, run.time, &server.url);
        assert!(outcome.errors == 0.0, "{outcome:?}");
        figures.add(title, megabytes(server.peak_memory_bytes()));
    }
}

/// Without the program's own pages: the kernel maps those around each that is run, and takes them back when
/// it wants to.
fn own(title: &str) -> String {
    format!("{title}: what it has written to")
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The table.
pub fn report(figures: &Figures) -> String {
    let mut table = Table::new(&["memory of a node", "MB, median (range)", "at most"]);
    for (title, target) in ROWS.into_iter().filter(|(title, _)| figures.has(title)) {
        table.row(&[title.to_owned(), figures.spread(title), target.to_owned()]);
        let own = own(title);
        if figures.has(&own) {
            table.row(&[own.clone(), figures.spread(&own), "–".to_owned()]);
        }
    }
    table.text()
}
