//! Sets of tables: made, put in the place of the ones that are read, dropped.
//!
//! ```text
//!          claim            catch up, index          swap            next rebuild
//! nothing ───────► being built ───────► as far as ──────► read ──────► the one before ──► gone
//!                                       the one read        ◄─────────── rollback
//! ```

use std::time::Duration;

use hoplog_events::position::Sequence;

use super::{Applier, WorkerError};
use crate::builds::{BuildPurpose, Claim};
use crate::checkpoint::{Checkpoint, set_numbers};
use crate::database::{Purpose, Row, Transaction};
use crate::parking;
use crate::partition::{Partitions, Share};
use crate::table_set::{TableSet, active_set};

/// How long a swap waits for the log while others wait for it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(1);

impl Applier {
    /// Makes the first set of tables and lets it be read: there is nothing to be built aside.
    pub(crate) async fn create_first(&self, partitions: Partitions) -> Result<(), WorkerError> {
        let set = self.next_set().await?;
        let mut transaction = self.database.begin().await?;
        self.define(&mut transaction, set, partitions).await?;
        transaction.define(&set.render(self.projection.indexes())).await?;
        let sql = "insert into projections (name, active_set, version) values ($1, $2, $3)";
        let version = self.projection.version();
        let values = [set.projection.into(), set.number.into(), version.into()];
        transaction.execute(sql.to_owned(), &values).await?;
        transaction.commit().await?;
        self.sets.swap(set);
        Ok(())
    }

    /// Makes an empty set of tables to be built.
    ///
    /// # Errors
    /// When there is another build under way.
    pub(crate) async fn create(
        &self,
        partitions: Partitions,
        claim: Claim,
        purpose: BuildPurpose,
    ) -> Result<Checkpoint, WorkerError> {
        let set = self.next_set().await?;
        let mut transaction = self.database.begin().await?;
        self.take_turn(&mut transaction).await?;
        if !claim.take(&mut transaction, set, purpose).await? {
            return Err(WorkerError::Building(set.projection));
        }
        let checkpoint = self.define(&mut transaction, set, partitions).await?;
        transaction.commit().await?;
        Ok(checkpoint)
    }

    /// Takes the right to build on a set that is there.
    ///
    /// # Errors
    /// When there is another build under way.
    pub(crate) async fn reserve(
        &self,
        set: TableSet,
        claim: Claim,
        purpose: BuildPurpose,
    ) -> Result<(), WorkerError> {
        let mut transaction = self.database.begin().await?;
        self.take_turn(&mut transaction).await?;
        if !claim.take(&mut transaction, set, purpose).await? {
            return Err(WorkerError::Building(set.projection));
        }
        Ok(transaction.commit().await?)
    }

    /// Whoever makes, swaps or drops sets of a projection does it one after the other, to the end
    /// of its transaction.
    async fn take_turn(&self, transaction: &mut Transaction) -> Result<(), WorkerError> {
        let sql = "update projections set version = version where name = $1";
        transaction.execute(sql.to_owned(), &[self.projection.name().into()]).await?;
        Ok(())
    }

    /// A number that no set has had.
    async fn next_set(&self) -> Result<TableSet, WorkerError> {
        let projection = self.projection.name();
        let numbers = set_numbers(&self.database, projection).await?;
        let last = numbers.last().copied().unwrap_or_default().max(self.active().number);
        Ok(TableSet { projection, number: last + 1 })
    }

    /// Empty tables, with checkpoints before the first event.
    async fn define(
        &self,
        transaction: &mut Transaction,
        set: TableSet,
        partitions: Partitions,
    ) -> Result<Checkpoint, WorkerError> {
        let (topic, log) = (self.projection.topic(), self.log.id());
        let (share, sequence) = (Share::All(partitions), Sequence::START);
        let (command_id, parking) = (None, 0);
        let checkpoint = Checkpoint { set, topic, log, share, sequence, command_id, parking };
        transaction.define(&set.render(self.projection.definition())).await?;
        checkpoint.insert(transaction).await?;
        Ok(checkpoint)
    }

    /// Makes what a full set needs to be read.
    pub(crate) async fn index(&self, set: TableSet) -> Result<(), WorkerError> {
        // One after the other: on SQLite others write in between.
        for sql in set.render(self.projection.indexes()).split_inclusive(';') {
            if !sql.trim().is_empty() && !self.database.has_what_it_makes(sql).await? {
                let mut transaction = self.database.begin().await?;
                transaction.define_at_length(sql).await?;
                transaction.commit().await?;
            }
        }
        Ok(())
    }

    /// The set that is read, as the database has it: a process that is behind reads another one.
    pub(crate) async fn read_by_all(&self) -> Result<TableSet, WorkerError> {
        let name = self.projection.name();
        let (set, _) = active_set(&self.database, name).await?;
        Ok(set)
    }

    /// The set that was read before, and the version of the code that made it.
    pub(crate) async fn previous(&self) -> Result<Option<(TableSet, i64)>, WorkerError> {
        let projection = self.projection.name();
        let sql = "select previous_set, previous_version from projections \
                   where name = $1 and previous_set is not null";
        let read = |row: &Row| Ok((TableSet { projection, number: row.int(0)? }, row.int(1)?));
        let values = [projection.into()];
        let found = self.database.fetch(Purpose::Projection, sql.to_owned(), &values, read).await?;
        Ok(found.into_iter().next())
    }

    /// Drops the set that was read before: it has what was erased since, and no event of it is
    /// applied there.
    ///
    /// # Errors
    /// When it is being brought up to date, to be read again.
    pub(crate) async fn forget_previous(&self) -> Result<(), WorkerError> {
        let Some((set, _)) = self.previous().await? else { return Ok(()) };
        let sql = "update projections set previous_set = null, previous_version = null \
                   where name = $1 and previous_set = $2 and not exists (select 1 from builds b \
                   where b.projection = $1 and b.table_set = $2 and b.ends > {now})";
        let mut transaction = self.database.begin().await?;
        self.take_turn(&mut transaction).await?;
        let values = [set.projection.into(), set.number.into()];
        if transaction.execute(sql.to_owned(), &values).await? == 0 {
            return Err(WorkerError::Building(set.projection));
        }
        self.drop_in(&mut transaction, set).await?;
        Ok(transaction.commit().await?)
    }

    /// Puts a set in the place of the one that is read, which is kept. Whoever was told that a
    /// position was reached must find it there: a set that is behind is not taken (`false`). What
    /// the tables have of beyond the head is of a log that was put back, and not waited for.
    ///
    /// # Errors
    /// Also when somebody else builds by now.
    pub(crate) async fn swap(
        &self,
        new: TableSet,
        reached: Sequence,
        claim: Claim,
    ) -> Result<bool, WorkerError> {
        // Whoever works on the tables that are read waits for this transaction, and then finds that
        // it has lost its place.
        let hold = "update checkpoints set parking = parking + 1 \
                    where projection = $1 and table_set = $2";
        let swap = "update projections set previous_set = active_set, previous_version = version, \
                    active_set = $3, version = $4 where name = $1 and active_set = $2 \
                    and active_set <> $3 and exists (select 1 from checkpoints c \
                    where c.projection = $1 and c.table_set = $3) \
                    and not exists (select 1 from checkpoints c where c.projection = $1 \
                    and c.table_set = $2 and c.log_id = $5 and c.sequence > $6 \
                    and c.sequence <= $7)";
        let old = self.read_by_all().await?;
        let mut transaction = self.database.begin().await?;
        self.take_turn(&mut transaction).await?;
        let of_old = [old.projection.into(), old.number.into()];
        transaction.execute(hold.to_owned(), &of_old).await?;
        // Asked now: whatever they have of this log is not beyond it.
        let head = tokio::time::timeout(HEAD_TIMEOUT, self.log.head(self.projection.topic())).await;
        let Ok(head) = head else { return Ok(false) };
        let head = head?.sequence;
        let of_new = [new.number.into(), self.projection.version().into()];
        let log = [self.log.id().to_string().into()];
        let places = [reached.0.cast_signed().into(), head.0.cast_signed().into()];
        let values = [&of_old[..], &of_new[..], &log[..], &places[..]].concat();
        if transaction.execute(swap.to_owned(), &values).await? == 0 {
            return Ok(false);
        }
        if !claim.end(&mut transaction).await? {
            return Err(WorkerError::Building(new.projection));
        }
        transaction.commit().await?;
        self.sets.swap(new);
        Ok(true)
    }

    /// What is left of builds that came to nothing is in nobody's way but the disk's.
    pub(crate) async fn clear_up(&self) {
        if let Err(error) = self.drop_leftovers().await {
            tracing::warn!(%error, "tables left behind; the next start or build drops them");
        }
    }

    /// Drops every set but the one that is read, the one before, and the one that is being built.
    pub(crate) async fn drop_leftovers(&self) -> Result<(), WorkerError> {
        let projection = self.projection.name();
        for number in set_numbers(&self.database, projection).await? {
            self.drop_unless_needed(TableSet { projection, number }).await?;
        }
        Ok(())
    }

    /// A claim on it that has ended is taken away, so that its builder, if it was only frozen, swaps
    /// nothing.
    async fn drop_unless_needed(&self, set: TableSet) -> Result<(), WorkerError> {
        let claim = "delete from builds where projection = $1 and table_set = $2 and ends <= {now}";
        let unneeded = "delete from checkpoints where projection = $1 and table_set = $2 \
                        and not exists (select 1 from builds b \
                        where b.projection = $1 and b.table_set = $2) \
                        and not exists (select 1 from projections p where p.name = $1 \
                        and (p.active_set = $2 or p.previous_set = $2))";
        let values = [set.projection.into(), set.number.into()];
        let mut transaction = self.database.begin().await?;
        self.take_turn(&mut transaction).await?;
        transaction.execute(claim.to_owned(), &values).await?;
        if transaction.execute(unneeded.to_owned(), &values).await? > 0 {
            self.drop_in(&mut transaction, set).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Drops a set of tables, whoever needs it.
    #[cfg(test)]
    pub(crate) async fn drop_set(&self, set: TableSet) -> Result<(), WorkerError> {
        let mut transaction = self.database.begin().await?;
        self.drop_in(&mut transaction, set).await?;
        Ok(transaction.commit().await?)
    }

    /// Gives a build up.
    pub(crate) async fn abandon(
        &self,
        set: Option<TableSet>,
        claim: Claim,
    ) -> Result<(), WorkerError> {
        let mut transaction = self.database.begin().await?;
        if claim.end(&mut transaction).await?
            && let Some(set) = set
        {
            self.drop_in(&mut transaction, set).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Drops a set of tables with its checkpoints. Those first: whoever still writes the set ends
    /// that before its tables go away, and finds no checkpoint the next time.
    async fn drop_in(
        &self,
        transaction: &mut Transaction,
        set: TableSet,
    ) -> Result<(), WorkerError> {
        let sql = "delete from checkpoints where projection = $1 and table_set = $2";
        let values = [set.projection.into(), set.number.into()];
        transaction.execute(sql.to_owned(), &values).await?;
        parking::forget(transaction, set).await?;
        for table in self.projection.tables() {
            transaction.drop_table(&set.table(table.name)).await?;
        }
        // They may have had what was erased since.
        Ok(transaction.mark_unscrubbed(&set.table("dropped")).await?)
    }
}
