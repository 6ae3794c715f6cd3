//! The task of one projection.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::follow::Follower;
use super::{Applier, Progress, State, WorkerError};
use crate::lease::{self, Part};
use crate::rebuild::{RebuildReport, VerifyReport};

/// What an operator asks of a projection, and where the answer goes.
#[derive(Debug)]
pub(crate) enum Command {
    Pause(oneshot::Sender<Result<(), WorkerError>>),
    Resume(oneshot::Sender<Result<(), WorkerError>>),
    Rebuild(History, oneshot::Sender<Result<RebuildReport, WorkerError>>),
    Verify(oneshot::Sender<Result<VerifyReport, WorkerError>>),
}

/// What a rebuild may begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum History {
    /// The first event, or it is refused.
    Whole,
    /// The first that is still there.
    Kept,
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
}

impl Worker {
    pub(crate) async fn run(mut self) {
        self.enter(State::CatchingUp);
        while let Some(command) = self.next_command().await {
            self.obey(command).await;
        }
        self.hand_over().await;
    }

    /// Lets the next one begin at once.
    pub(crate) async fn hand_over(&self) {
        let Part::Member(member) = self.applier.part else { return };
        let (database, name) = (&self.applier.database, self.applier.projection.name());
        // If this fails, the lease ends by itself.
        let _ = tokio::time::timeout(HAND_OVER, lease::leave(database, name, member)).await;
    }

    /// Follows the log, if it may, until there is a command; `None`: stop. What is cut off is a
    /// transaction, which then changed nothing.
    async fn next_command(&mut self) -> Option<Command> {
        if self.state() == State::Failed {
            return self.commands.recv().await;
        }
        let Self { applier, progress, commands, hurry } = self;
        let follower = Follower { applier, progress, hurry };
        tokio::select! {
            biased;
            command = commands.recv() => return command,
            error = follower.follow_and_retry() => self.fail(&error),
        }
        self.commands.recv().await
    }

    async fn obey(&mut self, command: Command) {
        // An answer that nobody waits for any more is no loss.
        match command {
            Command::Pause(answer) => {
                let _ = answer.send(self.set_paused(true).await);
            }
            Command::Resume(answer) => {
                let _ = answer.send(self.set_paused(false).await);
            }
            Command::Rebuild(history, answer) => {
                let before = self.state();
                self.enter(State::Rebuilding);
                let outcome = self.rebuild(history).await;
                // New tables are a new start, unless an operator had stopped the projection.
                let rebuilt = outcome.is_ok() && before == State::Failed;
                self.enter(if rebuilt { State::CatchingUp } else { before });
                let _ = answer.send(outcome);
            }
            Command::Verify(answer) => {
                let before = self.state();
                self.enter(State::Verifying);
                let outcome = self.verify().await;
                self.enter(before);
                let _ = answer.send(outcome);
            }
        }
    }

    /// For every process that shares the database, and until an operator says otherwise.
    async fn set_paused(&self, paused: bool) -> Result<(), WorkerError> {
        let (database, name) = (&self.applier.database, self.applier.projection.name());
        lease::set_paused(database, name, paused).await?;
        self.hand_over().await;
        self.enter(if paused { State::Paused } else { State::CatchingUp });
        Ok(())
    }

    pub(crate) fn follower(&self) -> Follower<'_> {
        let Self { applier, progress, hurry, .. } = self;
        Follower { applier, progress, hurry }
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
