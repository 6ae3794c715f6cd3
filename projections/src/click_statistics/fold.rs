//! From batches of clicks to counters and sketches. Everything merges by sum and union, so late
//! and shuffled clicks give the same rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use hoplog_events::catalogue::DecodeError;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::LinkKey;
use hoplog_events::position::Topic;

use super::cells::{CellKey, Cells, Group, GroupRef, Tally};
use super::{NAME, VERSION, all_links, bucket_of};
use crate::clicks::batch::each_click;
use crate::clicks::recorded::RecordedClick;
use crate::database::{Column, DatabaseError, Rows, Transaction, bad_row};
use crate::partition::{Partitions, Share};
use crate::projection::{Changes, Projection, Table};
use crate::sketch::{Place, Sketch};
use crate::table_set::TableSet;
use crate::user_agents::UserAgents;

const TOTAL: &[Column] = &[Column::Text("link"), Column::Int("humans"), Column::Int("bots")];

/// `cell` is the place of the cell in the batch.
const CELL: &[Column] = &[
    Column::Int("cell"),
    Column::Text("link"),
    Column::Int("bucket"),
    Column::Int("dimension"),
    Column::Text("value"),
    Column::Int("bot"),
    Column::Int("clicks"),
    Column::Bytes("visitors"),
];

const ADD_TOTALS: &str = "insert into {click_statistics.totals} as t (link, humans, bots) \
    select link, humans, bots from {rows} where true on conflict (link) do update set \
    humans = t.humans + excluded.humans, bots = t.bots + excluded.bots";
const READ_VISITORS: &str = "select batch.cell, b.visitors from {rows} \
    cross join {click_statistics.buckets} b where b.link = batch.link and b.bucket = batch.bucket \
    and b.dimension = batch.dimension and b.value = batch.value and b.bot = batch.bot";
/// A sketch of no bytes stands for "as it was".
const ADD_CELLS: &str = "insert into {click_statistics.buckets} as b \
    (link, bucket, dimension, value, bot, clicks, visitors) \
    select link, bucket, dimension, value, bot, clicks, visitors from {rows} where true \
    on conflict (link, bucket, dimension, value, bot) do update set \
    clicks = b.clicks + excluded.clicks, visitors = case when length(excluded.visitors) = 0 \
    then b.visitors else excluded.visitors end";

/// Keeps counters and sketches.
#[derive(Debug)]
pub struct ClickStatisticsProjection {
    agents: Arc<UserAgents>,
}

impl ClickStatisticsProjection {
    /// Classifies clicks with the agents that are remembered.
    #[must_use]
    pub fn new(agents: Arc<UserAgents>) -> Self {
        Self { agents }
    }
}

#[async_trait]
impl Projection for ClickStatisticsProjection {
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

    fn keeps_order(&self) -> bool {
        false
    }

    fn tables(&self) -> &'static [Table] {
        &[
            Table { name: "totals", key: &["link"] },
            Table { name: "buckets", key: &["link", "bucket", "dimension", "value", "bot"] },
        ]
    }

    fn fold(
        &self,
        events: &[RecordedEvent],
        share: Share,
    ) -> Result<Box<dyn Changes>, DecodeError> {
        let mut counted = Counted::default();
        for event in events {
            each_click(event, share, |_, link, click| counted.count(link, click, &self.agents))?;
        }
        counted.cells.add_all_links(share.of());
        counted.add_all_links(share.of());
        Ok(Box::new(counted))
    }
}

/// What a batch of clicks adds up to.
#[derive(Default)]
struct Counted {
    cells: Cells,
    /// People and bots by link.
    totals: BTreeMap<Box<str>, [u64; 2]>,
    clicks: u64,
}

impl Counted {
    fn count(&mut self, link: &str, click: &RecordedClick<'_>, agents: &UserAgents) {
        let classified = click.classify(agents);
        let bot = classified.class.is_bot();
        let group = GroupRef { link, bucket: bucket_of(click.at), bot };
        self.cells.count(group, &classified.values(), Place::of(click.visitor));
        self.clicks += 1;
        match self.totals.get_mut(link) {
            Some(totals) => totals[usize::from(bot)] += 1,
            None => {
                self.totals.insert(link.into(), [u64::from(!bot), u64::from(bot)]);
            }
        }
    }

    fn add_all_links(&mut self, partitions: Partitions) {
        let mut together: BTreeMap<u32, [u64; 2]> = BTreeMap::new();
        for (link, [humans, bots]) in &self.totals {
            let all = together.entry(partitions.number_of(link)).or_default();
            *all = [all[0] + humans, all[1] + bots];
        }
        let together = together.into_iter();
        self.totals.extend(together.map(|(partition, all)| (all_links(partition).into(), all)));
    }
}

#[async_trait]
impl Changes for Counted {
    fn facts(&self) -> u64 {
        self.clicks
    }

    fn links(&self) -> Vec<LinkKey> {
        // The rows of all links together are no link's.
        self.totals.keys().filter_map(|link| link.parse().ok()).collect()
    }

    async fn write(
        self: Box<Self>,
        transaction: &mut Transaction,
        set: TableSet,
    ) -> Result<(), DatabaseError> {
        let Self { cells, totals, .. } = *self;
        let mut rows = Rows::new(TOTAL);
        for (link, [humans, bots]) in &totals {
            rows.push(|row| {
                row.text(link).count(*humans).count(*bots);
            });
        }
        transaction.write(&set.render(ADD_TOTALS), rows).await?;
        let (groups, mut cells) = cells.into_sorted();
        let unchanged = merge_visitors(transaction, set, &groups, &mut cells).await?;
        let mut rows = Rows::new(CELL);
        for (place, (key, tally)) in cells.iter().enumerate() {
            let visitors = if unchanged[place] { Vec::new() } else { tally.visitors.to_bytes() };
            push(&mut rows, place, &groups[key.group], key, tally.clicks, &visitors);
        }
        transaction.write(&set.render(ADD_CELLS), rows).await
    }
}

/// Adds the visitors that the rows hold to those of the cells; tells for each cell whether its
/// row holds them all already.
async fn merge_visitors(
    transaction: &mut Transaction,
    set: TableSet,
    groups: &[Group],
    cells: &mut [(CellKey, Tally)],
) -> Result<Vec<bool>, DatabaseError> {
    let mut unchanged = vec![false; cells.len()];
    if cells.is_empty() {
        return Ok(unchanged);
    }
    let mut rows = Rows::new(CELL);
    for (place, (key, _)) in cells.iter().enumerate() {
        push(&mut rows, place, &groups[key.group], key, 0, &[]);
    }
    transaction
        .read(&set.render(READ_VISITORS), rows, |row| {
            let place = usize::try_from(row.int(0)?).unwrap_or(usize::MAX);
            let (_, tally) = cells.get_mut(place).ok_or_else(|| bad_row("not a cell"))?;
            let mut visitors =
                Sketch::from_bytes(row.bytes(1)?).map_err(|error| bad_row(&error.to_string()))?;
            unchanged[place] = !visitors.merge(&tally.visitors);
            tally.visitors = visitors;
            Ok(())
        })
        .await?;
    Ok(unchanged)
}

fn push(rows: &mut Rows, place: usize, group: &Group, key: &CellKey, clicks: u64, visitors: &[u8]) {
    rows.push(|row| {
        row.count(place as u64)
            .text(&group.link)
            .int(group.bucket)
            .int(key.dimension.number())
            .text(&key.value)
            .int(group.bot.into())
            .count(clicks)
            .bytes(visitors);
    });
}
