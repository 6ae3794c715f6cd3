//! How many connections there may be: each costs memory and a file descriptor, also one that says
//! nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places for connections. Who finds none waits in the system's queue, unanswered, until somebody
/// leaves; when that queue is full as well, the system turns further ones away.
#[derive(Debug)]
pub(super) struct Places(Arc<Semaphore>);

/// A connection's place, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place(#[expect(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self(Arc::new(Semaphore::new(count)))
    }

    /// The next connection, as soon as there is a place for it.
    pub(super) async fn accept(
        &self,
        listener: &TcpListener,
    ) -> io::Result<(TcpStream, SocketAddr, Place)> {
        if self.0.available_permits() == 0 {
            tracing::warn!("there are as many connections as there may be; others wait");
        }
        let place = Arc::clone(&self.0).acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await?;
        Ok((stream, peer, Place(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn who_finds_no_place_waits_until_somebody_leaves() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let places = Places::new(2);
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(TcpStream::connect(address).await.unwrap());
        }
        let first = places.accept(&listener).await.unwrap();
        let _second = places.accept(&listener).await.unwrap();
        let moment = Duration::from_millis(50);
        timeout(moment, places.accept(&listener)).await.unwrap_err();
        drop(first);
        let (_, peer, _place) = places.accept(&listener).await.unwrap();
        assert_eq!(peer, clients[2].local_addr().unwrap());
    }
}
