//! Taking turns: watch what another process does, take the lease when it is free, work, hand over.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::follow::Follower;
use super::{Backoff, State, WorkerError};
use crate::checkpoint::Checkpoint;
use crate::lease::{self, LEASE, Member, Part, RENEWAL, Standing};

/// How often a process that does not project looks how far the one that does is.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// The same while somebody waits for a position.
const WATCH_INTERVAL_HURRY: Duration = Duration::from_millis(20);

impl Follower<'_> {
    /// Does this process's part until something ends it.
    pub(super) async fn take_part(&self, backoff: &mut Backoff) -> WorkerError {
        match self.applier.part {
            Part::Alone => self.follow_unless_paused(backoff).await,
            Part::Reader => self.watch(None).await.err().unwrap_or_else(|| self.lease_lost()),
            Part::Member(member) => self.take_turn(member, backoff).await,
        }
    }

    /// An operator's command ends the wait.
    async fn follow_unless_paused(&self, backoff: &mut Backoff) -> WorkerError {
        match self.look().await {
            Ok(Standing { paused: true, .. }) => {
                let projection = self.applier.projection.name();
                tracing::warn!(projection, "paused: nothing is applied until it is resumed");
                std::future::pending().await
            }
            Ok(_) => self.follow(backoff).await,
            Err(error) => error,
        }
    }

    async fn take_turn(&self, member: Member, backoff: &mut Backoff) -> WorkerError {
        if let Err(error) = self.watch(Some(member)).await {
            return error;
        }
        tracing::info!(projection = self.applier.projection.name(), "projecting");
        self.enter(State::CatchingUp);
        tokio::select! {
            error = self.follow(backoff) => error,
            error = self.hold(member) => error,
        }
    }

    /// Tells how far others are, until this process has the lease; for ever if it wants none.
    async fn watch(&self, member: Option<Member>) -> Result<(), WorkerError> {
        let mut pause = WATCH_INTERVAL;
        loop {
            let Standing { paused, vacant, .. } = self.look().await?;
            if let (Some(member), true, false) = (member, vacant, paused)
                && lease::take(&self.applier.database, self.applier.projection.name(), member)
                    .await?
            {
                // What the last holder wrote until now; and a pause that came just before.
                if !self.look().await?.paused {
                    return Ok(());
                }
                lease::give_back(&self.applier.database, self.applier.projection.name(), member)
                    .await?;
            }
            pause = match timeout(pause, self.hurry.notified()).await {
                Ok(()) => WATCH_INTERVAL_HURRY,
                Err(_) => WATCH_INTERVAL.min(pause * 2),
            };
        }
    }

    /// Takes over which tables are read and how far they are.
    async fn look(&self) -> Result<Standing, WorkerError> {
        let Self { applier, progress, .. } = self;
        let name = applier.projection.name();
        let standing = lease::standing(&applier.database, name).await?;
        let standing = standing.ok_or_else(|| WorkerError::CheckpointLost(name.to_owned()))?;
        if applier.active() != standing.active {
            applier.sets.swap(standing.active);
        }
        let Checkpoint { sequence, .. } = applier.checkpoint().await?;
        let state = match applier.part {
            _ if standing.paused => State::Paused,
            Part::Alone => State::CatchingUp,
            Part::Member(_) | Part::Reader => State::Standby,
        };
        progress.send_if_modified(|progress| {
            let before = (progress.sequence, progress.state);
            (progress.sequence, progress.state) = (sequence, state);
            progress.last_error = None;
            before != (sequence, state)
        });
        Ok(standing)
    }

    /// Renews the lease for as long as that is possible. A database that does not answer has
    /// until the lease's end: then somebody else may have it.
    pub(crate) async fn hold(&self, member: Member) -> WorkerError {
        let (database, name) = (&self.applier.database, self.applier.projection.name());
        let mut ends = Instant::now() + LEASE;
        loop {
            sleep(RENEWAL).await;
            let asked = Instant::now();
            let renewed = async {
                let paused = lease::standing(database, name).await?.is_none_or(|it| it.paused);
                if paused {
                    lease::give_back(database, name, member).await?;
                }
                Ok::<_, WorkerError>(!paused && lease::take(database, name, member).await?)
            };
            tokio::select! {
                renewed = renewed => match renewed {
                    Ok(true) => ends = asked + LEASE,
                    Ok(false) => return self.lease_lost(),
                    Err(error) if asked > ends || !error.is_transient() => return error,
                    Err(_) => {}
                },
                () = sleep_until(ends) => return self.lease_lost(),
            }
        }
    }

    fn lease_lost(&self) -> WorkerError {
        WorkerError::LeaseLost(self.applier.projection.name().to_owned())
    }
}
