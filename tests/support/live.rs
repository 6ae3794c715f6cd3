//! The live form of the event feed, read as a subscriber reads it.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use super::client::Client;

/// How long an event that is on the log may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a stream may be read.
const STREAM_TIMEOUT: Duration = Duration::from_mins(3);

/// A request for events.
pub fn events(client: &Client, query: &str) -> RequestBuilder {
    client.authorized(Method::GET, &format!("/api/v1/events?{query}"))
}

/// A live stream, read event by event.
pub struct Live {
    response: Response,
    text: String,
}

/// One event of a live stream.
#[derive(Debug, PartialEq)]
pub struct Sent {
    pub id: String,
    pub kind: String,
    pub event: Value,
}

impl Live {
    /// Opens a stream, after the event that was seen last if there is one.
    pub async fn open(client: &Client, query: &str, last: Option<&str>) -> Self {
        let request = events(client, query).header("accept", "text/event-stream");
        let mut request = request.timeout(STREAM_TIMEOUT);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    pub async fn next(&mut self) -> Sent {
        loop {
            if let Some(sent) = parse(&self.message().await) {
                return sent;
            }
        }
    }

    /// A header of the answer, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// Where the stream is, as its next message says: an event, or the place it starts from.
    pub async fn place(&mut self) -> String {
        loop {
            if let Some(id) = field(&self.message().await, "id") {
                return id.to_owned();
            }
        }
    }

    async fn message(&mut self) -> String {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let (message, rest) = (message.to_owned(), rest.to_owned());
                self.text = rest;
                return message;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("an event arrives in time").expect("the stream is whole");
            self.text.push_str(std::str::from_utf8(&chunk.expect("the stream goes on")).unwrap());
        }
    }

    /// Waits until the server has ended the stream.
    pub async fn ends(&mut self) {
        let rest = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        tokio::time::timeout(PATIENCE, rest).await.expect("the stream ends in time");
    }

    pub async fn take(&mut self, n: usize) -> Vec<Sent> {
        let mut sent = Vec::new();
        while sent.len() < n {
            sent.push(self.next().await);
        }
        sent
    }
}

/// The events in what came of a stream, and in whole messages only.
pub fn sent(text: &str) -> Vec<Sent> {
    let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
    whole.split("\n\n").filter_map(parse).collect()
}

/// A message of the stream; comments, which keep the connection alive, are none.
fn parse(message: &str) -> Option<Sent> {
    let event = serde_json::from_str(field(message, "data")?).expect("an event");
    let [id, kind] = ["id", "event"].map(|name| field(message, name).map(str::to_owned));
    Some(Sent { id: id?, kind: kind?, event })
}

fn field<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
