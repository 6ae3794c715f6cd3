//! Tables built beside the ones that are read: to replace them, or to be compared with them.
//! Nothing stops meanwhile; the tables that are read go on, and so do the questions.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use hoplog_events::position::{Position, Sequence};
use tokio::sync::{RwLockWriteGuard, watch};

use crate::builds::{BEAT, Build, BuildPurpose, Claim};
use crate::checkpoint::Checkpoint;
use crate::parking::{Aside, Unhandled};
use crate::partition::{Partitions, Share};
use crate::runner::{Applier, Backoff, History, Progress, WorkerError};
use crate::table_set::TableSet;

mod ahead;
mod bring;
mod reads;
mod verify;

pub(crate) use reads::SharedReads;

pub use verify::{DIFFERENCES_MAX, TableReport, VerifyReport};

/// How often a build tries again in a row what may pass: two minutes in all.
const RETRIES_MAX: u32 = 30;

/// How often new tables are brought to where the ones are that are read, which go on.
const CHASE_MAX: u32 = 500;

/// After how many of those live work of this process is held up for the next one.
const CHASE_FREE: u32 = 20;

/// How a rebuild went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuildReport {
    /// The last event in the new tables.
    pub position: Position,
    /// How many links' events or single clicks are in them.
    pub facts: u64,
    /// How many events the log has had and has no more.
    pub trimmed_events: u64,
}

/// Builds tables of one projection.
#[derive(Debug)]
pub(crate) struct Builder {
    pub(crate) applier: Applier,
    pub(crate) progress: watch::Sender<Progress>,
    stopping: Arc<AtomicBool>,
    claim: Claim,
    build: watch::Sender<Option<Build>>,
}

/// A set of tables that is being built.
#[derive(Debug)]
struct Course {
    set: TableSet,
    /// How far it is: one checkpoint for all partitions, or one for each.
    checkpoints: Vec<Checkpoint>,
    aside: Aside,
    /// Whether it may do without what the log no longer has.
    history: History,
    begun: Instant,
    /// What it shares with other builds on its way to the head; `None`: it is there, and what is left is
    /// little, may be waited for by live work, and is kept for nobody.
    reading: Option<reads::Reading>,
    /// Whether batches are written together; not where one has an event that can't be handled.
    joins: bool,
    begun_at: Sequence,
    build: Build,
    trimmed_events: u64,
}

impl Course {
    /// The last event that every partition accounts for.
    fn reached(&self) -> Sequence {
        reached(&self.checkpoints)
    }

    /// Notes how far it is on its way to a sequence.
    fn note(&mut self, up_to: Sequence) {
        let done = |sequence: Sequence| sequence.0.saturating_sub(self.begun_at.0);
        let (events_done, events_total) = (done(self.reached()), done(up_to));
        self.build.events_done = events_done;
        self.build.events_total = events_total.max(events_done);
        self.build.elapsed = self.begun.elapsed();
    }
}

impl Builder {
    pub(crate) fn new(
        applier: Applier,
        progress: watch::Sender<Progress>,
        stopping: Arc<AtomicBool>,
    ) -> Self {
        let claim = Claim::new(applier.projection.name());
        let (build, _) = watch::channel(None);
        Self { applier, progress, stopping, claim, build }
    }

    /// Builds a new set of tables and puts it in the place of the old, which is kept. In one pass
    /// for all partitions, of which there are as many as the settings say now.
    pub(crate) async fn rebuild(&self, history: History) -> Result<RebuildReport, WorkerError> {
        if history == History::Whole {
            self.applier.all_kept().await?;
        }
        self.applier.clear_up().await;
        let (applier, purpose) = (&self.applier, BuildPurpose::Rebuild);
        let new = applier.create(applier.partitions, self.claim, purpose).await?;
        let build = Box::pin(async {
            let database = &applier.database;
            let aside = Aside::load(database, &new, Unhandled::Refuse).await?;
            let mut course = self.course(vec![new], aside, purpose);
            course.history = history;
            let head = self.again(|| self.head().boxed()).await?;
            self.bring_all(&mut course, head).await?;
            self.again(|| applier.index(new.set).boxed()).await?;
            self.swap(course).await
        });
        let outcome = self.claimed(build).await;
        self.finish(outcome, Some(new.set)).await
    }

    /// Brings the set that was read before to where the one is that is read, and reads it again.
    pub(crate) async fn rollback(&self) -> Result<RebuildReport, WorkerError> {
        let (applier, purpose) = (&self.applier, BuildPurpose::Rollback);
        let (projection, ours) = (applier.projection.name(), applier.projection.version());
        let (set, theirs) = applier.previous().await?.ok_or(WorkerError::NoPrevious(projection))?;
        if theirs != ours {
            return Err(WorkerError::OtherVersion { projection, theirs, ours });
        }
        let checkpoints = applier.checkpoints_of(set).await?;
        applier.confirm_each(&checkpoints).await?;
        applier.reserve(set, self.claim, purpose).await?;
        let build = Box::pin(async {
            // Nobody else has swapped since.
            if applier.previous().await? != Some((set, ours)) {
                return Err(WorkerError::NoPrevious(projection));
            }
            let asides = checkpoints.iter().map(|checkpoint| async {
                Aside::load(&applier.database, checkpoint, Unhandled::Park).await
            });
            let asides = futures::future::try_join_all(asides).await?;
            let aside = Aside::together(asides, Unhandled::Park);
            let mut course = self.course(checkpoints.clone(), aside, purpose);
            let head = self.again(|| self.head().boxed()).await?;
            self.bring_all(&mut course, head).await?;
            self.swap(course).await
        });
        let outcome = self.claimed(build).await;
        self.finish(outcome, None).await
    }

    fn course(&self, checkpoints: Vec<Checkpoint>, aside: Aside, purpose: BuildPurpose) -> Course {
        let set = checkpoints.first().map_or(self.applier.active(), |checkpoint| checkpoint.set);
        let (events_done, events_total, facts) = (0, 0, 0);
        let build =
            Build { purpose, events_done, events_total, facts, elapsed: Duration::default() };
        let begun = Instant::now();
        let begun_at = reached(&checkpoints);
        let topic = self.applier.projection.topic();
        let reading = Some(self.applier.reads.begin(topic, begun_at));
        let (trimmed_events, history) = (0, History::Whole);
        let course = Course {
            set,
            checkpoints,
            aside,
            history,
            begun,
            reading,
            joins: true,
            begun_at,
            build,
            trimmed_events,
        };
        self.tell(Some(build));
        course
    }

    /// Tells how far it is; this process at once, others with the next renewal of the claim.
    pub(crate) fn tell(&self, build: Option<Build>) {
        self.build.send_replace(build);
        self.progress.send_modify(|progress| progress.build = build);
    }

    /// Does something for as long as the claim is this builder's.
    async fn claimed<T>(
        &self,
        work: impl Future<Output = Result<T, WorkerError>>,
    ) -> Result<T, WorkerError> {
        tokio::select! {
            outcome = work => outcome,
            error = Box::pin(self.keep_claim()) => Err(error),
        }
    }

    async fn keep_claim(&self) -> WorkerError {
        let name = self.applier.projection.name();
        loop {
            tokio::time::sleep(BEAT).await;
            let build = *self.build.borrow();
            let Some(build) = build else { continue };
            match self.claim.renew(&self.applier.database, &build).await {
                Ok(true) => {}
                Ok(false) => return WorkerError::Building(name),
                // As long as nobody else claims it, nothing is lost.
                Err(error) => tracing::warn!(projection = name, %error, "a build is not told of"),
            }
        }
    }

    /// Drops what came to nothing; the first error is the one to be told.
    async fn finish<T>(
        &self,
        outcome: Result<T, WorkerError>,
        new: Option<TableSet>,
    ) -> Result<T, WorkerError> {
        if outcome.is_err()
            && let Err(error) = self.applier.abandon(new, self.claim).await
        {
            tracing::warn!(%error, "a build is given up, and its claim is not");
        }
        self.applier.clear_up().await;
        self.tell(None);
        outcome
    }

    /// Follows the tables that are read until the new ones are as far, and swaps.
    async fn swap(&self, mut course: Course) -> Result<RebuildReport, WorkerError> {
        for attempt in 0..CHASE_MAX {
            let _held = self.hold_after(attempt).await;
            let read = self.again(|| self.furthest_read().boxed()).await?;
            self.bring_all(&mut course, read.unwrap_or_default()).await?;
            let reached = course.reached();
            let set = course.set;
            let swap = || self.applier.swap(set, reached, self.claim).boxed();
            if self.again(swap).await? {
                let count = partitions_of(&course.checkpoints).count();
                self.progress.send_modify(|progress| progress.reach(count, reached));
                let Course { build: Build { facts, .. }, trimmed_events, .. } = course;
                let (log, topic) = (self.applier.log.id(), self.applier.projection.topic());
                let position = Position { log, topic, sequence: reached };
                return Ok(RebuildReport { position, facts, trimmed_events });
            }
        }
        Err(WorkerError::Overtaken(self.applier.projection.name()))
    }

    /// Where live work of this process is always a step ahead, it waits for a few steps.
    async fn hold_after(&self, attempt: u32) -> Option<RwLockWriteGuard<'_, ()>> {
        if attempt < CHASE_FREE { None } else { Some(self.applier.last_stretch.write().await) }
    }

    /// Tries again what may pass: hours of work are not thrown away for a moment.
    async fn again<'a, T>(
        &self,
        mut attempt: impl FnMut() -> BoxFuture<'a, Result<T, WorkerError>>,
    ) -> Result<T, WorkerError> {
        let backoff = Backoff::default();
        for _ in 0..RETRIES_MAX {
            match attempt().await {
                Err(error) if error.is_transient() => {
                    tracing::warn!(%error, "a build tries again");
                    tokio::time::sleep(backoff.next()).await;
                }
                done => return done,
            }
        }
        attempt().await
    }

    /// How far the tables are that are read.
    async fn furthest_read(&self) -> Result<Option<Sequence>, WorkerError> {
        self.applier.furthest_read(self.head().await?).await
    }

    async fn head(&self) -> Result<Sequence, WorkerError> {
        Ok(self.applier.log.head(self.applier.projection.topic()).await?.sequence)
    }
}

fn reached(checkpoints: &[Checkpoint]) -> Sequence {
    checkpoints.iter().map(|checkpoint| checkpoint.sequence).min().unwrap_or_default()
}

fn partitions_of(checkpoints: &[Checkpoint]) -> Partitions {
    checkpoints.first().map_or(Partitions::ONE, |one| one.share.of())
}

/// A checkpoint of all partitions, as one of each.
fn split(all: Checkpoint) -> Vec<Checkpoint> {
    let of = all.share.of();
    let shares = (0..of.count()).filter_map(|number| of.get(number).map(Share::One));
    shares.map(|share| Checkpoint { share, ..all }).collect()
}
