//! The part of a worker that follows the log.

use std::convert::Infallible;
use std::time::Instant;

use hoplog_events::envelope::RecordedEvent;
use tokio::sync::{Notify, watch};

use super::{Applier, BATCH, Backoff, LINGER, LINGER_MAX, Progress, State, WorkerError};
use crate::checkpoint::Checkpoint;

/// Follows the log, or whoever does.
pub(crate) struct Follower<'a> {
    pub(super) applier: &'a Applier,
    pub(super) progress: &'a watch::Sender<Progress>,
    /// Somebody waits for a position.
    pub(super) hurry: &'a Notify,
}

impl Follower<'_> {
    /// Follows the log for ever; the error is one that trying again does not mend.
    pub(super) async fn follow_and_retry(&self) -> WorkerError {
        let mut backoff = Backoff::default();
        loop {
            let error = self.take_part(&mut backoff).await;
            let projection = self.applier.projection.name();
            if self.applier.part.takes_turns() && error.ends_a_turn() {
                tracing::info!(projection, reason = %error, "the turn is over");
                continue;
            }
            if !error.is_transient() {
                return error;
            }
            tracing::warn!(projection, %error, "the projection tries again");
            self.progress.send_modify(|progress| progress.last_error = Some(error.to_string()));
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// Applies what comes until something fails.
    pub(super) async fn follow(&self, backoff: &mut Backoff) -> WorkerError {
        match self.try_follow(backoff).await {
            Err(error) => error,
        }
    }

    async fn try_follow(&self, backoff: &mut Backoff) -> Result<Infallible, WorkerError> {
        // Read anew each time: a commit whose answer was lost may have moved it.
        let mut checkpoint = self.applier.checkpoint().await?;
        let topic = self.applier.projection.topic();
        let head = self.applier.log.head(topic).await?.sequence;
        let mut events = self.applier.log.subscribe(topic, checkpoint.sequence, BATCH).await?;
        self.progress.send_modify(|progress| progress.sequence = checkpoint.sequence);
        loop {
            if checkpoint.sequence >= head {
                self.enter(State::Live);
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

    pub(super) fn enter(&self, state: State) {
        self.progress
            .send_if_modified(|progress| std::mem::replace(&mut progress.state, state) != state);
    }

    async fn apply(
        &self,
        checkpoint: Checkpoint,
        batch: Vec<RecordedEvent>,
    ) -> Result<Checkpoint, WorkerError> {
        let started = Instant::now();
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
