//! Policies that are changed while the server runs.

use super::*;

const DONE: &str = "hoplog_ratelimit_reloads_total{outcome=\"done\"}";

fn write(server: &Server, policies: &str) {
    let text = format!("builtin = false\n{policies}");
    std::fs::write(server.settings.policy_file(), text).unwrap();
}

#[tokio::test]
async fn policies_that_stay_the_same_keep_what_they_have_counted() {
    let (reads, stats) = ("/api/v1/links", "/api/v1/stats");
    let (kept, changed) =
        (policy("kept", reads, "key", 3, ""), policy("changed", stats, "key", 3, ""));
    let server = server(&format!("{kept}{changed}"));
    let client = &server.client;
    for _ in 0..2 {
        client.get(reads).await.expect(200);
        client.get(stats).await.expect(200);
    }
    // What is not counted may change, and the order.
    let changed = policy("changed", stats, "key", 4, "");
    let new = policy("new", "/api/v1/keys", "key", 1, "");
    write(&server, &format!("{new}{changed}{kept}refund = 'failure'\n"));
    server.hang_up();
    becomes(client, DONE, 1.0).await;
    assert_eq!(until_refused(client, reads, 1).await.0, 1, "it had one left");
    assert_eq!(until_refused(client, stats, 4).await.0, 4, "it is another policy");
    assert_eq!(until_refused(client, "/api/v1/keys", 1).await.0, 1);
    // A policy that is gone refuses nobody; when it comes back it goes on where it was.
    write(&server, "");
    server.hang_up();
    becomes(client, DONE, 2.0).await;
    client.get(reads).await.expect(200);
    write(&server, &kept);
    server.hang_up();
    becomes(client, DONE, 3.0).await;
    client.get(reads).await.expect(429);
    client.get(stats).await.expect(200);
}

#[tokio::test]
async fn if_one_is_wrong_all_stay_as_they_were() {
    let reads = "/api/v1/links";
    let kept = policy("kept", reads, "key", 3, "");
    let server = server(&kept);
    let client = &server.client;
    client.get(reads).await.expect(200);
    write(
        &server,
        &format!(
            "{}{}",
            policy("kept", reads, "key", 100, ""),
            policy("b", "nowhere", "key", 1, "")
        ),
    );
    server.hang_up();
    becomes(client, "hoplog_ratelimit_reloads_total{outcome=\"refused\"}", 1.0).await;
    assert_eq!(until_refused(client, reads, 2).await.0, 2);
    let log = server.settings.log();
    assert!(log.contains("policies.toml line 10") && log.contains("nowhere"), "{log}");
    // Gone altogether is wrong as well.
    std::fs::remove_file(server.settings.policy_file()).unwrap();
    server.hang_up();
    becomes(client, "hoplog_ratelimit_reloads_total{outcome=\"refused\"}", 2.0).await;
    client.get(reads).await.expect(429);
}

/// SIGHUP ends no server, whatever its limits are.
#[tokio::test]
async fn a_server_without_policies_of_its_own_goes_on() {
    let server = Settings::embedded().limited().start();
    server.hang_up();
    becomes(&server.client, DONE, 1.0).await;
    server.client.get("/api/v1/links").await.expect(200);
}
