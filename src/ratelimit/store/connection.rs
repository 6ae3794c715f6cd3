//! The task that keeps the connection.

use std::collections::HashMap;

use futures::FutureExt;

use super::{PAUSE, Store, StoreError, failed};
use crate::redis_connection::{CONNECT_DEADLINE, Line};

impl Store {
    /// Connects, and connects again whenever the breaker has opened, for as long as it is polled.
    pub(in crate::ratelimit) async fn keep_connected(&self) {
        let (mut told, mut was_here) = (false, false);
        loop {
            match self.connection.come_back(|line| self.find(line).boxed()).await {
                Ok(()) => {
                    tracing::info!("the store of the rate limits is here");
                    if !std::mem::replace(&mut was_here, true) {
                        self.warn_of_eviction().await;
                    }
                    told = false;
                    while !self.is_away() {
                        self.connection.opened(PAUSE).await;
                    }
                    tracing::warn!("the store of the rate limits fails; it is not asked for now");
                }
                Err(error) if !told => {
                    tracing::warn!(%error, "the store of the rate limits is away");
                    told = true;
                }
                Err(_) => {}
            }
            self.connection.let_go();
            self.connection.rest().await;
        }
    }

    /// Once, as it is no reason not to start: a count that is evicted begins anew.
    async fn warn_of_eviction(&self) {
        if let Some(policy) = self.eviction().await {
            tracing::warn!(
                policy,
                "the Redis of the rate limits may evict counts, which then begin anew; \
                 its maxmemory-policy should be noeviction, or its memory large enough"
            );
        }
    }

    /// By which policy Redis may evict counts. `None`: it does not, or does not say.
    pub(in crate::ratelimit) async fn eviction(&self) -> Option<String> {
        let mut line = self.connection.line()?;
        let mut ask = redis::cmd("CONFIG");
        ask.arg("GET").arg("maxmemory-policy");
        let asked = tokio::time::timeout(CONNECT_DEADLINE, line.send(&[ask])).await;
        let answer = asked.ok()?.ok()?.pop()?.ok()?;
        let settings: HashMap<String, String> = redis::from_redis_value(answer).ok()?;
        // Counts have lifetimes, so what evicts only keys that have one takes them as well.
        let evicts = |policy: &String| policy != "noeviction";
        settings.into_values().next().filter(evicts)
    }

    /// A line that answers in time.
    async fn find(&self, line: Option<Line>) -> Result<Line, StoreError> {
        let mut line = if let Some(line) = line {
            line
        } else {
            let connected = self.connection.connect().await.ok_or(StoreError::TimedOut)?;
            connected.map_err(|error| failed(&error))?
        };
        let ping = [redis::cmd("PING")];
        let answers = tokio::time::timeout(self.deadline, line.send(&ping)).await;
        let answers = answers.map_err(|_| StoreError::TimedOut)?;
        match answers.map_err(|error| failed(&error))?.pop() {
            Some(Err(refusal)) => Err(StoreError::Failed(refusal.text)),
            _ => Ok(line),
        }
    }
}
