//! A batch of clicks, reduced in memory to the numbers that change.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use super::quarter::{CLICKS_MAX, Quarter};
use super::spans::Span;
use super::{all_links, bucket_of};
use crate::clicks::decoded::{Decoded, DecodedClick};
use crate::database::{TextId, Texts};
use crate::dimension::Dimension;
use crate::partition::Partitions;
use crate::sketch::{Place, Sketch};

/// A value of a dimension.
pub(super) type Value = (Dimension, Arc<str>);

/// The clicks of one link or of all links of a partition, in one bucket, of people or of bots.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) link: Arc<str>,
    pub(super) bucket: i64,
    pub(super) bot: bool,
}

/// One row of the sums: of a quarter, or of a longer span that begins with it.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) group: Group,
    /// What stands for the span in the table.
    pub(super) bucket: i64,
    pub(super) value: Value,
    pub(super) tally: Tally,
}

/// What a cell counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) clicks: u64,
    pub(super) visitors: Sketch,
}

impl Tally {
    /// Of clicks from these places.
    pub(super) fn of(places: Vec<Place>) -> Self {
        Self { clicks: places.len() as u64, visitors: Sketch::of_places(places) }
    }

    pub(super) fn add(&mut self, clicks: u64, visitors: &Sketch) {
        self.clicks += clicks;
        self.visitors.merge(visitors);
    }
}

/// The cells of a group.
pub(super) fn cells(group: &Group, tallies: Vec<(Value, Tally)>) -> impl Iterator<Item = Cell> {
    tallies.into_iter().map(|(value, tally)| {
        let bucket = Span::Quarter.bucket(value.0, group.bucket);
        Cell { group: group.clone(), bucket, value, tally }
    })
}

/// The order of the table's key.
pub(super) fn order(a: &Cell, b: &Cell) -> Ordering {
    let key = |cell: &Cell| (cell.bucket, cell.value.0);
    let (left, right) = (&a.group.link, &b.group.link);
    let links = if Arc::ptr_eq(left, right) { Ordering::Equal } else { left.cmp(right) };
    links
        .then_with(|| key(a).cmp(&key(b)))
        .then_with(|| (&a.value.1, a.group.bot).cmp(&(&b.value.1, b.group.bot)))
}

/// In the order of the table's key, so that its pages are written in order.
pub(super) fn sort(cells: &mut [Cell]) {
    cells.sort_unstable_by(order);
}

/// The clicks of a link's group.
#[derive(Debug)]
pub(super) enum Count {
    /// So few that they are one row: its bytes.
    Few(Vec<u8>),
    /// A row for each value.
    Many(Vec<(Value, Tally)>),
}

impl From<&Quarter> for Count {
    fn from(quarter: &Quarter) -> Self {
        quarter.to_bytes().map_or_else(|| Self::Many(quarter.tallies()), Self::Few)
    }
}

/// What a batch of clicks adds up to.
#[derive(Debug)]
pub(super) struct Counted {
    /// The clicks of each link, in the order of the table's key.
    pub(super) groups: Vec<(Group, Count)>,
    /// Those of all links of each partition together, in the order of the table's key.
    pub(super) together: Vec<Cell>,
    /// People and bots by link, and of all links of a partition.
    pub(super) totals: BTreeMap<Arc<str>, [Ever; 2]>,
    pub(super) clicks: u64,
}

/// All clicks ever, of people or of bots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ever {
    pub(super) clicks: u64,
    /// The first quarter with one; without any the last that there is.
    pub(super) first: i64,
    /// The last quarter with one; without any the first that there is.
    pub(super) last: i64,
}

impl Default for Ever {
    fn default() -> Self {
        Self { clicks: 0, first: i64::MAX, last: i64::MIN }
    }
}

impl Ever {
    fn add(&mut self, quarter: i64, clicks: usize) {
        self.clicks += clicks as u64;
        self.first = self.first.min(quarter);
        self.last = self.last.max(quarter);
    }
}

/// Which click counts where.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Entry<Subject> {
    subject: Subject,
    bucket: i64,
    bot: bool,
    place: Place,
    click: usize,
}

impl<Subject: Copy + Eq> Entry<Subject> {
    fn group(&self) -> (Subject, i64, bool) {
        (self.subject, self.bucket, self.bot)
    }

    /// The same of another subject.
    fn of<Other>(&self, subject: Other) -> Entry<Other> {
        let Self { bucket, bot, place, click, .. } = *self;
        Entry { subject, bucket, bot, place, click }
    }
}

impl Counted {
    pub(super) fn of(decoded: &Decoded, partitions: Partitions) -> Self {
        let Decoded { texts, clicks } = decoded;
        let entry = |(number, click): (usize, &DecodedClick)| Entry {
            subject: click.link,
            bucket: bucket_of(click.at),
            bot: click.class.is_bot(),
            place: Place::of(click.visitor),
            click: number,
        };
        let mut entries: Vec<_> = clicks.iter().enumerate().map(entry).collect();
        entries.sort_unstable();
        let (mut groups, mut of_all) = (Vec::new(), Vec::with_capacity(entries.len()));
        let mut totals = BTreeMap::<Arc<str>, [Ever; 2]>::new();
        for entries in entries.chunk_by(|a, b| a.group() == b.group()) {
            let (link, bucket, bot) = entries[0].group();
            let link = texts.get(link);
            let subject = partitions.number_of(link);
            of_all.extend(entries.iter().map(|entry| entry.of(subject)));
            for counted in [Arc::clone(link), all_links(subject).into()] {
                totals.entry(counted).or_default()[usize::from(bot)].add(bucket, entries.len());
            }
            let group = Group { link: Arc::clone(link), bucket, bot };
            groups.push((group, count(texts, &placed(entries, clicks))));
        }
        groups.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        Self { groups, together: together(decoded, of_all), totals, clicks: clicks.len() as u64 }
    }
}

/// Clicks with the places of their visitors.
fn placed<'a, Subject>(
    entries: &[Entry<Subject>],
    clicks: &'a [DecodedClick],
) -> Vec<(Place, &'a DecodedClick)> {
    entries.iter().map(|entry| (entry.place, &clicks[entry.click])).collect()
}

fn count(texts: &Texts, clicks: &[(Place, &DecodedClick)]) -> Count {
    if clicks.len() <= CLICKS_MAX
        && let Some(bytes) = Quarter::of_decoded(texts, clicks).to_bytes()
    {
        return Count::Few(bytes);
    }
    Count::Many(tallies(texts, clicks))
}

/// What all links of a partition have together.
fn together(decoded: &Decoded, mut entries: Vec<Entry<u32>>) -> Vec<Cell> {
    entries.sort_unstable();
    let mut all = Vec::new();
    for entries in entries.chunk_by(|a, b| a.group() == b.group()) {
        let (partition, bucket, bot) = entries[0].group();
        let group = Group { link: all_links(partition).into(), bucket, bot };
        let tallies = tallies(&decoded.texts, &placed(entries, &decoded.clicks));
        all.extend(cells(&group, tallies));
    }
    sort(&mut all);
    all
}

/// What clicks add up to, value by value and in their order. The clicks are in the order of their
/// places, so that those of each value are.
fn tallies(texts: &Texts, clicks: &[(Place, &DecodedClick)]) -> Vec<(Value, Tally)> {
    let mut places: HashMap<(Dimension, TextId), Vec<Place>> = HashMap::new();
    for (place, click) in clicks {
        for value in click.counted() {
            places.entry(value).or_default().push(*place);
        }
    }
    let tally = |((dimension, value), places): ((Dimension, TextId), Vec<Place>)| {
        ((dimension, Arc::clone(texts.get(value))), Tally::of(places))
    };
    let mut tallies: Vec<_> = places.into_iter().map(tally).collect();
    tallies.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    tallies
}
