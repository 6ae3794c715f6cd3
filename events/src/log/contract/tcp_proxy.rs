//! A way to a server that breaks: what goes through it is passed on, until a connection that is
//! to be cut has brought as many bytes as it may. Answers can be held up, or swallowed.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// What a proxy and its connections share.
#[derive(Debug)]
struct Shared {
    /// How many bytes a connection may bring from the server.
    cut_after: AtomicU64,
    /// How many connections are still to be cut.
    cuts: AtomicU64,
    /// How long what the server says is held up, in milliseconds.
    delay_ms: AtomicU64,
    /// What the server says goes nowhere, and the connection stays.
    swallows: AtomicBool,
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
        let target = url.rsplit("://").next().unwrap_or_default().to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            cut_after: AtomicU64::new(u64::MAX),
            cuts: AtomicU64::new(0),
            delay_ms: AtomicU64::new(0),
            swallows: AtomicBool::new(false),
        });
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

    /// The same without a scheme.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Holds up everything that the server says from now on for so long.
    pub fn delay(&self, delay: Duration) {
        let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.shared.delay_ms.store(delay_ms, Ordering::Relaxed);
    }

    /// Swallows what the server says, or passes it on again. What was swallowed is lost.
    pub fn swallow(&self, swallows: bool) {
        self.shared.swallows.store(swallows, Ordering::Relaxed);
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
    thread::spawn(move || copy(&mut from_client, &mut to_server, |_| Next::Pass));
    thread::spawn(move || {
        let mut brought = 0;
        copy(&mut from_server, &mut to_client, |bytes| {
            brought += bytes;
            thread::sleep(Duration::from_millis(shared.delay_ms.load(Ordering::Relaxed)));
            if shared.swallows.load(Ordering::Relaxed) {
                return Next::Swallow;
            }
            let less = |cuts: u64| cuts.checked_sub(1);
            let is_cut = brought >= shared.cut_after.load(Ordering::Relaxed)
                && shared.cuts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok();
            if is_cut { Next::PassAndCut } else { Next::Pass }
        });
    });
}

/// What becomes of some bytes.
#[derive(PartialEq)]
enum Next {
    Pass,
    Swallow,
    PassAndCut,
}

/// Copies until one of the two ends, or is to be cut; then ends both.
fn copy(from: &mut TcpStream, to: &mut TcpStream, mut next: impl FnMut(u64) -> Next) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let next = next(count as u64);
        if next == Next::Swallow {
            continue;
        }
        if to.write_all(&buffer[..count]).is_err() || next == Next::PassAndCut {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
