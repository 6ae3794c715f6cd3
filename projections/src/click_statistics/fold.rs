//! From batches of clicks to counters and sketches. Everything merges by sum and union, so late
//! and shuffled clicks give the same rows.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use hoplog_events::catalogue::DecodeError;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::LinkKey;
use hoplog_events::position::Topic;

use super::cells::{CellKey, Cells, Group, GroupRef, Tally};
use super::{NAME, VERSION, all_links, all_links_beside, bucket_of};
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

/// The same in the order of the table.
const NEW_CELL: &[Column] = CELL.split_at(1).1;

/// What counts all links of a partition together.
const NAME_OF_ALL: &[Column] = &[Column::Text("link")];

const READ_NEWEST: &str = "select n.link, n.bucket from (select batch.link as link, \
    (select max(b.bucket) from {click_statistics.buckets} b where b.link = batch.link) as bucket \
    from {rows}) as n where n.bucket is not null";
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

    fn build_batch_bytes(&self) -> usize {
        24 * 1024 * 1024
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
        let mut counted = Counted::new(share.of());
        for event in events {
            each_click(event, share, |_, link, click| counted.count(link, click, &self.agents))?;
        }
        counted.cells.add_all_links(share.of());
        counted.add_all_links();
        Ok(Box::new(counted))
    }
}

/// What a batch of clicks adds up to.
struct Counted {
    cells: Cells,
    /// People and bots by link.
    totals: BTreeMap<Box<str>, [u64; 2]>,
    clicks: u64,
    partitions: Partitions,
}

impl Counted {
    fn new(partitions: Partitions) -> Self {
        Self { cells: Cells::default(), totals: BTreeMap::new(), clicks: 0, partitions }
    }

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

    fn add_all_links(&mut self) {
        let partitions = self.partitions;
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
        let Self { cells, totals, partitions, .. } = *self;
        let mut rows = Rows::new(TOTAL);
        for (link, [humans, bots]) in &totals {
            rows.push(|row| {
                row.text(link).count(*humans).count(*bots);
            });
        }
        transaction.write(&set.render(ADD_TOTALS), rows).await?;
        let (groups, cells) = cells.into_sorted();
        let known = known_groups(transaction, set, &groups, partitions).await?;
        let (mut cells, new): (Vec<_>, Vec<_>) =
            cells.into_iter().partition(|(key, _)| known[key.group]);
        transaction.append(&set.table("buckets"), new_rows(&groups, &new)).await?;
        let unchanged = merge_visitors(transaction, set, &groups, &mut cells).await?;
        let mut rows = Rows::new(CELL);
        for (place, (key, tally)) in cells.iter().enumerate() {
            let visitors = if unchanged[place] { Vec::new() } else { tally.visitors.to_bytes() };
            push(&mut rows, place, &groups[key.group], key, tally.clicks, &visitors);
        }
        transaction.write(&set.render(ADD_CELLS), rows).await
    }
}

/// For each group whether there may be rows of it. Every click counts in the rows of all links of
/// its partition as well: of a bucket that is newer than the newest of those there are none. In a
/// log that is in the order of time, as most are, nearly all rows of a build are new, and need
/// neither be looked for nor be compared.
async fn known_groups(
    transaction: &mut Transaction,
    set: TableSet,
    groups: &[Group],
    partitions: Partitions,
) -> Result<Vec<bool>, DatabaseError> {
    let together: Vec<_> =
        groups.iter().map(|group| all_links_beside(&group.link, partitions)).collect();
    let mut rows = Rows::new(NAME_OF_ALL);
    for link in together.iter().collect::<BTreeSet<_>>() {
        rows.push(|row| {
            row.text(link);
        });
    }
    let mut newest: BTreeMap<Box<str>, i64> = BTreeMap::new();
    transaction
        .read(&set.render(READ_NEWEST), rows, |row| {
            newest.insert(row.text(0)?.into(), row.int(1)?);
            Ok(())
        })
        .await?;
    let is_known = |(group, together): (&Group, &Cow<'_, str>)| {
        newest.get(&**together).is_some_and(|newest| group.bucket <= *newest)
    };
    Ok(groups.iter().zip(&together).map(is_known).collect())
}

/// The rows of cells that are new.
fn new_rows(groups: &[Group], cells: &[(CellKey, Tally)]) -> Rows {
    let mut rows = Rows::new(NEW_CELL);
    for (key, tally) in cells {
        let group = &groups[key.group];
        rows.push(|row| {
            row.text(&group.link)
                .int(group.bucket)
                .int(key.dimension.number())
                .text(&key.value)
                .int(group.bot.into())
                .count(tally.clicks)
                .bytes(&tally.visitors.to_bytes());
        });
    }
    rows
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
