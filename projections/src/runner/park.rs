//! What becomes of an event that can't be handled: found, parked, tried again, passed over.

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::{ReadLimit, Seen};
use hoplog_events::position::{Position, Sequence};

use super::{Applier, BATCH, Batch, WorkerError};
use crate::checkpoint::Checkpoint;
use crate::parking::{self, Aside, PARKED_MAX, Unhandled};

/// How often parked events are tried again because the projection moved on meanwhile.
const ATTEMPTS_MAX: u32 = 100;

/// One event.
const ONE: ReadLimit = ReadLimit { events_max: 1, bytes_max: 1 };

/// What became of a parked sequence that was tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retried {
    /// Its name.
    pub sequence_of: String,
    /// How many of its events are accounted for now.
    pub applied: u64,
    /// Why the others are still parked.
    pub error: Option<String>,
}

impl Applier {
    /// Applies events; one that can't be handled is looked for and set aside, or is the error.
    pub(crate) async fn apply_or_set_aside(
        &self,
        from: Checkpoint,
        batch: &Batch,
        aside: &mut Aside,
    ) -> Result<(Checkpoint, u64), WorkerError> {
        let error = match self.apply(from, batch, aside).await {
            Err(error) if error.is_about_an_event() => error,
            other => return other,
        };
        let Some((first, second)) = batch.halves() else {
            let [event] = batch.events() else { return Err(error) };
            return self.set_aside(from, event, aside, &error).await.map(|to| (to, 0));
        };
        let (middle, before) = Box::pin(self.apply_or_set_aside(from, &first, aside)).await?;
        let (to, behind) = Box::pin(self.apply_or_set_aside(middle, &second, aside)).await?;
        Ok((to, before + behind))
    }

    async fn set_aside(
        &self,
        from: Checkpoint,
        event: &RecordedEvent,
        aside: &mut Aside,
        error: &WorkerError,
    ) -> Result<Checkpoint, WorkerError> {
        if aside.unhandled == Unhandled::Refuse {
            return Err(self.poison(event, error));
        }
        let to = if aside.unhandled == Unhandled::Park {
            self.park(from, event, error).await?
        } else {
            self.move_to(from, from.at(Seen::from(event))).await?
        };
        aside.add(parking::sequence_of(event, self.projection.keeps_order()));
        Ok(to)
    }

    fn poison(&self, event: &RecordedEvent, error: &WorkerError) -> WorkerError {
        WorkerError::Poison {
            projection: self.projection.name(),
            position: event.position,
            stream: event.stream.key().to_owned(),
            event_type: event.event_type.to_string(),
            reason: error.to_string(),
        }
    }

    /// Moves on over an event that is kept for later.
    async fn park(
        &self,
        from: Checkpoint,
        event: &RecordedEvent,
        error: &WorkerError,
    ) -> Result<Checkpoint, WorkerError> {
        let name = self.projection.name();
        if parking::count(&self.database, from.set).await? >= PARKED_MAX {
            return Err(WorkerError::TooManyParked(name));
        }
        let to = from.at(Seen::from(event)).with_other_parking();
        let mut transaction = self.database.begin().await?;
        if !from.advance(&mut transaction, to).await? {
            drop(transaction);
            return Err(self.lost(from).await);
        }
        let (ordered, reason) = (self.projection.keeps_order(), error.to_string());
        let event = std::slice::from_ref(event);
        parking::park(&mut transaction, &from, event, ordered, Some(&reason)).await?;
        transaction.commit().await?;
        let (stream, position) = (event[0].stream.key(), event[0].position);
        tracing::error!(projection = name, stream, %position, %error, "an event is parked");
        metrics::counter!("hoplog_projection_parked_total", "projection" => name).increment(1);
        Ok(to)
    }

    /// Tries a parked sequence again, without its first event if that is to be passed over.
    pub(crate) async fn retry(
        &self,
        sequence: &str,
        pass_over_first: bool,
    ) -> Result<Retried, WorkerError> {
        let mut applied = 0;
        let mut skip = pass_over_first;
        let mut known = false;
        for _ in 0..ATTEMPTS_MAX {
            let set = self.active();
            let limit = u32::try_from(BATCH.events_max).unwrap_or(u32::MAX);
            let rows = parking::events_of(&self.database, set, sequence, limit).await?;
            let Some((partition, _)) = rows.first().copied() else {
                if !known {
                    return Err(WorkerError::NotParked(sequence.to_owned()));
                }
                return Ok(Retried { sequence_of: sequence.to_owned(), applied, error: None });
            };
            known = true;
            let events = rows.into_iter().filter(|(number, _)| *number == partition);
            let events: Vec<Sequence> = events.map(|(_, event)| event).collect();
            let from = self.checkpoint(partition).await?;
            let done = if skip {
                self.pass_first_over(from, sequence, &events).await
            } else {
                self.release(from, sequence, &events).await
            };
            match done {
                Ok(count) => {
                    applied += count;
                    // The same event may be parked in several partitions.
                    skip = skip && !self.projection.keeps_order();
                }
                Err(error) if error.is_about_an_event() => {
                    let error = error.to_string();
                    let first = events.first().copied().unwrap_or_default();
                    parking::note_attempt(&self.database, &from, sequence, first, &error).await?;
                    let sequence_of = sequence.to_owned();
                    return Ok(Retried { sequence_of, applied, error: Some(error) });
                }
                // The projection moved on in between.
                Err(WorkerError::CheckpointLost(_) | WorkerError::ParkingChanged(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(WorkerError::Overtaken(self.projection.name()))
    }

    async fn pass_first_over(
        &self,
        from: Checkpoint,
        sequence: &str,
        events: &[Sequence],
    ) -> Result<u64, WorkerError> {
        let first = events.first().copied().unwrap_or_default();
        let mut transaction = self.database.begin().await?;
        if !from.advance(&mut transaction, from.with_other_parking()).await? {
            drop(transaction);
            return Err(self.lost(from).await);
        }
        parking::skip(&mut transaction, &from, sequence, first).await?;
        transaction.commit().await?;
        Ok(0)
    }

    /// Folds events that waited into the rows, which are further on already for other sequences.
    async fn release(
        &self,
        from: Checkpoint,
        sequence: &str,
        events: &[Sequence],
    ) -> Result<u64, WorkerError> {
        let last = events.last().copied().unwrap_or_default();
        let batch = Batch::from(self.read_each(events).await?);
        let changes = self.fold(batch, from.share).await?;
        let told = self.changed_links(from.set, changes.as_ref());
        let mut transaction = self.database.begin().await?;
        let to = from.with_other_parking();
        if !from.advance(&mut transaction, to).await? {
            drop(transaction);
            return Err(self.lost(from).await);
        }
        changes.write(&mut transaction, from.set).await?;
        parking::release(&mut transaction, &from, sequence, last).await?;
        transaction.commit().await?;
        Self::tell(told, to);
        Ok(events.len() as u64)
    }

    async fn read_each(&self, events: &[Sequence]) -> Result<Vec<RecordedEvent>, WorkerError> {
        let topic = self.projection.topic();
        let mut read = Vec::with_capacity(events.len());
        for sequence in events {
            let before = Sequence(sequence.0.saturating_sub(1));
            let found = self.log.read_all(topic, before, ONE).await?;
            let found = found.into_iter().find(|event| event.position.sequence == *sequence);
            let position = Position { log: self.log.id(), topic, sequence: *sequence };
            read.push(found.ok_or(WorkerError::Gone(position))?);
        }
        Ok(read)
    }
}
