//! The promise: links live on several domains, each with an answer of its own, and none leads back to this service.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Server, Settings};

mod loops;
mod management;
mod nodes;
mod owners;
mod visits;

const URL: &str = "https://example.com/";

/// The public origin of the service.
const BASE_URL: &str = "https://own.example";

/// Two other domains of it.
const ONE: &str = "one.example";
const TWO: &str = "two.example";

fn settings() -> Settings {
    Settings::new().with("HOPLOG_BASE_URL", BASE_URL)
}

/// A server with two domains beside its own.
async fn with_domains() -> Server {
    let server = settings().start();
    for name in [ONE, TWO] {
        add(&server.client, json!({ "name": name })).await;
    }
    server
}

async fn add(client: &Client, domain: Value) -> Value {
    client.post("/api/v1/domains", &domain).await.expect(201).json()
}

/// A visit of a host, as a browser makes it.
async fn visit(client: &Client, host: &str, path: &str) -> Answer {
    client.send(client.request(Method::GET, path).header("host", host)).await
}

/// Where a visit of a host leads.
async fn location(client: &Client, host: &str, path: &str) -> String {
    visit(client, host, path).await.expect(302).header("location").to_owned()
}
