//! Two nodes on one log: how soon a link that was edited, disabled or deleted through one is so on the
//! other, measured from the answer to the command.

use std::time::{Duration, Instant};

use serde_json::json;

use super::load::{Traffic, percentile_ms, visit};
use super::support::{Client, NewLink, Settings};
use super::{Backend, CONNECTIONS, LINKS, Report, create_links};

/// How many changes of each kind are measured.
const CHANGES: usize = 300;

/// How many visitors a second each node has meanwhile, in the second measurement.
const VISITS_PER_SECOND: u32 = 2_000;

/// How long visitors come: longer than the changes take.
const VISITED: Duration = Duration::from_mins(2);

pub async fn measure(report: &mut Report) {
    println!("two nodes: how soon a change is seen on the other");
    let settings = Settings::production().with("RUST_LOG", "warn");
    let nodes = [settings.another_node().start(), settings.start()];
    let (one, two) = (&nodes[0].client, &nodes[1].client);
    create_links(one).await;
    tell(changes(one, two).await, "idle", report);
    let load = async {
        let rate = Some(VISITS_PER_SECOND);
        let traffic = Traffic { connections: CONNECTIONS, links: LINKS, rate, time: VISITED };
        tokio::join!(visit(&nodes[0].url, traffic), visit(&nodes[1].url, traffic));
    };
    let seen = tokio::select! {
        seen = changes(one, two) => seen,
        () = load => panic!("the changes took longer than the visits"),
    };
    tell(seen, "2,000 visits a second each", report);
}

fn tell(mut seen: Vec<Duration>, when: &str, report: &mut Report) {
    seen.sort_unstable();
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("longest", 1.0)] {
        let row = format!("a change is seen on another node, {when}: {name}, ms");
        report.add(&row, Backend::Production, percentile_ms(&seen, share));
    }
}

async fn changes(one: &Client, two: &Client) -> Vec<Duration> {
    let mut seen = Vec::new();
    for round in 0..CHANGES {
        let code = one.code(NewLink::to("https://example.com/")).await;
        let path = format!("/api/v1/links/{code}");
        until(two, &code, |status, _| status == 302).await;
        let to = format!("https://example.org/{round}");
        one.patch(&path, &json!({ "url": to })).await.expect(200);
        seen.push(until(two, &code, |_, location| location == to).await);
        one.post(&format!("{path}/disable"), &json!({})).await.expect(200);
        seen.push(until(two, &code, |status, _| status == 404).await);
        one.post(&format!("{path}/enable"), &json!({})).await.expect(200);
        seen.push(until(two, &code, |status, _| status == 302).await);
        one.delete(&path).await.expect(204);
        seen.push(until(two, &code, |status, _| status == 410).await);
    }
    seen
}

/// Visits until the answer is as expected; how long that took.
async fn until(client: &Client, code: &str, expected: impl Fn(u16, &str) -> bool) -> Duration {
    let started = Instant::now();
    loop {
        let answer = client.visit(&format!("/{code}")).await;
        if expected(answer.status.as_u16(), answer.header("location")) {
            return started.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(30), "/{code} stays {answer:?}");
    }
}
