//! Sharing the work: watch what others do, take the partitions that are free, work, give back.
//!
//! ```text
//!            ┌──► look: tables, checkpoints, members, leases ──┐
//!            │                                                 ▼
//!   say "I am here", renew ◄── pause ◄── take, give back ◄── balance
//!                                             │
//!                                             └──► the seats: one for each partition held
//! ```

use std::collections::BTreeSet;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::follow::Follower;
use super::seats::Wanted;
use super::{Backoff, State, WorkerError};
use crate::balance::{self, Move};
use crate::lease::{self, LEASE, Member, Part, RENEWAL, Standing};

/// How often a process looks how far others are.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// The same while somebody waits for a position.
const WATCH_INTERVAL_HURRY: Duration = Duration::from_millis(20);

impl Follower<'_> {
    /// Does this process's part until something ends it.
    pub(super) async fn take_part(&self, backoff: &Backoff) -> WorkerError {
        match self.applier.part {
            Part::Alone => self.follow_all_unless_paused(backoff).await,
            Part::Reader => self.watch().await,
            Part::Member(member) => {
                let (tell, wanted) = watch::channel(self.nothing());
                tokio::select! {
                    error = self.follow_wanted(wanted, backoff) => error,
                    error = self.share(member, tell) => error,
                }
            }
        }
    }

    /// An operator's command ends the wait.
    async fn follow_all_unless_paused(&self, backoff: &Backoff) -> WorkerError {
        match self.look(&self.nothing()).await {
            Ok(Standing { paused: true, .. }) => {
                let projection = self.applier.projection.name();
                tracing::warn!(projection, "paused: nothing is applied until it is resumed");
                std::future::pending().await
            }
            // Tables of this version are being built; then this begins anew.
            Ok(standing) if standing.version != self.applier.projection.version() => {
                std::future::pending().await
            }
            Ok(standing) => {
                let numbers = (0..).zip(&standing.checkpoints).map(|(number, _)| number).collect();
                let all = Wanted { set: standing.active, numbers };
                // Held to the end: nothing else will be wanted.
                let (_tell, wanted) = watch::channel(all);
                self.follow_wanted(wanted, backoff).await
            }
            Err(error) => error,
        }
    }

    /// Tells how far others are.
    async fn watch(&self) -> WorkerError {
        let mut pace = Pace::new(self);
        loop {
            if let Err(error) = self.look(&self.nothing()).await {
                return error;
            }
            pace.rest().await;
        }
    }

    /// Shares the partitions with the other members. A database that does not answer has until
    /// the leases' end: then somebody else may have them.
    async fn share(&self, member: Member, tell: watch::Sender<Wanted>) -> WorkerError {
        let mut pace = Pace::new(self);
        let (mut beat_at, mut ends) = (Instant::now(), Instant::now() + LEASE);
        loop {
            let asked = Instant::now();
            let is_due = asked >= beat_at;
            let has_none = tell.borrow().numbers.is_empty();
            let round = Box::pin(self.round(member, is_due, &tell));
            let round = if has_none { Ok(round.await) } else { timeout_at(ends, round).await };
            let next = match round {
                Ok(Ok(next)) => {
                    if is_due {
                        (beat_at, ends) = (asked + RENEWAL, asked + LEASE);
                    }
                    next
                }
                Ok(Err(error)) if has_none || asked > ends || !error.is_transient() => {
                    return error;
                }
                Ok(Err(_)) => Next::Soon,
                Err(_) => return self.lease_lost(),
            };
            match next {
                Next::AtOnce => {}
                Next::Soon => pace.rest().await,
                // Whoever holds everything has nobody to watch.
                Next::AtRenewal => tokio::time::sleep_until(beat_at).await,
            }
        }
    }

    /// Looks once, and takes, keeps or gives back what the balance says.
    async fn round(
        &self,
        member: Member,
        is_due: bool,
        tell: &watch::Sender<Wanted>,
    ) -> Result<Next, WorkerError> {
        let (database, name) = (&self.applier.database, self.applier.projection.name());
        if is_due {
            lease::beat(database, name, member).await?;
        }
        let before = tell.borrow().clone();
        let standing = self.look(&before).await?;
        let mut numbers: BTreeSet<u32> = standing.held_by(member).collect();
        // Tables of another version are for those to write that run it.
        if standing.paused || standing.version != self.applier.projection.version() {
            tell.send_replace(Wanted { set: standing.active, numbers: BTreeSet::new() });
            if !numbers.is_empty() {
                lease::leave(database, name, member).await?;
            }
            return Ok(Next::Soon);
        }
        let next = balance::next(&standing, member);
        if let Move::GiveBack(number) = &next {
            numbers.remove(number);
        }
        let holds_all = numbers.len() == standing.holders.len();
        let wanted = Wanted { set: standing.active, numbers };
        tell.send_if_modified(|now| std::mem::replace(now, wanted.clone()) != wanted);
        match next {
            // What it is given it works on once it has looked: at how far the last holder came,
            // and at a pause that came just before.
            Move::Take(free) => {
                for number in free {
                    lease::take(database, name, number, member).await?;
                }
                Ok(Next::AtOnce)
            }
            // Its seat is gone already; if not, the checkpoint would tell.
            Move::GiveBack(number) => {
                tracing::info!(
                    projection = name,
                    partition = number,
                    "given back: others have less"
                );
                lease::give_back(database, name, number, member).await?;
                Ok(Next::Soon)
            }
            Move::Stay if holds_all => Ok(Next::AtRenewal),
            Move::Stay => Ok(Next::Soon),
        }
    }

    /// Takes over which tables are read and how far they are; of the partitions that are worked
    /// on here, their seats tell.
    async fn look(&self, kept: &Wanted) -> Result<Standing, WorkerError> {
        let Self { applier, progress, .. } = self;
        let (name, version) = (applier.projection.name(), applier.projection.version());
        let topic = applier.projection.topic();
        let standing = loop {
            let looked = applier.sets.look(name);
            let standing = lease::standing(&applier.database, name, topic).await?;
            let standing = standing.ok_or_else(|| WorkerError::CheckpointLost(name.to_owned()))?;
            if standing.version > version {
                self.stay_behind(&standing);
                return Ok(standing);
            }
            if applier.sets.follow(looked, standing.active) {
                break standing;
            }
        };
        let theirs = standing.checkpoints.first().map(|checkpoint| checkpoint.log);
        if let Some(theirs) = theirs.filter(|theirs| *theirs != applier.log.id()) {
            let ours = applier.log.id();
            return Err(WorkerError::OtherLog { projection: name, theirs, ours });
        }
        let state = if applier.part == Part::Alone { State::CatchingUp } else { State::Standby };
        let is_kept = |number: u32| kept.set == standing.active && kept.numbers.contains(&number);
        progress.send_if_modified(|progress| {
            let before = (progress.sequence, progress.state);
            progress.follow(&standing, is_kept, state);
            if applier.part.takes_turns() {
                progress.build = standing.build;
            }
            progress.last_error = None;
            before != (progress.sequence, progress.state)
        });
        Ok(standing)
    }

    /// A newer version's tables are read by those who run it. The ones that this version has read
    /// stay as they are.
    fn stay_behind(&self, standing: &Standing) {
        let (theirs, ours) = (standing.version, self.applier.projection.version());
        let error = format!(
            "others run version {theirs} of it, this is {ours}: its tables are no longer kept up to date"
        );
        self.progress.send_if_modified(|progress| {
            let news = progress.last_error.as_deref() != Some(&error);
            progress.last_error = Some(error);
            news
        });
    }

    fn nothing(&self) -> Wanted {
        Wanted { set: self.applier.active(), numbers: BTreeSet::new() }
    }

    fn lease_lost(&self) -> WorkerError {
        WorkerError::LeaseLost(self.applier.projection.name().to_owned())
    }
}

/// When a member looks again.
enum Next {
    AtOnce,
    Soon,
    AtRenewal,
}

/// The pauses between looks: short while somebody waits for a position.
struct Pace {
    pause: Duration,
    hurry: watch::Receiver<()>,
}

impl Pace {
    fn new(follower: &Follower<'_>) -> Self {
        Self { pause: WATCH_INTERVAL, hurry: follower.hurry() }
    }

    async fn rest(&mut self) {
        self.pause = match timeout(self.pause, self.hurry.changed()).await {
            Ok(_) => WATCH_INTERVAL_HURRY,
            Err(_) => WATCH_INTERVAL.min(self.pause * 2),
        };
    }
}
