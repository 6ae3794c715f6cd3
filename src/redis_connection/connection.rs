//! The connection: one line for all calls, pipelined; it comes back by itself.
//!
//! No call waits for it and no call tries to make it: that is the work of one task of whoever owns it,
//! which also is the only one that probes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use redis::RedisError;
use tokio::sync::Notify;

use super::breaker::{Breaker, BreakerState, Outcome, Permit};
use super::{Line, RedisAddress};

/// How long Redis may take to accept a connection.
pub(crate) const CONNECT_DEADLINE: Duration = Duration::from_secs(1);

/// How long after a failure before a connection is tried again, at most.
pub(crate) const PAUSE: Duration = Duration::from_secs(1);

/// The line, and whether it is worth calling.
pub(crate) struct Connection {
    address: RedisAddress,
    line: ArcSwapOption<Line>,
    breaker: Breaker,
    opened: Notify,
}

impl Connection {
    /// Nothing is sent before [`come_back`](Self::come_back) runs.
    pub(crate) fn new(address: RedisAddress) -> Self {
        // For TLS: it is rustls with ring. Fails if that is installed already: just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (line, breaker) = (ArcSwapOption::empty(), Breaker::open(PAUSE, Instant::now()));
        Self { address, line, breaker, opened: Notify::new() }
    }

    pub(crate) fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    /// Whether no calls are made. They may fail although this says otherwise: only a call finds out.
    pub(crate) fn is_away(&self) -> bool {
        self.state() != BreakerState::Closed
    }

    /// The line, if there is one.
    pub(crate) fn line(&self) -> Option<Line> {
        self.line.load().as_deref().cloned()
    }

    /// What a call needs, besides a line.
    pub(crate) fn permit(&self) -> Option<Permit<'_>> {
        self.breaker.permit()
    }

    /// Says what came of a call.
    pub(crate) fn settle(&self, permit: Permit<'_>, outcome: Outcome) {
        permit.settle(outcome);
        if self.is_away() {
            self.opened.notify_one();
        }
    }

    /// A new line; `None`: not in time.
    pub(crate) async fn connect(&self) -> Option<Result<Line, RedisError>> {
        let connect = Box::pin(Line::connect(&self.address, CONNECT_DEADLINE));
        tokio::time::timeout(CONNECT_DEADLINE, connect).await.ok()
    }

    /// Probes until the breaker closes, or a probe fails. `probe` is given the line of the probe before,
    /// and gives one that can be used.
    pub(crate) async fn come_back<'a, E>(
        &'a self,
        probe: impl Fn(Option<Line>) -> BoxFuture<'a, Result<Line, E>>,
    ) -> Result<(), E> {
        let mut line = None;
        while let Some(permit) = self.breaker.probe(Instant::now()) {
            match probe(line.take()).await {
                Ok(found) => {
                    // Before it closes: whoever may call finds a line.
                    self.line.store(Some(Arc::new(found.clone())));
                    line = Some(found);
                    permit.settle(Outcome::Answered);
                }
                Err(error) => {
                    permit.settle(Outcome::Failed);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Waits until a call finds it away, but not for long.
    pub(crate) async fn opened(&self, at_most: Duration) {
        let _ = tokio::time::timeout(at_most, self.opened.notified()).await;
    }

    /// Lets the line go.
    pub(crate) fn let_go(&self) {
        self.line.store(None);
    }

    /// Waits until it may be tried again.
    pub(crate) async fn rest(&self) {
        if let Some(until) = self.breaker.opens_until() {
            tokio::time::sleep_until(until.into()).await;
        }
    }
}
