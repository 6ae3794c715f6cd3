//! What a build reads and folds ahead of what it writes.

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::{ReadError, ReadLimit, Seen};
use hoplog_events::position::Sequence;

use super::reads::Begin;
use super::{Builder, Course};
use crate::checkpoint::Checkpoint;
use crate::projection::Changes;
use crate::runner::{BATCH, Batch, WorkerError};

/// How much is folded first, in bytes of events: until that is done there is nothing to be written.
const FIRST_BYTES: usize = 4 * 1024 * 1024;

impl Builder {
    /// What is read and folded while something else is written: one batch, or as many as are written at once.
    pub(super) async fn gather(
        &self,
        from: Checkpoint,
        up_to: Sequence,
        course: &Course,
    ) -> Result<Read, WorkerError> {
        let mut folded = match self.read_ahead(from, up_to, course).await? {
            Read::Batch(folded) => folded,
            other => return Ok(other),
        };
        while let Some(earlier) = folded.changes.take_if(|changes| {
            course.joins
                && course.reading.is_some()
                && folded.waiting.is_empty()
                && changes.has_room()
        }) {
            match self.read_ahead(from.at(folded.last), up_to, course).await {
                Ok(Read::Batch(Folded { last, changes: Some(later), waiting, .. }))
                    if waiting.is_empty() =>
                {
                    let changes = Some(self.applier.join(earlier, later).await?);
                    folded = Folded { last, changes, batch: None, ..folded };
                }
                // What goes wrong behind it is met again, and so is what has to be written by itself.
                _ => {
                    folded.changes = Some(earlier);
                    break;
                }
            }
        }
        Ok(Read::Batch(folded))
    }

    /// Reads and folds what follows a place.
    pub(super) async fn read_ahead(
        &self,
        from: Checkpoint,
        up_to: Sequence,
        course: &Course,
    ) -> Result<Read, WorkerError> {
        let after = from.sequence;
        if after >= up_to {
            return Ok(Read::Nothing);
        }
        let is_first = after == course.begun_at;
        let bytes_max = if is_first { FIRST_BYTES } else { usize::MAX };
        let bytes_wanted = self.applier.projection.build_batch_bytes().min(bytes_max);
        let begin = Begin { topic: from.topic, after, bytes_wanted };
        let read = self.read(begin);
        let batch = match &course.reading {
            Some(reading) => reading.batch(begin, read).await,
            None => read.await.map(Batch::from),
        };
        let batch = match batch {
            Err(WorkerError::Log(ReadError::Trimmed { to, .. })) => {
                return Ok(Read::Gone(to.min(up_to)));
            }
            batch => batch?,
        };
        if batch.events().is_empty() {
            return Ok(Read::Nothing);
        }
        let batch = batch.up_to(up_to);
        let Some(last) = batch.events().last().map(Seen::from) else { return Ok(Read::Beyond) };
        let (due, waiting) =
            batch.part(&course.aside, from.share, self.applier.projection.as_ref());
        let changes = match self.applier.fold(due, from.share).await {
            Err(error) if error.is_about_an_event() => None,
            changes => Some(changes?),
        };
        Ok(Read::Batch(Folded { after, batch: Some(batch), last, changes, waiting }))
    }

    /// As many events as are folded at once.
    async fn read(&self, from: Begin) -> Result<Vec<RecordedEvent>, WorkerError> {
        let (mut events, mut after, mut bytes) = (Vec::new(), from.after, 0);
        let bytes_max = from.bytes_wanted.min(BATCH.bytes_max);
        while bytes < from.bytes_wanted {
            let limit = ReadLimit { bytes_max, ..BATCH };
            let more = self.applier.log.read_all(from.topic, after, limit).await?;
            let Some(last) = more.last() else { break };
            after = last.position.sequence;
            bytes += more.iter().map(|event| event.body.len()).sum::<usize>();
            events.extend(more);
        }
        Ok(events)
    }
}

/// What was read and folded.
pub(super) struct Folded {
    /// After which event it begins.
    pub(super) after: Sequence,
    /// `None`: it was more than one, and the events are no longer in memory.
    pub(super) batch: Option<Batch>,
    pub(super) last: Seen,
    /// `None`: there is an event in it that can't be handled.
    pub(super) changes: Option<Box<dyn Changes>>,
    /// What has to wait for events that are set aside.
    pub(super) waiting: Vec<RecordedEvent>,
}

/// What the log gives.
pub(super) enum Read {
    Batch(Folded),
    /// No more yet.
    Nothing,
    /// Events up to this one are gone.
    Gone(Sequence),
    /// The next one is beyond what is wanted.
    Beyond,
}
