//! Clicks from the redirect to the read models: as many as go through, and a steady 20,000 a second.

use std::time::{Duration, Instant};

use super::load::{Traffic, visit};
use super::support::Client;
use super::{Backend, CONNECTIONS, LINKS, Report, caught_up, create_links};

/// The read models that clicks go to.
const PROJECTIONS: [&str; 2] = ["clicks", "click_statistics"];

/// For how long as many visitors come as are answered.
const FULL: Duration = Duration::from_secs(8);

/// For how long visitors come at a steady rate, and how many a second.
const STEADY: Duration = Duration::from_secs(15);
const STEADY_RATE: u32 = 20_000;

/// How often the lag is looked at meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

pub async fn measure(backend: Backend, report: &mut Report) {
    let server = backend.settings().with("RUST_LOG", "warn").start();
    let client = &server.client;
    create_links(client).await;
    full(backend, &server.url, client, report).await;
    steady(backend, &server.url, client, report).await;
}

fn traffic(rate: Option<u32>, time: Duration) -> Traffic {
    Traffic { connections: CONNECTIONS, links: LINKS, rate, time }
}

/// Every click that was answered is in both read models at the end.
async fn full(backend: Backend, url: &str, client: &Client, report: &mut Report) {
    let started = Instant::now();
    let visits = visit(url, traffic(None, FULL)).await;
    all_caught_up(client).await;
    let rate = visits.answered as f64 / started.elapsed().as_secs_f64();
    report.add("redirects/s, durable, 256 connections, projectors running", backend, visits.rate());
    report.add("clicks/s from redirect to read models, all of these", backend, rate);
    for projection in PROJECTIONS {
        client.post(&format!("/api/v1/projections/{projection}/pause"), &().into()).await;
    }
    let visits = visit(url, traffic(None, FULL)).await;
    let started = Instant::now();
    for projection in PROJECTIONS {
        client.post(&format!("/api/v1/projections/{projection}/resume"), &().into()).await;
    }
    all_caught_up(client).await;
    let rate = visits.answered as f64 / started.elapsed().as_secs_f64();
    report.add("clicks/s from log to read models, nothing else to do", backend, rate);
}

async fn all_caught_up(client: &Client) {
    for projection in PROJECTIONS {
        caught_up(client, projection).await;
    }
}

async fn steady(backend: Backend, url: &str, client: &Client, report: &mut Report) {
    let mut lags = Vec::new();
    let visits = {
        let mut visits = std::pin::pin!(visit(url, traffic(Some(STEADY_RATE), STEADY)));
        loop {
            tokio::select! {
                visits = &mut visits => break visits,
                () = tokio::time::sleep(LOOK_INTERVAL) => lags.push(lag_seconds(client).await),
            }
        }
    };
    lags.sort_by(f64::total_cmp);
    let at = format!("at {STEADY_RATE} clicks/s");
    report.add(&format!("{at}: clicks/s that came"), backend, visits.rate());
    report.add(&format!("{at}: redirect p50, ms"), backend, visits.percentile_ms(0.5));
    report.add(&format!("{at}: redirect p99, ms"), backend, visits.percentile_ms(0.99));
    report.add(&format!("{at}: lag, median, s"), backend, lags[lags.len() / 2]);
    report.add(&format!("{at}: lag, longest, s"), backend, lags[lags.len() - 1]);
}

/// The age of the oldest click that one of the read models lacks.
async fn lag_seconds(client: &Client) -> f64 {
    let list = client.get("/api/v1/projections").await.expect(200).json();
    let lags = list["data"].as_array().expect("a list").iter();
    lags.filter_map(|projection| projection["lagSeconds"].as_f64()).fold(0.0, f64::max)
}
