//! From batches of clicks to scores. Everything merges by sum and maximum, so late and shuffled
//! clicks give the same rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use hashbrown::HashMap;
use hoplog_events::catalogue::DecodeError;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::position::Topic;

use super::span::{Span, spans_of};
use super::{NAME, VERSION};
use crate::clicks::batch::{ClickPlace, each_click};
use crate::database::{Column, DatabaseError, Rows, Transaction};
use crate::partition::{Partitions, Share};
use crate::projection::{Changes, Projection, Table};
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

    fn fold(
        &self,
        events: &[RecordedEvent],
        share: Share,
    ) -> Result<Box<dyn Changes>, DecodeError> {
        Ok(Box::new(Counted::of(events, share, &self.agents)?))
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
    Ok(Counted::of(events, Share::All(Partitions::ONE), agents)?.into_sorted())
}

/// Score and earliness.
#[derive(Clone, Copy)]
struct Tally(i64, i64);

/// What a batch of clicks adds up to.
#[derive(Default)]
struct Counted {
    links: HashMap<Box<str>, BTreeMap<Span, Tally>>,
    clicks: u64,
}

impl Counted {
    fn of(
        events: &[RecordedEvent],
        share: Share,
        agents: &UserAgents,
    ) -> Result<Self, DecodeError> {
        let mut counted = Self::default();
        for event in events {
            each_click(event, share, |place, link, click| {
                counted.clicks += 1;
                if !click.classify(agents).class.is_bot() {
                    counted.count(link, earliness(place), &spans_of(click.at));
                }
            })?;
        }
        Ok(counted)
    }

    fn count(&mut self, link: &str, earliness: i64, spans: &[(Span, i64)]) {
        if !self.links.contains_key(link) {
            self.links.insert(link.into(), BTreeMap::new());
        }
        let Some(scores) = self.links.get_mut(link) else { return };
        for (span, weight) in spans {
            let tally = scores.entry(*span).or_insert(Tally(0, earliness));
            *tally = Tally(tally.0 + weight, tally.1.max(earliness));
        }
    }

    /// In the order of the table's key, so that its pages are written in order.
    fn into_sorted(self) -> Vec<Scored> {
        let mut all = Vec::new();
        for (link, scores) in self.links {
            let link: Arc<str> = link.into();
            all.extend(scores.into_iter().map(|(span, Tally(score, earliness))| Scored {
                span,
                link: Arc::clone(&link),
                score,
                earliness,
            }));
        }
        all.sort_unstable_by(|a, b| (a.span, &a.link).cmp(&(b.span, &b.link)));
        all
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

    async fn write(
        self: Box<Self>,
        transaction: &mut Transaction,
        set: TableSet,
    ) -> Result<(), DatabaseError> {
        let mut rows = Rows::new(SCORE);
        for Scored { span, link, score, earliness } in self.into_sorted() {
            rows.push(|row| {
                row.int(span.number()).text(&link).int(score).int(earliness);
            });
        }
        transaction.write(&set.render(ADD), rows).await
    }
}
