//! Sums up spans when they are over: when there is a click behind them in their partition, and it is the link's turn. Until
//! then a batch writes rows of quarters only, however many batches there are; a click that comes later goes to the rows of the
//! spans as well. Where a batch has all clicks of a span, nothing is read: see [`super::at_hand`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::at_hand::{each_with_reach, sum_up};
use super::cells::{Cell, Group, sort};
use super::columns;
use super::spans::{STEPS, Span, Step, due_at};
use super::statements::{
    ADD_UNSUMMED, DROP_UNSUMMED, PARTS, READ_DUE, READ_PARTS, due_rows, new_cell_rows,
    unsummed_rows,
};
use super::sums::Sums;
use super::write::{Newest, Writing};
use crate::database::{DatabaseError, PART_ROWS, Row, Rows, bad_row};
use crate::dimension::Dimension;

/// How many spans are summed up at once: what bounds the memory.
const AT_ONCE: usize = 32;

/// A span that is not over, and a link that has rows of parts of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unsummed {
    /// The rows of all links of its partition are called so.
    pub(super) of_all: Arc<str>,
    /// Its place among the [`STEPS`].
    pub(super) step: i64,
    /// When the partition has clicks of this quarter, it is summed up.
    pub(super) due: i64,
    pub(super) link: Arc<str>,
    /// Its first quarter.
    pub(super) first: i64,
}

impl Unsummed {
    /// The shortest span of a quarter that is not over, from a step on; `None`: all are.
    pub(super) fn of(
        [of_all, link]: [&Arc<str>; 2],
        from: i64,
        quarter: i64,
        over: Option<i64>,
    ) -> Option<Self> {
        let is_open = |step: &Step| !step.span.is_over(quarter, over);
        let mut steps = (0..).zip(&STEPS);
        let (place, step) = steps.find(|(place, step)| *place >= from && is_open(step))?;
        Some(Self {
            of_all: Arc::clone(of_all),
            step: place,
            due: due_at(step.span.end_of(quarter), link),
            link: Arc::clone(link),
            first: step.span.first_quarter(step.span.number_of(quarter)),
        })
    }
}

/// What rows of quarters bring about besides.
#[derive(Default)]
pub(super) struct Longer {
    /// What is added to rows of spans that are over.
    pub(super) late: Vec<Cell>,
    /// New rows of spans that a batch has all clicks of.
    pub(super) at_hand: Vec<Cell>,
    pub(super) unsummed: BTreeSet<Unsummed>,
}

impl Longer {
    /// Of rows that may be there, and of new ones.
    pub(super) fn of(cells: &[Cell], new_cells: &[Cell], newest: &Newest) -> Self {
        let (mut late, mut unsummed) = (Sums::default(), BTreeSet::new());
        for (cells, are_new) in [(cells, false), (new_cells, true)] {
            each_with_reach(cells, newest, |cell, reach| {
                let Group { link, bucket: quarter, .. } = &cell.group;
                let is_late = Span::SixHours.is_over(*quarter, reach.over);
                // A link's rows that are there have been noted, unless their span was summed up meanwhile. Those of all
                // links are only said to be there.
                let may_be_new = are_new || is_late || reach.is_of_all(link);
                let is_at_hand = reach.has_all(Span::SixHours, *quarter);
                if cell.value.0 == Dimension::Total && may_be_new && !is_at_hand {
                    unsummed.extend(reach.unsummed(link, 0, *quarter));
                }
                if !is_late {
                    return;
                }
                for step in STEPS.iter().filter(|step| step.span.is_over(*quarter, reach.over)) {
                    let (span, tally) = (step.of(cell.value.0), &cell.tally);
                    late.add(span, &cell.group, &cell.value, tally.clicks, &tally.visitors);
                }
            });
        }
        let at_hand = sum_up(new_cells, newest, &mut unsummed);
        Self { late: late.into_cells(), at_hand, unsummed }
    }
}

impl Writing<'_> {
    pub(super) async fn note(
        &mut self,
        unsummed: &BTreeSet<Unsummed>,
    ) -> Result<(), DatabaseError> {
        self.transaction.write(&self.set.render(ADD_UNSUMMED), unsummed_rows(unsummed.iter())).await
    }

    /// Sums up what is due by the newest quarter, by the name of the rows of all links of a partition.
    pub(super) async fn end(
        &mut self,
        newest: &BTreeMap<Arc<str>, i64>,
    ) -> Result<(), DatabaseError> {
        if newest.is_empty() {
            return Ok(());
        }
        for (place, step) in (0..).zip(&STEPS) {
            let due = self.due(place, newest).await?;
            for part in due.chunks(AT_ONCE) {
                self.sum_up(step, part).await?;
            }
            let rows = unsummed_rows(due.iter());
            self.transaction.write(&self.set.render(DROP_UNSUMMED), rows).await?;
            let next = |ended: &Unsummed| {
                Unsummed::of([&ended.of_all, &ended.link], place + 1, ended.first, None)
            };
            self.note(&due.iter().filter_map(next).collect()).await?;
        }
        Ok(())
    }

    /// What is to be summed up.
    async fn due(
        &mut self,
        step: i64,
        newest: &BTreeMap<Arc<str>, i64>,
    ) -> Result<Vec<Unsummed>, DatabaseError> {
        let mut all = Vec::new();
        let read = |row: &Row| {
            let (of_all, link) = (row.text(0)?.into(), row.text(3)?.into());
            let (step, due, first) = (row.int(1)?, row.int(2)?, row.int(4)?);
            all.push(Unsummed { of_all, step, due, link, first });
            Ok(())
        };
        self.transaction.read(&self.set.render(READ_DUE), due_rows(step, newest), read).await?;
        all.sort_unstable_by(|a, b| (&a.link, a.first).cmp(&(&b.link, b.first)));
        Ok(all)
    }

    /// Writes the rows of some spans of one length. They are new: what came too late for them was not added
    /// before they were there.
    async fn sum_up(&mut self, step: &Step, ended: &[Unsummed]) -> Result<(), DatabaseError> {
        let mut rows = Rows::new(PARTS);
        for (place, Unsummed { first, link, .. }) in ended.iter().enumerate() {
            let past = step.span.end_of(*first);
            for (span, dimension) in
                [(step.totals_of, Dimension::Total), (step.values_of, Dimension::Class)]
            {
                let [first, past] =
                    [*first, past].map(|quarter| span.bucket(dimension, span.number_of(quarter)));
                rows.push(|row| {
                    row.count(place as u64).text(link).int(first).int(past);
                });
            }
        }
        let mut sums = Sums::default();
        let read = |row: &Row| {
            let place = usize::try_from(row.int(0)?).unwrap_or(usize::MAX);
            let of = ended.get(place).ok_or_else(|| bad_row("not a span"))?;
            let (bucket, bot) = (Span::quarter_of(row.int(1)?)?, row.int(4)? != 0);
            let group = Group { link: Arc::clone(&of.link), bucket, bot };
            let value = (columns::dimension(row, 2)?, row.text(3)?.into());
            let visitors = columns::visitors(row, 6)?;
            sums.add(step.of(value.0), &group, &value, row.count(5)?, &visitors);
            Ok(())
        };
        self.transaction.read(&self.set.render(READ_PARTS), rows, read).await?;
        let mut cells = sums.into_cells();
        sort(&mut cells);
        let table = self.set.table("sums");
        self.transaction.append(&table, cells.chunks(PART_ROWS).map(new_cell_rows)).await
    }
}
