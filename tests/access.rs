//! The promise: a key does what its scopes say, for its owner's links, until it is revoked.

use reqwest::Method;
use serde_json::json;

use crate::support::{Live, NewLink, Server, now};

/// What each scope opens; every other key is turned away with 403.
const OPENS: &[(&str, &str, &str)] = &[
    ("GET", "/api/v1/links", "links:read"),
    ("GET", "/api/v1/links/a", "links:read"),
    ("GET", "/api/v1/links/a/history", "links:read"),
    ("POST", "/api/v1/links", "links:write"),
    ("PATCH", "/api/v1/links/a", "links:write"),
    ("POST", "/api/v1/links/a/disable", "links:write"),
    ("POST", "/api/shorten", "links:write"),
    ("POST", "/api/v1/links/bulk", "links:write"),
    ("GET", "/api/v1/stats", "stats:read"),
    ("GET", "/api/v1/links/a/stats", "stats:read"),
    ("GET", "/api/v1/top", "stats:read"),
    ("GET", "/api/v1/links/a/rank", "stats:read"),
    ("GET", "/api/v1/links/a/split", "stats:read"),
    ("GET", "/api/v1/links/a/clicks", "stats:read"),
    ("GET", "/api/analytics/a", "stats:read"),
    ("GET", "/api/v1/events", "events:read"),
    ("GET", "/api/v1/events?topic=accounts", "admin"),
    ("GET", "/api/v1/webhooks", "webhooks"),
    ("POST", "/api/v1/webhooks", "webhooks"),
    ("GET", "/api/v1/webhooks/a", "webhooks"),
    ("PATCH", "/api/v1/webhooks/a", "webhooks"),
    ("DELETE", "/api/v1/webhooks/a", "webhooks"),
    ("POST", "/api/v1/webhooks/a/test", "webhooks"),
    ("POST", "/api/v1/webhooks/a/rotate-secret", "webhooks"),
    ("POST", "/api/v1/webhooks/a/enable", "webhooks"),
    ("POST", "/api/v1/webhooks/a/disable", "webhooks"),
    ("GET", "/api/v1/webhooks/a/deliveries", "webhooks"),
    ("POST", "/api/v1/webhooks/a/deliveries/b/retry", "webhooks"),
    ("GET", "/api/v1/ratelimit/policies", "ratelimit"),
    ("POST", "/api/v1/ratelimit/check", "ratelimit"),
    ("GET", "/api/v1/keys", "admin"),
    ("POST", "/api/v1/keys", "admin"),
    ("GET", "/api/v1/projections", "admin"),
    ("POST", "/api/v1/projections/clicks/rebuild", "admin"),
    ("POST", "/api/v1/clicks/import", "admin"),
    ("GET", "/api/v1/orphans", "admin"),
    ("GET", "/api/v1/orphans/stats", "admin"),
];

#[tokio::test]
async fn a_key_does_what_its_scopes_say() {
    let server = Server::start();
    server.client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    let scopes =
        ["links:read", "links:write", "stats:read", "events:read", "webhooks", "ratelimit"];
    for scope in scopes {
        let client = server.client.keyed("admin", &[scope]).await;
        for (method, path, opened_by) in OPENS {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = client.authorized(method.clone(), path);
            let request = if method == Method::GET { request } else { request.json(&json!({})) };
            let answer = client.send(request).await;
            let open = answer.status != 403;
            // The accounts topic needs admin on top of events:read.
            assert_eq!(open, scope == *opened_by, "{scope}: {method} {path}: {answer:?}");
            if !open {
                assert_eq!(answer.code(), "missing_scope");
            }
        }
    }
}

/// Trap 18 (U26, U37): what belongs to another owner is as good as not there.
#[tokio::test]
async fn trap_18_nobody_sees_another_owners_links_or_numbers() {
    let server = Server::start();
    let scopes = ["links:read", "links:write", "stats:read"];
    let one = server.client.keyed("one", &scopes).await;
    let other = server.client.keyed("other", &scopes).await;
    let code = one.code(NewLink::to("https://example.com/")).await;
    server.client.visit(&format!("/{code}")).await.expect(302);
    for projection in ["link_directory", "clicks", "click_statistics", "top_links"] {
        server.client.caught_up(projection).await;
    }
    let path = format!("/api/v1/links/{code}");
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::GET, format!("{path}/history")),
        (Method::GET, format!("{path}/stats")),
        (Method::GET, format!("{path}/clicks")),
        (Method::GET, format!("{path}/rank")),
        (Method::GET, format!("{path}/split")),
        (Method::GET, format!("/api/analytics/{code}")),
        (Method::PATCH, path.clone()),
        (Method::POST, format!("{path}/disable")),
        (Method::POST, format!("{path}/enable")),
        (Method::DELETE, path.clone()),
    ] {
        let request = other.authorized(method.clone(), &path).json(&json!({}));
        let answer = other.send(request).await;
        assert_eq!(answer.expect(404).code(), "link_not_found", "{method} {path}");
        let unknown = path.replace(&code, "nobody");
        let request = other.authorized(method, &unknown).json(&json!({}));
        assert_eq!(other.send(request).await.expect(404).code(), "link_not_found", "{unknown}");
    }
    let empty = json!([]);
    assert_eq!(other.get("/api/v1/links").await.json()["data"], empty);
    for by in ["by=clicks", "by=clicks&period=month", "by=trending"] {
        assert_eq!(other.get(&format!("/api/v1/top?{by}")).await.json()["data"], empty);
        let own = one.get(&format!("/api/v1/top?{by}")).await.json();
        assert_eq!(own["data"][0]["link"]["code"], code.as_str(), "{own}");
    }
    assert_eq!(other.get("/api/v1/stats").await.json()["totalClicks"], 0);
    assert_eq!(one.get("/api/v1/stats").await.json()["totalClicks"], 1);
    assert_eq!(server.client.get("/api/v1/stats").await.json()["totalClicks"], 1);
    assert_eq!(one.get(&path).await.expect(200).json()["state"], "active");
}

#[tokio::test]
async fn a_key_is_shown_once_and_works_until_it_is_revoked() {
    let server = Server::start();
    let admin = &server.client;
    let body = json!({ "name": "paper", "scopes": ["links:read"], "owner": "one" });
    let made = admin.post("/api/v1/keys", &body).await.expect(201).json();
    let (key, id) = (made["key"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert!(key.starts_with("hop_") && key.starts_with(made["prefix"].as_str().unwrap()));
    let client = admin.with_key(key);
    client.get("/api/v1/links").await.expect(200);
    let list = admin.get("/api/v1/keys").await.expect(200);
    assert!(!list.body.contains(key) && list.body.contains(id));
    for topic in ["accounts", "links", "clicks"] {
        let events = admin.events(topic).await;
        assert!(!format!("{events:?}").contains(key), "only hashes are written down");
        for made in events.iter().filter(|it| it["type"] == "hoplog.code-secret.made.v1") {
            assert_eq!(made["data"], json!({}), "nor does anybody need the secret behind codes");
        }
    }
    let accounts = admin.events("accounts").await;
    assert!(accounts.iter().any(|it| it["type"] == "hoplog.code-secret.made.v1"));
    // One wrong character is found by the checksum, before any look-up.
    let digit = if key.ends_with('0') { '1' } else { '0' };
    let wrong = format!("{}{digit}", &key[..key.len() - 1]);
    assert_eq!(admin.with_key(&wrong).get("/api/v1/links").await.expect(401).code(), "invalid_key");
    admin.delete(&format!("/api/v1/keys/{id}")).await.expect(204);
    assert_eq!(client.get("/api/v1/links").await.expect(401).code(), "invalid_key");
    admin.delete(&format!("/api/v1/keys/{id}")).await.expect(204);
    // Also after a kill.
    let server = server.kill().start();
    server.client.with_key(key).get("/api/v1/links").await.expect(401);
}

#[tokio::test]
async fn keys_are_listed_page_by_page() {
    let server = Server::start();
    for n in 0..7 {
        server.client.keyed(&format!("owner{n}"), &["links:read"]).await;
    }
    let whole = server.client.get("/api/v1/keys").await.expect(200).json();
    assert_eq!(whole["nextCursor"], json!(null));
    assert_eq!(
        (&whole["data"][0]["name"], &whole["data"][6]["name"]),
        (&json!("owner6"), &json!("owner0"))
    );
    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page =
            server.client.get(&format!("/api/v1/keys?limit=3{cursor}")).await.expect(200).json();
        paged.extend(page["data"].as_array().unwrap().clone());
        // A key that is made meanwhile shifts nothing.
        server.client.keyed("late", &["links:read"]).await;
        let Some(next) = page["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!((json!(paged), cursor.is_empty()), (whole["data"].clone(), false));
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked_on_the_command_line() {
    let server = Server::start();
    let made =
        server.cli_ok(&["key", "create", "--name", "cli", "--scopes", "links:read", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let client = server.client.with_key(made["key"].as_str().unwrap());
    client.get("/api/v1/links").await.expect(200);
    let id = made["id"].as_str().unwrap();
    assert!(server.cli_ok(&["key", "list"]).contains("cli"));
    server.cli_ok(&["key", "revoke", id]);
    client.get("/api/v1/links").await.expect(401);
}

#[tokio::test]
async fn an_expired_key_works_no_more() {
    let server = Server::start();
    let body = json!({ "name": "short", "scopes": ["links:read"], "expiresIn": 1 });
    let made = server.client.post("/api/v1/keys", &body).await.expect(201).json();
    let expires: chrono::DateTime<chrono::Utc> =
        made["expiresAt"].as_str().unwrap().parse().unwrap();
    let client = server.client.with_key(made["key"].as_str().unwrap());
    loop {
        let asked = now();
        let answer = client.get("/api/v1/links").await;
        if answer.status == 401 {
            assert!(now() >= expires, "refused before the instant");
            break;
        }
        assert!(asked < expires, "accepted after the instant");
    }
}

/// A stream that was opened with a key ends with it, also where nothing happens meanwhile.
#[tokio::test]
async fn a_live_stream_ends_when_its_key_is_revoked() {
    let server = Server::start();
    let admin = &server.client;
    let body = json!({ "name": "reader", "owner": "reader", "scopes": ["events:read"] });
    let made = admin.post("/api/v1/keys", &body).await.expect(201).json();
    let reader = admin.with_key(made["key"].as_str().unwrap());
    let mut live = Live::open(&reader, "topic=links", None).await;
    admin.code(NewLink::to("https://example.com/")).await;
    live.next().await;
    admin.delete(&format!("/api/v1/keys/{}", made["id"].as_str().unwrap())).await.expect(204);
    live.ends().await;
    admin.code(NewLink::to("https://example.com/")).await;
    reader.get("/api/v1/events").await.expect(401);
}

/// So does one whose key comes to its end.
#[tokio::test]
async fn a_live_stream_ends_when_its_key_expires() {
    let server = Server::start();
    let end = now() + chrono::Duration::seconds(4);
    let body = json!({
        "name": "reader", "owner": "reader", "scopes": ["events:read"],
        "expiresAt": end.to_rfc3339(),
    });
    let made = server.client.post("/api/v1/keys", &body).await.expect(201).json();
    let reader = server.client.with_key(made["key"].as_str().unwrap());
    let mut live = Live::open(&reader, "topic=links", None).await;
    live.ends().await;
    assert!(now() >= end, "not before its end");
}
