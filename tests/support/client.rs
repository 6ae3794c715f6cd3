//! A client that speaks the API as a user's program would.

use std::time::{Duration, Instant};

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// How long a read model may take to catch up.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a request was answered with.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The problem's code.
    #[track_caller]
    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        self.json()["code"].as_str().expect("a problem has a code").to_owned()
    }

    /// A header's value, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The position that a command's answer carries.
    #[track_caller]
    pub fn position(&self) -> String {
        let position = self.header("hoplog-position");
        assert!(!position.is_empty(), "no position in {self:?}");
        position.to_owned()
    }

    /// The answer, if it has the status that was expected.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }
}

/// A link to be created: the body of the request.
#[derive(Debug, Clone)]
pub struct NewLink(pub Value);

impl NewLink {
    /// A link to a URL.
    pub fn to(url: &str) -> Self {
        Self(json!({ "url": url }))
    }

    /// With another field.
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.0[field] = value.into();
        self
    }
}

/// A client with a key.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    key: String,
}

impl Client {
    pub fn new(url: &str, key: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .user_agent("Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0")
            .build()
            .expect("a client");
        Self { http, url: url.trim_end_matches('/').to_owned(), key: key.to_owned() }
    }

    /// The same server, seen by the holder of another key.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// A client with a new key that has these scopes; its links belong to this owner.
    pub async fn keyed(&self, owner: &str, scopes: &[&str]) -> Self {
        let body = json!({ "name": owner, "owner": owner, "scopes": scopes });
        let answer = self.post("/api/v1/keys", &body).await.expect(201).json();
        self.with_key(answer["key"].as_str().expect("the key is in the answer"))
    }

    /// A request without a key.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A visit with these headers, without the key.
    pub fn get_with(
        &self,
        path: &str,
        headers: &[(&'static str, &'static str)],
    ) -> reqwest::RequestBuilder {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        self.request(Method::GET, path).headers(headers.iter().map(header).collect())
    }

    /// A request with the key.
    pub fn authorized(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.request(method, path).bearer_auth(&self.key)
    }

    /// Sends a request and reads its answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.expect("the answer arrives");
        Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.authorized(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.authorized(Method::POST, path).json(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(self.authorized(Method::PATCH, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.authorized(Method::DELETE, path)).await
    }

    /// Creates a link and gives its JSON.
    pub async fn create(&self, link: NewLink) -> Value {
        self.post("/api/v1/links", &link.0).await.expect(201).json()
    }

    /// Creates a link and gives its code.
    pub async fn code(&self, link: NewLink) -> String {
        self.create(link).await["code"].as_str().expect("a link has a code").to_owned()
    }

    /// Visits a path as a browser would, without following.
    pub async fn visit(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    /// Waits until a visit is answered with a status: until a node has heard of something.
    pub async fn visit_becomes(&self, path: &str, status: u16) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.visit(path).await;
            if answer.status == status {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path} does not become {status}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a projection has seen everything that is on its topics now.
    pub async fn caught_up(&self, projection: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status =
                self.get(&format!("/api/v1/projections/{projection}")).await.expect(200).json();
            let is_kept = status["state"] == "live" || status["state"] == "standby";
            if is_kept && status["lagEvents"] == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{projection} does not catch up: {status}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a projection does not go on, and says why.
    pub async fn failed(&self, projection: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status =
                self.get(&format!("/api/v1/projections/{projection}")).await.expect(200).json();
            if status["state"] == "failed" {
                return status["lastError"].as_str().expect("a reason").to_owned();
            }
            assert!(Instant::now() < deadline, "{projection} goes on: {status}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the node is ready and has no clicks of its own left to deliver.
    pub async fn recovered(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready = self.visit("/health/ready").await;
            let spool = &ready.json()["spool"];
            if ready.status == 200 && (spool.is_null() || spool == "empty") {
                return;
            }
            assert!(Instant::now() < deadline, "the node does not recover: {ready:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// How a projection is, seen by this node: `live` where it is kept, `standby` elsewhere.
    pub async fn projection_state(&self, projection: &str) -> String {
        let path = format!("/api/v1/projections/{projection}");
        let status = self.get(&path).await.expect(200).json();
        status["state"].as_str().expect("a state").to_owned()
    }

    /// Where each topic of the log ends, as opaque tokens.
    pub async fn heads(&self) -> Vec<String> {
        let mut heads = Vec::new();
        for topic in ["links", "clicks", "accounts"] {
            let path = format!("/api/v1/events?topic={topic}&after=latest");
            heads.push(self.get(&path).await.expect(200).position());
        }
        heads
    }

    /// Every event of a topic, oldest first.
    pub async fn events(&self, topic: &str) -> Vec<Value> {
        let request = self.authorized(Method::GET, &format!("/api/v1/events?topic={topic}"));
        let answer = self.send(request.header("accept", "application/x-ndjson")).await.expect(200);
        answer.body.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    }

    /// The `utm_content` of every recorded click, as often as it was recorded; empty: it has none.
    pub async fn click_marks(&self) -> Vec<String> {
        let mut marks = Vec::new();
        let events = self.events("clicks").await.into_iter();
        for event in events.filter(|event| event["type"] == "hoplog.clicks.recorded.v1") {
            for click in event["data"]["clicks"].as_array().expect("a batch has clicks") {
                marks.push(click["utm"]["content"].as_str().unwrap_or_default().to_owned());
            }
        }
        marks
    }

    /// Records clicks of the past: each is its code, its time and other fields.
    pub async fn import_clicks(&self, source: &str, clicks: &[Value]) -> Answer {
        let body = json!({ "source": source, "clicks": clicks });
        self.post("/api/v1/clicks/import", &body).await.expect(200)
    }

    /// Holds every read model against one that is built from the log alone.
    pub async fn verify_read_models(&self) {
        let list = self.get("/api/v1/projections").await.expect(200).json();
        let projections = list["data"].as_array().expect("a list");
        assert_eq!(projections.len(), 5, "{list}");
        for projection in projections {
            let name = projection["name"].as_str().expect("a name");
            self.caught_up(name).await;
            let path = format!("/api/v1/projections/{name}/verify");
            let report = self.post(&path, &json!({})).await.expect(200).json();
            assert_eq!(report["identical"], true, "{name}: {report}");
        }
    }

    /// Waits until so many visits that led nowhere are recorded, or counted; the numbers about them.
    pub async fn orphans(&self, visits: u64) -> Value {
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let stats = self.get("/api/v1/orphans/stats").await.expect(200).json();
            let [recorded, counted] = ["totalClicks", "totalUnrecorded"]
                .map(|name| stats[name].as_u64().expect("a number"));
            if recorded + counted >= visits {
                assert_eq!(recorded + counted, visits, "{stats}");
                return stats;
            }
            assert!(Instant::now() < deadline, "{visits} visits are not recorded: {stats}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A link's statistics, with everything that has been recorded so far in them.
    pub async fn stats(&self, code: &str, query: &str) -> Value {
        self.caught_up("click_statistics").await;
        self.caught_up("clicks").await;
        self.get(&format!("/api/v1/links/{code}/stats?{query}")).await.expect(200).json()
    }
}
