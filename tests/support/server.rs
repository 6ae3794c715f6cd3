//! A server of one's own: the real binary with a data directory and a port of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

#[cfg(target_os = "linux")]
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use hoplog_events::log::contract::nats_server::NatsServer;
use hoplog_projections::postgres_server::PostgresServer;

use super::client::Client;
use super::redis::RedisServer;

/// The admin key of every test server.
pub const ADMIN_KEY: &str = "test-admin-key-0123456789-0123456789";

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a server is started.
#[derive(Clone)]
pub struct Settings {
    data_dir: Arc<tempfile::TempDir>,
    environment: Vec<(String, String)>,
    without: Vec<String>,
    backends: Backends,
}

/// The servers that this server, or several, keep things on.
#[derive(Clone, Default)]
struct Backends {
    broker: Option<Arc<Mutex<NatsServer>>>,
    postgres: Option<Arc<Mutex<PostgresServer>>>,
    redis: Option<Arc<Mutex<RedisServer>>>,
}

impl Settings {
    /// The defaults, with a fresh data directory, on the backends that the tests are run on.
    pub fn new() -> Self {
        match std::env::var("HOPLOG_TEST_BACKENDS").as_deref() {
            Ok("production") => Self::production(),
            _ => Self::embedded(),
        }
    }

    /// The defaults, whatever backends the tests are run on.
    pub fn embedded() -> Self {
        let data_dir = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        let backends = Backends::default();
        Self { data_dir, environment: Vec::new(), without: Vec::new(), backends }
    }

    /// Everything on servers of its own.
    pub fn production() -> Self {
        Self::embedded().on_jetstream().on_postgres().on_redis()
    }

    /// The same for another node: a data directory of its own, the same servers.
    pub fn another_node(&self) -> Self {
        let data_dir = Arc::new(tempfile::tempdir().expect("a temporary directory"));
        Self { data_dir, ..self.clone() }
    }

    /// Moves the log to a broker of this server's own.
    pub fn on_jetstream(mut self) -> Self {
        let broker = NatsServer::start();
        self = self.with("HOPLOG_LOG_URL", &broker.url());
        self.backends.broker = Some(Arc::new(Mutex::new(broker)));
        self
    }

    /// Moves the read models to a database server of this server's own.
    pub fn on_postgres(mut self) -> Self {
        let postgres = PostgresServer::start();
        self = self.with("HOPLOG_READ_URL", &postgres.url());
        self.backends.postgres = Some(Arc::new(Mutex::new(postgres)));
        self
    }

    /// Shares the cache on a Redis of this server's own.
    pub fn on_redis(mut self) -> Self {
        let redis = RedisServer::start();
        self = self.with("HOPLOG_CACHE_URL", &redis.url());
        self.backends.redis = Some(Arc::new(Mutex::new(redis)));
        self
    }

    /// The log's server: to be killed, and started again.
    pub fn broker(&self) -> MutexGuard<'_, NatsServer> {
        held(self.backends.broker.as_ref())
    }

    /// The read models' server.
    pub fn postgres(&self) -> MutexGuard<'_, PostgresServer> {
        held(self.backends.postgres.as_ref())
    }

    /// The shared cache's server.
    pub fn redis(&self) -> MutexGuard<'_, RedisServer> {
        held(self.backends.redis.as_ref())
    }

    /// Sets an environment variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves out an environment variable that is set for every test server.
    pub fn without(mut self, name: &str) -> Self {
        self.without.push(name.to_owned());
        self
    }

    /// With the rate limits that are built in.
    pub fn limited(self) -> Self {
        self.without("HOPLOG_RATE_LIMITS")
    }

    /// With rate limits of its own, in a policy file that can be changed.
    pub fn limited_by(self, policies: &str) -> Self {
        let path = self.policy_file();
        std::fs::write(&path, policies).expect("the policies can be written");
        self.with("HOPLOG_RATE_LIMITS", path.to_str().expect("a plain path"))
    }

    /// Where those policies are.
    pub fn policy_file(&self) -> PathBuf {
        self.data_dir.path().join("policies.toml")
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.path().join("data")
    }

    /// Where the server's log lines go.
    fn log_file(&self) -> PathBuf {
        self.data_dir.path().join("server.log")
    }

    /// The server's log lines.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// The program, with this server's settings and nothing of the caller's.
    pub fn command(&self) -> Command {
        let mut command = Command::new(program());
        command
            .env_clear()
            .env("HOPLOG_LISTEN", "127.0.0.1:0")
            .env("HOPLOG_ADMIN_KEY", ADMIN_KEY)
            .env("HOPLOG_DATA_DIR", self.data_dir())
            .env("HOPLOG_API_KEY", ADMIN_KEY)
            // All clients of a test have one address, and ask faster than anybody. What limits do by
            // default is tested where that is left out: see `limited`. HOPLOG_TEST_RATE_LIMITS=on leaves it
            // out everywhere: no test asks for more than an honest client may.
            .env(
                "HOPLOG_RATE_LIMITS",
                std::env::var("HOPLOG_TEST_RATE_LIMITS").as_deref().unwrap_or("off"),
            )
            // The tests' clients keep connections open that they do not use.
            .env("HOPLOG_DRAIN_SECONDS", "0")
            .envs(self.environment.iter().cloned())
            .current_dir(self.data_dir.path())
            .stdin(Stdio::null());
        self.without.iter().for_each(|name| {
            command.env_remove(name);
        });
        command
    }

    /// Starts a server and waits until it listens.
    pub fn start(self) -> Server {
        let command = self.command();
        self.start_as(command)
    }

    /// Starts a server whose disk can be full: see [`Server::fill_the_disk`]. What it writes
    /// beyond the limit must fail, as on a full disk, instead of ending it by a signal.
    #[cfg(target_os = "linux")]
    pub fn start_with_a_disk_that_fills(self) -> Server {
        let plain = self.command();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(plain.get_program());
        command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(self.data_dir.path()).stdin(Stdio::null());
        self.start_as(command)
    }

    fn start_as(self, mut command: Command) -> Server {
        let log = File::options().create(true).append(true).open(self.log_file());
        let mut child = command
            .arg("serve")
            .stdout(Stdio::piped())
            .stderr(log.expect("a log file"))
            .spawn()
            .expect("the server starts");
        let stdout = child.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let url = lines
            .find_map(|line| {
                line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
            })
            .unwrap_or_else(|| panic!("the server prints its address: {}", self.log()));
        // Keeps reading, so that the server never blocks on a full pipe.
        let (printed, more) = mpsc::channel();
        std::thread::spawn(move || lines.for_each(|line| drop(printed.send(line))));
        let client = Client::new(&url, ADMIN_KEY);
        Server { child, client, url, more, settings: self }
    }
}

/// The program of this build, or the one that `HOPLOG` names: benchmarks compare builds.
fn program() -> PathBuf {
    std::env::var_os("HOPLOG").map_or_else(|| env!("CARGO_BIN_EXE_hoplog").into(), PathBuf::from)
}

fn held<S>(server: Option<&Arc<Mutex<S>>>) -> MutexGuard<'_, S> {
    server.expect("the settings have such a server").lock().expect("no test panicked")
}

/// A running server; killed when it is dropped.
pub struct Server {
    child: Child,
    pub client: Client,
    pub url: String,
    more: Receiver<String>,
    pub settings: Settings,
}

impl Server {
    /// A server with the defaults.
    pub fn start() -> Self {
        Settings::new().start()
    }

    /// `SIGKILL`: no chance to write anything more.
    pub fn kill(mut self) -> Settings {
        self.child.kill().expect("the server is running");
        self.child.wait().expect("the server ends");
        self.settings.clone()
    }

    /// From now on no file of the server's can be written to: the nearest thing to a full disk
    /// that needs neither a disk nor privileges.
    #[cfg(target_os = "linux")]
    pub fn fill_the_disk(&self) {
        self.limit_files(Some(0));
    }

    /// There is room again.
    #[cfg(target_os = "linux")]
    pub fn make_room(&self) {
        self.limit_files(getrlimit(Resource::Fsize).current);
    }

    #[cfg(target_os = "linux")]
    fn limit_files(&self, bytes: Option<u64>) {
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let maximum = getrlimit(Resource::Fsize).maximum;
        let limit = Rlimit { current: bytes, maximum };
        prlimit(process, Resource::Fsize, limit).expect("a server's limits can be changed");
    }

    /// The most memory the server has held so far.
    #[cfg(target_os = "linux")]
    pub fn peak_memory_bytes(&self) -> u64 {
        self.memory_bytes("VmHWM:")
    }

    /// What the kernel tells of the server's memory under a name.
    #[cfg(target_os = "linux")]
    pub fn memory_bytes(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the server is running");
        let figure = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = figure.and_then(|figure| figure.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.expect("the kernel tells it") * 1024
    }

    /// The next line that the server prints behind its address.
    pub fn next_line(&self) -> String {
        self.more.recv_timeout(PATIENCE).expect("the server prints a line")
    }

    /// Ends the server and gives every other line it printed behind its address.
    pub fn printed(mut self) -> Vec<String> {
        self.child.kill().expect("the server is running");
        self.more.iter().collect()
    }

    /// `SIGHUP`, as somebody sends who has changed a policy.
    pub fn hang_up(&self) {
        run(Command::new("kill").args(["-HUP", &self.child.id().to_string()]));
    }

    /// `SIGTERM`, and waits for the end.
    pub fn stop(mut self) -> Settings {
        run(Command::new("kill").arg(self.child.id().to_string()));
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("the server can be waited for") {
                assert!(status.success(), "the server ended with {status}");
                return self.settings.clone();
            }
            assert!(Instant::now() < deadline, "the server did not stop");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Runs the program against this server, as a person would.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_command(arguments).output().expect("the program runs")
    }

    /// The program against this server, to be run in another way.
    pub fn cli_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.settings.command();
        command.env("HOPLOG_URL", &self.url).args(arguments);
        command
    }

    /// Runs the program, expects success and gives what it printed.
    pub fn cli_ok(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} failed: {stderr}");
        String::from_utf8(output.stdout).expect("the output is text")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command and expects success.
fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the command runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// A file of the checkout.
pub fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
