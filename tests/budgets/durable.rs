//! What is given is on the log first, or it is not given.

use super::*;
use crate::support::Settings;

/// A click that was given stays given, whatever is promised of clicks otherwise.
#[tokio::test]
async fn a_click_is_on_the_log_before_it_is_given() {
    let mut server = Settings::new().with("HOPLOG_CLICKS_ACK", "queued").start();
    limited(&server.client, "a", 5, &[]).await;
    for _ in 0..5 {
        server.client.visit("/a").await.expect(302);
        server = server.kill().start();
    }
    assert_eq!(server.client.visit("/a").await.expect(410).code(), "link_spent");
    assert_eq!(given(&server.client, "a").await, 5);
}

/// Without the log nobody knows what is left: then nobody is let through, and all other links go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_log_a_limited_link_is_not_served() {
    let server = Settings::embedded().on_jetstream().start();
    let client = &server.client;
    limited(client, "a", 2, &[]).await;
    limited(client, "b", 1, &[]).await;
    client.create(NewLink::to(URL).with("alias", "plain")).await;
    for code in ["a", "b", "plain"] {
        client.visit(&format!("/{code}")).await.expect(302);
    }
    server.settings.broker().kill();
    let away = client.visit("/a").await.expect(503);
    assert_eq!(away.code(), "budget_unavailable");
    assert!(away.header("retry-after").parse::<u32>().is_ok());
    says_nothing(&away);
    client.visit("/plain").await.expect(302);
    client.send(client.request(Method::HEAD, "/a")).await.expect(200);
    assert_eq!(client.visit("/b").await.expect(410).code(), "link_spent");
    server.settings.broker().restart();
    client.recovered().await;
    let mut answered = 0;
    loop {
        match client.visit("/a").await.status.as_u16() {
            302 => answered += 1,
            410 => break,
            status => assert_eq!(status, 503),
        }
    }
    // What was asked for while the log was away may have been taken.
    assert!(answered <= 1, "{answered}");
    assert_eq!(given(client, "a").await, 2);
}
