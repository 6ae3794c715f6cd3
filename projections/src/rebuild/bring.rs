//! A set of tables brought from where it is to an event: while one batch is written, the next one
//! is read and folded.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::{ReadError, Seen};
use hoplog_events::position::Sequence;

use super::reads::Begin;
use super::{Builder, Course, RETRIES_MAX};
use crate::checkpoint::Checkpoint;
use crate::projection::Changes;
use crate::runner::{BATCH, Backoff, Batch, History, WorkerError};

/// How often a log that has not yet what its head promises is asked again, and the pause.
const LATE_MAX: u32 = 100;
const LATE_PAUSE: Duration = Duration::from_millis(10);

impl Builder {
    pub(super) async fn bring_all(
        &self,
        course: &mut Course,
        up_to: Sequence,
    ) -> Result<(), WorkerError> {
        for place in 0..course.checkpoints.len() {
            self.bring(course, place, up_to).await?;
        }
        course.reading = None;
        Ok(())
    }

    /// Applies what is between a checkpoint and a sequence. What may pass is tried again.
    pub(super) async fn bring(
        &self,
        course: &mut Course,
        place: usize,
        up_to: Sequence,
    ) -> Result<(), WorkerError> {
        let (backoff, mut failures, mut late) = (Backoff::default(), 0, 0);
        let mut ahead = None;
        while course.checkpoints[place].sequence < up_to {
            if self.stopping.load(Ordering::Relaxed) {
                return Err(WorkerError::Stopped);
            }
            match self.step(course, place, up_to, &mut ahead).await {
                Ok(true) => (failures, late) = (0, 0),
                Ok(false) if late == LATE_MAX => return Ok(()),
                Ok(false) => {
                    late += 1;
                    tokio::time::sleep(LATE_PAUSE).await;
                }
                Err(error) if error.is_transient() && failures < RETRIES_MAX => {
                    failures += 1;
                    tracing::warn!(%error, "a build tries again");
                    tokio::time::sleep(backoff.next()).await;
                    // A commit whose answer was lost may have moved it.
                    if let Ok(moved) = self.applier.reloaded(course.checkpoints[place]).await {
                        course.checkpoints[place] = moved;
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Applies one batch, and reads and folds the next one meanwhile. `false`: the log gives no
    /// more yet.
    async fn step(
        &self,
        course: &mut Course,
        place: usize,
        up_to: Sequence,
        ahead: &mut Option<Folded>,
    ) -> Result<bool, WorkerError> {
        let from = course.checkpoints[place];
        let after = from.sequence;
        let folded = match ahead.take().filter(|folded| folded.after == after) {
            Some(folded) => Read::Batch(folded),
            None => self.read_ahead(from, up_to, course).await?,
        };
        let to = match folded {
            Read::Nothing => return Ok(false),
            Read::Gone(to) if course.history == History::Whole => {
                let projection = self.applier.projection.name();
                return Err(WorkerError::Trimmed { projection, to });
            }
            Read::Gone(to) => {
                course.trimmed_events += to.0 - after.0;
                self.applier.pass_over(from, to).await?
            }
            Read::Beyond => self.applier.pass_over(from, up_to).await?,
            Read::Batch(folded) => {
                let (to, facts, next) = self.write(course, from, folded, up_to).await?;
                course.build.facts += facts;
                *ahead = next;
                to
            }
        };
        course.checkpoints[place] = to;
        course.note(up_to);
        self.tell(Some(course.build));
        Ok(true)
    }

    /// Writes a batch; what can't be handled in it is looked for if there is such a thing.
    async fn write(
        &self,
        course: &mut Course,
        from: Checkpoint,
        folded: Folded,
        up_to: Sequence,
    ) -> Result<(Checkpoint, u64, Option<Folded>), WorkerError> {
        let Folded { batch, last, changes, waiting, .. } = folded;
        let to = from.at(last);
        if let Some(changes) = changes {
            let aside = &course.aside;
            let write = self.applier.write(from, to, changes, aside, &waiting);
            let read = self.read_ahead(to, up_to, course);
            let (written, next, settled) =
                tokio::join!(write, read, self.applier.database.settle_bulk());
            if let Err(error) = settled {
                tracing::warn!(%error, "what a build has written is settled later");
            }
            match written {
                Err(error) if error.is_about_an_event() => {}
                written => {
                    let (to, facts) = written?;
                    // What went wrong ahead is met again.
                    let next = if let Ok(Read::Batch(next)) = next { Some(next) } else { None };
                    return Ok((to, facts, next));
                }
            }
        }
        let applied = self.applier.apply_or_set_aside(from, &batch, &mut course.aside);
        let (to, facts) = applied.await?;
        Ok((to, facts, None))
    }

    /// Reads and folds what follows a place.
    async fn read_ahead(
        &self,
        from: Checkpoint,
        up_to: Sequence,
        course: &Course,
    ) -> Result<Read, WorkerError> {
        let after = from.sequence;
        if after >= up_to {
            return Ok(Read::Nothing);
        }
        let bytes_wanted = self.applier.projection.build_batch_bytes();
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
        Ok(Read::Batch(Folded { after, batch, last, changes, waiting }))
    }

    /// As many events as are folded at once.
    async fn read(&self, from: Begin) -> Result<Vec<RecordedEvent>, WorkerError> {
        let (mut events, mut after, mut bytes) = (Vec::new(), from.after, 0);
        while bytes < from.bytes_wanted {
            let more = self.applier.log.read_all(from.topic, after, BATCH).await?;
            let Some(last) = more.last() else { break };
            after = last.position.sequence;
            bytes += more.iter().map(|event| event.body.len()).sum::<usize>();
            events.extend(more);
        }
        Ok(events)
    }
}

/// What was read and folded.
struct Folded {
    /// After which event it begins.
    after: Sequence,
    batch: Batch,
    last: Seen,
    /// `None`: there is an event in it that can't be handled.
    changes: Option<Box<dyn Changes>>,
    /// What has to wait for events that are set aside.
    waiting: Vec<RecordedEvent>,
}

/// What the log gives.
enum Read {
    Batch(Folded),
    /// No more yet.
    Nothing,
    /// Events up to this one are gone.
    Gone(Sequence),
    /// The next one is beyond what is wanted.
    Beyond,
}
