//! A receiver of webhooks: a real server that answers as a test wants it to.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How long messages may take to arrive; the first pause behind a failure is 5 s.
const PATIENCE: Duration = Duration::from_secs(45);

/// How a receiver answers.
#[derive(Debug, Clone)]
pub enum Manner {
    /// 200, with this text.
    Takes(&'static str),
    /// This status, always.
    Says(u16),
    /// 500 to each message when it comes for the first time.
    FailsFirst,
    /// Nothing, ever; the connection stays.
    Hangs,
    /// To another address, with this status.
    Redirects(u16, String),
    /// 204, after a while.
    Slow(Duration),
    /// 200, and a body that never ends.
    Trickles,
    /// 429, and when to come back.
    Asks(&'static str),
}

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub id: String,
    pub timestamp: String,
    pub signature: String,
    pub content_type: String,
    pub body: String,
}

impl Received {
    /// The event in it.
    pub fn event(&self) -> Value {
        serde_json::from_str(&self.body).expect("a message is JSON")
    }

    /// The event's type.
    pub fn kind(&self) -> String {
        self.event()["type"].as_str().expect("an event has a type").to_owned()
    }

    /// The codes of the links that it tells of.
    pub fn codes(&self) -> Vec<String> {
        let event = self.event();
        let code = |text: &Value| text.as_str().expect("a code").to_owned();
        match event["data"]["clicks"].as_array() {
            Some(clicks) => clicks.iter().map(|click| code(&click["code"])).collect(),
            None => vec![code(&event["subject"]).split_once('/').expect("a link").1.to_owned()],
        }
    }
}

#[derive(Debug)]
struct Desk {
    manner: Manner,
    received: Vec<Received>,
    seen: BTreeSet<String>,
}

/// A running receiver; ends when it is dropped.
pub struct Receiver {
    pub url: String,
    desk: Arc<Mutex<Desk>>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    pub async fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let (received, seen) = (Vec::new(), BTreeSet::new());
        let desk = Arc::new(Mutex::new(Desk { manner, received, seen }));
        let router = Router::new().fallback(receive).with_state(Arc::clone(&desk));
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a receiver serves");
        });
        Self { url, desk, task }
    }

    /// From now on it answers like this.
    pub fn becomes(&self, manner: Manner) {
        self.desk.lock().expect("no test panicked").manner = manner;
    }

    /// Everything that came, in order.
    pub fn received(&self) -> Vec<Received> {
        self.desk.lock().expect("no test panicked").received.clone()
    }

    /// Waits until what came is as it is wanted.
    pub async fn until(&self, what: &str, done: impl Fn(&[Received]) -> bool) -> Vec<Received> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let received = self.received();
            if done(&received) {
                return received;
            }
            assert!(Instant::now() < deadline, "{what} does not come: {received:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until so many messages came.
    pub async fn count(&self, count: usize) -> Vec<Received> {
        self.until(&format!("message {count}"), |received| received.len() >= count).await
    }

    /// Waits until it was told of a link.
    pub async fn told_of(&self, code: &str) -> Vec<Received> {
        let is_of = |one: &Received| one.codes().iter().any(|told| told == code);
        self.until(code, |received| received.iter().any(is_of)).await
    }
}

async fn receive(
    State(desk): State<Arc<Mutex<Desk>>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let (manner, is_new) = {
        let mut desk = desk.lock().expect("no test panicked");
        let text = |name| headers.get(name).map_or("", |value| value.to_str().expect("a text"));
        let id = text("webhook-id").to_owned();
        let is_new = desk.seen.insert(id.clone());
        desk.received.push(Received {
            id,
            timestamp: text("webhook-timestamp").to_owned(),
            signature: text("webhook-signature").to_owned(),
            content_type: text("content-type").to_owned(),
            body: String::from_utf8(body.to_vec()).expect("a message is a text"),
        });
        (desk.manner.clone(), is_new)
    };
    let status = |code| StatusCode::from_u16(code).expect("a status");
    match manner {
        Manner::Takes(text) => text.into_response(),
        Manner::Says(code) => status(code).into_response(),
        Manner::FailsFirst if is_new => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Manner::FailsFirst => StatusCode::NO_CONTENT.into_response(),
        Manner::Hangs => std::future::pending().await,
        Manner::Redirects(code, to) => (status(code), [(header::LOCATION, to)]).into_response(),
        Manner::Trickles => {
            let parts = futures::stream::iter([Ok::<_, std::io::Error>("so far")]);
            Body::from_stream(parts.chain(futures::stream::pending())).into_response()
        }
        Manner::Asks(when) => {
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, when)]).into_response()
        }
        Manner::Slow(pause) => {
            tokio::time::sleep(pause).await;
            StatusCode::NO_CONTENT.into_response()
        }
    }
}
