//! From batches of clicks to scores. Everything merges by sum and maximum, so late and shuffled
//! clicks give the same rows.

use std::cmp::Ordering;
use std::sync::Arc;

use async_trait::async_trait;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use hoplog_events::catalogue::DecodeError;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::position::Topic;

use super::span::{SPANS_OF_A_CLICK, Span, spans_of};
use super::{NAME, VERSION};
use crate::clicks::BUILD_BATCH_BYTES;
use crate::clicks::batch::ClickPlace;
use crate::clicks::decoded::Decoded;
use crate::database::{Column, DatabaseError, Rows, TextId, Transaction};
use crate::ordered::merged;
use crate::partition::{Partitions, Share};
use crate::projection::{Changes, Projection, Table, alike};
use crate::runner::Batch;
use crate::table_set::TableSet;
use crate::user_agents::UserAgents;

const SCORE: &[Column] =
    &[Column::Int("span"), Column::Text("link"), Column::Int("score"), Column::Int("earliness")];

/// The greater `earliness` is the earlier one, and each database has another name for that.
const ADD: &str = "insert into {top_links.scores} as s (span, link, score, earliness) \
    select span, link, score, earliness from {rows} where true \
    on conflict (span, link) do update set score = s.score + excluded.score, \
    earliness = case when excluded.earliness > s.earliness then excluded.earliness \
    else s.earliness end";

/// The bits of an earliness that are the place of a click in its event: an event holds far fewer.
const PLACE_BITS: u32 = 20;

/// So many rows are not made more while tables are built: each is some 50 bytes of memory.
const SCORES_MAX: usize = 200_000;

/// Keeps the scores of links.
#[derive(Debug)]
pub struct TopLinksProjection {
    agents: Arc<UserAgents>,
}

impl TopLinksProjection {
    /// Tells people from bots with the agents that are remembered.
    #[must_use]
    pub fn new(agents: Arc<UserAgents>) -> Self {
        Self { agents }
    }
}

#[async_trait]
impl Projection for TopLinksProjection {
    fn name(&self) -> &'static str {
        NAME
    }

    fn version(&self) -> i64 {
        VERSION
    }

    fn topic(&self) -> Topic {
        Topic::Clicks
    }

    fn definition(&self) -> &'static str {
        include_str!("tables.sql")
    }

    fn indexes(&self) -> &'static str {
        include_str!("indexes.sql")
    }

    fn keeps_order(&self) -> bool {
        false
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "scores", key: &["span", "link"] }]
    }

    fn build_batch_bytes(&self) -> usize {
        BUILD_BATCH_BYTES
    }

    fn fold(&self, batch: &Batch, share: Share) -> Result<Box<dyn Changes>, DecodeError> {
        Ok(Box::new(Counted::of(&*batch.clicks(share, &self.agents)?)))
    }
}

/// What some clicks add to a link's score in a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scored {
    /// What it belongs to.
    pub span: Span,
    /// The link, as `domain/code`.
    pub link: Arc<str>,
    /// How much is added.
    pub score: i64,
    /// Where the first of the clicks stands on the log: the greater, the earlier.
    pub earliness: i64,
}

/// What events add to the scores of all links: the same that the projection adds to its table, in
/// an order that depends on nothing but the events.
///
/// # Errors
/// When an event can't be read.
pub fn scores(events: &[RecordedEvent], agents: &UserAgents) -> Result<Vec<Scored>, DecodeError> {
    let decoded = Decoded::of(events, Share::All(Partitions::ONE), agents)?;
    Ok(Counted::of(&decoded).scores)
}

/// The order of the table's key.
fn by_key(one: &Scored, other: &Scored) -> Ordering {
    (one.span, &one.link).cmp(&(other.span, &other.link))
}

/// Score and earliness.
#[derive(Clone, Copy)]
struct Tally(i64, i64);

impl Tally {
    fn add(&mut self, other: Self) {
        *self = Self(self.0 + other.0, self.1.max(other.1));
    }
}

/// The scores of one link. Most clicks count in the same spans as the one before.
struct Scores {
    now: [(Span, Tally); SPANS_OF_A_CLICK],
    /// What was counted in other spans, a span perhaps more than once.
    before: Vec<(Span, Tally)>,
}

impl Scores {
    fn of(counts: [(Span, Tally); SPANS_OF_A_CLICK]) -> Self {
        Self { now: counts, before: Vec::new() }
    }

    fn add(&mut self, counts: [(Span, Tally); SPANS_OF_A_CLICK]) {
        for (now, (span, tally)) in self.now.iter_mut().zip(counts) {
            if now.0 == span {
                now.1.add(tally);
            } else {
                self.before.push(std::mem::replace(now, (span, tally)));
            }
        }
    }

    /// Each span once, in order.
    fn finish(self) -> Vec<(Span, Tally)> {
        let mut all = self.before;
        all.extend(self.now);
        all.sort_unstable_by_key(|(span, _)| *span);
        all.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1.add(later.1);
            }
            same
        });
        all
    }
}

/// What a batch of clicks adds up to.
struct Counted {
    /// In the order of the table's key, so that its pages are written in order.
    scores: Vec<Scored>,
    clicks: u64,
}

impl Counted {
    fn of(decoded: &Decoded) -> Self {
        let mut links: HashMap<TextId, Scores> = HashMap::new();
        for click in decoded.clicks.iter().filter(|click| !click.class.is_bot()) {
            let earliness = earliness(click.place);
            let counts = spans_of(click.at).map(|(span, weight)| (span, Tally(weight, earliness)));
            match links.entry(click.link) {
                Entry::Occupied(scores) => scores.into_mut().add(counts),
                Entry::Vacant(none) => {
                    none.insert(Scores::of(counts));
                }
            }
        }
        let mut scores = Vec::new();
        for (link, of_link) in links {
            let link = decoded.texts.get(link);
            scores.extend(of_link.finish().into_iter().map(|(span, Tally(score, earliness))| {
                Scored { span, link: Arc::clone(link), score, earliness }
            }));
        }
        scores.sort_unstable_by(by_key);
        Self { scores, clicks: decoded.clicks.len() as u64 }
    }
}

/// Where a click stands on the log, turned around so that the databases keep the greater.
fn earliness(place: ClickPlace) -> i64 {
    let index = i64::try_from(place.index).unwrap_or(i64::MAX).min((1 << PLACE_BITS) - 1);
    let sequence = place.sequence.0.min(u64::MAX >> (PLACE_BITS + 1)).cast_signed();
    -(sequence << PLACE_BITS | index)
}

#[async_trait]
impl Changes for Counted {
    fn facts(&self) -> u64 {
        self.clicks
    }

    fn has_room(&self) -> bool {
        self.scores.len() < SCORES_MAX
    }

    fn join(self: Box<Self>, later: Box<dyn Changes>) -> Result<Box<dyn Changes>, DatabaseError> {
        let later = alike::<Self>(later)?;
        let add = |one: Scored, more: Scored| {
            let (score, earliness) = (one.score + more.score, one.earliness.max(more.earliness));
            Ok(Scored { score, earliness, ..one })
        };
        let scores = merged(self.scores, later.scores, by_key, add)?;
        Ok(Box::new(Self { scores, clicks: self.clicks + later.clicks }))
    }

    async fn write(
        self: Box<Self>,
        transaction: &mut Transaction,
        set: TableSet,
    ) -> Result<(), DatabaseError> {
        let mut rows = Rows::new(SCORE);
        for Scored { span, link, score, earliness } in self.scores {
            rows.push(|row| {
                row.int(span.number()).text(&link).int(score).int(earliness);
            });
        }
        transaction.write(&set.render(ADD), rows).await
    }
}
