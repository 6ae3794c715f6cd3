//! Sets of tables that are being built beside the ones that are read: who builds, what for, and
//! how far. A projection has one at a time, whichever process builds it.
//!
//! The builder claims its build and says every second that it is still there. A claim that nobody
//! renews ends: the builder was killed, and whoever comes next drops its tables.

use std::time::Duration;

use uuid::Uuid;

use crate::database::{Database, DatabaseError, Row, Transaction, Value, bad_row};
use crate::table_set::TableSet;

/// How long a claim lasts that is not renewed.
pub(crate) const CLAIM: Duration = Duration::from_secs(10);

/// How often the builder says how far it is.
pub(crate) const BEAT: Duration = Duration::from_secs(1);

/// What a set of tables is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildPurpose {
    /// To be read in the place of the ones that are.
    Rebuild,
    /// The ones that were read before catch up, to be read again.
    Rollback,
    /// To be compared with the ones that are read.
    Verify,
    /// Nothing is built: what is erased meanwhile would not be erased in what is.
    Erasure,
}

impl BuildPurpose {
    /// The name in answers and in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuild",
            Self::Rollback => "rollback",
            Self::Verify => "verify",
            Self::Erasure => "erasure",
        }
    }

    fn parse(name: &str) -> Result<Self, DatabaseError> {
        let all = [Self::Rebuild, Self::Rollback, Self::Verify, Self::Erasure];
        let found = all.into_iter().find(|purpose| purpose.name() == name);
        found.ok_or_else(|| bad_row("not the purpose of a build"))
    }
}

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// What for.
    pub purpose: BuildPurpose,
    /// Sequences of the topic that are behind it.
    pub events_done: u64,
    /// Those, and the ones that were ahead when it began.
    pub events_total: u64,
    /// Links' events or single clicks in the tables.
    pub facts: u64,
    /// Since it began.
    pub elapsed: Duration,
}

impl Build {
    /// Links' events or single clicks per second, from the beginning.
    #[must_use]
    pub fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let facts = self.facts as f64;
        facts / self.elapsed.as_secs_f64().max(0.001)
    }

    /// How long the rest takes at the pace so far; `None`: nothing is done yet.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let left = self.events_total.saturating_sub(self.events_done);
        #[expect(clippy::cast_precision_loss, reason = "a time for people to read")]
        let share = left as f64 / (self.events_done > 0).then_some(self.events_done as f64)?;
        Duration::try_from_secs_f64(self.elapsed.as_secs_f64() * share).ok()
    }

    /// From the columns of [`COLUMNS`], which begin at a place; `None`: there is no build.
    pub(crate) fn read(row: &Row, at: usize) -> Result<Option<Self>, DatabaseError> {
        let Some(purpose) = row.optional_text(at)? else { return Ok(None) };
        Ok(Some(Self {
            purpose: BuildPurpose::parse(purpose)?,
            events_done: row.count(at + 1)?,
            events_total: row.count(at + 2)?,
            facts: row.count(at + 3)?,
            elapsed: Duration::from_micros(u64::try_from(row.int(at + 4)?).unwrap_or_default()),
        }))
    }
}

/// What [`Build::read`] reads, of a row of `builds` that may not be there.
pub(crate) const COLUMNS: &str = "b.purpose, coalesce(b.done, 0), coalesce(b.total, 0), \
    coalesce(b.facts, 0), coalesce({now} - b.started, 0)";

/// The right to build a set of tables of a projection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    projection: &'static str,
    builder: Uuid,
}

impl Claim {
    /// To be taken.
    pub(crate) fn new(projection: &'static str) -> Self {
        Self { projection, builder: Uuid::new_v4() }
    }

    fn key(self) -> [Value; 2] {
        [self.projection.into(), self.builder.to_string().into()]
    }

    /// Takes it for a set of tables. `false`: somebody else builds.
    pub(crate) async fn take(
        self,
        transaction: &mut Transaction,
        set: TableSet,
        purpose: BuildPurpose,
    ) -> Result<bool, DatabaseError> {
        let sql = "insert into builds \
                   (projection, builder, table_set, purpose, ends, done, total, facts, started) \
                   values ($1, $2, $3, $4, {now} + $5, 0, 0, 0, {now}) \
                   on conflict (projection) do update set builder = excluded.builder, \
                   table_set = excluded.table_set, purpose = excluded.purpose, \
                   ends = excluded.ends, done = 0, total = 0, facts = 0, \
                   started = excluded.started where builds.ends <= {now}";
        let what = [set.number.into(), purpose.name().into(), CLAIM.into()];
        let values = [&self.key()[..], &what[..]].concat();
        Ok(transaction.execute(sql.to_owned(), &values).await? == 1)
    }

    /// Says that the builder is there, and how far. `false`: somebody else builds by now. One that was
    /// not renewed in time goes on if nobody has taken it, nor dropped what it built: whoever does that
    /// takes the row away, and hours of work are not lost to a database that was away for seconds.
    pub(crate) async fn renew(
        self,
        database: &Database,
        build: &Build,
    ) -> Result<bool, DatabaseError> {
        let sql = "update builds set ends = {now} + $3, done = $4, total = $5, facts = $6 \
                   where projection = $1 and builder = $2";
        let number = |count: u64| Value::from(count.cast_signed());
        let far = [build.events_done, build.events_total, build.facts].map(number);
        let values = [&self.key()[..], &[CLAIM.into()][..], &far[..]].concat();
        Ok(database.change(sql, &values).await? == 1)
    }

    /// Says that who erases is there. `false`: what it kept others from may have been done meanwhile.
    /// Also late the row alone is the proof: whoever builds, or drops what is left, takes it away. A
    /// file that is written anew makes writers wait for minutes.
    pub(crate) async fn hold(self, database: &Database) -> Result<bool, DatabaseError> {
        let sql = "update builds set ends = {now} + $3 where projection = $1 and builder = $2";
        let values = [&self.key()[..], &[CLAIM.into()][..]].concat();
        Ok(database.change(sql, &values).await? == 1)
    }

    /// Gives it up. `false`: it was somebody else's already.
    pub(crate) async fn end(self, transaction: &mut Transaction) -> Result<bool, DatabaseError> {
        let sql = "delete from builds where projection = $1 and builder = $2";
        Ok(transaction.execute(sql.to_owned(), &self.key()).await? == 1)
    }
}

/// Ends whatever claim there is: for whoever knows that nobody builds.
pub(crate) async fn forget(
    database: &Database,
    projection: &'static str,
) -> Result<(), DatabaseError> {
    let sql = "delete from builds where projection = $1";
    database.change(sql, &[projection.into()]).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_told_from_the_pace_so_far() {
        let elapsed = Duration::from_secs(10);
        let purpose = BuildPurpose::Rebuild;
        let build = Build { purpose, events_done: 25, events_total: 100, facts: 500, elapsed };
        assert!((build.rate() - 50.0).abs() < f64::EPSILON);
        assert_eq!(build.time_left(), Some(Duration::from_secs(30)));
        assert_eq!(Build { events_done: 0, ..build }.time_left(), None);
        assert_eq!(Build { events_done: 100, ..build }.time_left(), Some(Duration::ZERO));
        assert_eq!(Build { events_done: 120, ..build }.time_left(), Some(Duration::ZERO));
    }
}
