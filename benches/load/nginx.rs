//! The reference of redirects: one worker of nginx that answers every request with `302`.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running nginx; it ends with this value.
pub struct Nginx {
    child: Child,
    _directory: TempDir,
    pub url: String,
}

impl Nginx {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr();
        let address = free.expect("an address").to_string();
        let (path, file) = (directory.path(), directory.path().join("nginx.conf"));
        let configuration = format!(
            "worker_processes 1;\ndaemon off;\npid {0}/nginx.pid;\nerror_log stderr crit;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n  access_log off;\n  keepalive_requests 100000000;\n\
             server {{ listen {address}; return 302 https://example.com/landing?utm_source=bench; }}\n}}\n",
            path.display()
        );
        std::fs::write(&file, configuration).expect("its configuration");
        let program = ["/usr/sbin/nginx", "/usr/local/sbin/nginx"];
        let program = program.into_iter().find(|path| std::path::Path::new(path).exists());
        let child = Command::new(program.unwrap_or("nginx"))
            .arg("-c")
            .arg(&file)
            .arg("-p")
            .arg(path)
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is there: benches/run installs it");
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "nginx does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, _directory: directory, url: format!("http://{address}") }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Asked, it takes its worker along.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
