//! A throw-away PostgreSQL server for tests: its own data directory, a free port of the loopback
//! interface, gone with the process that started it.
//!
//! The programs are those in `HOPLOG_POSTGRES_BIN`, or the newest of Debian's. A test that can't
//! have a server fails.

use std::fs;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use uuid::Uuid;

/// How long a server may take to start, to stop, or to answer while a machine is busy.
const PATIENCE: Duration = Duration::from_mins(1);

/// Starts the server in `$0` and ends it, and removes its directory, when whoever holds the other
/// end of the standard input says so or is gone.
const KEEPER: &str = r#"
"$1" -D "$0/data" -p "$2" -c "fsync=$3" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories= -c max_connections=200 -c shared_buffers=64MB \
    -c log_min_messages=fatal -c max_wal_size=2GB >>"$0/log" 2>&1 </dev/null &
server=$!
read -r order
kill -QUIT "$server"; kill -CONT "$server"
wait "$server"
[ "$order" = restart ] || rm -rf "$0"
"#;

/// A running server; it ends with this.
#[derive(Debug)]
pub struct PostgresServer {
    home: PathBuf,
    programs: PathBuf,
    port: u16,
    fsync: bool,
    keeper: Option<Child>,
}

/// The user that the server runs as; it refuses to run as root.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

impl PostgresServer {
    /// Starts an empty server that forgets its last writes when the machine crashes.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// Starts an empty server that keeps what it has answered.
    #[must_use]
    pub fn start_durable() -> Self {
        Self::start_with(true)
    }

    /// Starts a server that follows another one: what is written there appears here.
    #[must_use]
    pub fn start_replica_of(primary: &Self) -> Self {
        let mut server = Self::at_home(false);
        let mut copy = command(&server.programs.join("pg_basebackup"));
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--host=127.0.0.1"]);
        copy.args(["--username=hoplog", "--port"]).arg(primary.port.to_string());
        made(copy.arg("-D").arg(server.home.join("data")));
        server.go_on();
        server
    }

    fn start_with(fsync: bool) -> Self {
        let mut server = Self::at_home(fsync);
        let mut initdb = command(&server.programs.join("initdb"));
        initdb.args(["--username=hoplog", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
        made(initdb.args(["--no-sync", "--wal-segsize=1", "-D"]).arg(server.home.join("data")));
        server.go_on();
        server
    }

    fn at_home(fsync: bool) -> Self {
        let home = std::env::temp_dir().join(format!("hoplog-postgres-{}", Uuid::new_v4()));
        fs::create_dir(&home).unwrap();
        if let Some(user) = other_user() {
            std::os::unix::fs::chown(&home, Some(user.uid), Some(user.gid)).unwrap();
        }
        Self { home, programs: programs(), port: free_port(), fsync, keeper: None }
    }

    /// How to reach it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://hoplog@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    /// Ends it without a word to its clients, as a crash would; its data stay.
    pub fn crash(&mut self) {
        self.end("restart");
        // The pid file of a crashed server stays; the next one must not be mistaken for it.
        let _ = fs::remove_file(self.home.join("data/postmaster.pid"));
    }

    /// Starts it again on the same port, and waits until it answers.
    pub fn go_on(&mut self) {
        let mut keeper = command(Path::new("/bin/sh"));
        keeper.args(["-c", KEEPER]).arg(&self.home).arg(self.programs.join("postgres"));
        keeper.arg(self.port.to_string()).arg(if self.fsync { "on" } else { "off" });
        let keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.keeper = Some(keeper.spawn().unwrap());
        let begun = Instant::now();
        while !self.is_ready() {
            assert!(begun.elapsed() < PATIENCE, "PostgreSQL did not start: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Freezes every process of the server: it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Ends a freeze.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let postmaster = fs::read_to_string(self.home.join("data/postmaster.pid")).unwrap();
        let postmaster = postmaster.lines().next().unwrap_or_default().to_owned();
        // First the one that starts others.
        let mut all = vec![postmaster.clone()];
        all.extend(children(&postmaster));
        let sent = Command::new("kill").arg(signal).args(&all).stderr(Stdio::null()).status();
        // A child may have ended by itself since it was listed.
        let _ = sent.unwrap();
    }

    /// Whether it lets somebody in. It is not asked: who connects to a port of the loopback
    /// interface where nobody listens may meet himself.
    fn is_ready(&self) -> bool {
        let status = fs::read_to_string(self.home.join("data/postmaster.pid")).unwrap_or_default();
        status.lines().last().is_some_and(|status| matches!(status.trim(), "ready" | "standby"))
    }

    fn end(&mut self, order: &str) {
        let Some(mut keeper) = self.keeper.take() else { return };
        if let Some(mut input) = keeper.stdin.take() {
            // If it is gone, there is nothing to end.
            let _ = writeln!(input, "{order}");
        }
        let _ = keeper.wait();
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.end("remove");
        // After a crash there was nobody left to do it.
        let _ = fs::remove_dir_all(&self.home);
    }
}

fn made(command: &mut Command) {
    let made = command.output().unwrap();
    assert!(made.status.success(), "{command:?}: {}", String::from_utf8_lossy(&made.stderr));
}

/// A port that nobody listens on, below those that the system gives to clients: while a server is
/// away, its port stays free.
#[must_use]
pub fn free_port() -> u16 {
    loop {
        let (random, _) = Uuid::new_v4().as_u64_pair();
        let port = u16::try_from(15_000 + random % 17_000).unwrap();
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

/// A command that runs as a user whom PostgreSQL accepts.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove("PGOPTIONS").current_dir("/");
    if let Some(user) = other_user() {
        command.uid(user.uid).gid(user.gid);
    }
    command
}

/// Somebody else than root; `None`: this process is not root.
fn other_user() -> Option<User> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    if uid.split_whitespace().nth(1) != Some("0") {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2).map(str::parse);
        Some(User { uid: fields.next()?.ok()?, gid: fields.next()?.ok()? })
    };
    let user = find("postgres").or_else(|| find("nobody"));
    Some(user.unwrap_or_else(|| panic!("no user to run PostgreSQL as: it refuses root")))
}

fn children(parent: &str) -> Vec<String> {
    let stat = |entry: fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name, in parentheses, may hold anything; the parent is the second field behind it.
        let is_child = stat.rsplit(')').next()?.split_whitespace().nth(1)? == parent;
        is_child.then(|| entry.file_name().to_string_lossy().into_owned())
    };
    fs::read_dir("/proc").unwrap().filter_map(Result::ok).filter_map(stat).collect()
}

/// The directory with `initdb` and `postgres`.
fn programs() -> PathBuf {
    if let Some(named) = std::env::var_os("HOPLOG_POSTGRES_BIN") {
        return named.into();
    }
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(Result::ok);
    let version = |path: &PathBuf| -> Option<u32> {
        path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok())
    };
    let newest = versions.map(|entry| entry.path()).max_by_key(version);
    let programs = newest.map(|newest| newest.join("bin"));
    let found = programs.filter(|programs| programs.join("initdb").exists());
    found.unwrap_or_else(|| {
        panic!("no PostgreSQL: install Debian's `postgresql`, or set HOPLOG_POSTGRES_BIN")
    })
}
