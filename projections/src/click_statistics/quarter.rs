//! The clicks of one link in one quarter of an hour, of people or of bots, as long as they are few: one
//! row with all of them, where each value of each dimension would be a row of its own.
//!
//! ```text
//! count of values │ dimension, length, text │ … │ place, dimensions, value for each │ …
//! varint            byte, varint, UTF-8           3 bytes, 2 or 3 bytes, varints
//! ```
//!
//! The dimensions of a click are a bit each of two bytes. The highest bit says that a third follows, with those that few
//! clicks are counted in, so that the others don't pay for them.
//!
//! Values and clicks are in order, so the bytes depend on the clicks alone and not on how they
//! came. Every click makes them longer. So which quarters fit depends on the clicks alone as well.

use std::sync::Arc;

use super::cells::{Tally, Value};
use crate::clicks::decoded::DecodedClick;
use crate::database::{TextId, Texts};
use crate::dimension::Dimension;
use crate::sketch::Place;

mod bytes;
#[cfg(test)]
mod tests;

use bytes::{put_number, take, take_number};

/// What is longer is kept as a row for each value. A row of this length, its key included, is in its page:
/// SQLite gives one of more than 1,002 bytes a page of its own, PostgreSQL compresses one of about 2,000.
const BYTES_MAX: usize = 900;

/// The fewest bytes of a click: its place, its dimensions, and eight that have a value in any case.
const CLICK_BYTES_MIN: usize = 13;

/// The most clicks that can fit.
pub(super) const CLICKS_MAX: usize = BYTES_MAX / CLICK_BYTES_MIN;

/// The dimensions with a value: all but the total.
const VALUED: usize = Dimension::ALL.len() - 1;

/// The dimensions with a bit in the first two bytes.
const COMMON: usize = 15;

/// Says that a third byte follows, for the dimensions behind those.
const HAS_MORE: u16 = 1 << COMMON;

/// Stands for a dimension in which a click is not counted.
const NONE: u16 = u16::MAX;

/// Bytes that no quarter was written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a quarter of an hour's clicks")]
pub(super) struct QuarterError;

/// A click: its visitor, and the number of its value in each dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct QuarterClick {
    place: Place,
    values: [u16; VALUED],
}

/// A few clicks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Quarter {
    /// In order, each once.
    values: Vec<Value>,
    /// In order.
    clicks: Vec<QuarterClick>,
}

impl Quarter {
    /// So many clicks at most, each with its values by dimension.
    pub(super) fn of<V>(clicks: impl IntoIterator<Item = (Place, V)>) -> Self
    where
        V: IntoIterator<Item = Value>,
    {
        let (mut places, mut all) = (Vec::new(), Vec::new());
        for (place, values) in clicks {
            let values = values.into_iter().filter(|(dimension, _)| *dimension != Dimension::Total);
            all.extend(values.map(|value| (value, places.len())));
            places.push(place);
        }
        all.sort_unstable();
        let mut values: Vec<Value> = Vec::new();
        let blank = |place| QuarterClick { place, values: [NONE; VALUED] };
        let mut clicks: Vec<QuarterClick> = places.into_iter().map(blank).collect();
        for (value, click) in all {
            if values.last() != Some(&value) {
                values.push(value);
            }
            clicks[click].set(values[values.len() - 1].0, values.len() - 1);
        }
        clicks.sort_unstable();
        Self { values, clicks }
    }

    /// The same of clicks as they were decoded: values are compared as numbers, and as texts once
    /// each.
    pub(super) fn of_decoded(texts: &Texts, clicks: &[(Place, &DecodedClick)]) -> Self {
        let mut ids: Vec<(Dimension, TextId)> =
            clicks.iter().flat_map(|(_, click)| click.counted().skip(1)).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut order: Vec<usize> = (0..ids.len()).collect();
        let text = |place: usize| (ids[place].0, texts.get(ids[place].1));
        order.sort_unstable_by(|a, b| text(*a).cmp(&text(*b)));
        let mut numbers = vec![0; ids.len()];
        for (number, place) in order.iter().enumerate() {
            numbers[*place] = number;
        }
        let click = |(place, click): &(Place, &DecodedClick)| {
            let mut numbered = QuarterClick { place: *place, values: [NONE; VALUED] };
            for id in click.counted().skip(1) {
                let number = ids.binary_search(&id).ok().and_then(|place| numbers.get(place));
                numbered.set(id.0, number.copied().unwrap_or(usize::from(NONE)));
            }
            numbered
        };
        let mut clicks: Vec<QuarterClick> = clicks.iter().map(click).collect();
        clicks.sort_unstable();
        let value = |place: usize| (ids[place].0, Arc::clone(texts.get(ids[place].1)));
        Self { values: order.into_iter().map(value).collect(), clicks }
    }

    /// The clicks of both.
    pub(super) fn merge(&self, other: &Self) -> Self {
        Self::of([self, other].into_iter().flat_map(Self::clicks))
    }

    /// Each click with its values.
    fn clicks(&self) -> impl Iterator<Item = (Place, impl Iterator<Item = Value>)> {
        let value = |number: &u16| self.values.get(usize::from(*number)).cloned();
        self.clicks.iter().map(move |click| (click.place, click.values.iter().filter_map(value)))
    }

    /// Calls `each` with the clicks of every value, first with all of them.
    pub(super) fn each(&self, mut each: impl FnMut((Dimension, &str), &[Place])) {
        let mut places: Vec<Place> = self.clicks.iter().map(|click| click.place).collect();
        each((Dimension::Total, ""), &places);
        for (number, (dimension, value)) in self.values.iter().enumerate() {
            let at = (*dimension as usize).saturating_sub(1);
            let with = self.clicks.iter().filter(|click| usize::from(click.values[at]) == number);
            places.clear();
            places.extend(with.map(|click| click.place));
            each((*dimension, value), &places);
        }
    }

    /// What the clicks add up to, value by value and in their order; first all of them.
    pub(super) fn tallies(&self) -> Vec<(Value, Tally)> {
        let mut places: Vec<Vec<Place>> = vec![Vec::new(); self.values.len()];
        for click in &self.clicks {
            for number in click.values {
                if let Some(places) = places.get_mut(usize::from(number)) {
                    places.push(click.place);
                }
            }
        }
        let all = self.clicks.iter().map(|click| click.place).collect();
        let total = ((Dimension::Total, Arc::from("")), Tally::of(all));
        let tallies = self.values.iter().cloned().zip(places.into_iter().map(Tally::of));
        std::iter::once(total).chain(tallies).collect()
    }

    /// The one way to write these clicks down; `None`: they are too many.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        if self.clicks.len() > CLICKS_MAX {
            return None;
        }
        let mut bytes = Vec::with_capacity(256);
        put_number(&mut bytes, self.values.len());
        for (dimension, value) in &self.values {
            bytes.push(*dimension as u8);
            put_number(&mut bytes, value.len());
            bytes.extend_from_slice(value.as_bytes());
        }
        for click in &self.clicks {
            bytes.extend_from_slice(&click.place.to_bytes());
            click.put_dimensions(&mut bytes);
            for number in click.values.iter().filter(|number| **number != NONE) {
                put_number(&mut bytes, usize::from(*number));
            }
        }
        (bytes.len() <= BYTES_MAX).then_some(bytes)
    }

    /// Reads what `to_bytes` wrote.
    pub(super) fn from_bytes(mut bytes: &[u8]) -> Result<Self, QuarterError> {
        let bytes = &mut bytes;
        let count = take_number(bytes)?;
        let mut values = Vec::new();
        for _ in 0..count {
            let [dimension] = take(bytes)?;
            let dimension = Dimension::from_number(dimension.into()).ok_or(QuarterError)?;
            let length = take_number(bytes)?;
            let (text, rest) = bytes.split_at_checked(length).ok_or(QuarterError)?;
            *bytes = rest;
            let text = std::str::from_utf8(text).map_err(|_| QuarterError)?;
            values.push((dimension, text.into()));
        }
        let mut clicks = Vec::new();
        while !bytes.is_empty() {
            clicks.push(QuarterClick::take(bytes, values.len())?);
        }
        Ok(Self { values, clicks })
    }
}

impl QuarterClick {
    fn set(&mut self, dimension: Dimension, number: usize) {
        let place = (dimension as usize).checked_sub(1);
        if let Some(value) = place.and_then(|place| self.values.get_mut(place)) {
            // Far more than fit into a row.
            *value = u16::try_from(number).unwrap_or(NONE);
        }
    }

    /// In which dimensions it is counted.
    fn put_dimensions(&self, bytes: &mut Vec<u8>) {
        let (common, more) = self.values.split_at(COMMON);
        let counted = |(place, number): (usize, &u16)| u16::from(*number != NONE) << place;
        let bits = |values: &[u16]| values.iter().enumerate().map(counted).sum::<u16>();
        let (common, [_, more]) = (bits(common), bits(more).to_be_bytes());
        if more == 0 {
            bytes.extend_from_slice(&common.to_be_bytes());
        } else {
            bytes.extend_from_slice(&(common | HAS_MORE).to_be_bytes());
            bytes.push(more);
        }
    }

    fn take(bytes: &mut &[u8], values_count: usize) -> Result<Self, QuarterError> {
        let place = Place::from_bytes(take(bytes)?).ok_or(QuarterError)?;
        let common = u16::from_be_bytes(take(bytes)?);
        let more = if common & HAS_MORE == 0 { [0] } else { take(bytes)? };
        let dimensions = u32::from(common & !HAS_MORE) | u32::from(more[0]) << COMMON;
        let mut values = [NONE; VALUED];
        for (place, value) in values.iter_mut().enumerate() {
            if dimensions >> place & 1 == 1 {
                let number = take_number(bytes)?;
                let known = Some(number).filter(|number| *number < values_count);
                let known = known.and_then(|number| u16::try_from(number).ok());
                *value = known.ok_or(QuarterError)?;
            }
        }
        Ok(Self { place, values })
    }
}
