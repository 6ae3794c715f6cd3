//! All read models of a process: opened, kept up to date, asked, rebuilt, stopped.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::log::EventLog;
use hoplog_events::position::Position;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::checkpoint::DEFINITION;
use crate::click_statistics::{ClickStatistics, ClickStatisticsProjection};
use crate::clicks::{Clicks, ClicksProjection};
use crate::commit::{CommitListener, Listener};
use crate::database::{Database, DatabaseError, Purpose};
use crate::lease::Part;
use crate::link_directory::{self, LinkDirectory, LinkDirectoryProjection};
use crate::projection::Projection;
use crate::rebuild::{RebuildReport, VerifyReport};
use crate::runner::{Applier, COMMANDS_MAX, Command, Progress, State, Status, Worker, WorkerError};
use crate::table_set::{ActiveSets, TableSet, Tables};
use crate::user_agents::UserAgents;

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

/// One projection of this process.
#[derive(Debug)]
struct Running {
    applier: Applier,
    progress: watch::Receiver<Progress>,
    hurry: Arc<Notify>,
    /// Taken away to stop it.
    commands: Mutex<Option<mpsc::Sender<Command>>>,
    task: Mutex<Task>,
}

/// A worker before, while and after it runs.
#[derive(Debug)]
enum Task {
    Ready(Box<Worker>),
    Running(JoinHandle<()>),
    Over,
}

/// The read models. Share it in an `Arc`.
#[derive(Debug)]
pub struct ReadModels {
    database: Database,
    sets: ActiveSets,
    projections: Vec<Running>,
    listener: Listener,
}

impl ReadModels {
    /// Opens the read models: makes tables that are missing, and empty ones in the place of those
    /// that another version of the code made. Nothing is applied before `run`.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn open(
        database: Database,
        log: Arc<dyn EventLog>,
        part: Part,
    ) -> Result<Self, WorkerError> {
        let _turn = database.definition_turn().await?;
        let mut transaction = database.begin().await?;
        transaction.define(DEFINITION).await?;
        transaction.commit().await?;
        let agents = Arc::new(UserAgents::default());
        let all: [Arc<dyn Projection>; 3] = [
            Arc::new(LinkDirectoryProjection),
            Arc::new(ClicksProjection::new(Arc::clone(&agents))),
            Arc::new(ClickStatisticsProjection::new(agents)),
        ];
        let mut active = Vec::new();
        for projection in &all {
            active.push(active_set(&database, projection.name()).await?);
        }
        let sets = ActiveSets::new(active.iter().map(|(set, _)| *set));
        let listener = Listener::default();
        let mut projections = Vec::new();
        for (projection, (_, version)) in all.into_iter().zip(active) {
            let (database, log, sets) = (database.clone(), Arc::clone(&log), sets.clone());
            let listener = Listener::clone(&listener);
            let applier = Applier { projection, database, log, sets, part, listener };
            projections.push(Running::open(applier, version).await?);
        }
        Ok(Self { database, sets, projections, listener })
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
        for projection in &self.projections {
            drop(lock(&projection.commands).take());
        }
        for projection in &self.projections {
            let task = std::mem::replace(&mut *lock(&projection.task), Task::Over);
            if let Task::Running(task) = task
                && let Err(error) = task.await
            {
                tracing::error!(%error, "a projection's task ended badly");
            }
        }
    }

    /// Questions about links.
    #[must_use]
    pub fn link_directory(&self) -> LinkDirectory {
        let progress = self.find(link_directory::NAME).map(|found| found.progress.clone());
        let progress = progress.unwrap_or_else(|_| watch::channel(Progress::default()).1);
        LinkDirectory::new(self.tables(), progress)
    }

    /// Questions about single clicks.
    #[must_use]
    pub fn clicks(&self) -> Clicks {
        Clicks::new(self.tables())
    }

    /// Questions about numbers of clicks.
    #[must_use]
    pub fn click_statistics(&self) -> ClickStatistics {
        ClickStatistics::new(self.tables())
    }

    /// Whether this process, and no other, keeps the link directory up to date just now. What has
    /// to be done once for all nodes is done where this is so.
    #[must_use]
    pub fn leads(&self) -> bool {
        let state = |found: &Running| found.progress.borrow().state;
        self.find(link_directory::NAME).is_ok_and(|found| state(found) == State::Live)
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
    /// See [`OperationError`].
    pub async fn rebuild(&self, projection: &str) -> Result<RebuildReport, OperationError> {
        Ok(self.find(projection)?.ask(Command::Rebuild).await??)
    }

    /// Builds a projection's tables aside, up to where the ones that are read are, and compares
    /// every row.
    ///
    /// # Errors
    /// See [`OperationError`].
    pub async fn verify(&self, projection: &str) -> Result<VerifyReport, OperationError> {
        Ok(self.find(projection)?.ask(Command::Verify).await??)
    }

    fn tables(&self) -> Tables {
        Tables { database: self.database.clone(), sets: self.sets.clone() }
    }

    fn find(&self, name: &str) -> Result<&Running, OperationError> {
        let found = self.projections.iter().find(|found| found.applier.projection.name() == name);
        found.ok_or_else(|| OperationError::Unknown(name.to_owned()))
    }
}

impl Running {
    async fn open(applier: Applier, version: Option<i64>) -> Result<Self, WorkerError> {
        if version != Some(applier.projection.version()) {
            let empty = applier.create().await?;
            applier.activate(empty.set).await?;
        }
        applier.drop_inactive().await?;
        let (told, progress) = watch::channel(Progress::default());
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let hurry = Arc::new(Notify::new());
        let worker = Worker {
            applier: applier.clone(),
            progress: told,
            commands: received,
            hurry: Arc::clone(&hurry),
        };
        let task = Mutex::new(Task::Ready(Box::new(worker)));
        Ok(Self { applier, progress, hurry, commands: Mutex::new(Some(commands)), task })
    }

    fn start(&self) {
        let mut task = lock(&self.task);
        *task = match std::mem::replace(&mut *task, Task::Over) {
            Task::Ready(worker) => Task::Running(tokio::spawn(worker.run())),
            other => other,
        };
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, OperationError> {
        if !matches!(*lock(&self.task), Task::Running(_)) {
            return Err(OperationError::NotRunning);
        }
        let commands = lock(&self.commands).clone().ok_or(OperationError::NotRunning)?;
        let (answer, answered) = oneshot::channel();
        commands.send(command(answer)).await.map_err(|_| OperationError::NotRunning)?;
        // Held no longer than this: the worker stops when nobody can send.
        drop(commands);
        answered.await.map_err(|_| OperationError::NotRunning)
    }

    async fn wait_for(&self, position: Position, timeout: Duration) -> Result<(), WaitError> {
        if position.log != self.applier.log.id() {
            return Err(WaitError::OtherLog);
        }
        let mut progress = self.progress.clone();
        let reached = |progress: &Progress| progress.sequence >= position.sequence;
        if position.topic != self.applier.projection.topic() || reached(&progress.borrow()) {
            return Ok(());
        }
        self.hurry.notify_one();
        match tokio::time::timeout(timeout, progress.wait_for(reached)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(WaitError::TimedOut),
        }
    }

    async fn status(&self, now: DateTime<Utc>) -> Status {
        let projection = &self.applier.projection;
        let (name, topic, log) = (projection.name(), projection.topic(), self.applier.log.id());
        let progress = self.progress.borrow().clone();
        let head = self.applier.log.head(topic).await.ok();
        let lag_events = head.map(|head| head.sequence.0.saturating_sub(progress.sequence.0));
        let behind = lag_events.is_some_and(|lag| lag > 0);
        let age = progress.recorded_at.filter(|_| behind).map(|at| now - at);
        let lag_seconds = age.map_or(0.0, |age| age.as_seconds_f64().max(0.0));
        #[expect(clippy::cast_precision_loss, reason = "a gauge")]
        metrics::gauge!("hoplog_projection_lag_events", "projection" => name)
            .set(lag_events.unwrap_or_default() as f64);
        metrics::gauge!("hoplog_projection_lag_seconds", "projection" => name).set(lag_seconds);
        metrics::gauge!("hoplog_projection_failed", "projection" => name)
            .set(f64::from(u8::from(progress.state == State::Failed)));
        Status {
            name,
            version: projection.version(),
            state: progress.state,
            position: Position { log, topic, sequence: progress.sequence },
            lag_events,
            lag_seconds,
            rate: progress.rate(),
            last_error: progress.last_error,
        }
    }
}

/// The set of a projection that is read now, and the version that made it; 0 and none at first.
async fn active_set(
    database: &Database,
    projection: &'static str,
) -> Result<(TableSet, Option<i64>), DatabaseError> {
    let sql = "select active_set, version from projections where name = $1";
    let values = [projection.into()];
    let rows = database.fetch(Purpose::Projection, sql.to_owned(), &values, |row| {
        Ok((TableSet { projection, number: row.int(0)? }, Some(row.int(1)?)))
    });
    let none = (TableSet { projection, number: 0 }, None);
    Ok(rows.await?.into_iter().next().unwrap_or(none))
}

/// What a panic elsewhere left in a lock is still whole: each holds one value.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
