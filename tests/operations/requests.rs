//! What the served contract says that requests take.

use std::collections::BTreeSet;

use serde_json::Value;

use super::contract::operations;
use crate::support::{NewLink, Server};

/// A path with the names of things that there are.
fn concrete(path: &str) -> String {
    let path = path.replace("{code}", "a").replace("{name}", "clicks");
    path.replace("{id}", "7d444840-9dc0-51d1-b245-5ffdce74fad2")
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
        let query = every.iter().fold(String::new(), |query, name| query + name + "=%00&");
        let answer = server.client.get(&format!("{concrete}?{query}")).await;
        if answer.status != 400 {
            // Health and documentation are asked by programs that add what they like.
            assert!(!path.starts_with("/api/"), "{path}: {answer:?}");
            assert!(parameters(operation).is_empty(), "{path}: {answer:?}");
            continue;
        }
        let answer = answer.json();
        let unknown = answer["errors"].as_array().unwrap().iter();
        let unknown = unknown.filter(|error| error["code"] == "unknown_parameter");
        let unknown: BTreeSet<String> =
            unknown.map(|error| error["pointer"].as_str().unwrap()[1..].to_owned()).collect();
        let read: BTreeSet<String> = every.difference(&unknown).cloned().collect();
        assert_eq!(read, parameters(operation), "{path}");
        strict += 1;
    }
    assert!(strict >= 12, "{strict}");
}
