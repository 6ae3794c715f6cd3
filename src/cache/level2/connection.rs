//! The calls of this process to Redis, and the task that keeps the connection. Before the breaker closes,
//! what could not be written meanwhile is.

use std::fmt;
use std::time::{Duration, Instant};

use futures::FutureExt;
use redis::{Cmd, RedisError, Value};

use super::missed::{KEYS_PER_CALL, Missed, MissedWrite};
use super::{Level2Error, refused, script};
use crate::redis_connection::{
    BreakerState, CONNECT_DEADLINE, Connection, Line, Outcome, PAUSE, RedisAddress, Reply,
    outcome_of, outcome_of_error,
};

/// How long after Redis has refused what it missed before it is sent that again, at most.
const REFUSED_PAUSE_MAX: Duration = Duration::from_secs(30);

/// What part of the deadline a call may take before it counts as slow: readers have gone on by then.
const SLOW_AFTER: f64 = 0.4;

/// A probe asks for all that is needed: whoever may not run a script can write nothing.
const PROBE_SCRIPT: &str = "return 1";

/// Nothing stands here.
const PROBE_KEY: &str = "hoplog:probe";

/// The second level. Share it in an `Arc`, and give it a task that runs
/// [`keep_connected`](Level2::keep_connected): without it, it is away.
pub struct Level2 {
    /// How long a call may take, whatever it asks.
    deadline: Duration,
    connection: Connection,
    pub(super) missed: Missed,
}

impl fmt::Debug for Level2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Level2").field("breaker", &self.connection.state()).finish_non_exhaustive()
    }
}

impl Level2 {
    /// The Redis at this address; no call takes longer than `deadline`. Nothing is sent before the
    /// task runs.
    #[must_use]
    pub fn new(address: RedisAddress, deadline: Duration) -> Self {
        Self { deadline, connection: Connection::new(address), missed: Missed::default() }
    }

    /// Connects, and connects again whenever the breaker has opened, for as long as it is polled.
    pub async fn keep_connected(&self) {
        let mut told = false;
        loop {
            match self.connection.come_back(|line| self.find(line).boxed()).await {
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
            self.connection.let_go();
            self.measure();
            self.connection.rest().await;
        }
    }

    /// Meanwhile single writes may fail or be refused: they are repeated, ever more slowly.
    async fn until_open(&self) {
        let mut pause = PAUSE;
        while !self.is_away() {
            self.connection.opened(pause).await;
            self.measure();
            let Some(mut line) = self.connection.line().filter(|_| !self.missed.is_empty()) else {
                continue;
            };
            match self.write_missed(&mut line).await {
                Ok(0) => pause = PAUSE,
                Ok(refused) => {
                    pause = (2 * pause).min(REFUSED_PAUSE_MAX);
                    tracing::debug!(refused, "the shared cache refuses what it has missed");
                }
                Err(error) => {
                    tracing::debug!(%error, "the shared cache does not take what it has missed");
                }
            }
        }
    }

    /// A line that answers, and takes what it has missed.
    async fn find(&self, line: Option<Line>) -> Result<Line, Level2Error> {
        self.measure();
        let line = if let Some(line) = line {
            line
        } else {
            let connected = self.connection.connect().await.ok_or(Level2Error::TimedOut)?;
            connected.map_err(|error| failed(&error))?
        };
        self.catch_up(line).await
    }

    /// Whether it answers, soon enough and all that is asked, and takes what it has missed.
    async fn catch_up(&self, mut line: Line) -> Result<Line, Level2Error> {
        let (mut script, mut get) = (redis::cmd("EVAL"), redis::cmd("GET"));
        script.arg(PROBE_SCRIPT).arg(0);
        get.arg(PROBE_KEY);
        let probes = [redis::cmd("PING"), script, get];
        let (answers, outcome) = self.send(&mut line, &probes, CONNECT_DEADLINE).await;
        let refusal = answers?.into_iter().find_map(Result::err);
        match (outcome, refusal) {
            (Outcome::Answered, _) => {}
            (Outcome::Slow, _) => return Err(Level2Error::TimedOut),
            (_, refusal) => {
                let text = refusal.map_or_else(|| "no answer".to_owned(), |refusal| refusal.text);
                return Err(Level2Error::Failed(text));
            }
        }
        self.write_missed(&mut line).await?;
        Ok(line)
    }

    /// Each write is settled by its own answer: one that is refused keeps no other back, and counts as
    /// missed until it is taken. Returns how many were refused.
    async fn write_missed(&self, line: &mut Line) -> Result<usize, Level2Error> {
        let mut refused = 0;
        for keys in self.missed.keys(Instant::now()).chunks(KEYS_PER_CALL) {
            let writes = self.missed.of(keys);
            let commands: Vec<Cmd> = writes.iter().map(script::whole).collect();
            let (answers, _) = self.send(line, &commands, CONNECT_DEADLINE).await;
            for (write, answer) in writes.iter().zip(answers?) {
                match answer {
                    Ok(_) => self.missed.written(write),
                    Err(refusal) if refusal.is_of_all() || refusal.is_of_a_replica() => {
                        return Err(Level2Error::Failed(refusal.text));
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        Ok(refused)
    }

    /// A write that must not be lost was taken, or has to be repeated.
    pub(super) fn settle(&self, write: MissedWrite, is_taken: bool) {
        if is_taken {
            self.missed.written(&write);
        } else {
            self.missed.keep(vec![write], Instant::now());
        }
    }

    /// Whether no calls are made. They may fail although this says otherwise: only a call finds out.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.connection.is_away()
    }

    /// The state of the circuit breaker.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.connection.state()
    }

    /// How many keys are still to be written there, as it has missed them.
    #[must_use]
    pub fn missed(&self) -> usize {
        self.missed.keys(Instant::now()).len()
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
                refused(name, 1);
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
        let permit = self.connection.permit().ok_or(Level2Error::Away)?;
        let mut line = self.connection.line().ok_or(Level2Error::Away)?;
        let (answers, outcome) = self.send(&mut line, commands, self.deadline).await;
        // Nobody's redirect waits for anything else, which may come from threads that are idle's.
        let may_be_slow = outcome == Outcome::Slow && !["get", "ping"].contains(&name);
        self.connection.settle(permit, if may_be_slow { Outcome::Answered } else { outcome });
        metrics::histogram!("hoplog_shared_cache_seconds", "call" => name)
            .record(started.elapsed());
        if answers.is_err() {
            metrics::counter!("hoplog_shared_cache_errors_total", "call" => name).increment(1);
        }
        answers
    }

    /// What came of it, for the caller and for the breaker. A time-out counts, and so does a refusal
    /// that all others would get as well, and an answer that readers did not wait for.
    async fn send(
        &self,
        line: &mut Line,
        commands: &[Cmd],
        deadline: Duration,
    ) -> (Result<Vec<Reply>, Level2Error>, Outcome) {
        let started = Instant::now();
        match tokio::time::timeout(deadline, line.send(commands)).await {
            Ok(Ok(answers)) => {
                let outcome = match outcome_of(&answers) {
                    Outcome::Answered if started.elapsed() > self.deadline.mul_f64(SLOW_AFTER) => {
                        Outcome::Slow
                    }
                    outcome => outcome,
                };
                (Ok(answers), outcome)
            }
            Ok(Err(error)) => (Err(failed(&error)), outcome_of_error(&error)),
            Err(_) => (Err(Level2Error::TimedOut), Outcome::Failed),
        }
    }

    fn measure(&self) {
        let state = self.connection.state();
        metrics::gauge!("hoplog_shared_cache_breaker").set(f64::from(state as u8));
        let up = if state == BreakerState::Closed { 1.0 } else { 0.0 };
        metrics::gauge!("hoplog_shared_cache_up").set(up);
        let missed = u32::try_from(self.missed()).unwrap_or(u32::MAX);
        metrics::gauge!("hoplog_shared_cache_missed").set(f64::from(missed));
    }
}

fn failed(error: &RedisError) -> Level2Error {
    Level2Error::Failed(error.to_string())
}
