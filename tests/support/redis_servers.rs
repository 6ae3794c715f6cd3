//! Several Redis servers that belong together: a cluster, and a primary that a Sentinel watches.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::redis_server::ask;

const PATIENCE: Duration = Duration::from_mins(1);

/// How often it is begun anew: another process may take a port between the choice and the start.
const ATTEMPTS_MAX: usize = 10;

/// Slots of a cluster.
const SLOTS: u32 = 16_384;

/// Servers that are killed when they are dropped.
pub(crate) struct Servers {
    children: Vec<(u16, Child)>,
    dir: tempfile::TempDir,
}

impl Drop for Servers {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn free_ports(count: usize) -> Vec<u16> {
    let bind = |_| TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listeners: Vec<TcpListener> = (0..count).map(bind).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("an address").port()).collect()
}

impl Servers {
    fn new() -> Self {
        Self { children: Vec::new(), dir: tempfile::tempdir().expect("a directory") }
    }

    /// Starts a server; `false`: its port was taken.
    fn launch(&mut self, port: u16, arguments: &[String]) -> bool {
        let own = self.dir.path().join(port.to_string());
        std::fs::create_dir_all(&own).expect("a directory");
        let mut child = Command::new("redis-server")
            .args(arguments)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(&own)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is there");
        let mut runs = true;
        eventually("it answers", || {
            runs = child.try_wait().expect("it can be waited for").is_none();
            !runs || ask(port, &["PING"]).is_ok_and(|answer| answer == "+PONG")
        });
        self.children.push((port, child));
        runs
    }

    pub(crate) fn ports(&self) -> Vec<u16> {
        self.children.iter().map(|(port, _)| *port).collect()
    }

    /// Ends one of them.
    pub(crate) fn kill(&mut self, port: u16) {
        let child = self.children.iter_mut().find(|(of, _)| *of == port);
        let (_, child) = child.expect("it is one of them");
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }

    pub(crate) fn command(port: u16, words: &[&str]) -> String {
        ask(port, words).expect("redis-server answers")
    }

    /// A cluster of three, each with a third of the slots.
    pub(crate) fn cluster() -> Self {
        let started = (0..ATTEMPTS_MAX).find_map(|_| {
            let (ports, mut servers) = (free_ports(6), Self::new());
            let start = |(port, bus): (&u16, &u16)| {
                let options =
                    ["--save", "", "--cluster-enabled", "yes", "--cluster-port", &bus.to_string()]
                        .map(str::to_owned);
                servers.launch(*port, &options)
            };
            let all = ports[..3].iter().zip(&ports[3..]).all(start);
            all.then_some((ports, servers))
        });
        let (ports, servers) = started.expect("free ports");
        for (n, port) in (0..3).zip(&ports[..3]) {
            let [first, next]: [u32; 2] = [n * SLOTS / 3, (n + 1) * SLOTS / 3];
            let (first, last) = (first.to_string(), (next - 1).to_string());
            assert_eq!(Self::command(*port, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]), "+OK");
            let (other, bus) = (ports[0].to_string(), ports[3].to_string());
            assert_eq!(
                Self::command(*port, &["CLUSTER", "MEET", "127.0.0.1", &other, &bus]),
                "+OK"
            );
        }
        eventually("the cluster is whole", || {
            ports[..3].iter().all(|port| {
                let info = Self::command(*port, &["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            })
        });
        servers
    }

    /// A primary with a replica, and a Sentinel that knows them as `main`: in this order.
    pub(crate) fn sentinel() -> Self {
        let started = (0..ATTEMPTS_MAX).find_map(|_| {
            let (ports, mut servers) = (free_ports(3), Self::new());
            let nothing_on_disk = ["--save", ""].map(str::to_owned);
            let replica_of = ["--save", "", "--replicaof", "127.0.0.1", &ports[0].to_string()]
                .map(str::to_owned);
            let all = servers.launch(ports[0], &nothing_on_disk)
                && servers.launch(ports[1], &replica_of)
                && servers.watch(ports[2], ports[0]);
            all.then_some(servers)
        });
        started.expect("free ports")
    }

    fn watch(&mut self, port: u16, primary: u16) -> bool {
        let file = self.dir.path().join("sentinel.conf");
        let text = format!(
            "sentinel monitor main 127.0.0.1 {primary} 1\nsentinel down-after-milliseconds main 500\n\
             sentinel failover-timeout main 2000\n"
        );
        std::fs::write(&file, text).expect("it can be written");
        let file = file.to_str().expect("a path").to_owned();
        let runs = self.launch(port, &[file, "--sentinel".to_owned()]);
        eventually("the Sentinel knows the replica", || {
            !runs || ask(port, &["INFO", "sentinel"]).is_ok_and(|info| info.contains("slaves=1"))
        });
        runs
    }
}
