//! The bodies of the other requests, and headers that only some routes read.

use reqwest::{Body, Method};
use serde_json::{Value, json};

use super::check;
use crate::support::{NewLink, Server};

/// A click of the past, but for one field.
fn click(field: &str, value: impl Into<Value>) -> Value {
    let mut click = json!({ "code": "kept", "at": "2026-01-01T00:00:00Z", "importId": "1" });
    click[field] = value.into();
    json!({ "source": "test", "clicks": [click] })
}

/// Imports that are refused as a whole, and the field that is named.
fn imports() -> Vec<(Value, &'static str)> {
    let good = click("method", "GET")["clicks"][0].clone();
    vec![
        (json!({ "source": "test" }), "/clicks"),
        (json!({ "source": "test", "clicks": [] }), "/clicks"),
        (json!({ "source": "test", "clicks": {} }), "/clicks"),
        (json!({ "source": "test", "clicks": vec![good.clone(); 1_001] }), "/clicks"),
        (json!({ "source": "test", "clicks": [1] }), "/clicks/0"),
        (json!({ "clicks": [good.clone()] }), "/source"),
        (json!({ "source": 1, "clicks": [good.clone()] }), "/source"),
        (json!({ "source": "", "clicks": [good.clone()] }), "/source"),
        (json!({ "source": "x".repeat(256), "clicks": [good.clone()] }), "/source"),
        (json!({ "source": "test", "clicks": [good], "force": true }), "/force"),
        (click("code", "a/b"), "/clicks/0/code"),
        (click("code", ""), "/clicks/0/code"),
        (click("code", Value::Null), "/clicks/0/code"),
        (click("at", "yesterday"), "/clicks/0/at"),
        (click("at", "2026-01-01"), "/clicks/0/at"),
        (click("at", 1_767_225_600), "/clicks/0/at"),
        (click("at", "1970-01-01T00:00:07Z"), "/clicks/0/at"),
        (click("at", "9998-01-01T00:00:00Z"), "/clicks/0/at"),
        (click("code", "nobody-made-it"), "/clicks/0/code"),
        (click("importId", ""), "/clicks/0/importId"),
        (click("importId", "x".repeat(65)), "/clicks/0/importId"),
        (click("importId", 7), "/clicks/0/importId"),
        (click("address", "256.1.1.1"), "/clicks/0/address"),
        (click("address", "example.com"), "/clicks/0/address"),
        (click("userAgent", json!(["x"])), "/clicks/0/userAgent"),
        (click("owner", "me"), "/clicks/0/owner"),
    ]
}

#[tokio::test]
async fn imports_with_one_wrong_click_record_none() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("alias", "kept")).await;
    let heads = client.heads().await;
    for (body, pointer) in imports() {
        let answer = client.post("/api/v1/clicks/import", &body).await;
        let what = body.to_string().chars().take(200).collect::<String>();
        check(&what, &answer, 422, "validation_failed", &[pointer]);
    }
    assert_eq!(client.heads().await, heads, "nothing is stored");
}

#[tokio::test]
async fn keys_that_can_not_be_are_not_made() {
    let server = Server::start();
    let client = &server.client;
    let heads = client.heads().await;
    for (body, pointer) in [
        (json!({ "scopes": ["links:read"] }), "/name"),
        (json!({ "name": "", "scopes": ["links:read"] }), "/name"),
        (json!({ "name": "a\nb", "scopes": ["links:read"] }), "/name"),
        (json!({ "name": "a" }), "/scopes"),
        (json!({ "name": "a", "scopes": [] }), "/scopes"),
        (json!({ "name": "a", "scopes": "admin" }), "/scopes"),
        (json!({ "name": "a", "scopes": ["root"] }), "/scopes/0"),
        (json!({ "name": "a", "scopes": ["links:read", null] }), "/scopes/1"),
        (json!({ "name": "a", "scopes": ["admin"], "owner": "" }), "/owner"),
        (json!({ "name": "a", "scopes": ["admin"], "expiresIn": "-1d" }), "/expiresIn"),
        (json!({ "name": "a", "scopes": ["admin"], "key": "hop_mine" }), "/key"),
    ] {
        let answer = client.post("/api/v1/keys", &body).await;
        let named = answer.json()["errors"][0]["pointer"].clone();
        check(&body.to_string(), &answer, 422, "validation_failed", &[named.as_str().unwrap()]);
        assert_eq!(named, pointer, "{body}");
    }
    assert_eq!(client.heads().await, heads, "nothing is stored");
}

/// A patch is checked like a creation; what can't be changed is named.
#[tokio::test]
async fn patches_that_are_wrong_change_nothing() {
    let server = Server::start();
    let client = &server.client;
    client.create(NewLink::to("https://example.com/").with("alias", "kept")).await;
    let heads = client.heads().await;
    for (body, pointer) in [
        (json!({ "url": null }), "/url"),
        (json!({ "redirect": 200 }), "/redirect"),
        (json!({ "alias": "other" }), "/alias"),
        (json!({ "code": "other" }), "/code"),
        (json!({ "id": "1" }), "/id"),
        (json!({ "owner": "me" }), "/owner"),
        (json!({ "state": "deleted" }), "/state"),
        (json!({ "version": 7 }), "/version"),
        (json!({ "clicks": { "total": 1_000_000 } }), "/clicks"),
        (json!({ "expiresIn": "-1d" }), "/expiresIn"),
        (json!({ "expiresAt": "2020-01-01T00:00:00Z" }), "/expiresAt"),
        (json!({ "tags": [null] }), "/tags/0"),
        (json!({ "title": "good", "note": 1 }), "/note"),
    ] {
        let answer = client.patch("/api/v1/links/kept", &body).await;
        check(&body.to_string(), &answer, 422, "validation_failed", &[pointer]);
    }
    for body in [&b"[{\"op\":\"remove\",\"path\":\"/url\"}]"[..], b"null", b"", b"\xff"] {
        let request = client.authorized(Method::PATCH, "/api/v1/links/kept");
        let request = request.header("content-type", "application/merge-patch+json");
        let answer = client.send(request.body(Body::from(body.to_vec()))).await;
        check("a patch", &answer, 400, "invalid_json", &[]);
    }
    assert_eq!(client.heads().await, heads, "nothing is stored");
}

/// An answer does not grow with the number of mistakes.
#[tokio::test]
async fn mistakes_without_number_are_named_to_a_bound() {
    let server = Server::start();
    let mut link = NewLink::to("https://example.com/");
    for n in 0..2_000 {
        link = link.with(&format!("f{n}"), n);
    }
    let answer = server.client.post("/api/v1/links", &link.0).await.expect(422);
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 50);
    let query: Vec<String> = (0..2_000).map(|n| format!("f{n}=1")).collect();
    let answer = server.client.get(&format!("/api/v1/links?{}", query.join("&"))).await.expect(400);
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 50);
    let clicks: Vec<Value> = (0..1_000).map(|_| json!({})).collect();
    let body = json!({ "source": "test", "clicks": clicks });
    let answer = server.client.post("/api/v1/clicks/import", &body).await.expect(422);
    assert_eq!(answer.json()["errors"].as_array().unwrap().len(), 50);
}

/// A body that is compressed, a range, a charset: nothing is guessed.
#[tokio::test]
async fn what_is_not_spoken_is_not_guessed() {
    let server = Server::start();
    let client = &server.client;
    let heads = client.heads().await;
    let gzip = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\x56\x4a".to_vec();
    let request = client.authorized(Method::POST, "/api/v1/links").body(gzip);
    let request = request.header("content-type", "application/json");
    let answer = client.send(request.header("content-encoding", "gzip")).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
    answer.code();
    let utf_16: Vec<u8> =
        "{\"url\":\"https://example.com/\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let request = client.authorized(Method::POST, "/api/v1/links").body(utf_16);
    let answer = client.send(request.header("content-type", "application/json; charset=utf-16"));
    check("UTF-16", &answer.await, 400, "invalid_json", &[]);
    assert_eq!(client.heads().await, heads, "nothing is stored");
}

/// Two of a header that must be one are refused, not merged and not chosen from.
#[tokio::test]
async fn a_header_that_is_there_twice_is_refused() {
    let server = Server::start();
    let client = &server.client;
    let link = NewLink::to("https://example.com/").with("alias", "kept").0;
    let position = client.post("/api/v1/links", &link).await.expect(201).position();
    let heads = client.heads().await;
    for (name, values) in
        [("idempotency-key", ["a", "b"]), ("hoplog-position", [&*position, &*position])]
    {
        for (method, path) in [
            (Method::POST, "/api/v1/links/kept/disable"),
            (Method::PATCH, "/api/v1/links/kept"),
            (Method::GET, "/api/v1/links/kept"),
        ] {
            let reads = match name {
                "hoplog-position" => method == Method::GET,
                _ => method != Method::GET,
            };
            if reads {
                let request = client.authorized(method.clone(), path).json(&json!({}));
                let request = request.header(name, values[0]).header(name, values[1]);
                let what = format!("{method} with two {name}");
                check(&what, &client.send(request).await, 400, "invalid_header", &[]);
            }
        }
    }
    let twice = client.authorized(Method::GET, "/api/v1/links/kept");
    let answer = client.send(twice.header("authorization", "Bearer hop_other")).await;
    assert!(matches!(answer.status.as_u16(), 200 | 401), "{answer:?}");
    assert_eq!(client.heads().await, heads, "nothing is stored");
}
