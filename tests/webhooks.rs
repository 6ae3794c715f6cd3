//! The promise: whoever subscribes is told of everything that happens to their links, whatever
//! becomes of receivers and servers, and of nothing else.

use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Manner, NewLink, Received, Receiver, Server, Settings};

mod delivery;
mod failures;
mod isolation;
mod management;
mod nodes;
mod targets;

const URL: &str = "https://example.com/";

/// Everything that can happen to a link in these tests.
const LINKS: [&str; 3] = ["hoplog.link.created", "hoplog.link.disabled", "hoplog.link.enabled"];

/// How long the delivery log may take to tell what happened; a receiver has 15 s to answer.
const PATIENCE: Duration = Duration::from_secs(45);

/// A server that may send to this machine.
fn settings() -> Settings {
    Settings::new().with("HOPLOG_WEBHOOK_ALLOW", "private")
}

/// Makes a webhook and gives its JSON, with the secret.
async fn subscribe(client: &Client, receiver: &Receiver, types: &[&str]) -> Value {
    let body = json!({ "url": receiver.url, "types": types });
    client.post("/api/v1/webhooks", &body).await.expect(201).json()
}

/// The path of a webhook.
fn path(webhook: &Value) -> String {
    format!("/api/v1/webhooks/{}", webhook["id"].as_str().expect("a webhook has an id"))
}

/// Waits until the delivery log of a webhook has what is wanted.
async fn deliveries(
    client: &Client,
    webhook: &Value,
    done: impl Fn(&[Value]) -> bool,
) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let log = client.get(&format!("{}/deliveries", path(webhook))).await.expect(200).json();
        let log = log["data"].as_array().expect("a list").clone();
        if done(&log) {
            return log;
        }
        assert!(Instant::now() < deadline, "the delivery log stays {log:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a webhook is in a state.
async fn becomes(client: &Client, webhook: &Value, state: &str) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = client.get(&path(webhook)).await.expect(200).json();
        if shown["state"] == state {
            return shown;
        }
        assert!(Instant::now() < deadline, "the webhook stays {shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Signs as somebody else does it: Python, with nothing of ours.
fn signature(secret: &str, message: &Received) -> String {
    let program = "import base64,hashlib,hmac,sys\n\
        secret,signed=sys.argv[1],sys.argv[2]\n\
        key=base64.b64decode(secret.removeprefix('whsec_'),validate=True)\n\
        assert 24<=len(key)<=64\n\
        print('v1,'+base64.b64encode(hmac.new(key,signed.encode(),hashlib.sha256).digest()).decode())";
    let signed = format!("{}.{}.{}", message.id, message.timestamp, message.body);
    let output = Command::new("python3").args(["-c", program, secret, &signed]).output();
    let output = output.expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a text").trim().to_owned()
}
