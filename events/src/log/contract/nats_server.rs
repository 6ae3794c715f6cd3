//! A NATS server of a test's own, on a free port, with its own directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running server; it ends with this value.
#[derive(Debug)]
pub struct NatsServer {
    dir: TempDir,
    port: u16,
    child: Child,
}

impl NatsServer {
    /// Starts an empty server that syncs every message before it acknowledges it.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same with more lines in its configuration.
    #[must_use]
    pub fn start_with(more: &str) -> Self {
        Self::try_start_with(more).expect("nats-server ended at once")
    }

    /// The same; `None`: it ended at once, as it does when another port that it is to listen on was
    /// taken meanwhile.
    #[must_use]
    pub fn try_start_with(more: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("a directory");
        configure(&dir, more);
        let child = spawn(&dir, "-1");
        let mut server = Self { dir, port: 0, child };
        server.port = server.wait_for_port()?;
        Some(server)
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where it keeps its messages.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// `kill -9`: what was not written is lost.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port and store.
    pub fn restart(&mut self) {
        self.kill();
        for ports in self.ports_files() {
            fs::remove_file(ports).expect("the last start's file");
        }
        self.child = spawn(&self.dir, &self.port.to_string());
        assert_eq!(self.wait_for_port(), Some(self.port), "nats-server ended at once");
    }

    /// Stands still, with its connections open, until it is thawed.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Goes on where it stood still.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "kill {signal}");
    }

    /// Stops it, copies all it has kept, and starts it again.
    pub fn copy_store(&mut self) {
        self.kill();
        copy(&self.dir.path().join("store"), &self.dir.path().join("copy"));
        self.restart();
    }

    /// Stops it, puts the copy in the place of what it has kept since, and starts it again.
    pub fn put_copy_back(&mut self) {
        self.kill();
        fs::remove_dir_all(self.dir.path().join("store")).expect("a store");
        copy(&self.dir.path().join("copy"), &self.dir.path().join("store"));
        self.restart();
    }

    /// Starts it again with more lines in its configuration.
    pub fn restart_with(&mut self, more: &str) {
        configure(&self.dir, more);
        self.restart();
    }

    fn ports_files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.dir.path()).expect("the directory");
        let files = files.map(|file| file.expect("a file").path());
        files.filter(|path| path.extension().is_some_and(|it| it == "ports")).collect()
    }

    /// The server writes the port it was given into a file when it is ready; `None`: it ended.
    fn wait_for_port(&mut self) -> Option<u16> {
        let started = Instant::now();
        loop {
            let texts =
                self.ports_files().into_iter().filter_map(|path| fs::read_to_string(path).ok());
            for text in texts {
                let ports: Option<serde_json::Value> = serde_json::from_str(&text).ok();
                let url = ports.and_then(|ports| Some(ports["nats"][0].as_str()?.to_owned()));
                if let Some(port) = url.and_then(|url| url.rsplit(':').next()?.parse().ok()) {
                    return Some(port);
                }
            }
            let ended = self.child.try_wait().expect("the server's state");
            if ended.is_some() {
                return None;
            }
            assert!(started.elapsed() < START_TIMEOUT, "nats-server does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What a line says that is there twice, the last one decides.
fn configure(dir: &TempDir, more: &str) {
    let store = dir.path().join("store");
    let text = format!(
        "jetstream {{ store_dir: '{}', sync_interval: always }}\nmax_payload: 2MB\n{more}",
        store.display()
    );
    fs::write(dir.path().join("nats.conf"), text).expect("a configuration");
}

/// Copies a directory with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory");
    for entry in fs::read_dir(from).expect("the directory") {
        let path = entry.expect("an entry").path();
        let to = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("a copy");
        }
    }
}

fn spawn(dir: &TempDir, port: &str) -> Child {
    let program = program();
    let child = Command::new(&program)
        .args(["--addr", "127.0.0.1", "--port", port, "--config"])
        .arg(dir.path().join("nats.conf"))
        .arg("--ports_file_dir")
        .arg(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child.expect("nats-server can't be started: run ./test, or set HOPLOG_NATS_SERVER")
}

/// Where `./test` puts the server, unless the environment says otherwise.
#[must_use]
pub fn program() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/bin/nats-server");
    match std::env::var_os("HOPLOG_NATS_SERVER") {
        Some(named) => named.into(),
        None if installed.exists() => installed,
        None => "nats-server".into(),
    }
}
