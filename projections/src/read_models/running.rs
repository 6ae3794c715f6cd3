//! One projection of this process, and the task that keeps it up to date.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::log::ReadLimit;
use hoplog_events::position::{Position, Sequence};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::{OperationError, WaitError};
use crate::builds;
use crate::checkpoint::Checkpoint;
use crate::database::Purpose;
use crate::lease::Part;
use crate::runner::{
    Applier, COMMANDS_MAX, Command, Job, PartitionProgress, PartitionStatus, Progress, State,
    Status, Worker, WorkerError, renewal,
};

/// How often a replica is asked how far it is, while somebody waits for that.
const REPLICA_POLL: Duration = Duration::from_millis(10);

/// One event.
const FIRST: ReadLimit = ReadLimit { events_max: 1, bytes_max: 1 };

/// One projection of this process.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) applier: Applier,
    pub(super) progress: watch::Receiver<Progress>,
    /// Says that somebody waits for a position.
    hurry: watch::Sender<()>,
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

impl Running {
    pub(super) async fn open(applier: Applier, version: Option<i64>) -> Result<Self, WorkerError> {
        let first = if let Some(theirs) = version {
            begin_with(&applier, theirs).await?
        } else {
            applier.create_first(applier.partitions).await?;
            None
        };
        if applier.part == Part::Alone {
            builds::forget(&applier.database, applier.projection.name()).await?;
        }
        applier.clear_up().await;
        tell_of_other_partitions(&applier).await?;
        let (told, progress) = watch::channel(Progress::default());
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let (hurry, hurried) = watch::channel(());
        let worker = Worker {
            applier: applier.clone(),
            progress: told,
            commands: received,
            hurry: hurried,
            first,
        };
        let task = Mutex::new(Task::Ready(Box::new(worker)));
        Ok(Self { applier, progress, hurry, commands: Mutex::new(Some(commands)), task })
    }

    pub(super) fn start(&self) {
        let mut task = lock(&self.task);
        *task = match std::mem::replace(&mut *task, Task::Over) {
            Task::Ready(worker) => Task::Running(tokio::spawn(worker.run())),
            other => other,
        };
    }

    /// Ends the task after what it is writing.
    pub(super) fn end(&self) {
        drop(lock(&self.commands).take());
    }

    /// Waits until the task has ended.
    pub(super) async fn ended(&self) {
        let task = std::mem::replace(&mut *lock(&self.task), Task::Over);
        if let Task::Running(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "a projection's task ended badly");
        }
    }

    pub(super) async fn ask<T>(
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

    pub(super) async fn wait_for(
        &self,
        position: Position,
        timeout: Duration,
    ) -> Result<(), WaitError> {
        if position.log != self.applier.log.id() {
            return Err(WaitError::OtherLog);
        }
        if position.topic != self.applier.projection.topic() {
            return Ok(());
        }
        let reached = async {
            self.reached_here(position).await?;
            self.reached_at_replica(position).await
        };
        tokio::time::timeout(timeout, reached).await.unwrap_or(Err(WaitError::TimedOut))
    }

    async fn reached_here(&self, position: Position) -> Result<(), WaitError> {
        let reached = |progress: &Progress| progress.sequence >= position.sequence;
        if reached(&self.progress.borrow()) {
            return Ok(());
        }
        self.hurry.send_replace(());
        let mut progress = self.progress.clone();
        progress.wait_for(reached).await.map(|_| ()).map_err(|_| WaitError::TimedOut)
    }

    /// A replica, where there is one, gives the answers: what the primary has is not enough.
    async fn reached_at_replica(&self, position: Position) -> Result<(), WaitError> {
        let Applier { database, projection, .. } = &self.applier;
        while database.has_replica() {
            let set = self.applier.active();
            match Checkpoint::load(database, Purpose::Answer, set, projection.topic()).await {
                Ok(there) if is_reached(&there, position.sequence) => break,
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "the replica can't be asked how far it is"),
            }
            tokio::time::sleep(REPLICA_POLL).await;
        }
        Ok(())
    }

    /// When the first event after a sequence was written down; `None`: it can't be read, or is
    /// gone from the log.
    async fn waiting_since(&self, after: Sequence) -> Option<DateTime<Utc>> {
        #[derive(Deserialize)]
        struct Recorded {
            recordedtime: DateTime<Utc>,
        }
        let topic = self.applier.projection.topic();
        let events = self.applier.log.read_all(topic, after, FIRST).await.ok()?;
        // Its other fields are of no interest here, and of any version.
        serde_json::from_slice(&events.first()?.body).ok().map(|it: Recorded| it.recordedtime)
    }

    pub(super) async fn status(&self, now: DateTime<Utc>) -> Status {
        let projection = &self.applier.projection;
        let (name, topic, log) = (projection.name(), projection.topic(), self.applier.log.id());
        let progress = self.progress.borrow().clone();
        let head = self.applier.log.head(topic).await.ok();
        let lag_events = head.map(|head| head.sequence.0.saturating_sub(progress.sequence.0));
        let lag_seconds = match lag_events {
            Some(0) => Some(0.0),
            Some(_) => self.waiting_since(progress.sequence).await.map(|since| age(since, now)),
            None => None,
        };
        // A gauge keeps its value while the log is away.
        if let Some(events) = lag_events {
            #[expect(clippy::cast_precision_loss, reason = "a gauge")]
            metrics::gauge!("hoplog_projection_lag_events", "projection" => name)
                .set(events as f64);
        }
        if let Some(seconds) = lag_seconds {
            metrics::gauge!("hoplog_projection_lag_seconds", "projection" => name).set(seconds);
        }
        metrics::gauge!("hoplog_projection_failed", "projection" => name)
            .set(f64::from(u8::from(progress.state == State::Failed)));
        tell_of_parked_and_built(name, &progress);
        let partition = |(number, partition): (u32, PartitionProgress)| PartitionStatus {
            number,
            state: partition.state,
            holder: partition.holder,
            position: Position { log, topic, sequence: partition.sequence },
            lag_events: head.map(|head| head.sequence.0.saturating_sub(partition.sequence.0)),
        };
        let partitions = (0..).zip(progress.partitions()).map(partition).collect();
        Status {
            partitions,
            name,
            version: projection.version(),
            state: progress.told_state(),
            position: Position { log, topic, sequence: progress.sequence },
            lag_events,
            lag_seconds,
            rate: progress.rate(),
            last_error: progress.last_error,
            trimmed_events: progress.trimmed_events,
            parked: progress.parked,
            build: progress.build,
        }
    }
}

/// Sets gauges.
fn tell_of_parked_and_built(projection: &'static str, progress: &Progress) {
    #[expect(clippy::cast_precision_loss, reason = "gauges")]
    let number = |count: u64| count as f64;
    let (done, total) =
        progress.build.map_or((0, 0), |build| (build.events_done, build.events_total));
    metrics::gauge!("hoplog_projection_parked", "projection" => projection)
        .set(number(progress.parked));
    metrics::gauge!("hoplog_projection_build_events_done", "projection" => projection)
        .set(number(done));
    metrics::gauge!("hoplog_projection_build_events", "projection" => projection)
        .set(number(total));
}

/// What there is to be done first. A version that is older than that of the tables reads its own
/// until then, if they are still there.
async fn begin_with(applier: &Applier, theirs: i64) -> Result<Option<Job>, WorkerError> {
    let ours = applier.projection.version();
    if theirs > ours
        && let Some((set, _)) = applier.previous().await?.filter(|(_, kept)| *kept == ours)
    {
        applier.sets.swap(set);
    }
    renewal(applier).await
}

/// A changed setting has to wait for new tables.
async fn tell_of_other_partitions(applier: &Applier) -> Result<(), WorkerError> {
    let (set, topic) = (applier.active(), applier.projection.topic());
    let there = Checkpoint::load(&applier.database, Purpose::Projection, set, topic).await?.len();
    let wanted = applier.partitions.count();
    if there != wanted as usize {
        let projection = applier.projection.name();
        tracing::warn!(projection, there, wanted, "the next rebuild changes the partitions");
    }
    Ok(())
}

/// Whether every partition of a set is as far; a set that is not there is not.
fn is_reached(checkpoints: &[Checkpoint], sequence: Sequence) -> bool {
    !checkpoints.is_empty() && checkpoints.iter().all(|there| there.sequence >= sequence)
}

/// Seconds; none where the clocks of nodes disagree.
fn age(since: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    (now - since).as_seconds_f64().max(0.0)
}

/// What a panic elsewhere left in a lock is still whole: each holds one value.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
