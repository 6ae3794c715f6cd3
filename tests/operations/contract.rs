//! Health, metrics and the served contract.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{NewLink, Server};

/// Every operation that other programs were promised.
const PROMISED: &[(&str, &str)] = &[
    ("get", "/{code}"),
    ("post", "/{code}"),
    ("get", "/{code}+"),
    ("get", "/{code}.qr"),
    ("get", "/report/{code}"),
    ("post", "/report/{code}"),
    ("post", "/api/v1/links"),
    ("get", "/api/v1/links"),
    ("post", "/api/v1/links/bulk"),
    ("get", "/api/v1/links/{code}"),
    ("patch", "/api/v1/links/{code}"),
    ("delete", "/api/v1/links/{code}"),
    ("post", "/api/v1/links/{code}/disable"),
    ("post", "/api/v1/links/{code}/enable"),
    ("post", "/api/v1/links/{code}/quarantine"),
    ("post", "/api/v1/links/{code}/release"),
    ("post", "/api/v1/links/{code}/appeal"),
    ("get", "/api/v1/links/{code}/history"),
    ("delete", "/api/v1/links/{code}/personal-data"),
    ("delete", "/api/v1/visitors/{visitor}/personal-data"),
    ("get", "/api/v1/links/{code}/stats"),
    ("get", "/api/v1/links/{code}/clicks"),
    ("get", "/api/v1/stats"),
    ("get", "/api/v1/orphans"),
    ("get", "/api/v1/orphans/stats"),
    ("get", "/api/v1/tags"),
    ("post", "/api/v1/tags/{tag}/rename"),
    ("get", "/api/v1/top"),
    ("get", "/api/v1/links/{code}/rank"),
    ("get", "/api/v1/links/{code}/split"),
    ("get", "/api/v1/events"),
    ("post", "/api/v1/clicks/import"),
    ("get", "/api/v1/keys"),
    ("post", "/api/v1/keys"),
    ("delete", "/api/v1/keys/{id}"),
    ("get", "/api/v1/domains"),
    ("post", "/api/v1/domains"),
    ("get", "/api/v1/domains/{name}"),
    ("patch", "/api/v1/domains/{name}"),
    ("delete", "/api/v1/domains/{name}"),
    ("get", "/api/v1/webhooks"),
    ("post", "/api/v1/webhooks"),
    ("get", "/api/v1/webhooks/{id}"),
    ("patch", "/api/v1/webhooks/{id}"),
    ("delete", "/api/v1/webhooks/{id}"),
    ("post", "/api/v1/webhooks/{id}/test"),
    ("post", "/api/v1/webhooks/{id}/rotate-secret"),
    ("post", "/api/v1/webhooks/{id}/enable"),
    ("post", "/api/v1/webhooks/{id}/disable"),
    ("get", "/api/v1/webhooks/{id}/deliveries"),
    ("post", "/api/v1/webhooks/{id}/deliveries/{messageId}/retry"),
    ("get", "/api/v1/projections"),
    ("get", "/api/v1/projections/{name}"),
    ("post", "/api/v1/projections/{name}/rebuild"),
    ("post", "/api/v1/projections/{name}/rollback"),
    ("get", "/api/v1/projections/{name}/parked"),
    ("post", "/api/v1/projections/{name}/retry"),
    ("post", "/api/v1/projections/{name}/skip"),
    ("post", "/api/v1/projections/{name}/verify"),
    ("post", "/api/v1/projections/{name}/pause"),
    ("post", "/api/v1/projections/{name}/resume"),
    ("post", "/api/v1/ratelimit/check"),
    ("get", "/api/v1/ratelimit/policies"),
    ("post", "/api/shorten"),
    ("get", "/api/analytics/{code}"),
    ("get", "/health/live"),
    ("get", "/health/ready"),
    ("get", "/metrics"),
    ("get", "/.well-known/apple-app-site-association"),
    ("get", "/.well-known/assetlinks.json"),
    ("get", "/docs"),
    ("get", "/openapi.json"),
    ("get", "/asyncapi.json"),
];

/// Method, path and description of every operation of a contract.
pub(super) fn operations(contract: &Value) -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for (path, item) in contract["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push((method.clone(), path.clone(), operation.clone()));
        }
    }
    operations
}

#[tokio::test]
async fn the_contract_has_what_was_promised_and_nothing_else() {
    let server = Server::start();
    let contract = server.client.visit("/openapi.json").await.expect(200);
    assert_eq!(contract.header("content-type"), "application/json");
    let contract = contract.json();
    let listed: BTreeSet<(String, String)> =
        operations(&contract).into_iter().map(|(method, path, _)| (method, path)).collect();
    let promised: BTreeSet<(String, String)> =
        PROMISED.iter().map(|(method, path)| ((*method).into(), (*path).into())).collect();
    assert_eq!(listed, promised);
    let page = server.client.visit("/docs").await.expect(200);
    assert!(page.header("content-type").starts_with("text/html"));
}

/// What the contract says of each operation is so: it is there, and it needs a key or none.
#[tokio::test]
async fn every_operation_of_the_contract_answers_as_it_says() {
    let server = Server::start();
    server.client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    let contract = server.client.visit("/openapi.json").await.json();
    for (method, path, operation) in operations(&contract) {
        let concrete = path.replace("{code}", "a").replace("{name}", "clicks");
        let concrete = concrete.replace("{visitor}", "00000000000000a1");
        let concrete = concrete.replace("{id}", "7d444840-9dc0-51d1-b245-5ffdce74fad2");
        let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        let bare = server.client.send(server.client.request(method.clone(), &concrete)).await;
        let needs_key = operation["security"].as_array().is_some_and(|all| !all.is_empty());
        assert_eq!(bare.status == 401, needs_key, "{method} {path}: {bare:?}");
        // The read model is not to be paused for the requests behind it.
        if path.ends_with("/pause") || method == Method::DELETE && path.contains("links") {
            continue;
        }
        let request = server.client.authorized(method.clone(), &concrete);
        let request = if method == Method::GET { request } else { request.json(&json!({})) };
        let answer = server.client.send(request).await;
        let status = answer.status.as_u16().to_string();
        let listed = operation["responses"].as_object().unwrap();
        assert!(
            listed.contains_key(&status),
            "{method} {path} is answered with {status}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn health_says_what_is_ready() {
    let server = crate::support::Settings::embedded().start();
    assert_eq!(server.client.visit("/health/live").await.expect(200).body, "live\n");
    let ready = server.client.visit("/health/ready").await.expect(200).json();
    assert_eq!(ready, json!({ "status": "ready", "log": "ok", "readModels": "ok" }));
}

/// Every line is a comment or a sample, every sample has a type, and what was done is counted.
#[tokio::test]
async fn metrics_can_be_read_and_count_what_was_done() {
    let server = Server::start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/")).await;
    for _ in 0..7 {
        client.visit(&format!("/{code}")).await.expect(302);
    }
    for projection in ["link_directory", "clicks", "click_statistics", "top_links"] {
        client.caught_up(projection).await;
    }
    let answer = client.visit("/metrics").await.expect(200);
    assert!(answer.header("content-type").starts_with("text/plain"));
    let (mut types, mut samples) = (BTreeSet::new(), Vec::new());
    for line in answer.body.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.split(' ').collect();
            assert!(matches!(words[0], "TYPE" | "HELP"), "{line}");
            types.insert(words[1].to_owned());
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap();
            samples.push((name.to_owned(), value.parse::<f64>().unwrap()));
        }
    }
    for (name, _) in &samples {
        let family = name.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| family.strip_suffix(end));
        let family = family.unwrap_or_else(|| name.split('{').next().unwrap());
        assert!(types.contains(family), "{name} has no type");
    }
    let of =
        |wanted: &str| samples.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    assert_eq!(of("hoplog_clicks_recorded_total"), Some(7.0), "{}", answer.body);
    for name in ["hoplog_log_append_events_total", "hoplog_log_append_seconds_count"] {
        assert!(of(name).is_some_and(|value| value >= 8.0), "{name}: {}", answer.body);
    }
    for projection in ["link_directory", "clicks", "click_statistics", "top_links"] {
        let lag = format!("hoplog_projection_lag_events{{projection=\"{projection}\"}}");
        assert_eq!(of(&lag), Some(0.0), "{}", answer.body);
    }
}

/// A projection that is paused says so and goes on where it was.
#[tokio::test]
async fn a_projection_is_paused_and_resumed() {
    let server = Server::start();
    let client = &server.client;
    let code = client.code(NewLink::to("https://example.com/")).await;
    let path = "/api/v1/projections/click_statistics";
    let paused = client.post(&format!("{path}/pause"), &json!({})).await.expect(200).json();
    assert_eq!(paused["state"], "paused");
    client.visit(&format!("/{code}")).await.expect(302);
    let stats = format!("/api/v1/links/{code}/stats");
    assert_eq!(client.get(&stats).await.expect(200).json()["totalClicks"], 0);
    let shown = client.get(path).await.expect(200).json();
    assert_eq!((&shown["state"], &shown["lagEvents"]), (&json!("paused"), &json!(1)));
    client.post(&format!("{path}/resume"), &json!({})).await.expect(200);
    assert_eq!(client.stats(&code, "").await["totalClicks"], 1);
    // On the command line, too.
    assert!(server.cli_ok(&["projection", "list"]).contains("click_statistics"));
    server.cli_ok(&["projection", "verify", "click_statistics"]);
    server.cli_ok(&["projection", "rebuild", "click_statistics"]);
    assert_eq!(client.stats(&code, "").await["totalClicks"], 1);
}
