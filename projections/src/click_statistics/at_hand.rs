//! Spans that began behind everything there was, and are over: the batch has all of their clicks. They are summed up from
//! memory, where others are read back.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::cells::{Cell, sort};
use super::ending::Unsummed;
use super::spans::{STEPS, Span, over_at};
use super::sums::Sums;
use super::write::Newest;
use crate::dimension::Dimension;

/// How far a link's partition was, and is with a batch.
pub(super) struct Reach {
    of_all: Arc<str>,
    /// The newest quarter there was.
    before: Option<i64>,
    /// The quarters before this one were over.
    pub(super) over: Option<i64>,
    /// The quarters before this one are over.
    over_now: Option<i64>,
}

impl Reach {
    pub(super) fn of(link: &str, newest: &Newest) -> Self {
        let of_all: Arc<str> = newest.of_all(link).into();
        let before = newest.of(&of_all);
        let over = |newest: Option<i64>| newest.map(|newest| over_at(newest, link));
        let (over, over_now) = (over(before), over(newest.now(&of_all)));
        Self { of_all, before, over, over_now }
    }

    pub(super) fn is_of_all(&self, link: &Arc<str>) -> bool {
        self.of_all == *link
    }

    /// Whether a batch has all clicks of the span that a quarter is in.
    pub(super) fn has_all(&self, span: Span, quarter: i64) -> bool {
        let first = span.first_quarter(span.number_of(quarter));
        self.before.is_none_or(|newest| newest < first) && span.is_over(quarter, self.over_now)
    }

    /// The shortest span of a quarter that was not over, from a step on; `None`: all were.
    pub(super) fn unsummed(&self, link: &Arc<str>, step: i64, quarter: i64) -> Option<Unsummed> {
        Unsummed::of([&self.of_all, link], step, quarter, self.over)
    }
}

/// Calls `each` with every cell and how far its link's partition is. Cells of one link come one after the other.
pub(super) fn each_with_reach(
    cells: &[Cell],
    newest: &Newest,
    mut each: impl FnMut(&Cell, &Reach),
) {
    let mut of: Option<(&Arc<str>, Reach)> = None;
    for cell in cells {
        let link = &cell.group.link;
        if of.as_ref().is_none_or(|(last, _)| !Arc::ptr_eq(last, link)) {
            of = Some((link, Reach::of(link, newest)));
        }
        if let Some((_, reach)) = &of {
            each(cell, reach);
        }
    }
}

/// The rows of longer spans that new rows of quarters add up to. What those are parts of, and the batch has not all of, is noted.
pub(super) fn sum_up(
    new_cells: &[Cell],
    newest: &Newest,
    unsummed: &mut BTreeSet<Unsummed>,
) -> Vec<Cell> {
    let mut levels: Vec<Vec<Cell>> = Vec::new();
    for (place, step) in (0..).zip(&STEPS) {
        let parts = levels.last().map_or(new_cells, Vec::as_slice);
        let mut sums = Sums::default();
        each_with_reach(parts, newest, |part, reach| {
            let Cell { group, value, tally, .. } = part;
            if reach.has_all(step.span, group.bucket) {
                sums.add(step.of(value.0), group, value, tally.clicks, &tally.visitors);
            } else if place > 0 && value.0 == Dimension::Total {
                unsummed.extend(reach.unsummed(&group.link, place, group.bucket));
            }
        });
        let mut cells = sums.into_cells();
        sort(&mut cells);
        levels.push(cells);
    }
    levels.into_iter().flatten().collect()
}
