//! The statements that write, and the rows that they are given.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cells::{Cell, Ever, Group};
use super::ending::Unsummed;
use crate::database::{Column, Rows};

pub(super) const TOTAL: &[Column] = &[
    Column::Text("link"),
    Column::Int("humans"),
    Column::Int("bots"),
    Column::Int("first_human"),
    Column::Int("last_human"),
    Column::Int("first_bot"),
    Column::Int("last_bot"),
];

/// `row` is the place of the row in the batch.
pub(super) const QUARTER: &[Column] = &[
    Column::Int("row"),
    Column::Text("link"),
    Column::Int("bucket"),
    Column::Int("bot"),
    Column::Bytes("clicks"),
];

/// The same in the order of the table.
pub(super) const NEW_QUARTER: &[Column] = QUARTER.split_at(1).1;

pub(super) const CELL: &[Column] = &[
    Column::Int("cell"),
    Column::Text("link"),
    Column::Int("bucket"),
    Column::Int("dimension"),
    Column::Text("value"),
    Column::Int("bot"),
    Column::Int("clicks"),
    Column::Bytes("visitors"),
];

pub(super) const NEW_CELL: &[Column] = CELL.split_at(1).1;

/// A span that is not summed up yet.
const UNSUMMED: &[Column] = &[
    Column::Text("of_all"),
    Column::Int("step"),
    Column::Int("due"),
    Column::Text("link"),
    Column::Int("bucket"),
];

/// What is due by the newest quarter of a partition.
const DUE: &[Column] = &[Column::Text("of_all"), Column::Int("step"), Column::Int("newest")];

/// The rows that a span is summed up from.
pub(super) const PARTS: &[Column] =
    &[Column::Int("row"), Column::Text("link"), Column::Int("first"), Column::Int("past")];

/// What counts all links of a partition together.
pub(super) const NAME_OF_ALL: &[Column] = &[Column::Text("link")];

pub(super) const READ_NEWEST: &str = "select n.link, n.bucket from (select batch.link as link, \
    (select max(b.bucket) from {click_statistics.sums} b where b.link = batch.link) as bucket \
    from {rows}) as n where n.bucket is not null";
pub(super) const ADD_TOTALS: &str = "insert into {click_statistics.totals} as t \
    (link, humans, bots, first_human, last_human, first_bot, last_bot) \
    select link, humans, bots, first_human, last_human, first_bot, last_bot \
    from {rows} where true on conflict (link) do update set \
    humans = t.humans + excluded.humans, bots = t.bots + excluded.bots, first_human = case \
    when excluded.first_human < t.first_human then excluded.first_human else t.first_human end, \
    last_human = case when excluded.last_human > t.last_human then excluded.last_human \
    else t.last_human end, first_bot = case when excluded.first_bot < t.first_bot \
    then excluded.first_bot else t.first_bot end, last_bot = case \
    when excluded.last_bot > t.last_bot then excluded.last_bot else t.last_bot end";
pub(super) const READ_QUARTERS: &str = "select batch.row, q.clicks from {rows} \
    cross join {click_statistics.quarters} q where q.link = batch.link \
    and q.bucket = batch.bucket and q.bot = batch.bot";
/// Whether clicks are so many that they are sums is told by the one of all of them.
pub(super) const READ_SUMMED: &str = "select batch.row from {rows} \
    cross join {click_statistics.sums} b where b.link = batch.link and b.bucket = batch.bucket \
    and b.dimension = 0 and b.value = '' and b.bot = batch.bot";
/// By a join: of rows that only stand in a list, SQLite compares the first column by the index.
pub(super) const DROP_QUARTERS: &str = "delete from {click_statistics.quarters} \
    where (link, bucket, bot) in (select q.link, q.bucket, q.bot from {rows} \
    cross join {click_statistics.quarters} q where q.link = batch.link \
    and q.bucket = batch.bucket and q.bot = batch.bot)";
pub(super) const ADD_UNSUMMED: &str = "insert into {click_statistics.unsummed} \
    (of_all, step, due, link, bucket) select of_all, step, due, link, bucket \
    from {rows} where true on conflict (of_all, step, due, link, bucket) do nothing";
pub(super) const READ_DUE: &str = "select u.of_all, u.step, u.due, u.link, u.bucket from {rows} \
    cross join {click_statistics.unsummed} u where u.of_all = batch.of_all \
    and u.step = batch.step and u.due <= batch.newest";
pub(super) const DROP_UNSUMMED: &str = "delete from {click_statistics.unsummed} \
    where (of_all, step, due, link, bucket) in \
    (select u.of_all, u.step, u.due, u.link, u.bucket from {rows} \
    cross join {click_statistics.unsummed} u where u.of_all = batch.of_all \
    and u.step = batch.step and u.due = batch.due and u.link = batch.link \
    and u.bucket = batch.bucket)";
pub(super) const READ_PARTS: &str = "select batch.row, s.bucket, s.dimension, s.value, s.bot, \
    s.clicks, s.visitors from {rows} cross join {for each} {click_statistics.sums} s \
    where s.link = batch.link and s.bucket >= batch.first and s.bucket < batch.past {of those}";
pub(super) const PUT_QUARTERS: &str = "insert into {click_statistics.quarters} (link, bucket, bot, clicks) \
    select link, bucket, bot, clicks from {rows} where true \
    on conflict (link, bucket, bot) do update set clicks = excluded.clicks";
pub(super) const READ_VISITORS: &str = "select batch.cell, b.visitors from {rows} \
    cross join {click_statistics.sums} b where b.link = batch.link and b.bucket = batch.bucket \
    and b.dimension = batch.dimension and b.value = batch.value and b.bot = batch.bot";
/// A sketch of no bytes stands for "as it was".
pub(super) const ADD_CELLS: &str = "insert into {click_statistics.sums} as b \
    (link, bucket, dimension, value, bot, clicks, visitors) \
    select link, bucket, dimension, value, bot, clicks, visitors from {rows} where true \
    on conflict (link, bucket, dimension, value, bot) do update set \
    clicks = b.clicks + excluded.clicks, visitors = case when length(excluded.visitors) = 0 \
    then b.visitors else excluded.visitors end";

pub(super) fn quarter_rows(quarters: &[(Group, Vec<u8>)]) -> Rows {
    let mut rows = Rows::new(QUARTER);
    for (place, (group, bytes)) in quarters.iter().enumerate() {
        push_quarter(&mut rows, Some(place), group, bytes);
    }
    rows
}

pub(super) fn new_quarter_rows(quarters: &[(Group, Vec<u8>)]) -> Rows {
    let mut rows = Rows::new(NEW_QUARTER);
    for (group, bytes) in quarters {
        push_quarter(&mut rows, None, group, bytes);
    }
    rows
}

pub(super) fn push_quarter(rows: &mut Rows, place: Option<usize>, group: &Group, bytes: &[u8]) {
    rows.push(|row| {
        let row = match place {
            Some(place) => row.count(place as u64),
            None => row,
        };
        row.text(&group.link).int(group.bucket).int(group.bot.into()).bytes(bytes);
    });
}

pub(super) fn new_cell_rows(cells: &[Cell]) -> Rows {
    let mut rows = Rows::new(NEW_CELL);
    for cell in cells {
        push_cell(&mut rows, None, cell, cell.tally.clicks, &cell.tally.visitors.to_bytes());
    }
    rows
}

pub(super) fn push_cell(
    rows: &mut Rows,
    place: Option<usize>,
    cell: &Cell,
    clicks: u64,
    visitors: &[u8],
) {
    let (Group { link, bot, .. }, (dimension, value)) = (&cell.group, &cell.value);
    rows.push(|row| {
        let row = match place {
            Some(place) => row.count(place as u64),
            None => row,
        };
        row.text(link)
            .int(cell.bucket)
            .int(dimension.number())
            .text(value)
            .int((*bot).into())
            .count(clicks)
            .bytes(visitors);
    });
}

pub(super) fn total_rows(totals: &BTreeMap<Arc<str>, [Ever; 2]>) -> Rows {
    let mut rows = Rows::new(TOTAL);
    for (link, [humans, bots]) in totals {
        rows.push(|row| {
            row.text(link).count(humans.clicks).count(bots.clicks);
            row.int(humans.first).int(humans.last).int(bots.first).int(bots.last);
        });
    }
    rows
}

pub(super) fn unsummed_rows<'a>(all: impl Iterator<Item = &'a Unsummed>) -> Rows {
    let mut rows = Rows::new(UNSUMMED);
    for Unsummed { of_all, step, due, link, first } in all {
        rows.push(|row| {
            row.text(of_all).int(*step).int(*due).text(link).int(*first);
        });
    }
    rows
}

pub(super) fn due_rows(step: i64, newest: &BTreeMap<Arc<str>, i64>) -> Rows {
    let mut rows = Rows::new(DUE);
    for (of_all, newest) in newest {
        rows.push(|row| {
            row.text(of_all).int(step).int(*newest);
        });
    }
    rows
}
