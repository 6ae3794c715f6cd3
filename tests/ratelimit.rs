//! The promise: nobody gets more than their share, and everybody is told how they stand.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Server, Settings};

mod addresses;
mod authentication;
mod check;
mod defaults;
mod fields;
mod nodes;
mod policies;
mod reload;

const URL: &str = "https://example.com/";

/// How long a server may take to notice something.
const PATIENCE: Duration = Duration::from_secs(30);

/// A policy for tests: so much in so long, by the address.
fn policy(name: &str, route: &str, by: &str, limit: u32, more: &str) -> String {
    format!(
        "[[policies]]\nname = '{name}'\nmatch = {{ routes = ['{route}'] }}\nby = '{by}'\n\
         tiers = [{{ limit = {limit}, per = '1d' }}]\n{more}\n"
    )
}

/// A server with these policies and no others.
fn server(policies: &str) -> Server {
    only(policies).start()
}

/// Settings with these policies and no others.
fn only(policies: &str) -> Settings {
    Settings::embedded().limited_by(&format!("builtin = false\n{policies}"))
}

/// Asks for something until it is refused, and says how often it was not.
async fn until_refused(client: &Client, path: &str, most: usize) -> (usize, Answer) {
    let mut passed = 0;
    loop {
        let answer = client.get(path).await;
        if answer.status == 429 {
            return (passed, answer);
        }
        passed += 1;
        assert!(passed <= most, "it is never refused: {answer:?}");
    }
}

/// A metric's value; 0: it is not there.
async fn metric(client: &Client, name: &str) -> f64 {
    let metrics = client.visit("/metrics").await.expect(200).body;
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// Waits until a metric has a value.
async fn becomes(client: &Client, name: &str, value: f64) {
    let deadline = Instant::now() + PATIENCE;
    while (metric(client, name).await - value).abs() > f64::EPSILON {
        assert!(Instant::now() < deadline, "{name} does not become {value}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn seconds(answer: &Answer, name: &str) -> u64 {
    answer.header(name).parse().unwrap_or_else(|_| panic!("no {name} in {answer:?}"))
}

/// The parameter of the first item of a structured field.
fn parameter(field: &str, name: &str) -> u64 {
    let item = field.split(", ").next().unwrap();
    let value = item.split(';').find_map(|part| part.strip_prefix(&format!("{name}=")));
    value.unwrap_or_else(|| panic!("no {name} in {field}")).parse().unwrap()
}

/// Makes a link.
async fn create(client: &Client) -> Answer {
    client.post("/api/v1/links", &json!({ "url": URL })).await
}

/// A visit that a proxy brings.
async fn visit_from(client: &Client, address: &str, path: &str) -> Answer {
    let request = client.request(Method::GET, path).header("x-forwarded-for", address);
    client.send(request).await
}

/// The policies that a refusal names.
fn violated(answer: &Answer) -> Value {
    assert_eq!(answer.code(), "rate_limited");
    let problem = answer.json();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    problem["violated-policies"].clone()
}
