//! A batch of clicks, reduced in memory to the numbers that change.

use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};

use super::all_links;
use crate::database::without_nul;
use crate::dimension::{Dimension, Values};
use crate::partition::Partitions;
use crate::sketch::{Place, Sketch};

/// The clicks of one link, in one bucket, of people or of bots.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Group {
    pub(super) link: Box<str>,
    pub(super) bucket: i64,
    pub(super) bot: bool,
}

/// The same without owning the link.
#[derive(Clone, Copy)]
pub(super) struct GroupRef<'a> {
    pub(super) link: &'a str,
    pub(super) bucket: i64,
    pub(super) bot: bool,
}

/// One row of the buckets: a group (by its number) and a value of a dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CellKey {
    pub(super) group: usize,
    pub(super) dimension: Dimension,
    pub(super) value: Box<str>,
}

/// The same without owning the value.
#[derive(Clone, Copy)]
struct CellRef<'a> {
    group: usize,
    dimension: Dimension,
    value: &'a str,
}

/// What a cell counts.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) clicks: u64,
    pub(super) visitors: Sketch,
}

impl Tally {
    pub(super) fn count(&mut self, visitor: Place) {
        self.clicks += 1;
        self.visitors.insert_place(visitor);
    }

    pub(super) fn add(&mut self, clicks: u64, visitors: &Sketch) {
        self.clicks += clicks;
        self.visitors.merge(visitors);
    }

    fn sum<'a>(parts: impl Iterator<Item = &'a Self> + Clone) -> Self {
        let clicks = parts.clone().map(|part| part.clicks).sum();
        Self { clicks, visitors: Sketch::union(parts.map(|part| &part.visitors)) }
    }
}

/// Cells by key, groups by number: a link's name is hashed once per click, not per dimension.
#[derive(Debug, Default)]
pub(super) struct Cells {
    group_numbers: HashMap<Group, usize>,
    groups: Vec<Group>,
    cell_numbers: HashMap<CellKey, usize>,
    tallies: Vec<Tally>,
}

impl Cells {
    /// Counts a click in each of its dimensions.
    pub(super) fn count(&mut self, group: GroupRef<'_>, values: &Values<'_>, visitor: Place) {
        let group = self.group(group);
        for (dimension, value) in values.counted() {
            self.tally(CellRef { group, dimension, value }).count(visitor);
        }
    }

    /// Adds up what was counted of each link for all links of a partition together. Once, after
    /// the last click: it costs as much as there are cells, not clicks.
    pub(super) fn add_all_links(&mut self, partitions: Partitions) {
        let partition = |group: &Group| partitions.number_of(&group.link);
        let partitions: Vec<u32> = self.groups.iter().map(partition).collect();
        let mut together: HashMap<(u32, i64, bool, Dimension, &str), Vec<usize>> = HashMap::new();
        for (key, number) in &self.cell_numbers {
            let Group { bucket, bot, .. } = self.groups[key.group];
            let of_all = (partitions[key.group], bucket, bot, key.dimension, &*key.value);
            together.entry(of_all).or_default().push(*number);
        }
        let sums: Vec<_> = together
            .into_iter()
            .map(|((partition, bucket, bot, dimension, value), parts)| {
                let sum = Tally::sum(parts.iter().map(|number| &self.tallies[*number]));
                (partition, bucket, bot, dimension, Box::<str>::from(value), sum)
            })
            .collect();
        for (partition, bucket, bot, dimension, value, sum) in sums {
            let group = self.group(GroupRef { link: &all_links(partition), bucket, bot });
            self.cell_numbers.insert(CellKey { group, dimension, value }, self.tallies.len());
            self.tallies.push(sum);
        }
    }

    /// The cells in the order of the table's key, so that its pages are written in order.
    pub(super) fn into_sorted(self) -> (Vec<Group>, Vec<(CellKey, Tally)>) {
        let Self { groups, cell_numbers, mut tallies, .. } = self;
        let cells = cell_numbers.into_iter();
        let mut cells: Vec<(CellKey, Tally)> =
            cells.map(|(key, number)| (key, std::mem::take(&mut tallies[number]))).collect();
        let ranks = ranks(&groups);
        let place = |group: usize| (ranks[group], groups[group].bot);
        cells.sort_unstable_by(|(a, _), (b, _)| {
            let ((rank, bot), (other, other_bot)) = (place(a.group), place(b.group));
            let left = (rank, a.dimension, &a.value, bot);
            left.cmp(&(other, b.dimension, &b.value, other_bot))
        });
        (groups, cells)
    }

    fn group(&mut self, group: GroupRef<'_>) -> usize {
        if let Some(number) = self.group_numbers.get(&group) {
            return *number;
        }
        let owned = Group { link: group.link.into(), bucket: group.bucket, bot: group.bot };
        self.groups.push(owned.clone());
        self.group_numbers.insert(owned, self.groups.len() - 1);
        self.groups.len() - 1
    }

    fn tally(&mut self, cell: CellRef<'_>) -> &mut Tally {
        let number = match self.cell_numbers.get(&cell) {
            Some(number) => *number,
            // The tables hold no NUL: two values that are one there must be one here.
            None if cell.value.contains('\0') => {
                let value = &without_nul(cell.value);
                return self.tally(CellRef { value, ..cell });
            }
            None => self.add_cell(cell),
        };
        &mut self.tallies[number]
    }

    fn add_cell(&mut self, cell: CellRef<'_>) -> usize {
        let (group, dimension, value) = (cell.group, cell.dimension, cell.value.into());
        self.tallies.push(Tally::default());
        self.cell_numbers.insert(CellKey { group, dimension, value }, self.tallies.len() - 1);
        self.tallies.len() - 1
    }
}

/// The place of each group's link and bucket in the order of the table's key: links are compared
/// once per group, not per cell.
fn ranks(groups: &[Group]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..groups.len()).collect();
    let key = |group: &usize| (&groups[*group].link, groups[*group].bucket);
    order.sort_unstable_by(|a, b| key(a).cmp(&key(b)));
    let mut ranks = vec![0; groups.len()];
    for pair in order.windows(2) {
        ranks[pair[1]] = ranks[pair[0]] + usize::from(key(&pair[0]) != key(&pair[1]));
    }
    ranks
}

impl Hash for GroupRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.link, self.bucket, self.bot).hash(state);
    }
}

impl Equivalent<Group> for GroupRef<'_> {
    fn equivalent(&self, group: &Group) -> bool {
        self.bucket == group.bucket && self.bot == group.bot && *self.link == *group.link
    }
}

impl Hash for CellKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.group, self.dimension, &*self.value).hash(state);
    }
}

impl Hash for CellRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.group, self.dimension, self.value).hash(state);
    }
}

impl Equivalent<CellKey> for CellRef<'_> {
    fn equivalent(&self, key: &CellKey) -> bool {
        self.group == key.group && self.dimension == key.dimension && *self.value == *key.value
    }
}
