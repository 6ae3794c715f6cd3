//! One batch into one set of tables: fold, then rows and checkpoint in one transaction.

use std::sync::Arc;

use hoplog_events::envelope::RecordedEvent;
use hoplog_events::link::LinkKey;
use hoplog_events::log::{EventLog, ReadError, ReadLimit, Seen};
use hoplog_events::position::{Position, Sequence};
use tokio::sync::{RwLock, Semaphore};

use super::{Batch, WorkerError};
use crate::checkpoint::Checkpoint;
use crate::commit::{Commit, CommitListener, Listener};
use crate::database::{Database, Purpose, Transaction};
use crate::lease::Part;
use crate::parking::{self, Aside, Unhandled};
use crate::partition::{Partitions, Share};
use crate::projection::{Changes, Projection};
use crate::rebuild::SharedReads;
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
    /// Held by whoever applies live events; a builder that can't catch up with them takes it for
    /// the last few.
    pub(crate) last_stretch: Arc<RwLock<()>>,
    /// What its builds and those of other projections read at the same time.
    pub(crate) reads: Arc<SharedReads>,
}

impl Applier {
    /// The set that is read now.
    pub(crate) fn active(&self) -> TableSet {
        self.sets.get(self.projection.name())
    }

    /// The checkpoints of the set that is read now, if it was made from this log.
    pub(crate) async fn checkpoints(&self) -> Result<Vec<Checkpoint>, WorkerError> {
        self.checkpoints_of(self.active()).await
    }

    /// The checkpoints of a set, if it was made from this log.
    pub(crate) async fn checkpoints_of(
        &self,
        set: TableSet,
    ) -> Result<Vec<Checkpoint>, WorkerError> {
        let topic = self.projection.topic();
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

    /// How far the partition is that is furthest, of the set that is read; `None`: it is of
    /// another log, or beyond the head of this one, which was put back.
    pub(crate) async fn furthest_read(
        &self,
        head: Sequence,
    ) -> Result<Option<Sequence>, WorkerError> {
        let (set, topic) = (self.read_by_all().await?, self.projection.topic());
        let all = Checkpoint::load(&self.database, Purpose::Projection, set, topic).await?;
        let ours = all.iter().filter(|checkpoint| checkpoint.log == self.log.id());
        let sequences = ours.map(|checkpoint| checkpoint.sequence);
        Ok(sequences.filter(|sequence| *sequence <= head).max())
    }

    /// A checkpoint as it is in the database now.
    pub(crate) async fn reloaded(&self, checkpoint: Checkpoint) -> Result<Checkpoint, WorkerError> {
        let Checkpoint { set, topic, share, .. } = checkpoint;
        let number = match share {
            Share::All(_) => 0,
            Share::One(partition) => partition.number() as usize,
        };
        let all = Checkpoint::load(&self.database, Purpose::Projection, set, topic).await?;
        let found = all.into_iter().nth(number).map(|found| Checkpoint { share, ..found });
        found.ok_or_else(|| WorkerError::CheckpointLost(set.projection.to_owned()))
    }

    /// The checkpoint of one partition.
    pub(crate) async fn checkpoint(&self, number: u32) -> Result<Checkpoint, WorkerError> {
        let found = self.checkpoints().await?.into_iter().nth(number as usize);
        found.ok_or_else(|| WorkerError::CheckpointLost(self.projection.name().to_owned()))
    }

    /// The log still has what the tables account for, of every partition: one that is not so far as the
    /// others may not notice that the log was put back.
    pub(crate) async fn confirm_all(&self) -> Result<(), WorkerError> {
        self.confirm_each(&self.checkpoints().await?).await
    }

    /// The log still has what these checkpoints are at.
    pub(crate) async fn confirm_each(&self, checkpoints: &[Checkpoint]) -> Result<(), WorkerError> {
        let mut checkpoints = checkpoints.to_vec();
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

    /// Applies events that follow a checkpoint, as far as they are of its share and nothing is
    /// set aside that they are part of. Returns where that leads, and how many facts it was. On
    /// every error the tables are as they were.
    pub(crate) async fn apply(
        &self,
        from: Checkpoint,
        batch: &Batch,
        aside: &Aside,
    ) -> Result<(Checkpoint, u64), WorkerError> {
        let _room = self.room.acquire().await.map_err(|_| WorkerError::Stopped)?;
        let Some(last) = batch.events().last().map(Seen::from) else { return Ok((from, 0)) };
        let (due, waiting) = batch.part(aside, from.share, self.projection.as_ref());
        let changes = self.fold(due, from.share).await?;
        self.write(from, from.at(last), changes, aside, &waiting).await
    }

    /// Writes what a batch changes, and moves the checkpoint over it.
    pub(crate) async fn write(
        &self,
        from: Checkpoint,
        to: Checkpoint,
        changes: Box<dyn Changes>,
        aside: &Aside,
        waiting: &[RecordedEvent],
    ) -> Result<(Checkpoint, u64), WorkerError> {
        let facts = changes.facts();
        let told = self.changed_links(from.set, changes.as_ref());
        let mut transaction = self.begin(from, to).await?;
        changes.write(&mut transaction, from.set).await?;
        if aside.unhandled == Unhandled::Park {
            let ordered = self.projection.keeps_order();
            parking::park(&mut transaction, &from, waiting, ordered, None).await?;
        }
        transaction.commit().await?;
        Self::tell(told, to);
        Ok((to, facts))
    }

    /// A fold takes milliseconds of computing: not on the threads that answer redirects.
    pub(crate) async fn fold(
        &self,
        batch: Batch,
        share: Share,
    ) -> Result<Box<dyn Changes>, WorkerError> {
        let projection = Arc::clone(&self.projection);
        let fold = tokio::task::spawn_blocking(move || projection.fold(&batch, share));
        Ok(fold.await.map_err(|error| WorkerError::Fold(error.to_string()))??)
    }

    /// What two batches change together.
    pub(crate) async fn join(
        &self,
        earlier: Box<dyn Changes>,
        later: Box<dyn Changes>,
    ) -> Result<Box<dyn Changes>, WorkerError> {
        let join = tokio::task::spawn_blocking(move || earlier.join(later));
        Ok(join.await.map_err(|error| WorkerError::Fold(error.to_string()))??)
    }

    /// Tells what was committed.
    pub(super) fn tell(told: Option<(&dyn CommitListener, Vec<LinkKey>)>, at: Checkpoint) {
        if let Some((listener, links)) = told {
            let position = Position { log: at.log, topic: at.topic, sequence: at.sequence };
            listener.committed(Commit { projection: at.set.projection, position, links });
        }
    }

    /// Moves on over events that are no longer on the log.
    pub(crate) async fn pass_over(
        &self,
        from: Checkpoint,
        sequence: Sequence,
    ) -> Result<Checkpoint, WorkerError> {
        self.move_to(from, Checkpoint { sequence, command_id: None, ..from }).await
    }

    /// Moves on without a change to the rows.
    pub(super) async fn move_to(
        &self,
        from: Checkpoint,
        to: Checkpoint,
    ) -> Result<Checkpoint, WorkerError> {
        self.begin(from, to).await?.commit().await?;
        Ok(to)
    }

    /// A transaction that begins with the checkpoint: a worker that lost its place writes nothing.
    pub(super) async fn begin(
        &self,
        from: Checkpoint,
        to: Checkpoint,
    ) -> Result<Transaction, WorkerError> {
        let is_read = from.set == self.active();
        let begin =
            if is_read { self.database.begin().await } else { self.database.begin_bulk().await };
        let mut transaction = begin?;
        if from.advance(&mut transaction, to).await? {
            return Ok(transaction);
        }
        drop(transaction);
        Err(self.lost(from).await)
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
    pub(super) fn changed_links(
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
        let is_parked_otherwise = |here: &Checkpoint| {
            here.share == from.share && here.log == from.log && here.parking != from.parking
        };
        match here {
            Ok(here) if here.iter().any(is_parked_otherwise) => WorkerError::ParkingChanged(name),
            Ok(here) if here.iter().any(is_behind) => WorkerError::WentBack(name),
            Ok(_) => WorkerError::CheckpointLost(name),
            Err(error) => error.into(),
        }
    }
}
