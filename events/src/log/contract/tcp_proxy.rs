//! A way to a server that breaks: what goes through it is passed on, until a connection that is
//! to be cut has brought as many bytes as it may.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What a proxy and its connections share.
#[derive(Debug)]
struct Shared {
    /// How many bytes a connection may bring from the server.
    cut_after: AtomicU64,
    /// How many connections are still to be cut.
    cuts: AtomicU64,
}

/// A running proxy. Its threads end with the process.
#[derive(Debug)]
pub struct TcpProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl TcpProxy {
    /// Begins to pass on to a server, such as `nats://127.0.0.1:4222`.
    #[must_use]
    pub fn to(url: &str) -> Self {
        let target = url.trim_start_matches("nats://").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared =
            Arc::new(Shared { cut_after: AtomicU64::new(u64::MAX), cuts: AtomicU64::new(0) });
        let connections = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is away closes the door.
                if let Ok(server) = TcpStream::connect(&target) {
                    pass_on(client, server, &connections);
                }
            }
        });
        Self { address, shared }
    }

    /// The address that stands for the server's.
    #[must_use]
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Breaks so many connections, each when it has brought so many bytes from the server.
    pub fn cut(&self, connections: u64, after_bytes: u64) {
        self.shared.cut_after.store(after_bytes, Ordering::Relaxed);
        self.shared.cuts.store(connections, Ordering::Relaxed);
    }

    /// How many connections are still to be broken.
    #[must_use]
    pub fn cuts_left(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

fn pass_on(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, from_server) = (client.try_clone(), server.try_clone());
    let (Ok(mut from_client), Ok(mut from_server)) = (from_client, from_server) else { return };
    let (mut to_client, mut to_server) = (client, server);
    let shared = Arc::clone(shared);
    thread::spawn(move || copy(&mut from_client, &mut to_server, |_| false));
    thread::spawn(move || {
        let mut brought = 0;
        copy(&mut from_server, &mut to_client, |bytes| {
            brought += bytes;
            let less = |cuts: u64| cuts.checked_sub(1);
            brought >= shared.cut_after.load(Ordering::Relaxed)
                && shared.cuts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
        });
    });
}

/// Copies until one of the two ends, or is to be cut; then ends both.
fn copy(from: &mut TcpStream, to: &mut TcpStream, mut cut: impl FnMut(u64) -> bool) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..count]).is_err() || cut(count as u64) {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
