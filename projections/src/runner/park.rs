//! What becomes of an event that can't be handled: found, parked, tried again, passed over.

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::{ReadLimit, Seen};
use hoplog_events::position::{Position, Sequence};

use super::{Applier, BATCH, Batch, WorkerError};
use crate::checkpoint::Checkpoint;
use crate::parking::{self, Aside, PARKED_MAX, Unhandled};
use crate::table_set::active_set;

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

/// What is done with the event that a sequence waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// It is tried again.
    Try,
    /// It is passed over for good; only if it is this one, if one is named.
    PassOver(Option<Sequence>),
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
        let mut transaction = self.begin(from, to).await?;
        let (ordered, reason) = (self.projection.keeps_order(), error.to_string());
        let event = std::slice::from_ref(event);
        parking::park(&mut transaction, &from, event, ordered, Some(&reason)).await?;
        transaction.commit().await?;
        let (stream, position) = (event[0].stream.key(), event[0].position);
        tracing::error!(projection = name, stream, %position, %error, "an event is parked");
        metrics::counter!("hoplog_projection_parked_total", "projection" => name).increment(1);
        Ok(to)
    }

    /// Tries a parked sequence again, as it is or without the event that it waits for.
    pub(crate) async fn retry(&self, sequence: &str, first: First) -> Result<Retried, WorkerError> {
        let (mut applied, mut first, mut known) = (0, first, false);
        for _ in 0..ATTEMPTS_MAX {
            let Some((from, events)) = self.waiting(sequence).await? else {
                if !known {
                    return Err(WorkerError::NotParked(sequence.to_owned()));
                }
                return Ok(Retried { sequence_of: sequence.to_owned(), applied, error: None });
            };
            if let First::PassOver(Some(expected)) = first
                && events.first() != Some(&expected)
            {
                return Err(WorkerError::NotParked(sequence.to_owned()));
            }
            known = true;
            let done = match first {
                First::Try => self.release_some(from, sequence, &events).await,
                First::PassOver(_) => self.pass_first_over(from, sequence, &events).await,
            };
            match done {
                Ok((count, None)) => {
                    applied += count;
                    // The same event may be parked in several partitions.
                    if self.projection.keeps_order() {
                        first = First::Try;
                    }
                }
                Ok((count, Some(error))) => {
                    let (sequence_of, applied) = (sequence.to_owned(), applied + count);
                    return Ok(Retried { sequence_of, applied, error: Some(error) });
                }
                // The projection moved on in between.
                Err(WorkerError::CheckpointLost(_) | WorkerError::ParkingChanged(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(WorkerError::Overtaken(self.projection.name()))
    }

    /// The events of a sequence that wait in one partition, and its checkpoint; `None`: there are
    /// none. The checkpoint is read first: it then tells whether the events still wait.
    async fn waiting(
        &self,
        sequence: &str,
    ) -> Result<Option<(Checkpoint, Vec<Sequence>)>, WorkerError> {
        let (projection, ours) = (self.projection.name(), self.projection.version());
        let (set, version) = active_set(&self.database, projection).await?;
        if let Some(theirs) = version.filter(|theirs| *theirs != ours) {
            return Err(WorkerError::OtherVersion { projection, theirs, ours });
        }
        let checkpoints = self.checkpoints_of(set).await?;
        let limit = u32::try_from(BATCH.events_max).unwrap_or(u32::MAX);
        let rows = parking::events_of(&self.database, set, sequence, limit).await?;
        let Some((partition, _)) = rows.first().copied() else { return Ok(None) };
        let from = checkpoints.into_iter().nth(partition as usize);
        let from = from.ok_or_else(|| WorkerError::CheckpointLost(projection.to_owned()))?;
        let events = rows.into_iter().filter(|(number, _)| *number == partition);
        Ok(Some((from, events.map(|(_, event)| event).collect())))
    }

    async fn pass_first_over(
        &self,
        from: Checkpoint,
        sequence: &str,
        events: &[Sequence],
    ) -> Result<(u64, Option<String>), WorkerError> {
        let first = events.first().copied().unwrap_or_default();
        let mut transaction = self.begin(from, from.with_other_parking()).await?;
        parking::skip(&mut transaction, &from, sequence, first).await?;
        transaction.commit().await?;
        Ok((0, None))
    }

    /// Folds as many of the events that wait as can be handled, the first ones; what is told
    /// is why the next one can't be.
    async fn release_some(
        &self,
        from: Checkpoint,
        sequence: &str,
        events: &[Sequence],
    ) -> Result<(u64, Option<String>), WorkerError> {
        let mut count = events.len();
        loop {
            match self.release(from, sequence, &events[..count]).await {
                Ok(()) => return Ok((count as u64, None)),
                Err(error) if error.is_about_an_event() && count > 1 => count /= 2,
                Err(error) if error.is_about_an_event() => {
                    let (first, error) = (events[0], error.to_string());
                    parking::note_attempt(&self.database, &from, sequence, first, &error).await?;
                    return Ok((0, Some(error)));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Folds events that waited into the rows, which are further on already for other sequences.
    async fn release(
        &self,
        from: Checkpoint,
        sequence: &str,
        events: &[Sequence],
    ) -> Result<(), WorkerError> {
        let last = events.last().copied().unwrap_or_default();
        let batch = Batch::from(self.read_each(events).await?);
        let changes = self.fold(batch, from.share).await?;
        let told = self.changed_links(from.set, changes.as_ref());
        let to = from.with_other_parking();
        let mut transaction = self.begin(from, to).await?;
        let released = parking::release(&mut transaction, &from, sequence, last).await?;
        if released != events.len() as u64 {
            return Err(WorkerError::ParkingChanged(from.set.projection.to_owned()));
        }
        changes.write(&mut transaction, from.set).await?;
        transaction.commit().await?;
        Self::tell(told, to);
        Ok(())
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
