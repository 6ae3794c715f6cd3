//! What a batch adds up to, into the tables.
//!
//! ```text
//! clicks of a link in a quarter   few: one row of quarters, with all of them in it
//!                                 many: a row of sums for each value, and in those of the longer spans that are over
//! clicks of all links together    rows of sums
//! ```
//!
//! Whether they are many depends on them alone. So what is in the rows of longer spans does as well: the quarters of
//! many clicks, and no others. Whether a span is over depends on the newest click of its partition.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::cells::{Cell, Count, Counted, Group, Tally, cells, sort};
use super::ending::Longer;
use super::spans::Span;
use super::statements::{
    ADD_CELLS, ADD_TOTALS, CELL, DROP_QUARTERS, NAME_OF_ALL, PUT_QUARTERS, QUARTER, READ_NEWEST,
    READ_QUARTERS, READ_SUMMED, READ_VISITORS, new_cell_rows, new_quarter_rows, push_cell,
    push_quarter, quarter_rows, total_rows,
};
use super::{all_links, columns};
use crate::database::{DatabaseError, PART_ROWS, Row, Rows, Transaction, bad_row};
use crate::dimension::Dimension;
use crate::partition::Partitions;
use crate::table_set::TableSet;

/// What is written, by where it goes.
#[derive(Default)]
struct Writes {
    /// Rows that are nowhere yet.
    new_quarters: Vec<(Group, Vec<u8>)>,
    /// Rows that may be there.
    quarters: Vec<(Group, Vec<u8>)>,
    /// Rows that are there and whose clicks have become too many.
    summed: Vec<(Group, Vec<u8>)>,
    new_cells: Vec<Cell>,
    /// Those that may be there.
    cells: Vec<Cell>,
}

/// The newest quarter of each partition. Every click counts in the rows of all links of its partition as well: of a
/// quarter that is newer than the newest of those there is nothing.
pub(super) struct Newest {
    quarters: BTreeMap<Arc<str>, i64>,
    /// The same with a batch, where it has a newer one.
    newer: BTreeMap<Arc<str>, i64>,
    partitions: Partitions,
}

impl Newest {
    /// How the rows of all links of the partition are called that a link is in, or that are called so themselves.
    pub(super) fn of_all<'a>(&self, link: &'a str) -> Cow<'a, str> {
        let is_of_all = link.is_empty() || link.starts_with('/');
        if is_of_all { link.into() } else { all_links(self.partitions.number_of(link)) }
    }

    pub(super) fn of(&self, of_all: &str) -> Option<i64> {
        self.quarters.get(of_all).copied()
    }

    pub(super) fn now(&self, of_all: &str) -> Option<i64> {
        self.newer.get(of_all).copied().or_else(|| self.of(of_all))
    }

    fn may_know(&self, group: &Group) -> bool {
        self.of(&self.of_all(&group.link)).is_some_and(|newest| group.bucket <= newest)
    }
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
        let rows = total_rows(&counted.totals);
        self.transaction.write(&self.set.render(ADD_TOTALS), rows).await?;
        let newest = self.newest(&counted.together, partitions).await?;
        let mut writes = self.sort_out(counted, &newest).await?;
        let longer = Longer::of(&writes.cells, &writes.new_cells, &newest);
        writes.cells.extend(longer.late);
        writes.new_cells.extend(longer.at_hand);
        sort(&mut writes.new_cells);
        sort(&mut writes.cells);
        let (quarters, sums) = (self.set.table("quarters"), self.set.table("sums"));
        let new_quarters = writes.new_quarters.chunks(PART_ROWS).map(new_quarter_rows);
        self.transaction.append(&quarters, new_quarters).await?;
        let new_cells = writes.new_cells.chunks(PART_ROWS).map(new_cell_rows);
        self.transaction.append(&sums, new_cells).await?;
        let rows = quarter_rows(&writes.quarters);
        self.transaction.write(&self.set.render(PUT_QUARTERS), rows).await?;
        let rows = quarter_rows(&writes.summed);
        self.transaction.write(&self.set.render(DROP_QUARTERS), rows).await?;
        for part in writes.cells.chunks_mut(PART_ROWS) {
            self.add_cells(part).await?;
        }
        self.note(&longer.unsummed).await?;
        self.end(&newest.newer).await
    }

    /// What is new, and what may be there. In a log that is in the order of time, as most are, nearly all rows of
    /// a build are new, and need neither be looked for nor be compared.
    async fn sort_out(
        &mut self,
        counted: Counted,
        newest: &Newest,
    ) -> Result<Writes, DatabaseError> {
        let Counted { groups, together, .. } = counted;
        let mut writes = Writes::default();
        (writes.cells, writes.new_cells) =
            together.into_iter().partition(|cell| newest.may_know(&cell.group));
        let (known, new): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(group, _)| newest.may_know(group));
        for (group, count) in new {
            match count {
                Count::Few(bytes) => writes.new_quarters.push((group, bytes)),
                Count::Many(tallies) => writes.new_cells.extend(cells(&group, tallies)),
            }
        }
        self.add_known(known, &mut writes).await?;
        Ok(writes)
    }

    /// The newest quarter of all links of each partition.
    async fn newest(
        &mut self,
        together: &[Cell],
        partitions: Partitions,
    ) -> Result<Newest, DatabaseError> {
        let mut rows = Rows::new(NAME_OF_ALL);
        for cells in together.chunk_by(|a, b| a.group.link == b.group.link) {
            rows.push(|row| {
                row.text(&cells[0].group.link);
            });
        }
        let mut quarters = BTreeMap::new();
        let read = |row: &Row| {
            // Those of quarters have the highest numbers.
            quarters.insert(row.text(0)?.into(), Span::quarter_of(row.int(1)?)?);
            Ok(())
        };
        self.transaction.read(&self.set.render(READ_NEWEST), rows, read).await?;
        let newer = newer(together, &quarters);
        Ok(Newest { quarters, newer, partitions })
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
        let summed = self.summed(&known, &there).await?;
        for ((group, count), place) in known.into_iter().zip(0..) {
            if summed.contains(&place) {
                writes.cells.extend(cells(&group, tallies(count)?));
                continue;
            }
            let before = there.remove(&place);
            let was_there = before.is_some();
            let all = match before {
                Some(before) => Count::Few(before).join(count)?,
                None => count,
            };
            match all {
                Count::Few(bytes) => writes.quarters.push((group, bytes)),
                Count::Many(tallies) => {
                    writes.new_cells.extend(cells(&group, tallies));
                    if was_there {
                        writes.summed.push((group, Vec::new()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Which of those that have no row of quarters are sums already.
    async fn summed(
        &mut self,
        known: &[(Group, Count)],
        there: &BTreeMap<i64, Vec<u8>>,
    ) -> Result<BTreeSet<i64>, DatabaseError> {
        let mut rows = Rows::new(QUARTER);
        for ((group, _), place) in known.iter().zip(0..) {
            if !there.contains_key(&place) {
                let bucket = Span::Quarter.bucket(Dimension::Total, group.bucket);
                let total = Group { bucket, ..group.clone() };
                push_quarter(&mut rows, usize::try_from(place).ok(), &total, &[]);
            }
        }
        let mut summed = BTreeSet::new();
        let read = |row: &Row| {
            summed.insert(row.int(0)?);
            Ok(())
        };
        self.transaction.read(&self.set.render(READ_SUMMED), rows, read).await?;
        Ok(summed)
    }

    /// Adds to cells that may be there.
    async fn add_cells(&mut self, cells: &mut [Cell]) -> Result<(), DatabaseError> {
        let unchanged = self.merge_visitors(cells).await?;
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
            let mut visitors = columns::visitors(row, 1)?;
            unchanged[place] = !visitors.merge(&cell.tally.visitors);
            cell.tally.visitors = visitors;
            Ok(())
        };
        self.transaction.read(&self.set.render(READ_VISITORS), rows, read).await?;
        Ok(unchanged)
    }
}

/// The newest quarter of each partition of which a batch has a newer one than there was.
fn newer(together: &[Cell], there: &BTreeMap<Arc<str>, i64>) -> BTreeMap<Arc<str>, i64> {
    let mut newer = BTreeMap::new();
    for cells in together.chunk_by(|a, b| a.group.link == b.group.link) {
        let of_all = &cells[0].group.link;
        let Some(last) = cells.iter().map(|cell| cell.group.bucket).max() else { continue };
        if there.get(of_all).is_none_or(|newest| *newest < last) {
            newer.insert(Arc::clone(of_all), last);
        }
    }
    newer
}

fn tallies(count: Count) -> Result<Vec<(super::cells::Value, Tally)>, DatabaseError> {
    match count {
        Count::Few(bytes) => Ok(columns::quarter(&bytes)?.tallies()),
        Count::Many(tallies) => Ok(tallies),
    }
}
