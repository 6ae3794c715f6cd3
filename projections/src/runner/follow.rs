//! The part of a worker that follows the log, for one partition.

use std::convert::Infallible;
use std::time::Instant;

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::ReadError;
use hoplog_events::position::Sequence;
use tokio::sync::watch;

use super::{Applier, BATCH, Backoff, Batch, LINGER, LINGER_MAX, Progress, State, WorkerError};
use crate::checkpoint::Checkpoint;
use crate::parking::{self, Aside, Unhandled};

/// Follows the log, or whoever does.
#[derive(Clone, Copy)]
pub(crate) struct Follower<'a> {
    pub(super) applier: &'a Applier,
    pub(super) progress: &'a watch::Sender<Progress>,
    /// Told when somebody waits for a position.
    pub(super) hurry: &'a watch::Receiver<()>,
}

impl Follower<'_> {
    /// Does this process's part for ever; the error is one that trying again does not mend.
    pub(super) async fn follow_and_retry(&self) -> WorkerError {
        let backoff = Backoff::default();
        loop {
            let error = self.take_part(&backoff).await;
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

    /// Applies what comes to a partition until something fails.
    pub(super) async fn follow(self, number: u32, backoff: &Backoff) -> WorkerError {
        match self.try_follow(number, backoff).await {
            Err(error) => error,
        }
    }

    async fn try_follow(&self, number: u32, backoff: &Backoff) -> Result<Infallible, WorkerError> {
        self.enter(number, State::CatchingUp);
        // Read anew each time: a commit whose answer was lost may have moved it.
        let mut checkpoint = self.applier.checkpoint(number).await?;
        let mut aside = Aside::load(&self.applier.database, &checkpoint, Unhandled::Park).await?;
        let topic = self.applier.projection.topic();
        let head = self.applier.log.head(topic).await?.sequence;
        let mut events = self.applier.log.subscribe(topic, checkpoint.sequence, BATCH).await?;
        self.applier.confirm_all().await?;
        self.progress.send_modify(|progress| progress.advance(number, checkpoint.sequence));
        let mut hurry = self.hurry();
        loop {
            if checkpoint.sequence >= head {
                self.enter(number, State::Live);
            }
            let batch = match events.next().await {
                Err(ReadError::Trimmed { from, to }) => {
                    checkpoint = self.pass_over(number, checkpoint, from, to).await?;
                    continue;
                }
                batch => batch?,
            };
            let full = is_full(&batch);
            let started = Instant::now();
            checkpoint = self.apply(number, checkpoint, batch, &mut aside).await?;
            backoff.reset();
            if !full {
                linger(started, &mut hurry).await;
            }
        }
    }

    fn enter(&self, number: u32, state: State) {
        self.progress.send_if_modified(|progress| progress.enter(number, state));
    }

    /// Hears of whoever waits for a position from now on.
    pub(super) fn hurry(&self) -> watch::Receiver<()> {
        let mut hurry = self.hurry.clone();
        hurry.mark_unchanged();
        hurry
    }

    /// Goes on without events that got too old to be kept while nobody applied them: the tables
    /// will never have them, and everybody has to hear of it.
    async fn pass_over(
        &self,
        number: u32,
        checkpoint: Checkpoint,
        from: Sequence,
        to: Sequence,
    ) -> Result<Checkpoint, WorkerError> {
        let checkpoint = self.applier.pass_over(checkpoint, to).await?;
        let (projection, count) = (self.applier.projection.name(), to.0 + 1 - from.0);
        tracing::error!(projection, %from, %to, "events are gone that were not applied yet");
        metrics::counter!("hoplog_projection_trimmed_events_total", "projection" => projection)
            .increment(count);
        self.progress.send_modify(|progress| {
            progress.advance(number, checkpoint.sequence);
            progress.trimmed_events += count;
        });
        Ok(checkpoint)
    }

    async fn apply(
        &self,
        number: u32,
        checkpoint: Checkpoint,
        batch: Vec<RecordedEvent>,
        aside: &mut Aside,
    ) -> Result<Checkpoint, WorkerError> {
        let started = Instant::now();
        let (events, parking) = (batch.len() as u64, checkpoint.parking);
        let batch = Batch::from(batch);
        let held = self.applier.last_stretch.read().await;
        let (checkpoint, facts) =
            self.applier.apply_or_set_aside(checkpoint, &batch, aside).await?;
        drop(held);
        if checkpoint.parking != parking || !aside.is_empty() {
            self.count_parked().await?;
        }
        let name = self.applier.projection.name();
        metrics::counter!("hoplog_projection_events_total", "projection" => name).increment(events);
        metrics::counter!("hoplog_projection_facts_total", "projection" => name).increment(facts);
        metrics::histogram!("hoplog_projection_batch_seconds", "projection" => name)
            .record(started.elapsed());
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let rate = facts as f64 / started.elapsed().as_secs_f64().max(LINGER.as_secs_f64());
        self.progress.send_modify(|progress| {
            progress.advance(number, checkpoint.sequence);
            progress.went_at(number, rate);
            progress.last_error = None;
        });
        Ok(checkpoint)
    }
}

impl Follower<'_> {
    async fn count_parked(&self) -> Result<(), WorkerError> {
        let parked = parking::count(&self.applier.database, self.applier.active()).await?;
        self.progress.send_modify(|progress| progress.parked = parked);
        Ok(())
    }
}

/// Lets events gather for three times as long as the last batch took, unless somebody waits for
/// them.
async fn linger(since: Instant, hurry: &mut watch::Receiver<()>) {
    let rest = (since.elapsed() * 3).clamp(LINGER, LINGER_MAX);
    // Both outcomes are fine: the time is over, or somebody is in a hurry.
    let _ = tokio::time::timeout(rest, hurry.changed()).await;
}

/// Whether there is probably more where this came from.
fn is_full(batch: &[RecordedEvent]) -> bool {
    let bytes: usize = batch.iter().map(|event| event.body.len()).sum();
    batch.len() >= BATCH.events_max || bytes >= BATCH.bytes_max / 8 * 7
}
