//! One batch into one set of tables: fold, then rows and checkpoint in one transaction.

use std::sync::Arc;

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::LinkKey;
use hoplog_events::log::{EventLog, ReadError, ReadLimit, Seen};
use hoplog_events::position::{Position, Sequence};
use tokio::sync::Semaphore;

use super::WorkerError;
use crate::checkpoint::Checkpoint;
use crate::commit::{Commit, CommitListener, Listener};
use crate::database::{Database, Purpose};
use crate::lease::Part;
use crate::partition::{Partitions, Share};
use crate::projection::{Changes, Projection};
use crate::table_set::{ActiveSets, TableSet};

/// What it takes to apply events of a log to tables of a projection.
#[derive(Debug, Clone)]
pub(crate) struct Applier {
    pub(crate) projection: Arc<dyn Projection>,
    pub(crate) database: Database,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) sets: ActiveSets,
    pub(crate) part: Part,
    /// How many partitions the next set gets.
    pub(crate) partitions: Partitions,
    /// How many batches may be under way in this process; see [`super::BATCHES_MAX`].
    pub(crate) room: Arc<Semaphore>,
    pub(crate) listener: Listener,
}

impl Applier {
    /// The set that is read now.
    pub(crate) fn active(&self) -> TableSet {
        self.sets.get(self.projection.name())
    }

    /// The checkpoints of the set that is read now, if it was made from this log.
    pub(crate) async fn checkpoints(&self) -> Result<Vec<Checkpoint>, WorkerError> {
        let (set, topic) = (self.active(), self.projection.topic());
        let all = Checkpoint::load(&self.database, Purpose::Projection, set, topic).await?;
        let one =
            all.first().ok_or_else(|| WorkerError::CheckpointLost(set.projection.to_owned()))?;
        if one.log == self.log.id() {
            Ok(all)
        } else {
            let (theirs, ours) = (one.log, self.log.id());
            Err(WorkerError::OtherLog { projection: set.projection, theirs, ours })
        }
    }

    /// The checkpoint of one partition.
    pub(crate) async fn checkpoint(&self, number: u32) -> Result<Checkpoint, WorkerError> {
        let found = self.checkpoints().await?.into_iter().nth(number as usize);
        found.ok_or_else(|| WorkerError::CheckpointLost(self.projection.name().to_owned()))
    }

    /// The log still has what the tables account for, of every partition: one that is not so far as the
    /// others may not notice that the log was put back.
    pub(crate) async fn confirm_all(&self) -> Result<(), WorkerError> {
        let mut checkpoints = self.checkpoints().await?;
        checkpoints.sort_by_key(|checkpoint| checkpoint.sequence);
        checkpoints.dedup_by_key(|checkpoint| checkpoint.sequence);
        for checkpoint in checkpoints {
            self.confirm(checkpoint).await?;
        }
        Ok(())
    }

    /// The log still has the event that a partition accounts for last.
    async fn confirm(&self, checkpoint: Checkpoint) -> Result<(), WorkerError> {
        let Checkpoint { topic, sequence, command_id, .. } = checkpoint;
        let Some(command_id) = command_id else { return Ok(()) };
        Ok(self.log.confirm(topic, Seen { sequence, command_id }).await?)
    }

    /// Applies events that follow a checkpoint, as far as they are of its share. Returns where that
    /// leads, and how many facts it was. On every error the tables are as they were.
    pub(crate) async fn apply(
        &self,
        from: Checkpoint,
        events: Vec<RecordedEvent>,
    ) -> Result<(Checkpoint, u64), WorkerError> {
        let _room = self.room.acquire().await.map_err(|_| WorkerError::Stopped)?;
        let Some(last) = events.last().map(Seen::from) else { return Ok((from, 0)) };
        let (sequence, command_id) = (last.sequence, Some(last.command_id));
        let to = Checkpoint { sequence, command_id, ..from };
        let projection = Arc::clone(&self.projection);
        // A fold takes milliseconds of computing: not on the threads that answer redirects.
        let fold = tokio::task::spawn_blocking(move || projection.fold(&events, from.share));
        let changes = fold.await.map_err(|error| WorkerError::Fold(error.to_string()))??;
        let facts = changes.facts();
        let told = self.changed_links(from.set, changes.as_ref());
        let mut transaction = self.database.begin().await?;
        // First the checkpoint: a worker that lost its place writes nothing.
        if !from.advance(&mut transaction, to).await? {
            drop(transaction);
            return Err(self.lost(from).await);
        }
        changes.write(&mut transaction, from.set).await?;
        transaction.commit().await?;
        if let Some((listener, links)) = told {
            let position = Position { log: from.log, topic: from.topic, sequence };
            listener.committed(Commit { projection: from.set.projection, position, links });
        }
        Ok((to, facts))
    }

    /// Moves on over events that are no longer on the log.
    pub(crate) async fn pass_over(
        &self,
        from: Checkpoint,
        sequence: Sequence,
    ) -> Result<Checkpoint, WorkerError> {
        let to = Checkpoint { sequence, command_id: None, ..from };
        let mut transaction = self.database.begin().await?;
        if !from.advance(&mut transaction, to).await? {
            drop(transaction);
            return Err(self.lost(from).await);
        }
        transaction.commit().await?;
        Ok(to)
    }

    /// Whether the log has everything from the first event on. Tables that are made of less have
    /// less in them than the ones that are read.
    pub(crate) async fn all_kept(&self) -> Result<(), WorkerError> {
        let (topic, projection) = (self.projection.topic(), self.projection.name());
        let one = ReadLimit { events_max: 1, bytes_max: 1 };
        match self.log.read_all(topic, Sequence::START, one).await {
            Err(ReadError::Trimmed { to, .. }) => Err(WorkerError::Trimmed { projection, to }),
            answer => Ok(answer.map(drop)?),
        }
    }

    /// Whom to tell of changes to a set of tables, and which links those are.
    fn changed_links(
        &self,
        set: TableSet,
        changes: &dyn Changes,
    ) -> Option<(&dyn CommitListener, Vec<LinkKey>)> {
        let listener = self.listener.get().filter(|_| set == self.active())?;
        let links = changes.links();
        (!links.is_empty()).then_some((listener.as_ref(), links))
    }

    /// Why a checkpoint is not where it was.
    async fn lost(&self, from: Checkpoint) -> WorkerError {
        let name = from.set.projection.to_owned();
        let here =
            Checkpoint::load(&self.database, Purpose::Projection, from.set, from.topic).await;
        let is_behind = |here: &Checkpoint| {
            here.share == from.share && here.log == from.log && here.sequence < from.sequence
        };
        match here {
            Ok(here) if here.iter().any(is_behind) => WorkerError::WentBack(name),
            Ok(_) => WorkerError::CheckpointLost(name),
            Err(error) => error.into(),
        }
    }

    /// Makes an empty set of tables, with checkpoints before the first event.
    pub(crate) async fn create(&self, partitions: Partitions) -> Result<Checkpoint, WorkerError> {
        let name = self.projection.name();
        let numbers = crate::checkpoint::set_numbers(&self.database, name).await?;
        let number = numbers.last().map_or(1, |last| last + 1).max(self.active().number + 1);
        let set = TableSet { projection: name, number };
        let (topic, log) = (self.projection.topic(), self.log.id());
        let share = Share::All(partitions);
        let checkpoint =
            Checkpoint { set, topic, log, share, sequence: Sequence::START, command_id: None };
        let mut transaction = self.database.begin().await?;
        transaction.define(&set.render(self.projection.definition())).await?;
        checkpoint.insert(&mut transaction).await?;
        transaction.commit().await?;
        Ok(checkpoint)
    }

    /// Makes a set the one that is read. Its name changes hands before any table goes away.
    pub(crate) async fn activate(&self, set: TableSet) -> Result<(), WorkerError> {
        let sql = "insert into projections (name, active_set, version) values ($1, $2, $3) \
                   on conflict (name) do update set active_set = excluded.active_set, \
                   version = excluded.version";
        let values = [set.projection.into(), set.number.into(), self.projection.version().into()];
        let mut transaction = self.database.begin().await?;
        transaction.execute(sql.to_owned(), &values).await?;
        transaction.commit().await?;
        self.sets.swap(set);
        Ok(())
    }

    /// Drops every set but the one that is read. A set with a higher number may be one that
    /// another process is building.
    pub(crate) async fn drop_inactive(&self) -> Result<(), WorkerError> {
        let active = self.active();
        for number in crate::checkpoint::set_numbers(&self.database, active.projection).await? {
            let superseded = number < active.number;
            if superseded || (self.part == Part::Alone && number > active.number) {
                self.drop_set(TableSet { number, ..active }).await?;
            }
        }
        Ok(())
    }

    /// Drops a set of tables with its checkpoints. Those first: whoever still writes the set ends
    /// that before its tables go away, and finds no checkpoint the next time.
    pub(crate) async fn drop_set(&self, set: TableSet) -> Result<(), WorkerError> {
        let mut transaction = self.database.begin().await?;
        let sql = "delete from checkpoints where projection = $1 and table_set = $2";
        let values = [set.projection.into(), set.number.into()];
        transaction.execute(sql.to_owned(), &values).await?;
        for table in self.projection.tables() {
            let sql = format!("drop table if exists {}", set.table(table.name));
            transaction.define(&sql).await?;
        }
        Ok(transaction.commit().await?)
    }
}
