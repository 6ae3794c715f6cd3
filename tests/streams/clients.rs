//! Clients that nobody here wrote.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::make_link;
use crate::support::{ADMIN_KEY, Client, Server, Settings, checkout};

const EVENTS: usize = 120;

/// A program of `tests/streams/clients`, with the interpreter and the packages that `./test`
/// installs.
pub(super) fn program(name: &str) -> Command {
    let installed = checkout("target/tools/bin/python");
    let python = std::env::var_os("HOPLOG_TEST_PYTHON").map_or(installed, PathBuf::from);
    assert!(python.exists(), "run ./test, or set HOPLOG_TEST_PYTHON");
    let mut command = Command::new(python);
    command.arg(checkout(&format!("tests/streams/clients/{name}")));
    command
}

/// Runs a client to its end while something is written; gives the lines that it printed.
async fn run(mut command: Command, write: impl Future<Output = ()>) -> Vec<Value> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let (output, ()) = tokio::join!(ended, write);
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A link and a click in each of these rounds.
async fn write(client: &Client, rounds: std::ops::Range<usize>) {
    for n in rounds {
        make_link(client, &format!("Code_{n}-x")).await;
        client.visit(&format!("/Code_{n}-x")).await.expect(302);
    }
}

/// httpx-sse, which leaves and comes back now and then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_common_sse_client_sees_every_event_in_order() {
    let server = Server::start();
    let client = &server.client;
    write(client, 0..EVENTS / 2).await;
    for topic in ["links", "clicks"] {
        let url = format!("{}/api/v1/events?topic={topic}", server.url);
        let mut command = program("follow_sse.py");
        command.args([&url, ADMIN_KEY, &EVENTS.to_string()]);
        let first = if topic == "links" { EVENTS / 2 } else { EVENTS };
        let lines = run(command, write(client, first..first + EVENTS / 2)).await;
        let log = client.events(topic).await;
        let seen = lines.iter().map(|line| &line["event"]);
        assert!(seen.eq(&log[..EVENTS]), "{topic}: every event, in order");
        for line in &lines {
            let event = &line["event"];
            assert_eq!((&line["id"], &line["type"]), (&event["position"], &event["type"]));
        }
    }
}

/// The stream of a subject: without the topic and the partition, and with what stands as =XX as
/// what it is. As the subscriber's guide says.
fn stream(subject: &str) -> String {
    let tokens: Vec<String> = subject.split('.').skip(2).map(decoded).collect();
    tokens.join("/")
}

fn decoded(token: &str) -> String {
    let mut parts = token.split('=');
    let mut text = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts.filter(|part| !part.is_empty()) {
        let (hex, rest) = part.split_at(2);
        text.push(u8::from_str_radix(hex, 16).unwrap());
        text.extend(rest.bytes());
    }
    String::from_utf8(text).unwrap()
}

/// nats-py, which reads the topics on the broker itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_common_nats_client_sees_every_event_in_order() {
    let server = Settings::embedded().on_jetstream().start();
    let client = &server.client;
    let url = server.settings.broker().url();
    write(client, 0..EVENTS / 2).await;
    for (topic, name) in [("links", "LINKS"), ("clicks", "CLICKS")] {
        let mut command = program("read_jetstream.py");
        command.args([&url, name, &EVENTS.to_string()]);
        let first = if topic == "links" { EVENTS / 2 } else { EVENTS };
        let lines = run(command, write(client, first..first + EVENTS / 2)).await;
        let log = client.events(topic).await;
        assert_eq!(lines.len(), EVENTS);
        for (line, event) in lines.iter().zip(log) {
            let mut body = event.clone();
            for place in ["sequence", "position", "streamversion"] {
                body.as_object_mut().unwrap().remove(place);
            }
            assert_eq!(line["event"], body);
            let sequence: u64 = event["sequence"].as_str().unwrap().parse().unwrap();
            assert_eq!(line["sequence"], sequence);
            assert_eq!(event["subject"], stream(line["subject"].as_str().unwrap()));
            let headers = &line["headers"];
            assert_eq!(headers["Hoplog-Type"], event["type"]);
            assert_eq!(headers["Hoplog-Version"], event["streamversion"]);
            let command = event["commandid"].as_str().unwrap().replace('-', "");
            assert_eq!(headers["Hoplog-Command-Id"], command);
            assert_eq!(headers["Content-Type"], "application/cloudevents+json");
        }
    }
}

#[test]
fn a_subject_leads_to_its_stream() {
    assert_eq!(stream("links.13.default.Launch_1"), "default/Launch_1");
    assert_eq!(stream("links.3.go=2Eexample=2Ecom.=C3=A9t=C3=A9"), "go.example.com/été");
}
