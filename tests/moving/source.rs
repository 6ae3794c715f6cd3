//! The other side: a real HTTP server that answers as another program does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A request as it came: its path, its parameters, its headers that say who asks.
#[derive(Debug, Clone)]
pub struct Asked {
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub token: String,
}

impl Asked {
    /// A parameter, or nothing.
    pub fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

type Answers = Arc<dyn Fn(&Asked, usize) -> Response + Send + Sync>;

/// A running source; ends when it is dropped.
pub struct Source {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: JoinHandle<()>,
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Source {
    /// A source that answers each request, of which it was asked so many before.
    pub async fn start(
        answers: impl Fn(&Asked, usize) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let state = (Arc::new(answers) as Answers, Arc::clone(&asked));
        let router = Router::new().fallback(answer).with_state(state);
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("a source serves");
        });
        Self { url, asked, task }
    }

    /// Everything it was asked.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no test panicked").clone()
    }
}

async fn answer(
    State((answers, asked)): State<(Answers, Arc<Mutex<Vec<Asked>>>)>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let token = header("x-api-key").or(header("authorization")).unwrap_or_default().to_owned();
    let one = Asked { path: request.uri().path().to_owned(), query, token };
    let before = {
        let mut asked = asked.lock().expect("no test panicked");
        asked.push(one.clone());
        asked.len() - 1
    };
    answers(&one, before)
}

/// An answer in JSON.
pub fn json(body: &Value) -> Response {
    ([("content-type", "application/json")], body.to_string()).into_response()
}

/// An answer that asks to come again at once.
pub fn busy() -> Response {
    (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")], "{\"message\":\"slow down\"}")
        .into_response()
}

/// An answer that refuses.
pub fn refused(status: u16, body: &Value) -> Response {
    (StatusCode::from_u16(status).expect("a status"), body.to_string()).into_response()
}
