//! The task that builds the rankings in Redis from the log, on one node at a time.
//!
//! Where two think that it is their turn, the checkpoint decides: whoever finds it elsewhere has
//! changed nothing, and looks again. A Redis that was emptied, or has dropped something to make
//! room, is built anew from the first event.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::catalogue::DecodeError;
use hoplog_events::envelope::{CommandId, RecordedEvent};
use hoplog_events::log::{EventLog, ReadError, ReadLimit, Seen};
use hoplog_events::position::{Sequence, Topic};
use hoplog_projections::top_links::{Scored, scores};
use hoplog_projections::user_agents::UserAgents;
use uuid::Uuid;

use super::{Checkpoint, KEPT_BEHIND_END, SharedRankings, is_kept};
use crate::cache::{Added, Addition, Level2Error, Rankings, SetAdditions};
use crate::clock::Clock;

/// How long to wait before it is tried again, or looked whose turn it is.
const PAUSE: Duration = Duration::from_millis(500);

/// The most changes in one script: Redis does nothing else meanwhile, a few milliseconds.
const CHANGES_PER_CALL: usize = 500;

/// How much is read from the log at once.
const BATCH: ReadLimit = ReadLimit { events_max: 256, bytes_max: 1024 * 1024 };

/// Builds the rankings of a log.
#[derive(Debug)]
pub struct RankingsFollower {
    rankings: Rankings,
    log: Arc<dyn EventLog>,
    clock: Clock,
    agents: UserAgents,
}

/// Why it does not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    /// Tried again.
    #[error(transparent)]
    Level2(#[from] Level2Error),
    /// Tried again. Where the log has lost its beginning there are no rankings in Redis.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The read model parks such an event; here nothing is built behind it.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Looked again where it is.
    #[error("somebody else moved the checkpoint, or Redis has lost something")]
    Elsewhere,
}

/// The next changes: up to where the checkpoint moves with them.
struct Step<'a> {
    changes: &'a [Scored],
    to: Checkpoint,
}

impl RankingsFollower {
    /// Follows a log.
    #[must_use]
    pub fn new(shared: &SharedRankings, log: Arc<dyn EventLog>, clock: Clock) -> Self {
        Self { rankings: shared.rankings.clone(), log, clock, agents: UserAgents::default() }
    }

    /// Builds and follows for as long as it is polled, while it is this node's turn.
    pub async fn run(self, is_our_turn: impl Fn() -> bool) {
        let mut told = String::new();
        loop {
            if is_our_turn()
                && !self.rankings.is_away()
                && let Err(error) = self.follow(&is_our_turn).await
            {
                let text = error.to_string();
                if text != told && matches!(error, FollowError::Read(_) | FollowError::Decode(_)) {
                    tracing::warn!(%error, "rankings are not kept in the shared cache");
                    told = text;
                }
                metrics::counter!("hoplog_shared_rankings_failures_total").increment(1);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// From where the checkpoint is, until it is somebody else's turn.
    pub(super) async fn follow(&self, is_our_turn: &impl Fn() -> bool) -> Result<(), FollowError> {
        let mut at = self.checkpoint().await?;
        let after = at.map_or(Sequence::START, |at| at.seen.sequence);
        let mut events = self.log.subscribe(Topic::Clicks, after, BATCH).await?;
        while is_our_turn() {
            // What Redis lost is noticed also while nobody clicks.
            let Ok(events) = tokio::time::timeout(PAUSE, events.next()).await else {
                if self.rankings.checkpoint().await? != text(at) {
                    return Err(FollowError::Elsewhere);
                }
                continue;
            };
            at = self.apply(at, &events?).await?;
        }
        Ok(())
    }

    /// Where the checkpoint is. One of a log that was put back since is dropped.
    async fn checkpoint(&self) -> Result<Option<Checkpoint>, FollowError> {
        let there = self.rankings.checkpoint().await?;
        let Ok(at) = there.parse::<Checkpoint>() else {
            if !there.is_empty() {
                self.rankings.forget().await?;
            }
            return Ok(None);
        };
        if at.seen.sequence == Sequence::START {
            return Ok(Some(at));
        }
        match self.log.confirm(Topic::Clicks, at.seen).await {
            Ok(()) => Ok(Some(at)),
            Err(error @ ReadError::Rewound { .. }) => {
                self.rankings.forget().await?;
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Adds events, a part of an event at a time where one holds many changes.
    async fn apply(
        &self,
        mut at: Option<Checkpoint>,
        events: &[RecordedEvent],
    ) -> Result<Option<Checkpoint>, FollowError> {
        let (mut left, mut most) = (events, events.len());
        while let Some(first) = left.first() {
            let part = at.map_or(0, |at| at.part);
            let most_now = if part > 0 { 1 } else { most.min(left.len()) };
            let (taken, changes) = self.take(&left[..most_now])?;
            // As many as fitted this time, and some more next time.
            most = taken + taken / 4;
            // All kept changes of several events fit; those of one are cut, whether kept or not, in the
            // same way whoever goes on with it.
            let end = if taken > 1 { changes.len() } else { part + CHANGES_PER_CALL };
            let to = if end >= changes.len() {
                let last = left.get(taken - 1).unwrap_or(first);
                left = &left[taken..];
                Checkpoint { seen: last.into(), part: 0 }
            } else {
                Checkpoint { seen: at.map_or(NOTHING, |at| at.seen), part: end }
            };
            let changes = changes.get(part..end.min(changes.len())).unwrap_or_default();
            at = Some(self.step(at, Step { changes, to }).await?);
        }
        Ok(at)
    }

    /// As many events as give a batch that is not too large, one at least, and their changes.
    fn take(&self, events: &[RecordedEvent]) -> Result<(usize, Vec<Scored>), FollowError> {
        let now = self.clock.now();
        let mut taken = events.len();
        loop {
            let changes = scores(&events[..taken], &self.agents)?;
            let kept = changes.iter().filter(|change| is_kept(change.span, now, KEPT_BEHIND_END));
            if taken <= 1 || kept.count() <= CHANGES_PER_CALL {
                return Ok((taken, changes));
            }
            taken = taken.div_ceil(2);
        }
    }

    async fn step(
        &self,
        at: Option<Checkpoint>,
        step: Step<'_>,
    ) -> Result<Checkpoint, FollowError> {
        let sets = sets(step.changes, self.clock.now());
        let places = [text(at), step.to.to_string()];
        match self.rankings.add(places.each_ref().map(String::as_str), &sets).await? {
            Added::Moved => Ok(step.to),
            Added::Elsewhere | Added::Lost => Err(FollowError::Elsewhere),
        }
    }
}

/// Before the first event.
const NOTHING: Seen = Seen { sequence: Sequence::START, command_id: CommandId(Uuid::nil()) };

fn text(at: Option<Checkpoint>) -> String {
    at.map_or_else(String::new, |at| at.to_string())
}

/// The changes by set, without those of spans that are not kept any more.
fn sets(changes: &[Scored], now: DateTime<Utc>) -> Vec<SetAdditions<'_>> {
    let mut sets: BTreeMap<_, Vec<Addition<'_>>> = BTreeMap::new();
    for change in changes.iter().filter(|change| is_kept(change.span, now, KEPT_BEHIND_END)) {
        sets.entry(change.span).or_default().push(Addition {
            name: &change.link,
            score: change.score,
            // In the order of signed numbers.
            order: change.earliness.cast_unsigned() ^ (1 << 63),
        });
    }
    let set = |(span, additions): (hoplog_projections::top_links::Span, _)| {
        let kept_ms = i64::try_from(2 * KEPT_BEHIND_END.as_millis()).unwrap_or(i64::MAX);
        let until_ms = span.end().map(|end| end.timestamp_millis().saturating_add(kept_ms));
        SetAdditions { set: span.number().to_string(), until_ms, additions }
    };
    sets.into_iter().map(set).collect()
}
