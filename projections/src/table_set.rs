//! The tables of a projection come in numbered sets, so that one can be built beside the one
//! that is read: `click_statistics_1_sums`, `click_statistics_2_sums`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::database::{Database, DatabaseError, Purpose, Row, Value};

/// One set of tables of one projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableSet {
    /// The projection that owns the tables.
    pub projection: &'static str,
    /// Counts up with every rebuild.
    pub number: i64,
}

impl TableSet {
    /// The name of one table in this set.
    #[must_use]
    pub fn table(self, name: &str) -> String {
        format!("{}_{}_{name}", self.projection, self.number)
    }

    /// Writes this set's table names into a statement that says `{projection.table}`.
    #[must_use]
    pub fn render(self, sql: &str) -> String {
        let (open, set) = (format!("{{{}.", self.projection), self.table(""));
        let mut parts = sql.split(&open);
        let mut rendered = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (table, rest) = part.split_once('}').unwrap_or((part, ""));
            rendered.extend([&set, table, rest]);
        }
        rendered
    }
}

/// Which set of each projection is read now. Shared by the runner, which swaps, and the queries.
#[derive(Debug, Clone)]
pub(crate) struct ActiveSets(Arc<[(&'static str, AtomicU64)]>);

/// When it was looked which set is read: what was found is news only if nobody swapped since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Looked(u64);

/// The number of a set, and in the upper half how often it changed.
const NUMBER: u64 = 0xffff_ffff;

impl ActiveSets {
    pub(crate) fn new(sets: impl IntoIterator<Item = TableSet>) -> Self {
        let word = |set: TableSet| AtomicU64::new(set.number.cast_unsigned() & NUMBER);
        Self(sets.into_iter().map(|set| (set.projection, word(set))).collect())
    }

    /// The set of a projection that is read now.
    pub(crate) fn get(&self, projection: &'static str) -> TableSet {
        let number = self.find(projection).map_or(0, number_in);
        TableSet { projection, number }
    }

    /// Another set is read from now on.
    pub(crate) fn swap(&self, set: TableSet) {
        if let Some(word) = self.find(set.projection) {
            let next = |now| Some(changed(now, set));
            // It always gives a next one.
            let _ = word.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        }
    }

    /// Before the database is asked which set is read.
    pub(crate) fn look(&self, projection: &'static str) -> Looked {
        Looked(self.find(projection).map_or(0, |word| word.load(Ordering::Acquire)))
    }

    /// The set that the database has named is read from now on. `false`: it was asked before
    /// another one was swapped in here.
    pub(crate) fn follow(&self, looked: Looked, set: TableSet) -> bool {
        let Some(word) = self.find(set.projection) else { return false };
        let Looked(before) = looked;
        let is_known = before & NUMBER == set.number.cast_unsigned() & NUMBER;
        let after = if is_known { before } else { changed(before, set) };
        word.compare_exchange(before, after, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn find(&self, projection: &str) -> Option<&AtomicU64> {
        self.0.iter().find(|(name, _)| *name == projection).map(|(_, word)| word)
    }

    fn render(&self, sql: &str) -> String {
        self.0.iter().fold(sql.to_owned(), |sql, (name, word)| {
            if !sql.contains(name) {
                return sql;
            }
            TableSet { projection: name, number: number_in(word) }.render(&sql)
        })
    }
}

fn number_in(word: &AtomicU64) -> i64 {
    (word.load(Ordering::Acquire) & NUMBER).cast_signed()
}

/// The next word, for another set.
fn changed(before: u64, set: TableSet) -> u64 {
    ((before & !NUMBER).wrapping_add(NUMBER + 1)) | (set.number.cast_unsigned() & NUMBER)
}

/// The tables as queries see them: the database and the sets that are read now.
#[derive(Debug, Clone)]
pub(crate) struct Tables {
    pub(crate) database: Database,
    pub(crate) sets: ActiveSets,
}

impl Tables {
    /// Calls `each` with every row of an answer.
    pub(crate) async fn for_each<F>(
        &self,
        sql: &str,
        values: &[Value],
        each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        self.ask(Purpose::Answer, sql, values, each).await
    }

    /// Whether many rows are handed over as one value; see [`Database::packs`].
    pub(crate) fn packs(&self) -> bool {
        self.database.packs()
    }

    /// All rows of a short answer.
    pub(crate) async fn fetch<T: Send>(
        &self,
        sql: &str,
        values: &[Value],
        read: impl FnMut(&Row) -> Result<T, DatabaseError> + Send,
    ) -> Result<Vec<T>, DatabaseError> {
        self.collect(Purpose::Answer, sql, values, read).await
    }

    /// A few rows as they are now: never from a replica.
    pub(crate) async fn look_up<T: Send>(
        &self,
        sql: &str,
        values: &[Value],
        read: impl FnMut(&Row) -> Result<T, DatabaseError> + Send,
    ) -> Result<Vec<T>, DatabaseError> {
        self.collect(Purpose::Lookup, sql, values, read).await
    }

    /// The rows that a job needs to go on, however long it takes to find them.
    pub(crate) async fn work<T: Send>(
        &self,
        sql: &str,
        values: &[Value],
        read: impl FnMut(&Row) -> Result<T, DatabaseError> + Send,
    ) -> Result<Vec<T>, DatabaseError> {
        self.collect(Purpose::Projection, sql, values, read).await
    }

    async fn collect<T: Send>(
        &self,
        purpose: Purpose,
        sql: &str,
        values: &[Value],
        mut read: impl FnMut(&Row) -> Result<T, DatabaseError> + Send,
    ) -> Result<Vec<T>, DatabaseError> {
        let mut rows = Vec::new();
        let each = |row: &Row| {
            rows.push(read(row)?);
            Ok(())
        };
        self.ask(purpose, sql, values, each).await?;
        Ok(rows)
    }

    async fn ask<F>(
        &self,
        purpose: Purpose,
        sql: &str,
        values: &[Value],
        mut each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        // A replica may have the new tables already, and not yet be where they are read.
        let is_elsewhere = purpose == Purpose::Answer && self.database.has_replica();
        let rendered = if is_elsewhere {
            Box::pin(self.there(purpose)).await?.render(sql)
        } else {
            self.sets.render(sql)
        };
        let answer = self.database.for_each(purpose, rendered.clone(), values, &mut each).await;
        let Err(DatabaseError::Broken(_)) = answer else { return answer };
        // A rebuild, here or in another process, has dropped the tables that were named; or it
        // has not reached the replica yet. The statement failed before its first row: once more
        // with the tables of whoever answered.
        let again = Box::pin(self.there(purpose)).await?.render(sql);
        if again == rendered {
            return answer;
        }
        Box::pin(self.database.for_each(purpose, again, values, each)).await
    }

    /// The set of a projection that an answer of several statements is read from.
    pub(crate) async fn one_set(
        &self,
        projection: &'static str,
    ) -> Result<TableSet, DatabaseError> {
        if self.database.has_replica() {
            return Ok(Box::pin(self.there(Purpose::Answer)).await?.get(projection));
        }
        Ok(self.sets.get(projection))
    }

    /// The set of a projection that is read where answers come from, and the version that made it; 0 and
    /// none at first.
    pub(crate) async fn answering_set(
        &self,
        projection: &'static str,
    ) -> Result<(TableSet, Option<i64>), DatabaseError> {
        set_for(&self.database, Purpose::Answer, projection).await
    }

    /// The sets that are read where answers come from.
    async fn there(&self, purpose: Purpose) -> Result<ActiveSets, DatabaseError> {
        let sql = "select name, active_set from projections".to_owned();
        let read = |row: &Row| Ok((row.text(0)?.to_owned(), row.int(1)?));
        let there = self.database.fetch(purpose, sql, &[], read).await?;
        Ok(ActiveSets::new(self.sets.0.iter().map(|(projection, word)| {
            let found = there.iter().find(|(name, _)| name == projection);
            let number = found.map_or_else(|| number_in(word), |found| found.1);
            TableSet { projection, number }
        })))
    }
}

/// The set of a projection that is read now, and the version that made it; 0 and none at first.
pub(crate) async fn active_set(
    database: &Database,
    projection: &'static str,
) -> Result<(TableSet, Option<i64>), DatabaseError> {
    set_for(database, Purpose::Projection, projection).await
}

async fn set_for(
    database: &Database,
    purpose: Purpose,
    projection: &'static str,
) -> Result<(TableSet, Option<i64>), DatabaseError> {
    let sql = "select active_set, version from projections where name = $1";
    let values = [projection.into()];
    let rows = database.fetch(purpose, sql.to_owned(), &values, |row| {
        Ok((TableSet { projection, number: row.int(0)? }, Some(row.int(1)?)))
    });
    let none = (TableSet { projection, number: 0 }, None);
    Ok(rows.await?.into_iter().next().unwrap_or(none))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_before_a_swap_is_no_news() {
        let set = |number| TableSet { projection: "clicks", number };
        let sets = ActiveSets::new([set(7)]);
        let looked = sets.look("clicks");
        assert!(sets.follow(looked, set(7)), "as it was");
        assert!(sets.follow(looked, set(8)));
        assert!(!sets.follow(looked, set(7)), "found before");
        let looked = sets.look("clicks");
        sets.swap(set(7));
        assert!(!sets.follow(looked, set(8)));
        // There and back again is a change as well.
        let looked = sets.look("clicks");
        sets.swap(set(8));
        sets.swap(set(7));
        assert!(!sets.follow(looked, set(8)));
        assert_eq!(sets.get("clicks"), set(7));
    }

    #[test]
    fn a_statement_names_the_tables_of_its_set() {
        let set = TableSet { projection: "clicks", number: 7 };
        let sql = "select {clicks.a}.x from {clicks.a} join {links.b}";
        assert_eq!(set.render(sql), "select clicks_7_a.x from clicks_7_a join {links.b}");
    }
}
