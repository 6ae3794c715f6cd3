//! The task of one projection.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use hoplog_events::envelope::RecordedEvent;
use serde::Deserialize;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::{Applier, BATCH, Backoff, LINGER, LINGER_MAX, Progress, State, WorkerError};
use crate::checkpoint::Checkpoint;
use crate::rebuild::{RebuildReport, VerifyReport};

/// What an operator asks of a projection, and where the answer goes.
#[derive(Debug)]
pub(crate) enum Command {
    Pause(oneshot::Sender<()>),
    Resume(oneshot::Sender<()>),
    Rebuild(oneshot::Sender<Result<RebuildReport, WorkerError>>),
    Verify(oneshot::Sender<Result<VerifyReport, WorkerError>>),
}

/// Follows the log for one projection. Ends when nobody can send it commands any more.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) applier: Applier,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Somebody waits for a position: don't linger.
    pub(crate) hurry: Arc<Notify>,
}

impl Worker {
    pub(crate) async fn run(mut self) {
        self.enter(State::CatchingUp);
        while let Some(command) = self.next_command().await {
            self.obey(command).await;
        }
    }

    /// Follows the log, if it may, until there is a command; `None`: stop. What is cut off is a
    /// transaction, which then changed nothing.
    async fn next_command(&mut self) -> Option<Command> {
        if matches!(self.state(), State::Paused | State::Failed) {
            return self.commands.recv().await;
        }
        let Self { applier, progress, commands, hurry } = self;
        let follower = Follower { applier, progress, hurry };
        tokio::select! {
            biased;
            command = commands.recv() => return command,
            error = follower.follow_and_retry() => self.fail(&error),
        }
        self.commands.recv().await
    }

    async fn obey(&mut self, command: Command) {
        // An answer that nobody waits for any more is no loss.
        match command {
            Command::Pause(answer) => {
                self.enter(State::Paused);
                let _ = answer.send(());
            }
            Command::Resume(answer) => {
                self.enter(State::CatchingUp);
                let _ = answer.send(());
            }
            Command::Rebuild(answer) => {
                let before = self.state();
                self.enter(State::Rebuilding);
                let outcome = self.rebuild().await;
                // New tables are a new start, unless an operator had stopped the projection.
                let rebuilt = outcome.is_ok() && before == State::Failed;
                self.enter(if rebuilt { State::CatchingUp } else { before });
                let _ = answer.send(outcome);
            }
            Command::Verify(answer) => {
                let before = self.state();
                self.enter(State::Verifying);
                let outcome = self.verify().await;
                self.enter(before);
                let _ = answer.send(outcome);
            }
        }
    }

    fn state(&self) -> State {
        self.progress.borrow().state
    }

    fn enter(&self, state: State) {
        self.progress.send_modify(|progress| progress.state = state);
    }

    fn fail(&self, error: &WorkerError) {
        let projection = self.applier.projection.name();
        tracing::error!(projection, %error, "the projection can't go on");
        self.progress.send_modify(|progress| {
            progress.state = State::Failed;
            progress.last_error = Some(error.to_string());
        });
    }
}

/// The part of a worker that follows the log.
struct Follower<'a> {
    applier: &'a Applier,
    progress: &'a watch::Sender<Progress>,
    hurry: &'a Notify,
}

impl Follower<'_> {
    /// Follows the log for ever; the error is one that trying again does not mend.
    async fn follow_and_retry(&self) -> WorkerError {
        let mut backoff = Backoff::default();
        loop {
            let Err(error) = self.follow(&mut backoff).await;
            if !error.is_transient() {
                return error;
            }
            let projection = self.applier.projection.name();
            tracing::warn!(projection, %error, "the projection tries again");
            self.progress.send_modify(|progress| progress.last_error = Some(error.to_string()));
            tokio::time::sleep(backoff.next()).await;
        }
    }

    async fn follow(&self, backoff: &mut Backoff) -> Result<Infallible, WorkerError> {
        // Read anew each time: a commit whose answer was lost may have moved it.
        let mut checkpoint = self.applier.checkpoint().await?;
        let topic = self.applier.projection.topic();
        let head = self.applier.log.head(topic).await?.sequence;
        let mut events = self.applier.log.subscribe(topic, checkpoint.sequence, BATCH).await?;
        self.progress.send_modify(|progress| progress.sequence = checkpoint.sequence);
        loop {
            if checkpoint.sequence >= head {
                self.progress.send_if_modified(|progress| {
                    std::mem::replace(&mut progress.state, State::Live) != State::Live
                });
            }
            let batch = events.next().await?;
            let full = is_full(&batch);
            let started = Instant::now();
            checkpoint = self.apply(checkpoint, batch).await?;
            backoff.reset();
            if !full {
                self.linger(started).await;
            }
        }
    }

    async fn apply(
        &self,
        checkpoint: Checkpoint,
        batch: Vec<RecordedEvent>,
    ) -> Result<Checkpoint, WorkerError> {
        let started = Instant::now();
        let recorded_at = batch.last().and_then(recorded_time);
        let events = batch.len() as u64;
        let (checkpoint, facts) = self.applier.apply(checkpoint, batch).await?;
        let name = self.applier.projection.name();
        metrics::counter!("hoplog_projection_events_total", "projection" => name).increment(events);
        metrics::counter!("hoplog_projection_facts_total", "projection" => name).increment(facts);
        metrics::histogram!("hoplog_projection_batch_seconds", "projection" => name)
            .record(started.elapsed());
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let rate = facts as f64 / started.elapsed().as_secs_f64().max(LINGER.as_secs_f64());
        self.progress.send_modify(|progress| {
            progress.sequence = checkpoint.sequence;
            progress.recorded_at = recorded_at.or(progress.recorded_at);
            progress.last_error = None;
            progress.rate = Some((rate, Instant::now()));
        });
        Ok(checkpoint)
    }

    /// Lets events gather for three times as long as the last batch took, unless somebody waits
    /// for them.
    async fn linger(&self, since: Instant) {
        let rest = (since.elapsed() * 3).clamp(LINGER, LINGER_MAX);
        // Both outcomes are fine: the time is over, or somebody is in a hurry.
        let _ = tokio::time::timeout(rest, self.hurry.notified()).await;
    }
}

/// Whether there is probably more where this came from.
fn is_full(batch: &[RecordedEvent]) -> bool {
    let bytes: usize = batch.iter().map(|event| event.body.len()).sum();
    batch.len() >= BATCH.events_max || bytes >= BATCH.bytes_max / 8 * 7
}

/// When an event was written down, without reading its data.
fn recorded_time(event: &RecordedEvent) -> Option<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Recorded {
        recordedtime: DateTime<Utc>,
    }
    serde_json::from_slice::<Recorded>(&event.body).ok().map(|recorded| recorded.recordedtime)
}
