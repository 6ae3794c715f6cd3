//! Creations of links, one a request and in bulk, right behind appends of as many callers to the bare log.

use std::time::Instant;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::node::Node;
use super::redirects::{cells, note};
use super::report::{Figures, Table};
use super::support::ADMIN_KEY;
use super::wrk::{Script, load};
use super::{Backend, Run, bare};

/// Clients that make one link after the other.
const CONNECTIONS: u32 = 64;

/// Links in a request of those that make many.
const BULK_LINKS: usize = 10_000;

/// How many of them the server has under way at the same time, and so the bare log.
const BULK_CONCURRENCY: usize = 512;

const BACKENDS: [(&str, &str, Backend); 2] =
    [("create", "embedded", Backend::Embedded), ("create-servers", "JetStream", Backend::Servers)];

/// Both kinds, on both backends.
pub async fn measure(run: &Run, figures: &mut Figures) {
    for (_, title, backend) in BACKENDS.into_iter().filter(|(name, ..)| run.wants(name)) {
        let node = Node { backend, ack: "durable", limited: true, links: 0 };
        let server = node.start().await;
        let callers = CONNECTIONS as usize;
        let appends = bare::appends(backend, callers, run.time).await;
        figures.add(&reference(title, callers), appends);
        note(
            figures,
            &one(title),
            load(Script::Create, CONNECTIONS, run.time, &format!("{}/api/v1/links", server.url)),
        );
        let appends = bare::appends(backend, BULK_CONCURRENCY, run.time).await;
        figures.add(&reference(title, BULK_CONCURRENCY), appends);
        let rate = bulk(run, &server.url).await;
        figures.add(&many(title), rate);
    }
}

fn reference(title: &str, callers: usize) -> String {
    format!("bare log, {title}, {callers} callers, rate")
}

fn one(title: &str) -> String {
    format!("create, {title}")
}

fn many(title: &str) -> String {
    format!("create in bulk, {title}, rate")
}

/// Links a second, by one request after the other.
async fn bulk(run: &Run, url: &str) -> f64 {
    let address = url.trim_start_matches("http://");
    let link = json!({ "url": "https://example.com/landing?utm_source=bench" });
    let body = json!({ "links": vec![link; BULK_LINKS] }).to_string();
    let request = format!(
        "POST /api/v1/links/bulk HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {ADMIN_KEY}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let (started, mut made) = (Instant::now(), 0);
    while started.elapsed() < run.time {
        let mut stream = TcpStream::connect(address).await.expect("the server accepts");
        stream.write_all(request.as_bytes()).await.expect("the server listens");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("the server answers");
        let answer = String::from_utf8_lossy(&answer);
        made += answer.matches(r#""status":201"#).count();
        assert_eq!(made % BULK_LINKS, 0, "{}", answer.chars().take(2_000).collect::<String>());
    }
    made as f64 / started.elapsed().as_secs_f64()
}

/// The table.
pub fn report(figures: &Figures) -> String {
    let mut table = Table::new(&[
        "creations, fsynced",
        "a second, median",
        "range",
        "of the bare log, median (range)",
        "target",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "errors",
    ]);
    let no = || "–".to_owned();
    for title in BACKENDS.map(|(_, title, _)| title) {
        if !figures.has(&many(title)) {
            continue;
        }
        for (callers, bulk) in [(CONNECTIONS as usize, false), (BULK_CONCURRENCY, true)] {
            let name = reference(title, callers);
            let bare = format!("the bare log, {title}, {callers} callers");
            let rate = [figures.median(&name), figures.range(&name)];
            table.row(&[vec![bare], rate.to_vec(), vec![no(); 6]].concat());
            if bulk {
                let (many, ratio) = (many(title), figures.ratio(&many(title), &name));
                let what = format!("10,000 links a request, {title}, one client");
                let cells = [what, figures.median(&many), figures.range(&many), ratio];
                table.row(&[cells.to_vec(), vec!["0.80".to_owned()], vec![no(); 4]].concat());
            } else {
                let ratio = figures.ratio(&format!("{}, rate", one(title)), &name);
                let [rate, times] = cells(figures, &one(title));
                let what = format!("one link a request, {title}, {CONNECTIONS} connections");
                let middle = vec![ratio, "0.50".to_owned()];
                table.row(&[vec![what], rate, middle, times].concat());
            }
        }
    }
    table.text()
}
