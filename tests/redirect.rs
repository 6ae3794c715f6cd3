//! The promise: a link leads where its owner says, at once, and nowhere after its end.

use chrono::Duration;
use reqwest::Method;
use serde_json::json;

use crate::support::{NewLink, Server, Settings, now};

/// Trap 1 (U20).
#[tokio::test]
async fn trap_1_a_redirect_is_302_and_private_unless_the_owner_says_otherwise() {
    let server = Server::start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/a?b=c")).await;
    let answer = client.visit(&format!("/{code}")).await.expect(302);
    assert_eq!(answer.header("location"), "https://example.com/a?b=c");
    assert_eq!(answer.header("cache-control"), "private, max-age=0");
    for status in [301, 302, 307, 308] {
        let link = NewLink::to("https://example.com/").with("redirect", status);
        let code = client.code(link).await;
        client.visit(&format!("/{code}")).await.expect(status);
    }
}

/// Trap 16 of the rate limiter: clients may delay following a redirect that carries its fields.
#[tokio::test]
async fn trap_16_a_redirect_has_no_rate_limit_fields() {
    let server = Server::start();
    let code = server.client.code(NewLink::to("https://example.com/")).await;
    let answer = server.client.visit(&format!("/{code}")).await;
    let fields = answer.headers.keys().filter(|name| name.as_str().contains("ratelimit"));
    assert_eq!(fields.count(), 0);
}

/// Trap 12 (U21).
#[tokio::test]
async fn trap_12_every_failure_has_a_status_of_its_own() {
    let server = Server::start();
    let client = &server.client;
    assert_eq!(client.visit("/nothere").await.expect(404).code(), "link_not_found");

    let code = client.code(NewLink::to("https://example.com/")).await;
    let path = format!("/api/v1/links/{code}");
    client.post(&format!("{path}/disable"), &json!({})).await.expect(200);
    assert_eq!(client.visit(&format!("/{code}")).await.expect(404).code(), "link_disabled");
    client.post(&format!("{path}/enable"), &json!({})).await.expect(200);
    client.visit(&format!("/{code}")).await.expect(302);
    client.delete(&path).await.expect(204);
    assert_eq!(client.visit(&format!("/{code}")).await.expect(410).code(), "link_deleted");
}

#[tokio::test]
async fn a_disabled_link_is_403_where_the_operator_wants_it() {
    let server = Settings::new().with("HOPLOG_DISABLED_STATUS", "403").start();
    let code = server.client.code(NewLink::to("https://example.com/")).await;
    server.client.post(&format!("/api/v1/links/{code}/disable"), &json!({})).await.expect(200);
    server.client.visit(&format!("/{code}")).await.expect(403);
}

/// Trap 2 (U17).
#[tokio::test]
async fn trap_2_nothing_is_served_after_its_expiry_instant_however_hot_it_is() {
    let server = Server::start();
    let client = &server.client;
    let expires_at = now() + Duration::milliseconds(1_500);
    let link = NewLink::to("https://example.com/").with("expiresAt", expires_at.to_rfc3339());
    let code = client.code(link).await;
    let mut redirects = 0;
    loop {
        let asked = now();
        let answer = client.visit(&format!("/{code}")).await;
        let answered = now();
        if answer.status == 302 {
            redirects += 1;
            assert!(asked < expires_at, "served after the instant");
        } else {
            answer.expect(410);
            assert!(answered >= expires_at, "refused before the instant");
            break;
        }
    }
    assert!(redirects > 0, "the link was cached before it expired");
}

/// Trap 2 (U34).
#[tokio::test]
async fn trap_2_a_change_is_seen_by_the_very_next_redirect() {
    let server = Server::start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/0")).await;
    for n in 1..=50 {
        client.visit(&format!("/{code}")).await.expect(302);
        let url = format!("https://example.com/{n}");
        client.patch(&format!("/api/v1/links/{code}"), &json!({ "url": url })).await.expect(200);
        let answer = client.visit(&format!("/{code}")).await.expect(302);
        assert_eq!(answer.header("location"), url);
    }
}

/// The read model may be behind when a node starts, and what it lacks happened before the node
/// followed the log.
#[tokio::test]
async fn trap_2_a_change_that_the_read_model_lacks_is_seen_after_a_restart() {
    let server = Server::start();
    let client = &server.client;
    let deleted = client.code(NewLink::to("https://example.com/")).await;
    let edited = client.code(NewLink::to("https://example.com/old")).await;
    client.caught_up("link_directory").await;
    client.post("/api/v1/projections/link_directory/pause", &json!({})).await.expect(200);
    client.delete(&format!("/api/v1/links/{deleted}")).await.expect(204);
    let change = json!({ "url": "https://example.com/new" });
    client.patch(&format!("/api/v1/links/{edited}"), &change).await.expect(200);
    let server = server.kill().start();
    let client = &server.client;
    for _ in 0..3 {
        client.visit(&format!("/{deleted}")).await.expect(410);
        let answer = client.visit(&format!("/{edited}")).await.expect(302);
        assert_eq!(answer.header("location"), "https://example.com/new");
    }
}

#[tokio::test]
async fn a_code_that_was_unknown_a_moment_ago_leads_somewhere_once_it_is_created() {
    let server = Server::start();
    for n in 0..20 {
        let alias = format!("fresh{n}");
        server.client.visit(&format!("/{alias}")).await.expect(404);
        server
            .client
            .create(NewLink::to("https://example.com/").with("alias", alias.as_str()))
            .await;
        server.client.visit(&format!("/{alias}")).await.expect(302);
    }
}

/// Trap 4 (U33).
#[tokio::test]
async fn trap_4_a_code_is_never_given_out_twice() {
    let server = Server::start();
    let client = &server.client;
    let link = NewLink::to("https://example.com/").with("alias", "once");
    client.create(link.clone()).await;
    client.delete("/api/v1/links/once").await.expect(204);
    assert_eq!(client.post("/api/v1/links", &link.0).await.expect(409).code(), "code_taken");
}

/// Trap 17 (U25).
#[tokio::test]
async fn trap_17_a_head_request_is_answered_and_told_apart() {
    let server = Server::start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/")).await;
    client.send(client.request(Method::HEAD, &format!("/{code}"))).await.expect(302);
    let prefetch = client.request(Method::GET, &format!("/{code}"));
    client.send(prefetch.header("sec-purpose", "prefetch;prerender")).await.expect(302);
    let preview = client.request(Method::GET, &format!("/{code}"));
    client.send(preview.header("user-agent", "Slackbot-LinkExpanding 1.0")).await.expect(302);
    client.visit(&format!("/{code}")).await.expect(302);
    let stats = client.stats(&code, "bots=include").await;
    assert_eq!(stats["totalClicks"], 4);
    assert_eq!(client.stats(&code, "bots=exclude").await["totalClicks"], 1);
    assert_eq!(client.stats(&code, "bots=only").await["totalClicks"], 3);
    let mut classes: Vec<_> =
        stats["classes"].as_array().unwrap().iter().map(|c| c["value"].as_str().unwrap()).collect();
    classes.sort_unstable();
    assert_eq!(classes, ["head", "human", "prefetch", "preview"]);
}

/// Trap 19: the visitor's request can't choose where a link leads.
#[tokio::test]
async fn trap_19_a_query_does_not_change_the_destination() {
    let server = Server::start();
    let code = server.client.code(NewLink::to("https://example.com/")).await;
    let answer = server.client.visit(&format!("/{code}?redir_url=https://evil.example/")).await;
    assert_eq!(answer.header("location"), "https://example.com/");
}

#[tokio::test]
async fn a_preview_and_a_qr_code_are_no_clicks() {
    let server = Server::start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/<b>")).await;
    let preview = client.visit(&format!("/{code}+")).await.expect(200).json();
    assert_eq!(preview["url"], "https://example.com/%3Cb%3E");
    let page = client.request(Method::GET, &format!("/{code}+")).header("accept", "text/html");
    let page = client.send(page).await.expect(200);
    assert!(page.body.contains("https://example.com/%3Cb%3E") && !page.body.contains("<script"));
    assert_eq!(
        client.visit(&format!("/{code}.qr")).await.expect(200).header("content-type"),
        "image/svg+xml"
    );
    let png = client.request(Method::GET, &format!("/{code}.qr")).header("accept", "image/png");
    assert_eq!(client.send(png).await.expect(200).header("content-type"), "image/png");
    assert_eq!(client.stats(&code, "").await["totalClicks"], 0);
}
