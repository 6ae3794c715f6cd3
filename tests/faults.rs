//! The promise: whatever is away, redirects and commands do what the table of faults says, and
//! afterwards every answered click is counted once, every created link leads somewhere, and the
//! read models are what the log says.

use std::slice;
use std::time::{Duration, Instant};

use hoplog_events::log::contract::nats_cluster::NatsCluster;
use reqwest::Method;
use serde_json::json;

use crate::support::{Client, Load, NewLink, Server, Settings};

const URL: &str = "https://example.com/";

/// How long a server stands still.
const FREEZE: Duration = Duration::from_secs(10);

/// How many links no cache knows.
const COLD: usize = 10;

/// How long it takes at most until nothing is asked of a server that stands still, and another
/// one leads what it led.
const LEFT_WITHIN: Duration = Duration::from_secs(45);

/// How many clients visit and create.
const VISITORS: usize = 8;
const CREATORS: usize = 2;

/// A server under load, the code that is visited, and the load.
async fn under_load(settings: Settings) -> (Server, String, Load) {
    let server = settings.start();
    let code = server.client.code(NewLink::to(URL)).await;
    server.client.caught_up("link_directory").await;
    let load = Load::start(slice::from_ref(&server.client), &code, "f", VISITORS, CREATORS);
    both(&load).await;
    (server, code, load)
}

/// Redirects and commands go on.
async fn both(load: &Load) {
    load.visits(100).await;
    load.creations(10).await;
}

/// Everything is right in the end.
async fn settle(server: &Server, code: &str, load: Load) {
    both(&load).await;
    load.stop().await.check(&[&server.client], code).await;
}

async fn statistics(client: &Client, code: &str) -> u16 {
    client.get(&format!("/api/v1/links/{code}/stats")).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a_killed_node_has_lost_nothing() {
    let (server, code, load) = under_load(Settings::production()).await;
    let settings = server.kill();
    let before = load.stop().await;
    let server = settings.start();
    before.check(&[&server.client], &code).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_the_broker_is_restarted_under_load() {
    let (server, code, load) = under_load(Settings::production()).await;
    for _ in 0..2 {
        server.settings.broker().kill();
        load.visits(100).await;
        let refused = server.client.post("/api/v1/links", &json!({ "url": URL })).await.expect(503);
        assert_eq!(refused.code(), "log_unavailable");
        assert_eq!(statistics(&server.client, &code).await, 200, "getting older");
        server.settings.broker().restart();
        both(&load).await;
    }
    settle(&server, &code, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_postgres_is_restarted_under_load() {
    let (server, code, load) = under_load(Settings::production()).await;
    let unseen = server.client.code(NewLink::to(URL)).await;
    for _ in 0..2 {
        server.settings.postgres().crash();
        both(&load).await;
        assert_eq!(statistics(&server.client, &code).await, 503);
        server.client.visit(&format!("/{unseen}+")).await.expect(200);
        server.settings.postgres().go_on();
        both(&load).await;
    }
    settle(&server, &code, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_postgres_is_frozen_for_ten_seconds() {
    let (server, code, load) = under_load(Settings::production()).await;
    let fresh = server.settings.another_node().start();
    let mut cold = Vec::new();
    for _ in 0..COLD {
        let created = server.client.post("/api/v1/links", &json!({ "url": URL })).await.expect(201);
        // The read model has it on both nodes.
        let list = fresh.client.authorized(Method::GET, "/api/v1/links?limit=1");
        fresh.client.send(list.header("hoplog-position", created.position())).await.expect(200);
        cold.push(created.json()["code"].as_str().unwrap().to_owned());
    }
    server.settings.postgres().freeze();
    server.settings.redis().flush();
    let frozen = Instant::now();
    // Links that no cache knows, and codes that nobody knows: the first waits for the database a
    // moment, and the others do without it.
    for code in &cold {
        fresh.client.visit(&format!("/{code}+")).await.expect(200);
        fresh.client.visit(&format!("/not{code}")).await.expect(404);
    }
    assert!(frozen.elapsed() < FREEZE / 2, "{:?} for {COLD} of each", frozen.elapsed());
    while frozen.elapsed() < FREEZE {
        both(&load).await;
    }
    assert_eq!(load.refused(), 0, "neither visitors nor creators notice");
    server.settings.postgres().thaw();
    settle(&server, &code, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_redis_is_restarted_frozen_and_emptied_under_load() {
    let (server, code, load) = under_load(Settings::production()).await;
    server.settings.redis().flush();
    both(&load).await;
    server.settings.redis().kill();
    both(&load).await;
    assert_eq!(statistics(&server.client, &code).await, 200);
    server.settings.redis().start_again();
    both(&load).await;
    server.settings.redis().freeze();
    both(&load).await;
    assert_eq!(statistics(&server.client, &code).await, 200);
    server.settings.redis().thaw();
    assert_eq!(load.refused(), 0, "nobody notices");
    settle(&server, &code, load).await;
}

/// The broker is away and the spool's disk is full: visitors are turned away, and nothing that
/// was taken is lost.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_the_disk_of_the_spool_is_full() {
    let server = Settings::production().start_with_a_disk_that_fills();
    let code = server.client.code(NewLink::to(URL)).await;
    let load = Load::start(slice::from_ref(&server.client), &code, "d", VISITORS, CREATORS);
    both(&load).await;
    server.settings.broker().kill();
    load.visits(50).await;
    server.fill_the_disk();
    while server.client.visit(&format!("/{code}?utm_content=full")).await.status != 503 {}
    let ready = server.client.visit("/health/ready").await;
    server.make_room();
    load.visits(50).await;
    server.settings.broker().restart();
    both(&load).await;
    let mut ledger = load.stop().await;
    assert!(ledger.refused.iter().any(|refusal| refusal == "visit: 503"), "{ready:?}");
    ledger.visits_sent.insert("full".to_owned());
    ledger.repeated = Some("full");
    ledger.check(&[&server.client], &code).await;
}

/// A server that stands still, or can't be reached, keeps its connections open: nobody is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a_server_of_a_cluster_is_frozen_under_load() {
    let mut cluster = NatsCluster::start().await;
    let settings = Settings::embedded().with("HOPLOG_LOG_URL", &cluster.url());
    let (server, code, load) = under_load(settings.on_postgres().on_redis()).await;
    for stream in ["CLICKS", "LINKS"] {
        let leader = cluster.leader(stream).await;
        cluster.server(leader).freeze();
        let frozen = Instant::now();
        both(&load).await;
        assert!(frozen.elapsed() < LEFT_WITHIN, "{:?}", frozen.elapsed());
        cluster.server(leader).thaw();
        for stream in ["CLICKS", "LINKS"] {
            cluster.settled(stream).await;
        }
        both(&load).await;
    }
    settle(&server, &code, load).await;
}

/// Trap 11 (U23) on a cluster: whoever leads the streams is killed, and comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_a_cluster_loses_its_leaders_under_load() {
    let mut cluster = NatsCluster::start().await;
    let settings = Settings::embedded().with("HOPLOG_LOG_URL", &cluster.url());
    let (server, code, load) = under_load(settings.on_postgres().on_redis()).await;
    for stream in ["CLICKS", "LINKS"] {
        let leader = cluster.leader(stream).await;
        cluster.server(leader).kill();
        both(&load).await;
        cluster.server(leader).restart();
        both(&load).await;
    }
    settle(&server, &code, load).await;
}
