//! A set of tables brought from where it is to an event: while one batch is written, what follows
//! is read and folded.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hoplog_events::position::Sequence;

use super::ahead::{Folded, Read};
use super::{Builder, Course, RETRIES_MAX};
use crate::checkpoint::Checkpoint;
use crate::runner::{Backoff, History, WorkerError};

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
            None => self.gather(from, up_to, course).await?,
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
            let write = self.applier.write(from, to, changes, &course.aside, &waiting);
            let read = self.gather(to, up_to, course);
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
        let Some(batch) = batch else {
            // They are read again, and written one by one from here on.
            course.joins = false;
            return Ok((from, 0, None));
        };
        let applied = self.applier.apply_or_set_aside(from, &batch, &mut course.aside);
        let (to, facts) = applied.await?;
        Ok((to, facts, None))
    }
}
