//! What two batches add up to together. While tables are built several are written at once: a row that all of them have clicks
//! of is then written once.

use super::cells::{Cell, Count, Counted, Ever, Group, Tally, Value, order};
use super::columns;
use crate::database::DatabaseError;
use crate::ordered::merged;

/// So many rows are not made more: each is some 100 to 500 bytes of memory.
const ROWS_MAX: usize = 200_000;

impl Counted {
    /// Whether another batch may be added.
    pub(super) fn has_room(&self) -> bool {
        let rows = |(_, count): &(Group, Count)| match count {
            Count::Few(_) => 1,
            Count::Many(tallies) => tallies.len(),
        };
        self.together.len() + self.groups.iter().map(rows).sum::<usize>() < ROWS_MAX
    }

    /// Adds what a later batch adds up to.
    pub(super) fn join(self, later: Self) -> Result<Self, DatabaseError> {
        let counts = |(group, count): (Group, Count), (_, more)| Ok((group, count.join(more)?));
        let by_group = |(a, _): &(Group, Count), (b, _): &(Group, Count)| a.cmp(b);
        let groups = merged(self.groups, later.groups, by_group, counts)?;
        let cells = |mut cell: Cell, more: Cell| {
            cell.tally.add(more.tally.clicks, &more.tally.visitors);
            Ok(cell)
        };
        let together = merged(self.together, later.together, order, cells)?;
        let mut totals = self.totals;
        for (link, more) in later.totals {
            for (ever, more) in totals.entry(link).or_default().iter_mut().zip(more) {
                ever.join(more);
            }
        }
        Ok(Self { groups, together, totals, clicks: self.clicks + later.clicks })
    }
}

impl Count {
    /// The clicks of both.
    pub(super) fn join(self, other: Self) -> Result<Self, DatabaseError> {
        let all = match (self, other) {
            (Self::Few(one), Self::Few(other)) => {
                let both = columns::quarter(&one)?.merge(&columns::quarter(&other)?);
                return Ok(Self::from(&both));
            }
            (Self::Few(few), Self::Many(many)) | (Self::Many(many), Self::Few(few)) => {
                both(many, columns::quarter(&few)?.tallies())?
            }
            (Self::Many(one), Self::Many(other)) => both(one, other)?,
        };
        Ok(Self::Many(all))
    }
}

impl Ever {
    fn join(&mut self, other: Self) {
        self.clicks += other.clicks;
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// The tallies of both, value by value and in their order.
fn both(
    one: Vec<(Value, Tally)>,
    other: Vec<(Value, Tally)>,
) -> Result<Vec<(Value, Tally)>, DatabaseError> {
    let add = |(value, mut tally): (Value, Tally), (_, more): (Value, Tally)| {
        tally.add(more.clicks, &more.visitors);
        Ok((value, tally))
    };
    merged(one, other, |(a, _), (b, _)| a.cmp(b), add)
}

#[cfg(test)]
mod tests;
