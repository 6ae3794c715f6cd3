//! The promise: a POST with an `Idempotency-Key` is done once, whatever it is and however often
//! it is sent.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server};

const URL: &str = "https://example.com/";

/// A POST under an idempotency key.
async fn once(client: &Client, key: &str, path: &str, body: &Value) -> Answer {
    let request = client.authorized(Method::POST, path).json(body);
    client.send(request.header("idempotency-key", key)).await
}

/// U36: a retry is no second link.
#[tokio::test]
async fn whatever_is_posted_is_done_once() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "kept")).await;
    let bulk: Vec<Value> = (0..50).map(|n| json!({ "url": format!("{URL}{n}") })).collect();
    for (path, body) in [
        ("/api/v1/links", json!({ "url": URL, "alias": "chosen" })),
        ("/api/v1/links", json!({ "url": URL, "expiresIn": "1d" })),
        ("/api/shorten", json!({ "longURL": URL, "expiresIn": 3600 })),
        ("/api/v1/links/kept/disable", json!({})),
        ("/api/v1/links/kept/enable", json!({})),
    ] {
        let key = format!("{path} {body}");
        let first = once(client, &key, path, &body).await;
        assert!(first.status.is_success(), "{key}: {first:?}");
        let heads = client.heads().await;
        let second = once(client, &key, path, &body).await;
        assert_eq!((first.status, first.json()), (second.status, second.json()), "{key}");
        assert_eq!(first.position(), second.position(), "{key}");
        assert_eq!(client.heads().await, heads, "{key} is done once");
    }
    // A bulk names its items by their place, and says which it knew.
    let body = json!({ "links": bulk });
    let first = once(client, "bulk", "/api/v1/links/bulk", &body).await.expect(200).json();
    let heads = client.heads().await;
    let second = once(client, "bulk", "/api/v1/links/bulk", &body).await.expect(200).json();
    assert_eq!(client.heads().await, heads, "a bulk is done once");
    for (one, other) in
        first["results"].as_array().unwrap().iter().zip(second["results"].as_array().unwrap())
    {
        assert_eq!((&one["link"], &one["status"]), (&other["link"], &other["status"]));
        assert_eq!((&one["replayed"], &other["replayed"]), (&json!(false), &json!(true)));
    }
    // An API key is shown once: its retry learns that it exists.
    let body = json!({ "name": "paper", "scopes": ["links:read"] });
    once(client, "key", "/api/v1/keys", &body).await.expect(201);
    let heads = client.heads().await;
    once(client, "key", "/api/v1/keys", &body).await.expect(409);
    assert_eq!(client.heads().await, heads, "a key is made once");
}

/// A disabling that is retried after somebody enabled the link again is not done again.
#[tokio::test]
async fn a_late_retry_does_not_undo_what_came_after() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "a")).await;
    once(client, "k", "/api/v1/links/a/disable", &json!({})).await.expect(200);
    client.post("/api/v1/links/a/enable", &json!({})).await.expect(200);
    let retry = once(client, "k", "/api/v1/links/a/disable", &json!({})).await.expect(200);
    assert_eq!(retry.json()["state"], "disabled", "the first answer");
    client.visit("/a").await.expect(302);
    // A creation that is retried after the deletion does not bring the link back.
    let body = json!({ "url": URL, "alias": "b" });
    once(client, "c", "/api/v1/links", &body).await.expect(201);
    client.delete("/api/v1/links/b").await.expect(204);
    once(client, "c", "/api/v1/links", &body).await.expect(201);
    client.visit("/b").await.expect(410);
}

#[tokio::test]
async fn of_many_requests_under_one_key_one_is_done() {
    let server = Server::start();
    let client = &server.client;
    let bodies: Vec<Value> = (0..12).map(|n| json!({ "url": format!("{URL}{n}") })).collect();
    let answers = bodies.iter().map(|body| once(client, "k", "/api/v1/links", body));
    let answers = futures::future::join_all(answers).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 422).count();
    assert_eq!((made, refused), (1, 11));
    assert_eq!(client.events("links").await.len(), 1);
}

/// A key stands for one request, whatever route the next one takes to the same link.
#[tokio::test]
async fn a_key_that_was_used_for_something_else_is_refused() {
    let server = Server::start();
    let client = &server.client;
    let body = json!({ "url": URL });
    let link = once(client, "k", "/api/v1/links", &body).await.expect(201).json();
    let disable = format!("/api/v1/links/{}/disable", link["code"].as_str().unwrap());
    for (path, body) in [
        ("/api/v1/links", json!({ "url": URL, "expiresIn": "1d" })),
        ("/api/shorten", json!({ "longURL": URL })),
        (disable.as_str(), json!({})),
    ] {
        let answer = once(client, "k", path, &body).await;
        assert_eq!(answer.expect(422).code(), "idempotency_key_reused", "{path} {body}");
    }
    assert_eq!(client.events("links").await.len(), 1);
}

/// The link is elsewhere when the alias is another one, and yet it is the same key.
#[tokio::test]
async fn a_key_that_was_used_with_another_alias_is_refused() {
    let server = Server::start();
    let client = &server.client;
    let chosen = |alias: &str| json!({ "url": URL, "alias": alias });
    once(client, "k", "/api/v1/links", &chosen("a")).await.expect(201);
    let heads = client.heads().await;
    for body in [chosen("b"), json!({ "url": URL }), json!({ "url": URL, "reuse": true })] {
        let answer = once(client, "k", "/api/v1/links", &body).await;
        assert_eq!(answer.expect(422).code(), "idempotency_key_reused", "{body}");
    }
    once(client, "k", "/api/v1/links", &chosen("a")).await.expect(201);
    // The other way round: a code that was made, then an alias.
    once(client, "made", "/api/v1/links", &json!({ "url": URL })).await.expect(201);
    let made = client.heads().await;
    let answer = once(client, "made", "/api/v1/links", &chosen("c")).await;
    assert_eq!(answer.expect(422).code(), "idempotency_key_reused");
    assert_eq!(client.heads().await, made);
    assert_ne!(heads, made);
    for alias in ["/b", "/c"] {
        client.visit(alias).await.expect(404);
    }
}

/// A refusal does not use up the key: the same key may go with a better request.
#[tokio::test]
async fn a_request_that_was_refused_leaves_its_key_free() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to(URL).with("alias", "taken")).await;
    let heads = client.heads().await;
    let body = |alias: &str| json!({ "url": URL, "alias": alias });
    once(client, "k", "/api/v1/links", &body("taken")).await.expect(409);
    assert_eq!(client.heads().await, heads, "nothing is stored");
    once(client, "k", "/api/v1/links", &body("free")).await.expect(201);
}

/// A retry is answered with the link that the first request made, not with another like it.
#[tokio::test]
async fn a_retry_that_allows_reuse_gets_its_own_link() {
    let server = Server::start();
    let client = &server.client;
    let body = json!({ "url": URL, "reuse": true });
    let first = once(client, "k", "/api/v1/links", &body).await.expect(201).json();
    client.create(NewLink::to(URL)).await;
    client.caught_up("link_directory").await;
    let second = once(client, "k", "/api/v1/links", &body).await.expect(201).json();
    assert_eq!(first, second);
}
