//! The promise: hostile input gets the right status and a stable code, never a 500, and nothing
//! of it is stored.

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Body, Method};
use serde_json::{Value, json};

use crate::support::{Answer, Client, NewLink, Server};

mod inputs;
#[cfg(target_os = "linux")]
mod large;
mod others;
mod parameters;
mod sockets;

use inputs::{bodies, fields, urls};

/// A body that creates a link, but for one field.
fn link(field: &str, value: impl Into<Value>) -> Value {
    NewLink::to("https://example.com/").with(field, value).0
}

/// The answer must be a problem with this code and, for fields, name exactly these.
#[track_caller]
fn check(what: &str, answer: &Answer, status: u16, code: &str, pointers: &[&str]) {
    let told = format!("{what} got {} {}", answer.status, answer.body);
    assert_eq!(answer.status, status, "{told}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{told}");
    let problem = answer.json();
    assert_eq!(problem["code"], code, "{told}");
    assert_eq!(problem["status"], status, "{told}");
    let errors = problem["errors"].as_array().map_or(&[][..], Vec::as_slice);
    let named: Vec<&str> = errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    assert_eq!(named, pointers, "{told}");
}

/// Trap 8 (U15).
#[tokio::test]
async fn trap_8_urls_that_are_none_or_deceive_are_refused() {
    let server = Server::start();
    let client = &server.client;
    let own = format!("{}/other", server.url);
    let heads = client.heads().await;
    for url in urls() {
        for (path, field) in [("/api/v1/links", "url"), ("/api/shorten", "longURL")] {
            let answer = client.post(path, &json!({ field: url })).await;
            let pointer = format!("/{field}");
            check(&url.to_string(), &answer, 422, "validation_failed", &[&pointer]);
        }
    }
    for own in [own.clone(), own.to_uppercase().replace("HTTP", "http")] {
        for (path, field) in [("/api/v1/links", "url"), ("/api/shorten", "longURL")] {
            let answer = client.post(path, &json!({ field: own })).await;
            check(&own, &answer, 422, "validation_failed", &[&format!("/{field}")]);
            assert_eq!(answer.json()["errors"][0]["code"], "loop");
        }
    }
    assert_eq!(client.heads().await, heads, "nothing is stored");
    // The same holds for an edit.
    client.create(NewLink::to("https://example.com/").with("alias", "kept")).await;
    let heads = client.heads().await;
    for url in urls() {
        let answer = client.patch("/api/v1/links/kept", &json!({ "url": url })).await;
        check(&url.to_string(), &answer, 422, "validation_failed", &["/url"]);
        // And of wherever else it may lead.
        let later = json!({ "expiredUrl": url });
        let answer = client.patch("/api/v1/links/kept", &later).await;
        check(&url.to_string(), &answer, 422, "validation_failed", &["/expiredUrl"]);
        let answer = client.post("/api/v1/links", &link("expiredUrl", url.clone())).await;
        check(&url.to_string(), &answer, 422, "validation_failed", &["/expiredUrl"]);
    }
    assert_eq!(client.heads().await, heads, "nothing is stored");
}

#[tokio::test]
async fn fields_that_are_wrong_are_named() {
    let server = Server::start();
    let client = &server.client;
    let heads = client.heads().await;
    for (field, value) in fields() {
        let name = field.split('/').next().unwrap();
        let answer = client.post("/api/v1/links", &link(name, value.clone())).await;
        let pointer = format!("/{field}");
        check(&format!("{field} = {value}"), &answer, 422, "validation_failed", &[&pointer]);
    }
    let several = json!({ "url": "x", "alias": "a b", "redirect": 1, "more": 1 });
    let answer = client.post("/api/v1/links", &several).await;
    let all = ["/url", "/alias", "/redirect", "/more"];
    check("all of them", &answer, 422, "validation_failed", &all);
    let both = json!({ "url": "https://example.com/", "expiresIn": "1d", "expiresAt": "2099-01-01T00:00:00Z" });
    let answer = client.post("/api/v1/links", &both).await;
    check("two ends", &answer, 422, "validation_failed", &["/expiresIn"]);
    assert_eq!(client.heads().await, heads, "nothing is stored");
}

#[tokio::test]
async fn bodies_that_are_no_objects_are_refused() {
    let server = Server::start();
    let client = &server.client;
    let heads = client.heads().await;
    for (what, content_type, body, status, code) in bodies() {
        for path in ["/api/v1/links", "/api/shorten"] {
            let request = client.authorized(Method::POST, path).body(Body::from(body.clone()));
            let answer = client.send(request.header("content-type", content_type)).await;
            check(what, &answer, status, code, &[]);
        }
    }
    for (body, pointer) in [
        (json!({}), "/links"),
        (json!({ "links": [] }), "/links"),
        (json!({ "links": {} }), "/links"),
        (json!({ "links": vec![json!({}); 10_001] }), "/links"),
    ] {
        let answer = client.post("/api/v1/links/bulk", &body).await;
        check("a bulk", &answer, 422, "validation_failed", &[pointer]);
    }
    assert_eq!(client.heads().await, heads, "nothing is stored");
}

/// A request with a header that is wrong.
async fn with_header(client: &Client, name: &str, value: &[u8]) -> Answer {
    let request = client.authorized(Method::POST, "/api/v1/links").json(&link("title", "x"));
    let name: HeaderName = name.parse().unwrap();
    client.send(request.header(name, HeaderValue::from_bytes(value).unwrap())).await
}

#[tokio::test]
async fn headers_that_are_wrong_are_refused() {
    let server = Server::start();
    let client = &server.client;
    let heads = client.heads().await;
    let long = vec![b'k'; 256];
    for (name, value) in [
        ("idempotency-key", &b""[..]),
        ("idempotency-key", &long),
        ("idempotency-key", b"\xff\xfe"),
    ] {
        let answer = with_header(client, name, value).await;
        check(name, &answer, 400, "invalid_header", &[]);
    }
    client.create(NewLink::to("https://example.com/").with("alias", "kept")).await;
    let path = "/api/v1/links/kept";
    let tagged = async |tag: &str| {
        let request = client.authorized(Method::PATCH, path).json(&json!({ "title": "x" }));
        client.send(request.header("if-match", tag)).await
    };
    for tag in ["1", "", "\"1", "\"1\" \"2\"", "w/\"1\"", "*, \"1\""] {
        check(tag, &tagged(tag).await, 400, "invalid_header", &[]);
    }
    // Entity tags that this link has never had, and weak ones, which never match.
    let long = "\"99999999999999999999999\"";
    for tag in ["\"x\"", "W/\"1\"", "\"+1\"", "\"01\"", "\"-1\"", "\"2\", W/\"1\"", long] {
        check(tag, &tagged(tag).await, 412, "version_mismatch", &[]);
    }
    for position in ["", "17", "latest", "AAAA", "ü"] {
        let request = client.authorized(Method::GET, path);
        let value = HeaderValue::from_bytes(position.as_bytes()).unwrap();
        let answer = client.send(request.header("hoplog-position", value)).await;
        let code = if position.is_ascii() { "invalid_position" } else { "invalid_header" };
        check(position, &answer, 400, code, &[]);
    }
    for given in ["", "Bearer", "Bearer ", "Basic dTpw", "Bearer hop_x", "bearer  x y", "hop_"] {
        let request = client.request(Method::GET, path).header("authorization", given);
        check(given, &client.send(request).await, 401, "invalid_key", &[]);
    }
    let answer = client.send(client.request(Method::GET, path)).await;
    check("no key", &answer, 401, "missing_key", &[]);
    assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"hoplog\"");
    assert_ne!(client.heads().await, heads);
    assert_eq!(client.get(path).await.json()["version"], 1, "nothing more is stored");
}
