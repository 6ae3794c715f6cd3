//! From the rows of quarters to those of longer spans.

use std::sync::Arc;

use hashbrown::HashMap;

use super::cells::{Cell, Group, Tally, Value};
use super::spans::Span;
use crate::sketch::Sketch;

/// What a row counts: whose clicks, of people or of bots, in which span, and with which value.
type Key = (Arc<str>, bool, Span, i64, Value);

/// Rows of spans that grow.
#[derive(Default)]
pub(super) struct Sums(HashMap<Key, Tally>);

impl Sums {
    /// Adds what is counted of a part of a span; the group's bucket is a quarter in it.
    pub(super) fn add(
        &mut self,
        span: Span,
        group: &Group,
        value: &Value,
        clicks: u64,
        visitors: &Sketch,
    ) {
        let number = span.number_of(group.bucket);
        let key = (Arc::clone(&group.link), group.bot, span, number, value.clone());
        self.0.entry(key).or_default().add(clicks, visitors);
    }

    pub(super) fn into_cells(self) -> Vec<Cell> {
        let cell = |((link, bot, span, number, value), tally): (Key, Tally)| {
            let group = Group { link, bucket: span.first_quarter(number), bot };
            Cell { bucket: span.bucket(value.0, number), group, value, tally }
        };
        self.0.into_iter().map(cell).collect()
    }
}
