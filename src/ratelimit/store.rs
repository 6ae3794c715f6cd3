//! The store that all nodes share: Redis, behind a deadline and a circuit breaker.
//!
//! No request waits for a connection and none is a probe: that is the work of one task. A probe has to be
//! answered within the deadline as well, so that a Redis that is merely slow is left alone.

mod answer;
mod connection;
mod script;

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use redis::{Cmd, RedisError};
use tokio::sync::Notify;

use super::charge::Charge;
use super::receipt::Taken;
pub(super) use crate::redis_connection::PAUSE;
use crate::redis_connection::{
    BreakerState, Connection, Line, Outcome, RedisAddress, Refusal, Reply, outcome_of,
    outcome_of_error,
};
pub(super) use answer::{Answer, Asked};
pub(super) use script::Mode;
use script::Script;

/// So many requests are owed something at most; what is too much stays counted.
const OWED_MAX: usize = 10_000;

/// The store did not decide.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoreError {
    /// It is not asked for now.
    #[error("it is away")]
    Away,
    /// It did not answer in time; it may have counted the request.
    #[error("it does not answer in time")]
    TimedOut,
    /// The connection failed, or it answers nobody.
    #[error("{0}")]
    Failed(String),
    /// It is there and can't do what it is asked: something is wrong with the keys or the script. It is no
    /// outage, so nobody passes uncounted.
    #[error("it refuses: {0}")]
    Refused(String),
}

/// The way to it.
pub(super) struct Store {
    deadline: Duration,
    script: Script,
    connection: Connection,
    /// What is to be given back by the task that keeps the connection.
    owed: Mutex<Vec<(u64, Vec<Taken>)>>,
    is_owed: Notify,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("breaker", &self.connection.state()).finish_non_exhaustive()
    }
}

impl Store {
    /// Nothing is sent before [`keep_connected`](Self::keep_connected) runs.
    pub(super) fn new(address: RedisAddress, prefix: &str, deadline: Duration) -> Self {
        let (connection, script) = (Connection::new(address), Script::new(prefix));
        let (owed, is_owed) = (Mutex::default(), Notify::new());
        Self { deadline, script, connection, owed, is_owed }
    }

    #[cfg(test)]
    pub(super) fn with_clock(mut self, clock: super::MonotonicClock) -> Self {
        self.script = self.script.with_clock(clock);
        self
    }

    pub(super) fn breaker(&self) -> BreakerState {
        self.connection.state()
    }

    pub(super) fn is_away(&self) -> bool {
        self.connection.is_away()
    }

    /// Lets the script decide for a request, within the deadline.
    pub(super) async fn decide(
        &self,
        mode: Mode,
        asked: &[Asked<'_>],
        request: u64,
    ) -> Result<Answer, StoreError> {
        let until = tokio::time::Instant::now() + self.deadline;
        let (line, groups) = self.line_for(asked)?;
        let ask = |group: &Vec<usize>| {
            let group = group.clone();
            let line = line.clone();
            async move {
                let command = |whole| self.script.decision(mode, asked, &group, request, whole);
                self.run(line, command, until, true).await
            }
        };
        let replies = join_all(groups.iter().map(ask)).await;
        let mut answer = Answer::new(asked);
        let mut failure = None;
        for (group, reply) in groups.iter().zip(replies) {
            let read = reply.and_then(|reply| answer.read(asked, group, reply));
            failure = failure.or(read.err());
        }
        let is_undone = failure.is_some() || !answer.is_allowed();
        if mode == Mode::Take && groups.len() > 1 && is_undone {
            // Of a cluster, some subjects were charged before it was known that another refuses, or
            // can't be asked: they get back exactly that, without this request waiting for it.
            self.owe(request, answer.take_back(asked));
        }
        failure.map_or(Ok(answer), Err)
    }

    /// What the task that keeps the connection gives back.
    pub(super) fn owe(&self, request: u64, taken: Vec<Taken>) {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.is_empty() && owed.len() < OWED_MAX {
            owed.push((request, taken));
            self.is_owed.notify_one();
        }
    }

    /// Takes out what is to be given back.
    pub(super) fn owed(&self) -> Vec<(u64, Vec<Taken>)> {
        std::mem::take(&mut *self.owed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until something is.
    pub(super) async fn owes(&self) {
        self.is_owed.notified().await;
    }

    /// Gives back what a request was charged: once, also if the way to a cluster sends it again.
    pub(super) async fn give_back(&self, taken: &[Taken], request: u64) -> Result<(), StoreError> {
        let until = tokio::time::Instant::now() + self.deadline;
        let line = self.connection.line().ok_or(StoreError::Away)?;
        let charges: Vec<&Charge> = taken.iter().map(|taken| &taken.charge).collect();
        let groups = groups(&charges, matches!(line, Line::Cluster(_)));
        let back = |group: &Vec<usize>| {
            let (group, line) = (group.clone(), line.clone());
            async move {
                let command = |whole| self.script.give_back(taken, &group, request, whole);
                self.run(line, command, until, false).await
            }
        };
        let backs = join_all(groups.iter().map(back)).await;
        backs.into_iter().find_map(Result::err).map_or(Ok(()), Err)
    }

    fn line_for(&self, asked: &[Asked<'_>]) -> Result<(Line, Vec<Vec<usize>>), StoreError> {
        let line = self.connection.line().ok_or(StoreError::Away)?;
        let charges: Vec<&Charge> = asked.iter().map(|asked| asked.charge).collect();
        let groups = groups(&charges, matches!(line, Line::Cluster(_)));
        Ok((line, groups))
    }

    /// Runs the script once: by its hash, and with its text where Redis has lost it. `tells`: what comes of
    /// it is told to the breaker.
    async fn run(
        &self,
        mut line: Line,
        command: impl Fn(bool) -> Cmd,
        until: tokio::time::Instant,
        tells: bool,
    ) -> Result<redis::Value, StoreError> {
        let permit = self.connection.permit().ok_or(StoreError::Away)?;
        let ask = async {
            let replies = line.send(&[command(false)]).await?;
            if replies.iter().any(is_unknown) {
                line.send(&[command(true)]).await
            } else {
                Ok(replies)
            }
        };
        let (answer, outcome) = judge(tokio::time::timeout_at(until, ask).await);
        if tells {
            self.connection.settle(permit, outcome);
        }
        answer
    }
}

/// Places of charges that one call decides: their keys lie in one slot. One server decides all at once; in
/// a cluster each subject has a slot of its own.
fn groups(charges: &[&Charge], is_cluster: bool) -> Vec<Vec<usize>> {
    if !is_cluster {
        return vec![(0..charges.len()).collect()];
    }
    let mut groups: Vec<(super::Subject, Vec<usize>)> = Vec::new();
    for (at, charge) in charges.iter().enumerate() {
        match groups.iter_mut().find(|(subject, _)| *subject == charge.subject()) {
            Some((_, group)) => group.push(at),
            None => groups.push((charge.subject(), vec![at])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn is_unknown(reply: &Reply) -> bool {
    reply.as_ref().is_err_and(Refusal::is_of_a_script)
}

type Timed = Result<Result<Vec<Reply>, RedisError>, tokio::time::error::Elapsed>;

/// What came of it, for the caller and for the breaker.
fn judge(answered: Timed) -> (Result<redis::Value, StoreError>, Outcome) {
    let replies = match answered {
        Err(_) => return (Err(StoreError::TimedOut), Outcome::Failed),
        Ok(Err(error)) => return (Err(failed(&error)), outcome_of_error(&error)),
        Ok(Ok(replies)) => replies,
    };
    let outcome = outcome_of(&replies);
    let value = match replies.into_iter().next() {
        Some(reply) if outcome == Outcome::Answered => {
            reply.map_err(|refusal| StoreError::Refused(refusal.text))
        }
        Some(reply) => reply.map_err(|refusal| StoreError::Failed(refusal.text)),
        None => Err(StoreError::Refused("no answer".into())),
    };
    (value, outcome)
}

fn failed(error: &RedisError) -> StoreError {
    StoreError::Failed(error.to_string())
}
