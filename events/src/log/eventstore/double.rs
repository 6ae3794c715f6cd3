//! A double of the servers, in this process: the Streams service (append, read, subscribe), with
//! events in memory. Written from the client library's side of the protocol; what it can't show is
//! whether real servers keep to it. Tests take its connections and its answers away.

mod messages;
mod prompt;
mod reading;
mod serve;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use store::Store;

/// A server. Dropping it stops it.
#[derive(Debug)]
pub struct EventStoreDouble {
    state: Arc<State>,
    port: u16,
    accepting: Option<JoinHandle<()>>,
}

/// What becomes of the next append.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// It is answered.
    #[default]
    None,
    /// It is kept, and the connection is gone before the answer.
    AnswerLost,
    /// It is neither kept nor answered.
    Silence,
}

/// What outlives a restart, and what tells connections to end.
#[derive(Debug)]
struct State {
    store: Mutex<Store>,
    /// Counts appends.
    changed: watch::Sender<u64>,
    /// Counts the times that all connections were cut.
    cut: watch::Sender<u64>,
    fault: Mutex<Fault>,
    /// Subscriptions under way.
    following: watch::Sender<usize>,
}

impl State {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_fault(&self) -> Fault {
        std::mem::take(&mut *self.fault.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl EventStoreDouble {
    /// Starts a server with nothing on it.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            store: Mutex::default(),
            changed: watch::Sender::default(),
            cut: watch::Sender::default(),
            fault: Mutex::default(),
            following: watch::Sender::default(),
        });
        let accepting = Some(tokio::spawn(serve::accept(listener, Arc::clone(&state))));
        Self { state, port, accepting }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("esdb://127.0.0.1:{}?tls=false", self.port)
    }

    /// Stops it; what it keeps stays.
    pub async fn stop(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // Aborted, which is what was asked for.
            let _ = accepting.await;
        }
        self.cut();
    }

    /// Starts it again at the same place.
    pub async fn restart(&mut self) {
        self.stop().await;
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        self.accepting = Some(tokio::spawn(serve::accept(listener, Arc::clone(&self.state))));
    }

    /// Ends all connections, in the middle of what they are saying.
    pub fn cut(&self) {
        self.state.cut.send_modify(|count| *count += 1);
    }

    /// What becomes of the next append.
    pub fn next_append(&self, fault: Fault) {
        *self.state.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Forgets the last events of `$all`, as servers that were put back from a copy.
    pub fn forget_last(&self, events: usize) {
        let mut store = self.state.store();
        let length = store.len().saturating_sub(events);
        store.truncate(length);
    }

    /// Hides what a stream has, as when it is older than the stream's `$maxAge`.
    pub fn expire(&self, stream: &str) {
        self.state.store().hide(&Bytes::copy_from_slice(stream.as_bytes()), false);
    }

    /// How many subscriptions are under way.
    #[must_use]
    pub fn following(&self) -> watch::Receiver<usize> {
        self.state.following.subscribe()
    }
}

impl Drop for EventStoreDouble {
    fn drop(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
        self.cut();
    }
}
