//! The promise: what was answered is on disk, whenever the server is killed.

use serde_json::json;

use crate::support::{Ledger, Load, NewLink, Server};

/// How often the server is killed, each time at another moment.
const ROUNDS: usize = 20;

/// Connections that visit links.
const VISITORS: usize = 24;

/// Connections that create links.
const CREATORS: usize = 8;

/// Trap 11 (U1, U10, U23).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_what_was_answered_survives_a_kill_at_any_moment() {
    let mut ledger = Ledger::default();
    let mut server = Server::start();
    let code = server.client.code(NewLink::to("https://example.com/")).await;
    for round in 0..ROUNDS {
        let nodes = [server.client.clone()];
        let load = Load::start(&nodes, &code, &format!("r{round}"), VISITORS, CREATORS);
        load.visits(40 + 40 * round).await;
        load.creations(13).await;
        let settings = server.kill();
        let learned = load.stop().await;
        server = settings.start();
        learned.check_links(&server.client).await;
        ledger.add(learned);
        ledger.check_clicks(&server.client, &code).await;
    }
    // Every one of them leads there itself, too.
    assert!(ledger.created.len() > ROUNDS, "the kills hit creations");
    for (code, url) in &ledger.created {
        let answer = server.client.visit(&format!("/{code}?utm_content=last-{code}")).await;
        assert_eq!(answer.expect(302).header("location"), url);
    }
    server.client.verify_read_models().await;
}

/// Rebuilding from nothing gives what was counted live.
#[tokio::test]
async fn a_read_model_that_is_thrown_away_comes_back_the_same() {
    let server = Server::start();
    let code = server.client.code(NewLink::to("https://example.com/?utm_source=paper")).await;
    for n in 0..30 {
        server.client.visit(&format!("/{code}?utm_term=t{}", n % 3)).await.expect(302);
    }
    let before = server.client.stats(&code, "").await;
    assert_eq!(before["totalClicks"], 30);
    for name in ["link_directory", "clicks", "click_statistics"] {
        let path = format!("/api/v1/projections/{name}/rebuild");
        server.client.post(&path, &json!({})).await.expect(200);
    }
    assert_eq!(server.client.stats(&code, "").await, before);
    server.client.verify_read_models().await;
    // Even without its file.
    let settings = server.stop();
    for file in std::fs::read_dir(settings.data_dir()).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("read") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let server = settings.start();
    assert_eq!(server.client.stats(&code, "").await, before);
    server.client.verify_read_models().await;
}
