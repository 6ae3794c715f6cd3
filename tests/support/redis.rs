//! A Redis of one's own: the real server, on a free port, with nothing on disk.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a Redis may take to start or to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often a port is tried: somebody else may take it between the choice and the start.
const PORTS_MAX: usize = 20;

/// A running Redis; killed when it is dropped.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
    dir: tempfile::TempDir,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for _ in 0..PORTS_MAX {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = listener.local_addr().expect("it has an address").port();
            drop(listener);
            if let Some(child) = launch(port, dir.path()) {
                return Self { child, port, dir };
            }
        }
        panic!("redis-server finds no free port");
    }

    /// Its address as a setting.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Sends a command and gives the first line of the answer; of a text, the text.
    pub(crate) fn command(&self, words: &[&str]) -> String {
        ask(self.port, words).expect("redis-server answers")
    }

    /// Everything in it is gone.
    pub(crate) fn flush(&self) {
        assert_eq!(self.command(&["FLUSHALL"]), "+OK");
    }

    /// It is there, but does nothing.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// It goes on where it was frozen.
    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// It ends; everything in it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is running");
        self.child.wait().expect("it ends");
    }

    /// It runs again, empty, at the same address.
    pub(crate) fn start_again(&mut self) {
        self.child = launch(self.port, self.dir.path()).expect("redis-server starts again");
    }

    fn signal(&self, signal: Signal) {
        let process = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(process.expect("it has an id"), signal).expect("it is running");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a server and waits until it answers; `None`: it ended, the port was taken.
fn launch(port: u16, dir: &std::path::Path) -> Option<Child> {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "no", "--dir"])
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("these tests need redis-server: apt-get install redis-server, or run ./test");
    let deadline = Instant::now() + PATIENCE;
    loop {
        if child.try_wait().expect("it can be waited for").is_some() {
            return None;
        }
        if ask(port, &["PING"]).is_ok_and(|answer| answer == "+PONG") {
            return Some(child);
        }
        assert!(Instant::now() < deadline, "redis-server does not answer");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// One command on a connection of its own.
pub(crate) fn ask(port: u16, words: &[&str]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let words = words.iter().map(|word| format!("${}\r\n{word}\r\n", word.len()));
    let words: Vec<String> = words.collect();
    stream.write_all(format!("*{}\r\n{}", words.len(), words.concat()).as_bytes())?;
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let line = line.trim_end().to_owned();
    let Some(bytes) = line.strip_prefix('$').and_then(|bytes| bytes.parse().ok()) else {
        return Ok(line);
    };
    let mut text = vec![0; bytes];
    stream.read_exact(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
