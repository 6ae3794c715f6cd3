//! What a batch adds up to, into the tables.
//!
//! ```text
//! clicks of a link in a quarter   few: one row of quarters, with all of them in it
//!                                 many: an empty row of quarters, and a row of buckets for each value
//! clicks of all links together    rows of buckets
//! ```

use std::collections::BTreeMap;

use super::all_links;
use super::cells::{Cell, Count, Counted, Group, Tally, cells, sort};
use super::quarter::Quarter;
use crate::database::{Column, DatabaseError, PART_ROWS, Row, Rows, Transaction, bad_row};
use crate::partition::Partitions;
use crate::sketch::Sketch;
use crate::table_set::TableSet;

const TOTAL: &[Column] = &[Column::Text("link"), Column::Int("humans"), Column::Int("bots")];

/// `row` is the place of the row in the batch.
const QUARTER: &[Column] = &[
    Column::Int("row"),
    Column::Text("link"),
    Column::Int("bucket"),
    Column::Int("bot"),
    Column::Bytes("clicks"),
];

/// The same in the order of the table.
const NEW_QUARTER: &[Column] = QUARTER.split_at(1).1;

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

const NEW_CELL: &[Column] = CELL.split_at(1).1;

/// What counts all links of a partition together.
const NAME_OF_ALL: &[Column] = &[Column::Text("link")];

const READ_NEWEST: &str = "select n.link, n.bucket from (select batch.link as link, \
    (select max(b.bucket) from {click_statistics.buckets} b where b.link = batch.link) as bucket \
    from {rows}) as n where n.bucket is not null";
const ADD_TOTALS: &str = "insert into {click_statistics.totals} as t (link, humans, bots) \
    select link, humans, bots from {rows} where true on conflict (link) do update set \
    humans = t.humans + excluded.humans, bots = t.bots + excluded.bots";
const READ_QUARTERS: &str = "select batch.row, q.clicks from {rows} \
    cross join {click_statistics.quarters} q where q.link = batch.link \
    and q.bucket = batch.bucket and q.bot = batch.bot";
const PUT_QUARTERS: &str = "insert into {click_statistics.quarters} (link, bucket, bot, clicks) \
    select link, bucket, bot, clicks from {rows} where true \
    on conflict (link, bucket, bot) do update set clicks = excluded.clicks";
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

/// What is written, by where it goes.
#[derive(Default)]
struct Writes {
    /// Rows that are nowhere yet; no clicks: they are cells.
    new_quarters: Vec<(Group, Vec<u8>)>,
    /// Rows that may be there.
    quarters: Vec<(Group, Vec<u8>)>,
    new_cells: Vec<Cell>,
    /// Those that may be there.
    cells: Vec<Cell>,
}

/// Writes to one set of tables.
pub(super) struct Writing<'a> {
    pub(super) transaction: &'a mut Transaction,
    pub(super) set: TableSet,
}

impl Writing<'_> {
    pub(super) async fn write(
        mut self,
        counted: Counted,
        partitions: Partitions,
    ) -> Result<(), DatabaseError> {
        let mut rows = Rows::new(TOTAL);
        for (link, [humans, bots]) in &counted.totals {
            rows.push(|row| {
                row.text(link).count(*humans).count(*bots);
            });
        }
        self.transaction.write(&self.set.render(ADD_TOTALS), rows).await?;
        let mut writes = self.sort_out(counted, partitions).await?;
        sort(&mut writes.new_cells);
        sort(&mut writes.cells);
        let (quarters, buckets) = (self.set.table("quarters"), self.set.table("buckets"));
        let new_quarters = writes.new_quarters.chunks(PART_ROWS).map(new_quarter_rows);
        self.transaction.append(&quarters, new_quarters).await?;
        let new_cells = writes.new_cells.chunks(PART_ROWS).map(new_cell_rows);
        self.transaction.append(&buckets, new_cells).await?;
        let rows = quarter_rows(&writes.quarters);
        self.transaction.write(&self.set.render(PUT_QUARTERS), rows).await?;
        self.add_cells(writes.cells).await
    }

    /// What is new, and what may be there. Every click counts in the rows of all links of its
    /// partition as well: of a bucket that is newer than the newest of those there is nothing. In a
    /// log that is in the order of time, as most are, nearly all rows of a build are new, and need
    /// neither be looked for nor be compared.
    async fn sort_out(
        &mut self,
        counted: Counted,
        partitions: Partitions,
    ) -> Result<Writes, DatabaseError> {
        let Counted { groups, together, .. } = counted;
        let newest = self.newest(&together).await?;
        let is_known = |of_all: &str, group: &Group| {
            newest.get(of_all).is_some_and(|newest| group.bucket <= *newest)
        };
        let mut writes = Writes::default();
        (writes.cells, writes.new_cells) =
            together.into_iter().partition(|cell| is_known(&cell.group.link, &cell.group));
        let of_all = |group: &Group| all_links(partitions.number_of(&group.link));
        let (known, new): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(group, _)| is_known(&of_all(group), group));
        for (group, count) in new {
            let (bytes, tallies) = split(count);
            writes.new_cells.extend(cells(&group, tallies));
            writes.new_quarters.push((group, bytes));
        }
        self.add_known(known, &mut writes).await?;
        Ok(writes)
    }

    /// The newest bucket of all links of each partition.
    async fn newest(
        &mut self,
        together: &[Cell],
    ) -> Result<BTreeMap<Box<str>, i64>, DatabaseError> {
        let mut rows = Rows::new(NAME_OF_ALL);
        for cells in together.chunk_by(|a, b| a.group.link == b.group.link) {
            rows.push(|row| {
                row.text(&cells[0].group.link);
            });
        }
        let mut newest = BTreeMap::new();
        let read = |row: &Row| {
            newest.insert(row.text(0)?.into(), row.int(1)?);
            Ok(())
        };
        self.transaction.read(&self.set.render(READ_NEWEST), rows, read).await?;
        Ok(newest)
    }

    /// Adds clicks to those that their quarters may have.
    async fn add_known(
        &mut self,
        known: Vec<(Group, Count)>,
        writes: &mut Writes,
    ) -> Result<(), DatabaseError> {
        let mut rows = Rows::new(QUARTER);
        for (place, (group, _)) in known.iter().enumerate() {
            push_quarter(&mut rows, Some(place), group, &[]);
        }
        let mut there = BTreeMap::new();
        let read = |row: &Row| {
            there.insert(row.int(0)?, row.bytes(1)?.to_vec());
            Ok(())
        };
        self.transaction.read(&self.set.render(READ_QUARTERS), rows, read).await?;
        for ((group, count), place) in known.into_iter().zip(0..) {
            match there.remove(&place) {
                Some(bytes) if bytes.is_empty() => {
                    writes.cells.extend(cells(&group, tallies(count)?));
                }
                before => {
                    let (bytes, tallies) = split(joined(before, count)?);
                    writes.new_cells.extend(cells(&group, tallies));
                    writes.quarters.push((group, bytes));
                }
            }
        }
        Ok(())
    }

    /// Adds to cells that may be there.
    async fn add_cells(&mut self, mut cells: Vec<Cell>) -> Result<(), DatabaseError> {
        let unchanged = self.merge_visitors(&mut cells).await?;
        let mut rows = Rows::new(CELL);
        for (place, cell) in cells.iter().enumerate() {
            let Tally { clicks, visitors } = &cell.tally;
            let visitors = if unchanged[place] { Vec::new() } else { visitors.to_bytes() };
            push_cell(&mut rows, Some(place), cell, *clicks, &visitors);
        }
        self.transaction.write(&self.set.render(ADD_CELLS), rows).await
    }

    /// Adds the visitors that the rows hold to those of the cells; tells for each cell whether its
    /// row holds them all already.
    async fn merge_visitors(&mut self, cells: &mut [Cell]) -> Result<Vec<bool>, DatabaseError> {
        let mut unchanged = vec![false; cells.len()];
        let mut rows = Rows::new(CELL);
        for (place, cell) in cells.iter().enumerate() {
            push_cell(&mut rows, Some(place), cell, 0, &[]);
        }
        let read = |row: &Row| {
            let place = usize::try_from(row.int(0)?).unwrap_or(usize::MAX);
            let cell = cells.get_mut(place).ok_or_else(|| bad_row("not a cell"))?;
            let mut visitors =
                Sketch::from_bytes(row.bytes(1)?).map_err(|error| bad_row(&error.to_string()))?;
            unchanged[place] = !visitors.merge(&cell.tally.visitors);
            cell.tally.visitors = visitors;
            Ok(())
        };
        self.transaction.read(&self.set.render(READ_VISITORS), rows, read).await?;
        Ok(unchanged)
    }
}

/// The row of quarters, and the cells.
fn split(count: Count) -> (Vec<u8>, Vec<(super::cells::Value, Tally)>) {
    match count {
        Count::Few(bytes) => (bytes, Vec::new()),
        Count::Many(tallies) => (Vec::new(), tallies),
    }
}

fn quarter(bytes: &[u8]) -> Result<Quarter, DatabaseError> {
    Quarter::from_bytes(bytes).map_err(|error| bad_row(&error.to_string()))
}

fn tallies(count: Count) -> Result<Vec<(super::cells::Value, Tally)>, DatabaseError> {
    match count {
        Count::Few(bytes) => Ok(quarter(&bytes)?.tallies()),
        Count::Many(tallies) => Ok(tallies),
    }
}

/// The clicks of a row that is there, and those of the batch.
fn joined(before: Option<Vec<u8>>, count: Count) -> Result<Count, DatabaseError> {
    let Some(before) = before else { return Ok(count) };
    let before = quarter(&before)?;
    let mut all = match count {
        Count::Few(bytes) => return Ok(Count::from(&before.merge(&quarter(&bytes)?))),
        Count::Many(tallies) => tallies.into_iter().collect::<BTreeMap<_, _>>(),
    };
    for (value, tally) in before.tallies() {
        all.entry(value).or_default().add(tally.clicks, &tally.visitors);
    }
    Ok(Count::Many(all.into_iter().collect()))
}

fn quarter_rows(quarters: &[(Group, Vec<u8>)]) -> Rows {
    let mut rows = Rows::new(QUARTER);
    for (place, (group, bytes)) in quarters.iter().enumerate() {
        push_quarter(&mut rows, Some(place), group, bytes);
    }
    rows
}

fn new_quarter_rows(quarters: &[(Group, Vec<u8>)]) -> Rows {
    let mut rows = Rows::new(NEW_QUARTER);
    for (group, bytes) in quarters {
        push_quarter(&mut rows, None, group, bytes);
    }
    rows
}

fn push_quarter(rows: &mut Rows, place: Option<usize>, group: &Group, bytes: &[u8]) {
    rows.push(|row| {
        let row = match place {
            Some(place) => row.count(place as u64),
            None => row,
        };
        row.text(&group.link).int(group.bucket).int(group.bot.into()).bytes(bytes);
    });
}

fn new_cell_rows(cells: &[Cell]) -> Rows {
    let mut rows = Rows::new(NEW_CELL);
    for cell in cells {
        push_cell(&mut rows, None, cell, cell.tally.clicks, &cell.tally.visitors.to_bytes());
    }
    rows
}

fn push_cell(rows: &mut Rows, place: Option<usize>, cell: &Cell, clicks: u64, visitors: &[u8]) {
    let (Group { link, bucket, bot }, (dimension, value)) = (&cell.group, &cell.value);
    rows.push(|row| {
        let row = match place {
            Some(place) => row.count(place as u64),
            None => row,
        };
        row.text(link)
            .int(*bucket)
            .int(dimension.number())
            .text(value)
            .int((*bot).into())
            .count(clicks)
            .bytes(visitors);
    });
}
