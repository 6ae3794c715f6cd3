//! Three NATS servers that are one cluster, each with its own directory, on free ports.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::nats_server::NatsServer;
use super::tcp_proxy::TcpProxy;

/// How long a cluster may take to have a leader on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// How often a cluster is started: its ports are chosen before its servers listen on them.
const STARTS_MAX: u32 = 5;

/// How long one question may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A running cluster; it ends with this value.
#[derive(Debug)]
pub struct NatsCluster {
    servers: Vec<NatsServer>,
}

impl NatsCluster {
    /// Starts three empty servers and waits until streams can be made on them.
    pub async fn start() -> Self {
        let servers = (0..STARTS_MAX).find_map(|_| servers(free_ports()));
        let cluster = Self { servers: servers.expect("ports that stay free for a moment") };
        cluster.ask_until("$JS.API.INFO", |answer| answer.get("error").is_none()).await;
        cluster
    }

    /// The addresses of all three, and that events are kept on each.
    #[must_use]
    pub fn url(&self) -> String {
        let servers: Vec<String> = self.servers.iter().map(NatsServer::url).collect();
        format!("{}?replicas=3", servers.join(","))
    }

    /// A way that can break to each of the servers, which tell nobody of another one.
    #[must_use]
    pub fn proxies(&self) -> Vec<TcpProxy> {
        self.servers.iter().map(|server| TcpProxy::to(&server.url())).collect()
    }

    /// One of the servers.
    pub fn server(&mut self, number: usize) -> &mut NatsServer {
        &mut self.servers[number]
    }

    /// Which server leads a stream now.
    pub async fn leader(&self, stream: &str) -> usize {
        let leader = |answer: &Value| {
            let name = answer["cluster"]["leader"].as_str()?;
            name.strip_prefix('n')?.parse().ok()
        };
        let subject = format!("$JS.API.STREAM.INFO.{stream}");
        let answer = self.ask_until(&subject, |answer| leader(answer).is_some()).await;
        leader(&answer).expect("it has one")
    }

    /// Waits until every server has all of a stream: another one may go.
    pub async fn settled(&self, stream: &str) {
        let is_current = |replica: &Value| replica["current"] == true;
        let subject = format!("$JS.API.STREAM.INFO.{stream}");
        self.ask_until(&subject, |answer| {
            let replicas = answer["cluster"]["replicas"].as_array();
            replicas.is_some_and(|all| all.len() == 2 && all.iter().all(is_current))
        })
        .await;
    }

    /// Asks whoever is there until the answer will do.
    async fn ask_until(&self, subject: &str, will_do: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.ask(subject).await;
            if let Some(answer) = answer.as_ref().filter(|answer| will_do(answer)) {
                return answer.clone();
            }
            assert!(begun.elapsed() < PATIENCE, "the cluster says {answer:?} to {subject}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn ask(&self, subject: &str) -> Option<Value> {
        let urls: Vec<String> = self.servers.iter().map(NatsServer::url).collect();
        let client = async_nats::ConnectOptions::new().connection_timeout(ANSWER_TIMEOUT);
        let client = client.connect(urls).await.ok()?;
        let asked = client.request(subject.to_owned(), "".into());
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, asked).await.ok()?.ok()?;
        serde_json::from_slice(&answer.payload).ok()
    }
}

/// The three servers; `None`: somebody took one of the ports meanwhile.
fn servers(ports: [u16; 3]) -> Option<Vec<NatsServer>> {
    let routes = ports.map(|port| format!("nats://127.0.0.1:{port}")).join(", ");
    let server = |(number, port)| {
        NatsServer::try_start_with(&format!(
            "server_name: n{number}\ncluster {{ name: test, listen: '127.0.0.1:{port}', \
             no_advertise: true, routes: [{routes}] }}\n"
        ))
    };
    ports.into_iter().enumerate().map(server).collect()
}

/// Three ports that nobody listens on.
fn free_ports() -> [u16; 3] {
    let listeners = [0; 3].map(|port| TcpListener::bind(("127.0.0.1", port)).expect("a port"));
    listeners.map(|it| it.local_addr().expect("an address").port())
}
