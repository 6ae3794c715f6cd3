//! What a projection's task does beside following the log: build tables.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{oneshot, watch};

use super::{Applier, Backoff, Progress, WorkerError};
use crate::lease;
use crate::rebuild::{Builder, RebuildReport, VerifyReport};

/// Where an answer goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, WorkerError>>;

/// How often it is looked whether another process has built the tables.
const OTHERS_POLL: Duration = Duration::from_secs(1);

/// What a rebuild may begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum History {
    /// The first event, or it is refused.
    Whole,
    /// The first that is still there.
    Kept,
}

/// What is to be built.
#[derive(Debug)]
pub(crate) enum Job {
    /// Tables in the place of the ones that are read.
    Rebuild(History, Answer<RebuildReport>),
    /// The ones that were read before.
    Rollback(Answer<RebuildReport>),
    /// Tables to compare with the ones that are read.
    Verify(Answer<VerifyReport>),
    /// The tables that are read are of another version of the code.
    Renew,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Other tables are read now.
    Replaced,
    /// The ones that were read before still are.
    Kept,
    /// The tables that this version needs could not be made.
    Failed(WorkerError),
}

/// A job under way.
pub(crate) struct Running(BoxFuture<'static, Ended>);

impl std::fmt::Debug for Running {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Running")
    }
}

impl Running {
    /// Begins a job. It ends early when it is told to stop.
    pub(crate) fn begin(
        job: Job,
        applier: Applier,
        progress: watch::Sender<Progress>,
        stopping: Arc<AtomicBool>,
    ) -> Self {
        let builder = Builder::new(applier, progress, stopping);
        Self(builder.run(job).boxed())
    }

    /// Waits for its end. Dropping the wait ends nothing.
    pub(crate) async fn ended(&mut self) -> Ended {
        (&mut self.0).await
    }
}

impl Builder {
    async fn run(self, job: Job) -> Ended {
        // An answer that nobody waits for any more is no loss.
        match job {
            Job::Rebuild(history, answer) => replaced(self.rebuild(history).await, answer),
            Job::Rollback(answer) => replaced(self.rollback().await, answer),
            Job::Verify(answer) => {
                let _ = answer.send(self.verify().await);
                Ended::Kept
            }
            Job::Renew => self.renew().await,
        }
    }

    /// Makes the tables of this version, or waits for whoever does.
    async fn renew(&self) -> Ended {
        let backoff = Backoff::default();
        loop {
            match self.try_to_renew().await {
                Ok(()) => return Ended::Replaced,
                Err(WorkerError::Building(_)) => tokio::time::sleep(OTHERS_POLL).await,
                Err(error) if error.is_transient() || error.ends_a_turn() => {
                    tokio::time::sleep(backoff.next()).await;
                }
                Err(WorkerError::Overtaken(_)) => tokio::time::sleep(backoff.next()).await,
                Err(WorkerError::Stopped) => return Ended::Kept,
                Err(error) => return Ended::Failed(error),
            }
        }
    }

    async fn try_to_renew(&self) -> Result<(), WorkerError> {
        let Applier { database, projection, .. } = &self.applier;
        let (name, version) = (projection.name(), projection.version());
        let standing = lease::standing(database, name, projection.topic()).await?;
        if standing.is_some_and(|standing| standing.version == version) {
            return Ok(());
        }
        let kept = self.applier.previous().await?;
        if kept.is_some_and(|(_, theirs)| theirs == version) {
            tracing::info!(projection = name, version, "the tables from before are taken again");
            return self.rollback().await.map(drop);
        }
        tracing::info!(projection = name, version, "building the tables of this version");
        self.rebuild(History::Whole).await.map(drop)
    }
}

fn replaced(outcome: Result<RebuildReport, WorkerError>, answer: Answer<RebuildReport>) -> Ended {
    let ended = if outcome.is_ok() { Ended::Replaced } else { Ended::Kept };
    let _ = answer.send(outcome);
    ended
}
