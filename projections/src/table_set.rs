//! The tables of a projection come in numbered sets, so that one can be built beside the one
//! that is read: `click_statistics_1_buckets`, `click_statistics_2_buckets`.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::database::{Database, DatabaseError, Row, Value};

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
pub(crate) struct ActiveSets(Arc<[(&'static str, AtomicI64)]>);

impl ActiveSets {
    pub(crate) fn new(sets: impl IntoIterator<Item = TableSet>) -> Self {
        let sets = sets.into_iter().map(|set| (set.projection, AtomicI64::new(set.number)));
        Self(sets.collect())
    }

    /// The set of a projection that is read now.
    pub(crate) fn get(&self, projection: &'static str) -> TableSet {
        let number = self.find(projection).map_or(0, |number| number.load(Ordering::Acquire));
        TableSet { projection, number }
    }

    pub(crate) fn swap(&self, set: TableSet) {
        if let Some(number) = self.find(set.projection) {
            number.store(set.number, Ordering::Release);
        }
    }

    fn find(&self, projection: &str) -> Option<&AtomicI64> {
        self.0.iter().find(|(name, _)| *name == projection).map(|(_, number)| number)
    }

    fn render(&self, sql: &str) -> String {
        self.0.iter().fold(sql.to_owned(), |sql, (name, number)| {
            if !sql.contains(name) {
                return sql;
            }
            TableSet { projection: name, number: number.load(Ordering::Acquire) }.render(&sql)
        })
    }
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
        mut each: F,
    ) -> Result<(), DatabaseError>
    where
        F: FnMut(&Row) -> Result<(), DatabaseError> + Send,
    {
        let rendered = self.sets.render(sql);
        let answer = self.database.for_each(rendered.clone(), values, &mut each).await;
        // A rebuild that ends between the two lines above has dropped the tables that were
        // named: the statement failed before its first row, and names others now.
        match answer {
            Err(DatabaseError::Broken(_)) if self.sets.render(sql) != rendered => {
                self.database.for_each(self.sets.render(sql), values, each).await
            }
            answer => answer,
        }
    }

    /// All rows of a short answer.
    pub(crate) async fn fetch<T: Send>(
        &self,
        sql: &str,
        values: &[Value],
        mut read: impl FnMut(&Row) -> Result<T, DatabaseError> + Send,
    ) -> Result<Vec<T>, DatabaseError> {
        let mut rows = Vec::new();
        self.for_each(sql, values, |row| {
            rows.push(read(row)?);
            Ok(())
        })
        .await?;
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_names_the_tables_of_its_set() {
        let set = TableSet { projection: "clicks", number: 7 };
        let sql = "select {clicks.a}.x from {clicks.a} join {links.b}";
        assert_eq!(set.render(sql), "select clicks_7_a.x from clicks_7_a join {links.b}");
    }
}
