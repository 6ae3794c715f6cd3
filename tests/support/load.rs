//! Many clients at once, who note what they asked and what they were answered: what the log and the
//! numbers have to agree with, whatever happens to the servers meanwhile.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::client::Client;

/// How long progress under load may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long a client waits after a refusal, so that it does not crowd out everybody else.
const REFUSED_PAUSE: Duration = Duration::from_millis(5);

/// What was asked of the servers, and what they answered.
#[derive(Default)]
pub struct Ledger {
    pub visits_sent: HashSet<String>,
    pub visits_answered: HashSet<String>,
    /// Codes and where they lead.
    pub created: Vec<(String, String)>,
    /// Answers that refused something, and requests that nobody answered.
    pub refused: Vec<String>,
    /// Visits that were answered and have no mark, because the test made them itself.
    pub unmarked: usize,
    /// A mark that the test itself gave to more than one visit.
    pub repeated: Option<&'static str>,
}

/// The clients; they go on until they are stopped.
pub struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

struct Shared {
    /// The nodes' clients; each task begins with another one, and goes on to the next when it is
    /// not answered.
    nodes: Vec<Client>,
    code: String,
    name: String,
    ledger: Mutex<Ledger>,
    visits: watch::Sender<usize>,
    creations: watch::Sender<usize>,
    stopped: AtomicBool,
    turn: AtomicUsize,
    /// After each visit.
    pause: Duration,
}

impl Load {
    /// Starts clients that visit a code, and clients that create links. The name makes their marks
    /// different from those of other loads.
    pub fn start(
        nodes: &[Client],
        code: &str,
        name: &str,
        visitors: usize,
        creators: usize,
    ) -> Self {
        Self::paced(nodes, code, name, (visitors, creators), Duration::ZERO)
    }

    /// The same with visitors who take their time: where each visit is work for the test as well, a
    /// fast machine must not make more of it than a slow one can do.
    pub fn paced(
        nodes: &[Client],
        code: &str,
        name: &str,
        (visitors, creators): (usize, usize),
        pause: Duration,
    ) -> Self {
        let shared = Arc::new(Shared {
            nodes: nodes.to_vec(),
            code: code.to_owned(),
            name: name.to_owned(),
            ledger: Mutex::default(),
            visits: watch::Sender::default(),
            creations: watch::Sender::default(),
            stopped: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            pause,
        });
        let mut tasks = JoinSet::new();
        for number in 0..visitors {
            tasks.spawn(Arc::clone(&shared).visitor(number));
        }
        for number in 0..creators {
            tasks.spawn(Arc::clone(&shared).creator(number));
        }
        Self { shared, tasks }
    }

    /// Waits until this many more visits have been answered from now on.
    pub async fn visits(&self, more: usize) {
        progress(&self.shared.visits, more, "visits").await;
    }

    /// Waits until this many more links have been created from now on.
    pub async fn creations(&self, more: usize) {
        progress(&self.shared.creations, more, "creations").await;
    }

    /// How many requests have been refused, or not answered.
    pub fn refused(&self) -> usize {
        self.shared.ledger().refused.len()
    }

    /// Ends the clients after what they are waiting for, and gives what they know.
    pub async fn stop(mut self) -> Ledger {
        self.shared.stopped.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a client does not panic");
        }
        std::mem::take(&mut *self.shared.ledger())
    }
}

async fn progress(count: &watch::Sender<usize>, more: usize, what: &str) {
    let mut count = count.subscribe();
    let goal = *count.borrow() + more;
    let reached = tokio::time::timeout(PATIENCE, count.wait_for(|count| *count >= goal)).await;
    assert!(reached.is_ok(), "no {more} {what} in {PATIENCE:?}");
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no client panicked")
    }

    async fn visitor(self: Arc<Self>, number: usize) {
        let mut node = self.first_node();
        for n in 0.. {
            if self.stopped.load(Ordering::Relaxed) {
                break;
            }
            let mark = format!("{}v{number}n{n}", self.name);
            self.ledger().visits_sent.insert(mark.clone());
            match self.visit(node, &mark).await {
                Ok(next) => {
                    self.ledger().visits_answered.insert(mark);
                    self.visits.send_modify(|count| *count += 1);
                    node = next;
                }
                Err(refusal) => node = self.refused(node, refusal).await,
            }
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
        }
    }

    async fn creator(self: Arc<Self>, number: usize) {
        let mut node = self.first_node();
        for n in 0.. {
            let mark = format!("{}c{number}n{n}", self.name);
            let url = format!("https://example.com/{mark}");
            // The same until it is answered: the key makes a second try harmless.
            loop {
                if self.stopped.load(Ordering::Relaxed) {
                    return;
                }
                match self.create(node, &url, &mark).await {
                    Ok((code, next)) => {
                        self.ledger().created.push((code, url));
                        self.creations.send_modify(|count| *count += 1);
                        node = next;
                        break;
                    }
                    Err(refusal) => node = self.refused(node, refusal).await,
                }
            }
        }
    }

    fn first_node(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.nodes.len()
    }

    /// Where a client goes on: elsewhere, if the node is about to stop, as a balancer would.
    fn next_node(&self, node: usize, response: &Response) -> usize {
        let leaving = response.headers().get("connection").is_some_and(|value| value == "close");
        (node + usize::from(leaving)) % self.nodes.len()
    }

    async fn refused(&self, node: usize, refusal: String) -> usize {
        self.ledger().refused.push(refusal);
        tokio::time::sleep(REFUSED_PAUSE).await;
        (node + 1) % self.nodes.len()
    }

    /// A visit with a mark of its own, so that it is known again among the clicks.
    async fn visit(&self, node: usize, mark: &str) -> Result<usize, String> {
        let path = format!("/{}?utm_content={mark}", self.code);
        let sent = self.nodes[node].request(Method::GET, &path).send().await;
        let response = sent.map_err(|error| format!("visit: {error:?}"))?;
        match response.status() {
            StatusCode::FOUND => Ok(self.next_node(node, &response)),
            StatusCode::SERVICE_UNAVAILABLE => Err("visit: 503".to_owned()),
            status => panic!("a visit was answered {status}"),
        }
    }

    async fn create(&self, node: usize, url: &str, key: &str) -> Result<(String, usize), String> {
        let request = self.nodes[node].authorized(Method::POST, "/api/v1/links");
        let request = request.header("idempotency-key", key).json(&json!({ "url": url }));
        let response = request.send().await.map_err(|error| format!("creation: {error:?}"))?;
        match response.status() {
            StatusCode::CREATED => {
                // The status was read, so that it counts, even if the body does not arrive.
                let location = response.headers()["location"].to_str().expect("a location");
                let code = location.rsplit('/').next().expect("a code").to_owned();
                Ok((code, self.next_node(node, &response)))
            }
            StatusCode::SERVICE_UNAVAILABLE => Err("creation: 503".to_owned()),
            status => panic!("a creation was answered {status}"),
        }
    }
}

impl Ledger {
    /// Takes over what another load has learned.
    pub fn add(&mut self, other: Self) {
        self.visits_sent.extend(other.visits_sent);
        self.visits_answered.extend(other.visits_answered);
        self.created.extend(other.created);
        self.refused.extend(other.refused);
    }

    /// Every visit that was answered is on the log once and counted once; nothing is made up.
    pub async fn check_clicks(&self, client: &Client, code: &str) {
        let mut marks = client.click_marks().await;
        let all = marks.len();
        marks.retain(|mark| !mark.is_empty());
        assert_eq!(all - marks.len(), self.unmarked, "clicks without a mark");
        marks.retain(|mark| self.repeated != Some(mark));
        let unique: HashSet<String> = marks.iter().cloned().collect();
        assert_eq!(unique.len(), marks.len(), "no click is recorded twice");
        let lost: Vec<_> = self.visits_answered.difference(&unique).collect();
        assert!(lost.is_empty(), "answered and not recorded: {lost:?}");
        assert!(unique.is_subset(&self.visits_sent), "nothing is made up");
        let stats = client.stats(code, "").await;
        assert_eq!(stats["totalClicks"], all, "each is counted, none twice");
    }

    /// Every link that was created leads where it should.
    pub async fn check_links(&self, client: &Client) {
        for (code, url) in &self.created {
            let answer = client.visit(&format!("/{code}+")).await.expect(200).json();
            assert_eq!(answer["url"], *url);
        }
    }

    /// Everything, once the spools are empty: for the time after a fault.
    pub async fn check(&self, nodes: &[&Client], code: &str) {
        for node in nodes {
            node.recovered().await;
        }
        for node in nodes {
            self.check_clicks(node, code).await;
            self.check_links(node).await;
        }
        nodes[0].verify_read_models().await;
    }
}
