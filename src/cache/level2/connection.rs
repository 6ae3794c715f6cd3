//! The connection: one for all calls of this process, pipelined; it comes back by itself.
//!
//! No call waits for a connection, and no call tries to make one: that is the work of one task, which
//! also is the only one that probes. Before the breaker closes, what could not be written meanwhile is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redis::{Cmd, RedisError, Value};
use tokio::sync::Notify;

use super::missed::Missed;
use super::{Level2Error, script};
use crate::redis_connection::{Breaker, BreakerState, Line, Outcome, RedisAddress, Refusal, Reply};

/// How long Redis may take to accept a connection and to answer the first call.
const CONNECT_DEADLINE: Duration = Duration::from_secs(1);

/// How long after a failure before a connection is tried again, at most.
const PAUSE: Duration = Duration::from_secs(1);

/// The second level. Share it in an `Arc`, and give it a task that runs
/// [`keep_connected`](Level2::keep_connected): without it, it is away.
pub struct Level2 {
    address: RedisAddress,
    /// How long a call may take, whatever it asks.
    deadline: Duration,
    line: ArcSwapOption<Line>,
    breaker: Breaker,
    opened: Notify,
    pub(super) missed: Missed,
}

impl fmt::Debug for Level2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Level2").field("breaker", &self.breaker.state()).finish_non_exhaustive()
    }
}

impl Level2 {
    /// The Redis at this address; no call takes longer than `deadline`. Nothing is sent before the
    /// task runs.
    #[must_use]
    pub fn new(address: RedisAddress, deadline: Duration) -> Self {
        // For TLS: it is rustls with ring. Fails if that is installed already: just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (line, breaker) = (ArcSwapOption::empty(), Breaker::open(PAUSE, Instant::now()));
        Self { address, deadline, line, breaker, opened: Notify::new(), missed: Missed::default() }
    }

    /// Connects, and connects again whenever the breaker has opened, for as long as it is polled.
    pub async fn keep_connected(&self) {
        let mut told = false;
        loop {
            match self.come_back().await {
                Ok(()) => {
                    tracing::info!("the shared cache is here");
                    told = false;
                    self.measure();
                    self.until_open().await;
                    tracing::warn!("calls to the shared cache fail; they are not made for now");
                    metrics::counter!("hoplog_shared_cache_breaker_opened_total").increment(1);
                }
                Err(error) if !told => {
                    tracing::warn!(%error, "the shared cache is away; tried again every second");
                    told = true;
                }
                Err(_) => {}
            }
            self.line.store(None);
            self.measure();
            if let Some(until) = self.breaker.opens_until() {
                tokio::time::sleep_until(until.into()).await;
            }
        }
    }

    /// Meanwhile single writes may fail: they are repeated.
    async fn until_open(&self) {
        while !self.is_away() {
            let _ = tokio::time::timeout(PAUSE, self.opened.notified()).await;
            let Some(line) = self.line.load_full().filter(|_| !self.missed.is_empty()) else {
                continue;
            };
            if let Err(error) = self.write_missed(&mut Line::clone(&line)).await {
                tracing::debug!(%error, "the shared cache does not take what it has missed");
            }
        }
    }

    /// Probes until the breaker closes, or a probe fails.
    async fn come_back(&self) -> Result<(), Level2Error> {
        let mut line = None;
        while let Some(probe) = self.breaker.probe(Instant::now()) {
            self.measure();
            let found = match line.take() {
                Some(line) => Ok(line),
                None => self.connect().await,
            };
            let found = match found {
                Ok(found) => self.catch_up(found).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(found) => {
                    // Before it closes: whoever may call finds a line.
                    self.line.store(Some(Arc::new(found.clone())));
                    line = Some(found);
                    probe.settle(Outcome::Answered);
                }
                Err(error) => {
                    probe.settle(Outcome::Failed);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Line, Level2Error> {
        let connect = Box::pin(Line::connect(&self.address, CONNECT_DEADLINE));
        match tokio::time::timeout(CONNECT_DEADLINE, connect).await {
            Ok(connected) => connected.map_err(|error| failed(&error)),
            Err(_) => Err(Level2Error::TimedOut),
        }
    }

    /// Whether it answers, and takes what it has missed.
    async fn catch_up(&self, mut line: Line) -> Result<Line, Level2Error> {
        let ping = [redis::cmd("PING")];
        let answer = self.send(&mut line, &ping, CONNECT_DEADLINE).await.0?.pop();
        if let Some(Err(refusal)) = answer {
            return Err(Level2Error::Failed(refusal.text));
        }
        self.write_missed(&mut line).await?;
        Ok(line)
    }

    async fn write_missed(&self, line: &mut Line) -> Result<(), Level2Error> {
        while let Some(writes) = self.missed.some() {
            let commands: Vec<Cmd> = writes.iter().map(script::whole).collect();
            let answers = self.send(line, &commands, CONNECT_DEADLINE).await.0?;
            if let Some(refusal) = answers.into_iter().find_map(Result::err) {
                return Err(Level2Error::Failed(refusal.text));
            }
            self.missed.written(&writes);
        }
        Ok(())
    }

    /// Whether no calls are made. They may fail although this says otherwise: only a call finds out.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.breaker.state() != BreakerState::Closed
    }

    /// The state of the circuit breaker.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state()
    }

    /// How long a call may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Level2Error> {
        self.one("ping", redis::cmd("PING")).await.map(|_| ())
    }

    /// Sends a command and waits for its answer, up to the deadline.
    pub(super) async fn one(&self, name: &'static str, command: Cmd) -> Result<Value, Level2Error> {
        let answer = self.call(name, &[command]).await?.pop();
        match answer {
            Some(Ok(value)) => Ok(value),
            Some(Err(refusal)) => {
                metrics::counter!("hoplog_shared_cache_errors_total", "call" => name).increment(1);
                Err(Level2Error::Failed(refusal.text))
            }
            None => Err(Level2Error::Failed("no answer".into())),
        }
    }

    /// Sends some commands and waits for their answers, up to the deadline.
    pub(super) async fn call(
        &self,
        name: &'static str,
        commands: &[Cmd],
    ) -> Result<Vec<Reply>, Level2Error> {
        let started = Instant::now();
        let permit = self.breaker.permit().ok_or(Level2Error::Away)?;
        let line = self.line.load_full().ok_or(Level2Error::Away)?;
        let mut line = Line::clone(&line);
        let (answers, outcome) = self.send(&mut line, commands, self.deadline).await;
        permit.settle(outcome);
        if self.is_away() {
            self.opened.notify_one();
        }
        metrics::histogram!("hoplog_shared_cache_seconds", "call" => name)
            .record(started.elapsed());
        if answers.is_err() {
            metrics::counter!("hoplog_shared_cache_errors_total", "call" => name).increment(1);
        }
        answers
    }

    /// What came of it, for the caller and for the breaker. A time-out counts, and so does a refusal
    /// that all others would get as well.
    async fn send(
        &self,
        line: &mut Line,
        commands: &[Cmd],
        deadline: Duration,
    ) -> (Result<Vec<Reply>, Level2Error>, Outcome) {
        match tokio::time::timeout(deadline, line.send(commands)).await {
            Ok(Ok(answers)) => {
                let refusals = || answers.iter().filter_map(|answer| answer.as_ref().err());
                let outcome = if refusals().any(Refusal::is_of_a_replica) {
                    // The primary before: its address may lead to the new one.
                    Outcome::Lost
                } else if refusals().any(Refusal::is_of_all) {
                    Outcome::Failed
                } else {
                    Outcome::Answered
                };
                (Ok(answers), outcome)
            }
            Ok(Err(error)) => {
                let lost = error.is_io_error() || error.is_unrecoverable_error();
                let outcome = if lost { Outcome::Lost } else { Outcome::Failed };
                (Err(failed(&error)), outcome)
            }
            Err(_) => (Err(Level2Error::TimedOut), Outcome::Failed),
        }
    }

    fn measure(&self) {
        let state = self.breaker.state();
        metrics::gauge!("hoplog_shared_cache_breaker").set(f64::from(state as u8));
        let up = if state == BreakerState::Closed { 1.0 } else { 0.0 };
        metrics::gauge!("hoplog_shared_cache_up").set(up);
    }
}

fn failed(error: &RedisError) -> Level2Error {
    Level2Error::Failed(error.to_string())
}
