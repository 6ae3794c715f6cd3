//! Rankings of all links in Redis: the same as in the read model, in sorted sets that one node builds
//! from the log with a checkpoint of their own. See `docs/decisions/0023-top-links.md`.
//!
//! A checkpoint is `<sequence> <command id> <part>`: the last event of topic CLICKS that is in, as a
//! whole; whose that was; how much of the event behind it is in as well, while it is added in parts.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::envelope::CommandId;
use hoplog_events::link::LinkKey;
use hoplog_events::log::Seen;
use hoplog_events::position::{LogId, Sequence};
use hoplog_projections::top_links::{self, Around, RANK_MAX, Ranked, Ranking, Span};
use uuid::Uuid;

use crate::cache::{Answer, Level2, Rankings};

mod follower;

pub use follower::RankingsFollower;

/// A span is kept up for so long behind its end, and dropped after twice as long. Clocks of nodes
/// that differ by less than half of it do no harm.
const KEPT_BEHIND_END: Duration = Duration::from_hours(24);

/// The rankings that this node reads from Redis.
#[derive(Debug, Clone)]
pub struct SharedRankings {
    rankings: Rankings,
}

impl SharedRankings {
    /// The rankings of a log.
    #[must_use]
    pub fn new(level2: Arc<Level2>, log: LogId) -> Self {
        // The random half of the id. What stands in braces keeps the keys in one slot of a cluster.
        let log = log.0.as_u64_pair().1;
        let prefix = format!("hoplog:{{{log:016x}:r1.{}}}:", top_links::VERSION);
        Self { rankings: Rankings::new(level2, &prefix) }
    }

    /// The first links of a ranking, if it is kept and accounts for everything up to a position of
    /// topic CLICKS.
    pub async fn top(
        &self,
        ranking: &Ranking,
        at_least: Sequence,
        now: DateTime<Utc>,
        limit: usize,
    ) -> Option<Vec<Ranked>> {
        let set = set_of(ranking, now)?;
        let answer = self.rankings.top(&set, limit).await.ok().flatten()?;
        ranked(answer, at_least)
    }

    /// A link in a ranking and its neighbours, likewise; the inner `None`: it is not in it.
    pub async fn around(
        &self,
        ranking: &Ranking,
        at_least: Sequence,
        now: DateTime<Utc>,
        (link, neighbours): (&LinkKey, usize),
    ) -> Option<Option<Around>> {
        let set = set_of(ranking, now)?;
        let answer = self.rankings.around(&set, &link.to_string(), neighbours).await;
        let mut above = ranked(answer.ok().flatten()?, at_least)?;
        let Some(place) = above.iter().position(|ranked| ranked.link == *link) else {
            return Some(None);
        };
        let below = above.split_off(place + 1);
        let own = above.pop()?;
        Some(Some(Around { above, own, below }))
    }
}

/// The set that a ranking is read from; `None`: it is not kept in Redis.
fn set_of(ranking: &Ranking, now: DateTime<Utc>) -> Option<String> {
    let [span] = ranking.spans() else { return None };
    let is_kept = is_kept(*span, now, KEPT_BEHIND_END / 2);
    is_kept.then(|| span.number().to_string())
}

/// All time, and what has an end that is not long ago: days and trends. Weeks and months are left to the
/// database, for the sake of memory.
fn is_kept(span: Span, now: DateTime<Utc>, behind_end: Duration) -> bool {
    span == Span::EVER || span.end().is_some_and(|end| end > now - behind_end)
}

fn ranked(answer: Answer, at_least: Sequence) -> Option<Vec<Ranked>> {
    let checkpoint = answer.at.parse::<Checkpoint>().ok()?;
    if checkpoint.part > 0 || checkpoint.seen.sequence < at_least {
        return None;
    }
    let one = |(rank, member): (u64, crate::cache::Member)| {
        let (link, score) = (member.name.parse().ok()?, member.score);
        Some(Ranked { rank: Some(rank).filter(|rank| *rank <= RANK_MAX), link, score })
    };
    (answer.first + 1..).zip(answer.members).map(one).collect()
}

/// How far the sets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Checkpoint {
    seen: Seen,
    /// So many changes of the next event are in.
    part: usize,
}

impl std::fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Seen { sequence, command_id } = self.seen;
        write!(f, "{} {} {}", sequence.0, command_id.0, self.part)
    }
}

/// Not a checkpoint of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NoCheckpoint;

impl std::str::FromStr for Checkpoint {
    type Err = NoCheckpoint;

    fn from_str(text: &str) -> Result<Self, NoCheckpoint> {
        let words: Vec<&str> = text.split(' ').collect();
        let [sequence, command, part] = words[..] else { return Err(NoCheckpoint) };
        let sequence = Sequence(sequence.parse().map_err(|_| NoCheckpoint)?);
        let command_id = CommandId(Uuid::parse_str(command).map_err(|_| NoCheckpoint)?);
        let part = part.parse().map_err(|_| NoCheckpoint)?;
        Ok(Self { seen: Seen { sequence, command_id }, part })
    }
}

#[cfg(test)]
mod tests;
