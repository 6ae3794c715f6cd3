//! The promise: tables can be built anew at any time, and whoever reads or writes does not notice.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Client, Load, NewLink, Server};

const NAME: &str = "click_statistics";

/// Batches of imported clicks, each an event, so that a rebuild takes a while.
const EVENTS: usize = 120;
const CLICKS_EACH: usize = 250;

async fn operate(client: &Client, verb: &str) -> Value {
    let path = format!("/api/v1/projections/{NAME}/{verb}");
    client.post(&path, &json!({})).await.expect(200).json()
}

async fn fill(client: &Client, code: &str) {
    for event in 0..EVENTS {
        let clicks: Vec<Value> = (0..CLICKS_EACH)
            .map(|n| {
                let at = format!("2026-03-{:02}T{:02}:00:00Z", 1 + event % 28, n % 24);
                let address = format!("192.0.2.{}", n % 250);
                json!({ "code": code, "at": at, "address": address, "importId": n.to_string() })
            })
            .collect();
        client.import_clicks(&format!("fill-{event}"), &clicks).await.expect(200);
    }
}

/// Trap 20, and no interruption: what was counted once is counted for good, whoever reads meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_is_noticed_by_no_reader_and_no_writer() {
    let server = Server::start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/")).await;
    let load = Load::start(std::slice::from_ref(client), &code, "s", 4, 1);
    load.visits(20).await;
    let mut seen = 0;
    let path = format!("/api/v1/links/{code}/stats");
    let reads = async {
        loop {
            let answer = client.get(&path).await.expect(200).json();
            let total = answer["totalClicks"].as_u64().unwrap();
            assert!(total >= seen, "{total} after {seen}");
            seen = total;
        }
    };
    let builds = async {
        for verb in ["rebuild", "rollback", "rebuild", "verify"] {
            let done = operate(client, verb).await;
            assert_ne!(done["identical"], false, "{done}");
            load.visits(5).await;
        }
    };
    tokio::select! {
        () = builds => {}
        () = reads => {}
    }
    assert_eq!(load.refused(), 0);
    load.stop().await.check_links(client).await;
    client.verify_read_models().await;
}

/// Two at once: one of them builds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_rebuilds_at_once_are_one() {
    let server = Server::start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/")).await;
    fill(client, &code).await;
    let path = format!("/api/v1/projections/{NAME}/rebuild");
    let body = json!({});
    let (one, other) = tokio::join!(client.post(&path, &body), client.post(&path, &body));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let refused = if one.status == 409 { one } else { other };
    assert_eq!(refused.code(), "build_under_way");
    client.verify_read_models().await;
}

/// Whatever moment the process is killed at, the old tables or the new ones are read afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_any_phase_of_a_rebuild_leaves_the_old_or_the_new() {
    let mut server = Server::start();
    let code = server.client.code(NewLink::to("https://example.com/")).await;
    fill(&server.client, &code).await;
    let expected = (EVENTS * CLICKS_EACH) as u64;
    assert_eq!(server.client.stats(&code, "").await["totalClicks"], expected);
    let started = Instant::now();
    operate(&server.client, "rebuild").await;
    let whole = started.elapsed();
    let mut interrupted = 0;
    for round in 0..8_u32 {
        let client = server.client.clone();
        let rebuild = tokio::spawn(async move {
            let path = format!("/api/v1/projections/{NAME}/rebuild");
            let request = client.authorized(reqwest::Method::POST, &path).json(&json!({}));
            request.send().await.is_ok_and(|answer| answer.status() == 200)
        });
        // From the first moment to beyond the last.
        tokio::time::sleep(whole * round / 7 + Duration::from_millis(1)).await;
        let settings = server.kill();
        interrupted += u32::from(!rebuild.await.unwrap());
        server = settings.start();
        let client = &server.client;
        assert_eq!(client.stats(&code, "").await["totalClicks"], expected, "round {round}");
        // Nothing is left that would stand in the way of the next one.
        assert_eq!(operate(client, "verify").await["identical"], true, "round {round}");
    }
    assert!(interrupted > 0, "no kill came in time");
    operate(&server.client, "rebuild").await;
    server.client.verify_read_models().await;
}
