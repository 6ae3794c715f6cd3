//! From the rows of quarters to those of longer spans.

use std::sync::Arc;

use hashbrown::HashMap;

use super::cells::{Cell, Group, Tally, Value};
use super::spans::Span;
use crate::dimension::Dimension;
use crate::sketch::Sketch;

/// What the quarters of a batch add to the spans that they are in. Each length is made of the one before, of which
/// there are fewer rows.
pub(super) fn sums<'a>(quarters: impl Iterator<Item = &'a Cell>) -> Vec<Cell> {
    let (totals, values): (Vec<_>, Vec<_>) =
        quarters.partition(|cell| cell.value.0 == Dimension::Total);
    let mut all = longer(totals.into_iter(), Span::Hour);
    all.extend(longer(values.into_iter(), Span::SixHours));
    let days = longer(all.iter(), Span::Day);
    let months = longer(days.iter(), Span::Month);
    all.extend(days);
    all.extend(months);
    all
}

/// What a row counts.
type Key<'a> = (&'a str, i64, bool, Dimension, &'a str);

/// The parts of a row, and the first of them.
struct Parts<'a> {
    first: &'a Cell,
    clicks: u64,
    visitors: Vec<&'a Sketch>,
}

fn longer<'a>(cells: impl Iterator<Item = &'a Cell>, span: Span) -> Vec<Cell> {
    let mut sums = HashMap::<Key<'_>, Parts<'_>>::new();
    let mut last = (i64::MIN, 0);
    for cell in cells {
        let Cell { group, value: (dimension, value), tally, .. } = cell;
        if last.0 != group.bucket {
            last = (group.bucket, span.number_of(group.bucket));
        }
        let parts = sums.entry((&group.link, last.1, group.bot, *dimension, value));
        let parts = parts.or_insert(Parts { first: cell, clicks: 0, visitors: Vec::new() });
        parts.clicks += tally.clicks;
        parts.visitors.push(&tally.visitors);
    }
    let cell = |((_, number, ..), parts): (Key<'_>, Parts<'_>)| {
        let Parts { first, clicks, visitors } = parts;
        let group = Group { bucket: span.first_quarter(number), ..first.group.clone() };
        let value: Value = (first.value.0, Arc::clone(&first.value.1));
        let tally = Tally { clicks, visitors: Sketch::union_of(&visitors) };
        Cell { bucket: span.bucket(value.0, number), group, value, tally }
    };
    sums.into_iter().map(cell).collect()
}
