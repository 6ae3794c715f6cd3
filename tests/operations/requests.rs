//! What the served contract says that requests take, and may be answered with.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::contract::operations;
use crate::support::{Answer, NewLink, Server};

/// Headers that operations read, each with a value that whoever reads it refuses, or takes for
/// what is there already.
const HEADERS: [(&str, &str); 5] = [
    ("Idempotency-Key", ""),
    ("If-Match", "nonsense"),
    ("Hoplog-Position", "17"),
    ("Last-Event-ID", "17"),
    ("If-None-Match", "*"),
];

/// A path with the names of things that there are.
fn concrete(path: &str) -> String {
    let path = path.replace("{code}", "a").replace("{name}", "clicks");
    // What it can't do without.
    let path = path.replace("/skip", "/skip?sequence=x");
    let path = path.replace("{visitor}", "00000000000000a1");
    path.replace("{id}", "7d444840-9dc0-51d1-b245-5ffdce74fad2")
}

/// What an operation can't do without.
fn body(path: &str) -> Value {
    match path.rsplit('/').next() {
        Some("quarantine") => json!({ "reason": "asks for passwords" }),
        Some("appeal") => json!({ "text": "It is ours." }),
        _ => json!({}),
    }
}

/// A request to an operation, with the least that it takes where it has a body.
fn request(server: &Server, method: &str, path: &str) -> reqwest::RequestBuilder {
    let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
    let request = server.client.authorized(method.clone(), path);
    if method == Method::GET { request } else { request.json(&body(path)) }
}

/// Whether a header, or what it says, made a difference.
fn heeds_a_header(answer: &Answer) -> bool {
    let codes = ["invalid_header", "invalid_position", "invalid_parameter"];
    answer.status == 304 || answer.status == 400 && codes.contains(&&*answer.code())
}

/// Which of the parameters an operation does not know; `None`: it does not care. In parts, as an answer tells of so
/// many mistakes only.
async fn unknown_parameters(
    server: &Server,
    path: &str,
    every: &BTreeSet<String>,
) -> Option<BTreeSet<String>> {
    // What names no link is answered before anything else is read.
    let value = |name: &str| if name == "domain" { "default" } else { "%00" };
    let mut unknown = BTreeSet::new();
    for part in every.iter().collect::<Vec<_>>().chunks(20) {
        let given = |query: String, name: &&String| query + name + "=" + value(name) + "&";
        let query = part.iter().fold(String::new(), given);
        let answer = server.client.get(&format!("{path}?{query}")).await;
        if answer.status != 400 {
            return None;
        }
        let errors = answer.json()["errors"].as_array().unwrap().clone();
        let of_unknown = errors.iter().filter(|error| error["code"] == "unknown_parameter");
        unknown.extend(of_unknown.map(|error| error["pointer"].as_str().unwrap()[1..].to_owned()));
    }
    Some(unknown)
}

/// Every query parameter that any operation has is tried on every other: one that is not in its
/// contract is not read, one that is in it is.
#[tokio::test]
async fn the_contract_names_every_query_parameter() {
    let server = Server::start();
    server.client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    let contract = server.client.visit("/openapi.json").await.json();
    let parameters = |operation: &Value| -> BTreeSet<String> {
        let all = operation["parameters"].as_array().cloned().unwrap_or_default();
        let all = all.iter().filter(|parameter| parameter["in"] == "query");
        all.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect()
    };
    let operations = operations(&contract);
    let every: BTreeSet<String> = operations.iter().flat_map(|(_, _, op)| parameters(op)).collect();
    assert!(every.len() > 25, "{every:?}");
    // What a visitor adds to a short link is the destination's.
    let queries =
        operations.iter().filter(|(method, path, _)| method == "get" && path != "/{code}");
    let mut strict = 0;
    for (_, path, operation) in queries {
        let concrete = concrete(path);
        let Some(unknown) = unknown_parameters(&server, &concrete, &every).await else {
            // Health and documentation are asked by programs that add what they like.
            assert!(!path.starts_with("/api/"), "{path}");
            assert!(parameters(operation).is_empty(), "{path}");
            continue;
        };
        let read: BTreeSet<String> = every.difference(&unknown).cloned().collect();
        assert_eq!(read, parameters(operation), "{path}");
        strict += 1;
    }
    assert!(strict >= 12, "{strict}");
}

/// The same of headers: each is heeded by those that list it, and by no others.
#[tokio::test]
async fn the_contract_names_every_header() {
    let server = Server::start();
    server.client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    let contract = server.client.visit("/openapi.json").await.json();
    for (method, path, operation) in operations(&contract) {
        let listed = operation["parameters"].as_array().cloned().unwrap_or_default();
        let listed = listed.iter().filter(|parameter| parameter["in"] == "header");
        let listed: BTreeSet<&str> = listed.map(|one| one["name"].as_str().unwrap()).collect();
        if path.starts_with("/api/") {
            let mut read = BTreeSet::new();
            for (name, wrong) in HEADERS {
                let request = request(&server, &method, &concrete(&path)).header(name, wrong);
                if heeds_a_header(&server.client.send(request).await) {
                    read.insert(name);
                }
            }
            assert_eq!(read, listed, "{method} {path}");
        } else {
            assert!(listed.is_empty(), "{method} {path}");
        }
    }
}

/// What a deleted link is no longer good for. It can still be erased.
fn is_refused_when_deleted(method: &str, path: &str) -> bool {
    path.starts_with("/api/v1/links/{code}") && method != "get" && !path.ends_with("/personal-data")
}

/// What any operation of the API may be answered with is in the contract, as a problem.
#[tokio::test]
async fn the_contract_names_every_problem() {
    let server = Server::start();
    let contract = server.client.visit("/openapi.json").await.json();
    for (method, path, operation) in operations(&contract) {
        let answers = operation["responses"].as_object().unwrap();
        for (status, answer) in answers {
            assert_ne!(answer["description"], "", "{method} {path} {status}");
            let fails =
                status.starts_with('4') || status.starts_with('5') && path != "/health/ready";
            let media = answer["content"].as_object().cloned().unwrap_or_default();
            let is_problem = media.contains_key("application/problem+json");
            assert_eq!(is_problem, fails, "{method} {path} {status}: {answer}");
        }
        if !path.starts_with("/api/") {
            continue;
        }
        let mut may = vec!["400", "401", "403", "421", "429", "500", "503"];
        if !operation["requestBody"].is_null() {
            may.extend(["408", "413", "415", "422"]);
        }
        if path.contains('{') {
            may.push("404");
        }
        if path.starts_with("/api/v1/links/{code}") && method != "get" {
            may.extend(["412", "422"]);
        }
        if is_refused_when_deleted(&method, &path) {
            may.push("410");
        }
        for status in may {
            assert!(answers.contains_key(status), "{method} {path} lists no {status}");
        }
    }
}

/// What is done to a link that was deleted is answered with what the contract lists.
#[tokio::test]
async fn commands_on_a_deleted_link_answer_as_the_contract_says() {
    let server = Server::start();
    server.client.create(NewLink::to("https://example.com/").with("alias", "a")).await;
    server.client.delete("/api/v1/links/a").await.expect(204);
    let contract = server.client.visit("/openapi.json").await.json();
    for (method, path, operation) in operations(&contract) {
        if is_refused_when_deleted(&method, &path) {
            let answer = server.client.send(request(&server, &method, &concrete(&path))).await;
            assert_eq!(answer.expect(410).code(), "link_deleted");
            assert!(!operation["responses"]["410"].is_null(), "{method} {path}");
        }
    }
}
