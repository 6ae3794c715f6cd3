//! What grows with the number of links and clicks, and what must not: an embedded node with 10,000, 100,000 and a
//! million links, and as many clicks of one of them over a year, is rebuilt, started, asked and visited.
//!
//! `cargo bench --bench growth` prints the table; `-- --ten-million` goes on to ten million, which takes long and
//! some 30 GB in `TMPDIR`; with `-- --write` table and picture go into `docs/`. `SIZES=10000,50000` measures others.
//! Needs `wrk` and what `./test` installs.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "the figures are the point, and a measurement that fails says where"
)]

use std::time::{Duration, Instant};

mod ask;
mod plot;
mod seed;
#[path = "../harness.rs"]
mod support;
mod table;
#[path = "../load/wrk.rs"]
mod wrk;

use reqwest::Method;
use support::{Client, Server, Settings};
use table::Figures;
use wrk::{Script, load};

/// How many links there are, and clicks of one of them.
const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];
const TEN_MILLION: usize = 10_000_000;

/// How long read models may take: of ten million clicks, minutes.
const PATIENCE: Duration = Duration::from_hours(2);

/// How long redirects and creations are measured.
const LOADED: Duration = Duration::from_secs(10);

/// Visitors at once, and clients that make links.
const VISITORS: u32 = 256;
const MAKERS: u32 = 64;

/// How often a node is started.
const STARTS: usize = 5;

/// What is rebuilt, and what its rate counts.
const REBUILT: [(&str, &str); 2] =
    [("link_directory", "links/s"), ("click_statistics", "clicks/s")];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    let mut figures = Figures::new(sizes(has("--ten-million")));
    for size in figures.sizes.clone() {
        println!("{size} links, and as many clicks of one of them");
        measure(size, &mut figures).await;
    }
    println!("\n{}", figures.table());
    if has("--write") {
        figures.write();
    }
}

fn sizes(with_ten_million: bool) -> Vec<usize> {
    if let Ok(sizes) = std::env::var("SIZES") {
        return sizes.split(',').map(|size| size.trim().parse().expect("SIZES: numbers")).collect();
    }
    SIZES.into_iter().chain(with_ten_million.then_some(TEN_MILLION)).collect()
}

async fn measure(size: usize, figures: &mut Figures) {
    let settings = Settings::embedded().with("RUST_LOG", "warn");
    let began = Instant::now();
    seed::write(&settings.data_dir(), size).await;
    println!("  written in {:.0} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let server = settings.start();
    caught_up(&server.client).await;
    println!("  in the read models after {:.0} s", began.elapsed().as_secs_f64());
    for (name, unit) in REBUILT {
        let rate = size as f64 / rebuild(&server.client, name).await.as_secs_f64();
        figures.add(&format!("rebuild of {name}, {unit}"), size, rate);
    }
    let server = starts(server.stop(), size, figures).await;
    questions(&server, size, figures).await;
    let visits = load(Script::Visit { links: size }, VISITORS, LOADED, &server.url);
    figures.add("redirects/s, `durable`, 256 connections", size, visits.rate);
    let made = load(Script::Create, MAKERS, LOADED, &format!("{}/api/v1/links", server.url));
    figures.add("creations/s, 64 connections", size, made.rate);
    for (what, outcome) in [("redirects", &visits), ("creations", &made)] {
        figures.add(&format!("the same {what}: p99, ms"), size, outcome.latencies_ms[1]);
    }
    assert!(visits.errors + made.errors == 0.0, "{visits:?} {made:?}");
}

async fn caught_up(client: &Client) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let list = client.get("/api/v1/projections").await.expect(200).json();
        let all = list["data"].as_array().expect("a list");
        if all.iter().all(|projection| projection["lagEvents"] == 0) {
            return;
        }
        assert!(Instant::now() < deadline, "the read models do not catch up: {list}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn rebuild(client: &Client, name: &str) -> Duration {
    let path = format!("/api/v1/projections/{name}/rebuild");
    let began = Instant::now();
    let request = client.authorized(Method::POST, &path).timeout(PATIENCE);
    client.send(request).await.expect(200);
    began.elapsed()
}

/// Starts a node several times; from the process's start to the answer of its first redirect.
async fn starts(settings: Settings, size: usize, figures: &mut Figures) -> Server {
    let (mut settings, mut took) = (settings, Vec::new());
    loop {
        let began = Instant::now();
        let server = settings.start();
        let code = took.len() * 7_919 % size;
        let answer = server.client.visit(&format!("/b{code}")).await;
        assert_eq!(answer.status, 302, "{answer:?}");
        took.push(began.elapsed());
        if took.len() == STARTS {
            took.sort_unstable();
            let median = took[STARTS / 2].as_secs_f64() * 1_000.0;
            figures.add("start to first redirect, ms", size, median);
            figures.add("memory after that, MB", size, server.memory_bytes("VmRSS:") as f64 / 1e6);
            return server;
        }
        settings = server.stop();
    }
}

async fn questions(server: &Server, size: usize, figures: &mut Figures) {
    let mut note = |kind: &str, answered: ask::Answered| {
        figures.add(&format!("{kind}: p50, ms"), size, answered.p50_ms);
        figures.add(&format!("{kind}: p99, ms"), size, answered.p99_ms);
    };
    for (kind, path) in ask::KINDS {
        note(kind, ask::ask(&server.client, |n| path(n, size)).await);
    }
    let owner = server.client.keyed(&ask::owner(7), &["links:read"]).await;
    note(ask::OWNED, ask::ask(&owner, |_| "/api/v1/links?limit=50".to_owned()).await);
}
