//! All read models of a process: opened, kept up to date, asked, rebuilt, stopped.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::log::EventLog;
use hoplog_events::position::{Position, Topic};
use tokio::sync::{Semaphore, watch};

use crate::click_statistics::{ClickStatistics, ClickStatisticsProjection};
use crate::clicks::{Clicks, ClicksProjection};
use crate::commit::{CommitListener, Listener};
use crate::database::Database;
use crate::lease::Part;
use crate::link_directory::{self, LinkDirectory, LinkDirectoryProjection};
use crate::orphans::{Orphans, OrphansProjection};
use crate::parking::{self, ParkedSequence};
use crate::partition::Partitions;
use crate::projection::Projection;
use crate::rebuild::{RebuildReport, SharedReads, VerifyReport};
use crate::runner::{
    Applier, BATCHES_MAX, Command, First, History, Job, Progress, Retried, State, Status,
    WorkerError,
};
use crate::schema;
use crate::table_set::{ActiveSets, Tables, active_set};
use crate::top_links::{self, TopLinks, TopLinksProjection};
use crate::user_agents::UserAgents;

mod erasure;

pub use erasure::NoBuilds;
mod running;

use running::Running;

/// Why an operator's command was not done.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// Name one of the projections that the status lists.
    #[error("no projection is called {0:?}")]
    Unknown(String),
    /// It is stopping, or was never run. Start it.
    #[error("the projections are not running")]
    NotRunning,
    /// See the error; the tables that are read are as they were.
    #[error(transparent)]
    Failed(#[from] WorkerError),
}

/// Why a position was not reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// Try again later.
    #[error("the read model has not reached the position in time")]
    TimedOut,
    /// The position was given by another log: it will never be reached.
    #[error("the position belongs to another log")]
    OtherLog,
    /// Name one of the projections that the status lists.
    #[error("no projection is called {0:?}")]
    Unknown(String),
}

/// The read models. Share it in an `Arc`.
#[derive(Debug)]
pub struct ReadModels {
    database: Database,
    sets: ActiveSets,
    projections: Vec<Running>,
    listener: Listener,
    long_answers: Arc<Semaphore>,
}

/// The projections of the server: here a new one is added.
pub(crate) fn every_projection() -> Vec<Arc<dyn Projection>> {
    let agents = Arc::new(UserAgents::default());
    vec![
        Arc::new(LinkDirectoryProjection),
        Arc::new(ClicksProjection::new(Arc::clone(&agents))),
        Arc::new(ClickStatisticsProjection::new(Arc::clone(&agents))),
        Arc::new(TopLinksProjection::new(Arc::clone(&agents))),
        Arc::new(OrphansProjection::new(agents)),
    ]
}

impl ReadModels {
    /// Opens the read models: makes tables that are missing. Those that another version of the code
    /// made are read until this one's are built. Nothing is applied before `run`.
    ///
    /// Tables that are made are made for so many partitions; those that are there keep theirs until
    /// they are rebuilt. Who is alone has nobody to share with: one partition.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn open(
        database: Database,
        log: Arc<dyn EventLog>,
        part: Part,
        partitions: Partitions,
    ) -> Result<Self, WorkerError> {
        Self::open_these(every_projection(), database, log, part, partitions).await
    }

    /// The same for other projections than those of the server: a test may bring its own.
    pub(crate) async fn open_these(
        all: Vec<Arc<dyn Projection>>,
        database: Database,
        log: Arc<dyn EventLog>,
        part: Part,
        partitions: Partitions,
    ) -> Result<Self, WorkerError> {
        let _turn = database.definition_turn().await?;
        schema::prepare(&database).await?;
        let partitions = if part.takes_turns() { partitions } else { Partitions::ONE };
        let mut active = Vec::new();
        for projection in &all {
            active.push(active_set(&database, projection.name()).await?);
        }
        let sets = ActiveSets::new(active.iter().map(|(set, _)| *set));
        let listener = Listener::default();
        let room = Arc::new(Semaphore::new(BATCHES_MAX));
        let reads = Arc::new(SharedReads::default());
        let mut projections = Vec::new();
        for (projection, (_, version)) in all.into_iter().zip(active) {
            let (database, log, sets) = (database.clone(), Arc::clone(&log), sets.clone());
            let (listener, room) = (Listener::clone(&listener), Arc::clone(&room));
            let (last_stretch, reads) = (Arc::default(), Arc::clone(&reads));
            let applier = Applier {
                projection,
                database,
                log,
                sets,
                part,
                partitions,
                room,
                listener,
                last_stretch,
                reads,
            };
            projections.push(Running::open(applier, version).await?);
        }
        let long_answers = Arc::new(Semaphore::new(database.long_answers_max()));
        Ok(Self { database, sets, projections, listener, long_answers })
    }

    /// From now on somebody is told of every commit of live work of this process. There can be
    /// one only: a second one is not told.
    pub fn tell(&self, listener: Arc<dyn CommitListener>) {
        if self.listener.set(listener).is_err() {
            tracing::error!("somebody listens to the commits already");
        }
    }

    /// Starts a task for each projection. A second call does nothing.
    pub fn run(&self) {
        self.projections.iter().for_each(Running::start);
    }

    /// Ends every task after what it is writing, then closes the database. The checkpoints say
    /// where to go on.
    pub async fn stop(&self) {
        self.stop_projecting().await;
        self.database.close().await;
    }

    /// Ends every task after what it is writing.
    pub(crate) async fn stop_projecting(&self) {
        self.projections.iter().for_each(Running::end);
        for projection in &self.projections {
            projection.ended().await;
        }
    }

    /// Questions about links.
    #[must_use]
    pub fn link_directory(&self) -> LinkDirectory {
        LinkDirectory::new(self.tables(), self.progress_of(link_directory::NAME))
    }

    /// Questions about single clicks.
    #[must_use]
    pub fn clicks(&self) -> Clicks {
        Clicks::new(self.tables())
    }

    /// Questions about numbers of clicks.
    #[must_use]
    pub fn click_statistics(&self) -> ClickStatistics {
        ClickStatistics::new(self.tables(), Arc::clone(&self.long_answers))
    }

    /// Questions about visits that led nowhere.
    #[must_use]
    pub fn orphans(&self) -> Orphans {
        Orphans::new(self.tables(), Arc::clone(&self.long_answers))
    }

    /// Questions about which links are clicked most.
    #[must_use]
    pub fn top_links(&self) -> TopLinks {
        let progress = self.progress_of(top_links::NAME);
        TopLinks::new(self.tables(), Arc::clone(&self.long_answers), progress)
    }

    fn progress_of(&self, projection: &str) -> watch::Receiver<Progress> {
        let progress = self.find(projection).map(|found| found.progress.clone());
        progress.unwrap_or_else(|_| watch::channel(Progress::default()).1)
    }

    /// Whether this process, and no other, keeps the link directory's first partition up to date just
    /// now. What has to be done once for all nodes is done where this is so.
    #[must_use]
    pub fn leads(&self) -> bool {
        let first = |found: &Running| found.progress.borrow().partitions().next();
        let found = self.find(link_directory::NAME).ok().and_then(first);
        found.is_some_and(|partition| partition.state == State::Live)
    }

    /// How every projection is. Also sets the metrics `hoplog_projection_lag_events` and
    /// `hoplog_projection_lag_seconds`.
    pub async fn status(&self, now: DateTime<Utc>) -> Vec<Status> {
        let mut all = Vec::with_capacity(self.projections.len());
        for projection in &self.projections {
            all.push(projection.status(now).await);
        }
        all
    }

    /// Waits until a projection accounts for a position. One that does not read the position's
    /// topic has nothing to wait for.
    ///
    /// # Errors
    /// When that does not come to pass in time, or never will.
    pub async fn wait_for(
        &self,
        projection: &str,
        position: Position,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        let found = self.find(projection).map_err(|_| WaitError::Unknown(projection.to_owned()))?;
        found.wait_for(position, timeout).await
    }

    /// Waits until every projection accounts for a position.
    ///
    /// # Errors
    /// When that does not come to pass in time, or never will.
    pub async fn wait_for_all(
        &self,
        position: Position,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        let waits = self.projections.iter().map(|found| found.wait_for(position, timeout));
        futures::future::try_join_all(waits).await.map(|_| ())
    }

    /// Stops a projection after what it is writing.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn pause(&self, projection: &str) -> Result<(), OperationError> {
        Ok(self.find(projection)?.ask(Command::Pause).await??)
    }

    /// Lets a projection that was paused, or failed, go on.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn resume(&self, projection: &str) -> Result<(), OperationError> {
        Ok(self.find(projection)?.ask(Command::Resume).await??)
    }

    /// Builds a projection's tables anew from the first event, then puts them in the place of the
    /// ones that are read. Those answer meanwhile, without what is new.
    ///
    /// # Errors
    /// See [`OperationError`]. Also when the log has lost its beginning.
    pub async fn rebuild(&self, projection: &str) -> Result<RebuildReport, OperationError> {
        self.rebuild_from(History::Whole, projection).await
    }

    /// The same from what the log still has: what is gone is then gone from the tables as well.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn rebuild_from_kept(
        &self,
        projection: &str,
    ) -> Result<RebuildReport, OperationError> {
        self.rebuild_from(History::Kept, projection).await
    }

    async fn rebuild_from(
        &self,
        history: History,
        projection: &str,
    ) -> Result<RebuildReport, OperationError> {
        let rebuild = |answer| Command::Build(Job::Rebuild(history, answer));
        Ok(self.find(projection)?.ask(rebuild).await??)
    }

    /// Lets the tables be read again that were read before the last rebuild, once they are as far
    /// as the ones that are read now.
    ///
    /// # Errors
    /// See [`OperationError`]. Also when there are none, or they are of another version.
    pub async fn rollback(&self, projection: &str) -> Result<RebuildReport, OperationError> {
        let rollback = |answer| Command::Build(Job::Rollback(answer));
        Ok(self.find(projection)?.ask(rollback).await??)
    }

    /// Builds a projection's tables aside, up to where the ones that are read are, and compares
    /// every row.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn verify(&self, projection: &str) -> Result<VerifyReport, OperationError> {
        let verify = |answer| Command::Build(Job::Verify(answer));
        Ok(self.find(projection)?.ask(verify).await??)
    }

    /// The topic that a projection reads.
    ///
    /// # Errors
    /// When there is no such projection.
    pub fn topic(&self, projection: &str) -> Result<Topic, OperationError> {
        Ok(self.find(projection)?.applier.projection.topic())
    }

    /// Sequences of events that are parked, in the order of their names, after one of those.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn parked(
        &self,
        projection: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<ParkedSequence>, OperationError> {
        let applier = &self.find(projection)?.applier;
        let found = parking::list(&applier.database, applier.active(), after, limit).await;
        Ok(found.map_err(WorkerError::from)?)
    }

    /// Tries a parked sequence again, as it is or without the event that it waits for.
    ///
    /// # Errors
    /// See [`OperationError`]. That the events still can't be handled is an answer, not an error.
    pub async fn retry(
        &self,
        projection: &str,
        sequence: &str,
        first: First,
    ) -> Result<Retried, OperationError> {
        let found = self.find(projection)?;
        let retried = found.applier.retry(sequence, first).await?;
        found.ask(Command::LookAgain).await??;
        Ok(retried)
    }

    fn tables(&self) -> Tables {
        Tables { database: self.database.clone(), sets: self.sets.clone() }
    }

    fn find(&self, name: &str) -> Result<&Running, OperationError> {
        let found = self.projections.iter().find(|found| found.applier.projection.name() == name);
        found.ok_or_else(|| OperationError::Unknown(name.to_owned()))
    }
}
