//! The promise: what was answered is on disk, whenever the server is killed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use reqwest::Method;
use serde_json::json;
use tokio::sync::Notify;

use crate::support::{Client, NewLink, Server, Settings};

/// How often the server is killed, each time at another moment.
const ROUNDS: usize = 20;

/// Connections that visit links.
const VISITORS: usize = 24;

/// Connections that create links.
const CREATORS: usize = 8;

/// What was asked of the server, and what it answered.
#[derive(Default)]
struct Ledger {
    visits_sent: HashSet<String>,
    visits_answered: HashSet<String>,
    /// Codes and where they lead.
    created: Vec<(String, String)>,
}

/// Many clients, until the server is gone.
struct Load {
    client: Client,
    code: String,
    round: usize,
    ledger: Arc<Mutex<Ledger>>,
    answered: AtomicUsize,
    kill_after: usize,
    enough: Notify,
}

impl Load {
    /// A visit with a mark of its own, so that it is known again among the clicks.
    async fn visit(&self, mark: String) -> Option<()> {
        self.ledger.lock().unwrap().visits_sent.insert(mark.clone());
        let path = format!("/{}?utm_content={mark}", self.code);
        let response = self.client.request(Method::GET, &path).send().await.ok()?;
        assert_eq!(response.status(), 302);
        self.ledger.lock().unwrap().visits_answered.insert(mark);
        Some(())
    }

    async fn create(&self, mark: &str) -> Option<()> {
        let url = format!("https://example.com/{mark}");
        let request = self.client.authorized(Method::POST, "/api/v1/links");
        let response = request.json(&json!({ "url": url })).send().await.ok()?;
        assert_eq!(response.status(), 201);
        // The status was read, so that it counts, even if the body does not arrive any more.
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        let code = location.rsplit('/').next().unwrap().to_owned();
        self.ledger.lock().unwrap().created.push((code, url));
        Some(())
    }

    fn count(&self) {
        if self.answered.fetch_add(1, Ordering::Relaxed) + 1 == self.kill_after {
            self.enough.notify_one();
        }
    }

    async fn visitor(self: Arc<Self>, number: usize) {
        for n in 0.. {
            let mark = format!("r{}v{number}n{n}", self.round);
            if self.visit(mark).await.is_none() {
                break;
            }
            self.count();
        }
    }

    async fn creator(self: Arc<Self>, number: usize) {
        for n in 0.. {
            if self.create(&format!("r{}c{number}n{n}", self.round)).await.is_none() {
                break;
            }
            self.count();
        }
    }
}

/// Drives the server from many connections and kills it in the middle.
async fn round(server: Server, code: &str, ledger: &Arc<Mutex<Ledger>>, round: usize) -> Settings {
    let load = Arc::new(Load {
        client: server.client.clone(),
        code: code.to_owned(),
        round,
        ledger: Arc::clone(ledger),
        answered: AtomicUsize::new(0),
        kill_after: 60 + 53 * round,
        enough: Notify::new(),
    });
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..VISITORS {
        tasks.spawn(Arc::clone(&load).visitor(number));
    }
    for number in 0..CREATORS {
        tasks.spawn(Arc::clone(&load).creator(number));
    }
    load.enough.notified().await;
    let settings = server.kill();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    settings
}

async fn check_clicks(client: &Client, code: &str, ledger: &Mutex<Ledger>) {
    let marks = client.click_marks().await;
    let unique: HashSet<String> = marks.iter().cloned().collect();
    assert_eq!(unique.len(), marks.len(), "no click is recorded twice");
    {
        let ledger = ledger.lock().unwrap();
        let lost: Vec<_> = ledger.visits_answered.difference(&unique).collect();
        assert!(lost.is_empty(), "answered and not recorded: {lost:?}");
        assert!(unique.is_subset(&ledger.visits_sent), "nothing is made up");
    }
    let stats = client.stats(code, "").await;
    assert_eq!(stats["totalClicks"], marks.len(), "each is counted, none twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_11_what_was_answered_survives_a_kill_at_any_moment() {
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let mut server = Server::start();
    let code = server.client.code(NewLink::to("https://example.com/")).await;
    for number in 0..ROUNDS {
        let known = ledger.lock().unwrap().created.len();
        server = round(server, &code, &ledger, number).await.start();
        check_clicks(&server.client, &code, &ledger).await;
        let created: Vec<_> = ledger.lock().unwrap().created[known..].to_vec();
        for (code, url) in &created {
            let answer = server.client.visit(&format!("/{code}+")).await.expect(200).json();
            assert_eq!(answer["url"], *url);
        }
    }
    // Every one of them leads there itself, too.
    let created = std::mem::take(&mut ledger.lock().unwrap().created);
    assert!(created.len() > ROUNDS, "the kills hit creations");
    for (code, url) in &created {
        let answer = server.client.visit(&format!("/{code}?utm_content=last-{code}")).await;
        assert_eq!(answer.expect(302).header("location"), url);
    }
    server.client.verify_read_models().await;
}

/// Rebuilding from nothing gives what was counted live.
#[tokio::test]
async fn a_read_model_that_is_thrown_away_comes_back_the_same() {
    let server = Server::start();
    let code = server.client.code(NewLink::to("https://example.com/?utm_source=paper")).await;
    for n in 0..30 {
        server.client.visit(&format!("/{code}?utm_term=t{}", n % 3)).await.expect(302);
    }
    let before = server.client.stats(&code, "").await;
    assert_eq!(before["totalClicks"], 30);
    for name in ["link_directory", "clicks", "click_statistics"] {
        let path = format!("/api/v1/projections/{name}/rebuild");
        server.client.post(&path, &json!({})).await.expect(200);
    }
    assert_eq!(server.client.stats(&code, "").await, before);
    server.client.verify_read_models().await;
    // Even without its file.
    let settings = server.stop();
    for file in std::fs::read_dir(settings.data_dir()).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("read") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let server = settings.start();
    assert_eq!(server.client.stats(&code, "").await, before);
    server.client.verify_read_models().await;
}
