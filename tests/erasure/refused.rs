//! Who may not erase, and where it can't be done.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_may_erases() {
    let server = settings().start();
    let admin = &server.client;
    let ann = admin.keyed("ann", &["links:read", "links:write", "stats:read"]).await;
    let bob = admin.keyed("bob", &["links:read", "links:write", "stats:read"]).await;
    let reader = admin.keyed("ann", &["links:read", "stats:read"]).await;
    ann.create(NewLink::to("https://telltale.example/").with("alias", "a")).await;
    visit(admin, "a", AGENT, ADDRESS).await;
    let hash = visitor(admin, "a", AGENT).await;
    let heads = admin.heads().await;
    assert_eq!(erase(&bob, "links/a").await.expect(404).code(), "link_not_found");
    assert_eq!(erase(&bob, "links/nothere").await.expect(404).code(), "link_not_found");
    assert_eq!(erase(&reader, "links/a").await.expect(403).code(), "missing_scope");
    for key in [&ann, &bob, &reader] {
        let refused = erase(key, &format!("visitors/{hash}")).await;
        assert_eq!(refused.expect(403).code(), "missing_scope");
    }
    for visitor in ["a", "00000000000000A1", "203.0.113", "00000000000000a1x", "%00"] {
        let refused = erase(admin, &format!("visitors/{visitor}")).await.expect(400);
        assert_eq!(refused.code(), "invalid_parameter");
        assert_eq!(refused.json()["errors"][0]["pointer"], "visitor", "{visitor}");
    }
    let odd = admin.delete("/api/v1/links/a/personal-data?force=true").await.expect(400);
    assert_eq!(odd.code(), "invalid_parameter");
    assert_eq!(admin.heads().await, heads, "nothing was done");
    for nobody in ["00000000000000a1", "192.0.2.200", "2001:db8::1"] {
        let answer = erase(admin, &format!("visitors/{nobody}")).await.expect(200);
        assert_eq!(answer.json(), nothing());
    }
    assert_eq!(admin.heads().await, heads, "there was nothing to erase");
    assert!(erase(&ann, "links/a").await.expect(200).json()["events"].as_u64().unwrap() > 0);
    assert_eq!(erase(&bob, "links/a").await.expect(404).code(), "link_not_found");
}

/// On the command line, too; and nobody erases by mistake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_line_asks_first() {
    let server = settings().start();
    let client = &server.client;
    client.create(NewLink::to("https://telltale.example/").with("alias", "a")).await;
    visit(client, "a", AGENT, ADDRESS).await;
    let hash = visitor(client, "a", AGENT).await;
    for what in [["link", "a"], ["visitor", &hash]] {
        let refused = server.cli(&["erase", what[0], what[1]]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("--yes"), "{refused:?}");
    }
    client.get("/api/v1/links/a").await.expect(200);
    let printed = server.cli_ok(&["erase", "visitor", &hash, "--yes", "--json"]);
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["clicks"], 1);
    let printed = server.cli_ok(&["erase", "link", "a", "--yes"]);
    assert!(printed.starts_with("erased: "), "{printed}");
    assert_eq!(client.get("/api/v1/links/a").await.status, 410);
    for help in [
        vec!["erase", "--help"],
        vec!["erase", "link", "--help"],
        vec!["erase", "visitor", "--help"],
    ] {
        assert!(server.cli_ok(&help).contains("Example"), "{help:?}");
    }
    let unknown = server.cli(&["erase", "link", "nothere", "--yes"]);
    assert_eq!(unknown.status.code(), Some(1));
}

/// A log that can't be rewritten says so, and nothing is done.
#[cfg(feature = "eventstore-double")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_can_not_be_rewritten_says_so() {
    use hoplog_events::log::eventstore::double::EventStoreDouble;
    let log = EventStoreDouble::start().await;
    let server = Settings::embedded().with("HOPLOG_LOG_URL", &log.url()).start();
    let client = &server.client;
    client.create(NewLink::to("https://telltale.example/").with("alias", "a")).await;
    visit(client, "a", AGENT, ADDRESS).await;
    let hash = visitor(client, "a", AGENT).await;
    let heads = client.heads().await;
    for what in ["links/a".to_owned(), format!("visitors/{hash}"), "links/nothere".to_owned()] {
        let refused = erase(client, &what).await.expect(501);
        assert_eq!(refused.code(), "log_cannot_rewrite");
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("embedded") && detail.contains("JetStream"), "{detail}");
    }
    assert_eq!(client.heads().await, heads);
    client.get("/api/v1/links/a").await.expect(200);
}
