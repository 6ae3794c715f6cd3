//! The task of one projection.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::follow::Follower;
use super::job::{Answer, Ended, Job, Running};
use super::{Applier, Progress, State, WorkerError};
use crate::lease::{self, Part};
use crate::table_set::active_set;

/// What an operator asks of a projection, and where the answer goes.
#[derive(Debug)]
pub(crate) enum Command {
    Pause(Answer<()>),
    Resume(Answer<()>),
    /// What is parked has changed: follow anew.
    LookAgain(Answer<()>),
    Build(Job),
}

/// How long the end of a turn may take.
const HAND_OVER: Duration = Duration::from_secs(1);

/// Follows the log for one projection. Ends when nobody can send it commands any more.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) applier: Applier,
    pub(crate) progress: watch::Sender<Progress>,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// Somebody waits for a position: don't linger.
    pub(crate) hurry: watch::Receiver<()>,
    /// What it begins with.
    pub(crate) first: Option<Job>,
}

/// What there is to be done.
enum Next {
    Obey(Command),
    Fail(WorkerError),
    End(Ended),
    Stop,
}

impl Worker {
    pub(crate) async fn run(mut self) {
        self.enter(State::CatchingUp);
        self.make_missing_indexes().await;
        let stopping = Arc::new(AtomicBool::new(false));
        let mut job = self.first.take().map(|job| self.begin(job, &stopping));
        loop {
            match self.next(&mut job).await {
                Next::Obey(Command::Pause(answer)) => {
                    let _ = answer.send(self.set_paused(true).await);
                }
                Next::Obey(Command::Resume(answer)) => {
                    let _ = answer.send(self.set_paused(false).await);
                    // Tables of this version that could not be built are tried again.
                    if job.is_none()
                        && let Ok(Some(renewal)) = renewal(&self.applier).await
                    {
                        job = Some(self.begin(renewal, &stopping));
                    }
                }
                Next::Obey(Command::LookAgain(answer)) => {
                    let _ = answer.send(Ok(()));
                }
                Next::Obey(Command::Build(new)) if job.is_some() => refuse(new, &self.applier),
                Next::Obey(Command::Build(new)) => job = Some(self.begin(new, &stopping)),
                Next::Fail(error) => self.fail(&error),
                Next::End(ended) => {
                    job = None;
                    self.go_on_after(ended);
                }
                Next::Stop => break,
            }
        }
        stopping.store(true, Ordering::Relaxed);
        if let Some(job) = &mut job {
            let _ = tokio::time::timeout(HAND_OVER, job.ended()).await;
        }
        self.hand_over().await;
    }

    /// Tables of this version may have been made by code that knew fewer indexes. Questions are
    /// answered without them, only slower.
    async fn make_missing_indexes(&self) {
        if self.first.is_some() || self.applier.part == Part::Reader {
            return;
        }
        if let Err(error) = self.applier.index(self.applier.active()).await {
            let projection = self.applier.projection.name();
            tracing::warn!(projection, %error, "indexes may be missing; the next start makes them");
        }
    }

    fn begin(&self, job: Job, stopping: &Arc<AtomicBool>) -> Running {
        let (applier, progress) = (self.applier.clone(), self.progress.clone());
        Running::begin(job, applier, progress, Arc::clone(stopping))
    }

    /// Follows the log, if it may, and builds tables, if it has to, until there is something to be
    /// done. What is cut off of the following is a transaction, which then changed nothing.
    async fn next(&mut self, job: &mut Option<Running>) -> Next {
        let Self { applier, progress, commands, hurry, .. } = self;
        let failed = progress.borrow().state == State::Failed;
        let follower = Follower { applier, progress, hurry };
        let built = async {
            match job {
                Some(job) => job.ended().await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            command = commands.recv() => command.map_or(Next::Stop, Next::Obey),
            ended = built => Next::End(ended),
            error = follower.follow_and_retry(), if !failed => Next::Fail(error),
        }
    }

    /// New tables are a new start.
    fn go_on_after(&self, ended: Ended) {
        match ended {
            Ended::Replaced if self.state() == State::Failed => self.enter(State::CatchingUp),
            Ended::Replaced | Ended::Kept => {}
            Ended::Failed(error) => self.fail(&error),
        }
    }

    /// Lets the next one begin at once.
    pub(crate) async fn hand_over(&self) {
        let Part::Member(member) = self.applier.part else { return };
        let (database, name) = (&self.applier.database, self.applier.projection.name());
        // If this fails, the lease ends by itself.
        let _ = tokio::time::timeout(HAND_OVER, lease::leave(database, name, member)).await;
    }

    /// For every process that shares the database, and until an operator says otherwise.
    async fn set_paused(&self, paused: bool) -> Result<(), WorkerError> {
        let (database, name) = (&self.applier.database, self.applier.projection.name());
        lease::set_paused(database, name, paused).await?;
        self.hand_over().await;
        self.enter(if paused { State::Paused } else { State::CatchingUp });
        Ok(())
    }

    fn state(&self) -> State {
        self.progress.borrow().state
    }

    fn enter(&self, state: State) {
        self.progress.send_modify(|progress| progress.state = state);
    }

    fn fail(&self, error: &WorkerError) {
        let projection = self.applier.projection.name();
        tracing::error!(projection, %error, "the projection can't go on");
        self.progress.send_modify(|progress| {
            progress.state = State::Failed;
            progress.last_error = Some(error.to_string());
        });
    }
}

/// What there is to be built where tables of another version are read. A newer version than that
/// of the tables makes its own. An older one only does so alone: otherwise it would take the
/// tables away from those who run the newer one.
pub(crate) async fn renewal(applier: &Applier) -> Result<Option<Job>, WorkerError> {
    let (_, theirs) = active_set(&applier.database, applier.projection.name()).await?;
    let (theirs, ours) = (theirs.unwrap_or_default(), applier.projection.version());
    let builds = match applier.part {
        Part::Alone => theirs != ours,
        Part::Member(_) => theirs < ours,
        Part::Reader => false,
    };
    Ok(builds.then_some(Job::Renew))
}

/// One build at a time.
fn refuse(job: Job, applier: &Applier) {
    let error = WorkerError::Building(applier.projection.name());
    match job {
        Job::Rebuild(_, answer) | Job::Rollback(answer) => drop(answer.send(Err(error))),
        Job::Verify(answer) => drop(answer.send(Err(error))),
        Job::Renew => {}
    }
}
