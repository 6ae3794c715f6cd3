//! One batch into one set of tables: fold, then rows and checkpoint in one transaction.

use std::sync::Arc;

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::LinkKey;
use hoplog_events::log::EventLog;
use hoplog_events::position::{Position, Sequence};

use super::WorkerError;
use crate::checkpoint::Checkpoint;
use crate::commit::{Commit, CommitListener, Listener};
use crate::database::{Database, Purpose};
use crate::lease::Part;
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
    pub(crate) listener: Listener,
}

impl Applier {
    /// The set that is read now.
    pub(crate) fn active(&self) -> TableSet {
        self.sets.get(self.projection.name())
    }

    /// The checkpoint of the set that is read now, if it was made from this log.
    pub(crate) async fn checkpoint(&self) -> Result<Checkpoint, WorkerError> {
        let set = self.active();
        let checkpoint =
            Checkpoint::load(&self.database, Purpose::Projection, set, self.projection.topic())
                .await?;
        let checkpoint =
            checkpoint.ok_or_else(|| WorkerError::CheckpointLost(set.projection.to_owned()))?;
        if checkpoint.log == self.log.id() {
            Ok(checkpoint)
        } else {
            let (theirs, ours) = (checkpoint.log, self.log.id());
            Err(WorkerError::OtherLog { projection: set.projection, theirs, ours })
        }
    }

    /// Applies events that follow a checkpoint. Returns where that leads, and how many facts it was.
    /// On every error the tables are as they were.
    pub(crate) async fn apply(
        &self,
        from: Checkpoint,
        events: Vec<RecordedEvent>,
    ) -> Result<(Checkpoint, u64), WorkerError> {
        let to = events.last().map_or(from.sequence, |event| event.position.sequence);
        let projection = Arc::clone(&self.projection);
        // A fold takes milliseconds of computing: not on the threads that answer redirects.
        let fold = tokio::task::spawn_blocking(move || projection.fold(&events));
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
            let position = Position { log: from.log, topic: from.topic, sequence: to };
            listener.committed(Commit { projection: from.set.projection, position, links });
        }
        Ok((Checkpoint { sequence: to, ..from }, facts))
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
        match Checkpoint::load(&self.database, Purpose::Projection, from.set, from.topic).await {
            Ok(Some(here)) if here.log == from.log && here.sequence < from.sequence => {
                WorkerError::WentBack(name)
            }
            Ok(_) => WorkerError::CheckpointLost(name),
            Err(error) => error.into(),
        }
    }

    /// Makes an empty set of tables, with a checkpoint before the first event.
    pub(crate) async fn create(&self) -> Result<Checkpoint, WorkerError> {
        let name = self.projection.name();
        let numbers = crate::checkpoint::set_numbers(&self.database, name).await?;
        let number = numbers.last().map_or(1, |last| last + 1).max(self.active().number + 1);
        let set = TableSet { projection: name, number };
        let (topic, log) = (self.projection.topic(), self.log.id());
        let checkpoint = Checkpoint { set, topic, log, sequence: Sequence::START };
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

    /// Drops a set of tables with its checkpoint.
    pub(crate) async fn drop_set(&self, set: TableSet) -> Result<(), WorkerError> {
        let mut transaction = self.database.begin().await?;
        for table in self.projection.tables() {
            let sql = format!("drop table if exists {}", set.table(table.name));
            transaction.define(&sql).await?;
        }
        let sql = "delete from checkpoints where projection = $1 and table_set = $2";
        let values = [set.projection.into(), set.number.into()];
        transaction.execute(sql.to_owned(), &values).await?;
        Ok(transaction.commit().await?)
    }
}
