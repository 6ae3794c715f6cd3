//! Tables built anew from the first event: to replace the ones that are read, or to be compared
//! with them.

use std::time::Duration;

use hoplog_events::log::ReadError;
use hoplog_events::position::{Position, Sequence};

use crate::checkpoint::Checkpoint;
use crate::database::Purpose;
use crate::lease::{self, Part, RENEWAL};
use crate::partition::{Partitions, Share};
use crate::projection::Table;
use crate::runner::{BATCH, History, Worker, WorkerError};
use crate::table_set::TableSet;

/// How often the log is asked again whether it is the one of the tables, and the pause before that.
const CONFIRM_ATTEMPTS: u32 = 20;
const CONFIRM_PAUSE: Duration = Duration::from_millis(200);

/// The most differences a report lists for each table.
pub const DIFFERENCES_MAX: usize = 20;

/// How a rebuild went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuildReport {
    /// The last event in the new tables.
    pub position: Position,
    /// How many links' events or single clicks are in them.
    pub facts: u64,
    /// How many events the log has had and has no more.
    pub trimmed_events: u64,
}

/// What the comparison of one table found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableReport {
    /// The table.
    pub table: &'static str,
    /// How many rows it has.
    pub live_rows: u64,
    /// How many rows the rebuilt one has.
    pub rebuilt_rows: u64,
    /// How many rows are in one and not, or not the same, in the other.
    pub differing_rows: u64,
    /// The keys of some of them, at most [`DIFFERENCES_MAX`].
    pub differences: Vec<String>,
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyReport {
    /// The position at which the tables were compared.
    pub position: Position,
    /// How many events the log has had and has no more: what the tables that are read have of
    /// them is a difference.
    pub trimmed_events: u64,
    /// Table by table.
    pub tables: Vec<TableReport>,
}

impl VerifyReport {
    /// Whether every row of every table is the same.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.tables.iter().all(|table| table.differing_rows == 0)
    }
}

/// A set of tables that was built, and what came in and did not.
#[derive(Debug, Clone, Copy)]
struct Built {
    checkpoint: Checkpoint,
    facts: u64,
    trimmed_events: u64,
}

impl Worker {
    /// Builds a new set of tables to the head of the topic and puts it in the place of the old.
    /// In one pass for all partitions, of which there are as many as the settings say now. Others
    /// go on with the old set meanwhile; whoever still writes it after the swap finds no checkpoint.
    pub(crate) async fn rebuild(&self, history: History) -> Result<RebuildReport, WorkerError> {
        if history == History::Whole {
            self.applier.all_kept().await?;
        }
        self.hand_over().await;
        let new = self.applier.create(self.applier.partitions).await?;
        let built = match self.build(new, None).await {
            Ok(built) => built,
            Err(error) => return Err(self.discard(new.set, error).await),
        };
        let Built { checkpoint: done, facts, trimmed_events } = built;
        self.applier.activate(done.set).await?;
        let count = done.share.of().count();
        self.progress.send_modify(|progress| progress.reach(count, done.sequence));
        self.applier.drop_inactive().await?;
        Ok(RebuildReport { position: position(done), facts, trimmed_events })
    }

    /// Builds a set of tables up to where the ones that are read are, and compares them. Nobody
    /// else works on those meanwhile.
    pub(crate) async fn verify(&self) -> Result<VerifyReport, WorkerError> {
        let Part::Member(member) = self.applier.part else { return self.verify_alone().await };
        let partitions = partitions_of(&self.applier.checkpoints().await?);
        let (database, name) = (&self.applier.database, self.applier.projection.name());
        lease::beat(database, name, member).await?;
        lease::seize(database, name, partitions, member).await?;
        // By then whoever held one has noticed.
        tokio::time::sleep(RENEWAL + RENEWAL / 2).await;
        let follower = self.follower();
        let report = tokio::select! {
            report = self.verify_alone() => report,
            error = follower.hold_all(member, partitions.count()) => Err(error),
        };
        self.hand_over().await;
        report
    }

    async fn verify_alone(&self) -> Result<VerifyReport, WorkerError> {
        let live = self.even_out().await?;
        let new = self.applier.create(live.share.of()).await?;
        let compared = match self.build(new, Some(live.sequence)).await {
            Ok(rebuilt) => self.compare(live, rebuilt).await,
            Err(error) => Err(error),
        };
        match compared {
            Ok(report) => self.applier.drop_set(new.set).await.map(|()| report),
            Err(error) => Err(self.discard(new.set, error).await),
        }
    }

    /// The log is the one that the tables were made of. A replica that is a moment behind is asked again.
    async fn confirm(&self) -> Result<(), WorkerError> {
        for _ in 0..CONFIRM_ATTEMPTS {
            match self.applier.confirm_all().await {
                Err(error) if error.is_transient() => tokio::time::sleep(CONFIRM_PAUSE).await,
                confirmed => return confirmed,
            }
        }
        self.applier.confirm_all().await
    }

    /// Brings every partition to where the one is that is furthest.
    async fn even_out(&self) -> Result<Checkpoint, WorkerError> {
        self.confirm().await?;
        let all = self.applier.checkpoints().await?;
        let furthest = all.iter().map(|checkpoint| checkpoint.sequence).max();
        let furthest = furthest.unwrap_or_default();
        let mut evened = None;
        for checkpoint in &all {
            evened = Some(self.build(*checkpoint, Some(furthest)).await?.checkpoint);
        }
        let share = Share::All(partitions_of(&all));
        evened.map(|last| Checkpoint { share, ..last }).ok_or(WorkerError::Stopped)
    }

    /// Drops a set that came to nothing; the first error is the one to be told.
    async fn discard(&self, set: TableSet, error: WorkerError) -> WorkerError {
        if let Err(also) = self.applier.drop_set(set).await {
            tracing::warn!(%also, "tables left behind; the next start drops them");
        }
        error
    }

    /// Applies what follows a checkpoint, up to a sequence or to the head of the topic.
    async fn build(
        &self,
        checkpoint: Checkpoint,
        up_to: Option<Sequence>,
    ) -> Result<Built, WorkerError> {
        let mut built = Built { checkpoint, facts: 0, trimmed_events: 0 };
        loop {
            if self.commands.is_closed() {
                return Err(WorkerError::Stopped);
            }
            let Checkpoint { topic, sequence: after, .. } = built.checkpoint;
            let mut events = match self.applier.log.read_all(topic, after, BATCH).await {
                Err(ReadError::Trimmed { to, .. }) if up_to.is_none_or(|last| after < last) => {
                    let to = up_to.map_or(to, |last| last.min(to));
                    built.checkpoint = self.applier.pass_over(built.checkpoint, to).await?;
                    built.trimmed_events += to.0 - after.0;
                    continue;
                }
                Err(ReadError::Trimmed { .. }) => Vec::new(),
                events => events?,
            };
            if let Some(last) = up_to {
                events.retain(|event| event.position.sequence <= last);
            }
            if events.is_empty() {
                return Ok(built);
            }
            let (next, facts) = self.applier.apply(built.checkpoint, events).await?;
            built.checkpoint = next;
            built.facts += facts;
        }
    }

    async fn compare(&self, live: Checkpoint, rebuilt: Built) -> Result<VerifyReport, WorkerError> {
        let mut tables = Vec::new();
        for table in self.applier.projection.tables() {
            tables.push(self.compare_table(table, live.set, rebuilt.checkpoint.set).await?);
        }
        let still_there = |checkpoint: &Checkpoint| checkpoint.sequence == live.sequence;
        let now = self.applier.checkpoints().await?;
        if self.applier.active() != live.set || !now.iter().all(still_there) {
            return Err(WorkerError::CheckpointLost(live.set.projection.to_owned()));
        }
        let Built { trimmed_events, .. } = rebuilt;
        Ok(VerifyReport { position: position(live), trimmed_events, tables })
    }

    async fn compare_table(
        &self,
        table: &Table,
        live: TableSet,
        rebuilt: TableSet,
    ) -> Result<TableReport, WorkerError> {
        let (a, b) = (live.table(table.name), rebuilt.table(table.name));
        let key: Vec<String> =
            table.key.iter().map(|column| format!("cast({column} as text)")).collect();
        let key = key.join(" || ' ' || ");
        let differing = format!(
            "select {key} as k from (select * from {a} except select * from {b}) as x \
             union select {key} as k from (select * from {b} except select * from {a}) as y"
        );
        let count = |sql: String| async move {
            let counts = self
                .applier
                .database
                .fetch(Purpose::Comparison, sql, &[], |row| row.count(0))
                .await?;
            Ok::<u64, WorkerError>(counts.into_iter().next().unwrap_or_default())
        };
        let listed = format!("select k from ({differing}) as d order by k limit {DIFFERENCES_MAX}");
        let text = |row: &crate::database::Row| row.text(0).map(str::to_owned);
        Ok(TableReport {
            table: table.name,
            live_rows: count(format!("select count(*) from {a}")).await?,
            rebuilt_rows: count(format!("select count(*) from {b}")).await?,
            differing_rows: count(format!("select count(*) from ({differing}) as d")).await?,
            differences: self
                .applier
                .database
                .fetch(Purpose::Comparison, listed, &[], text)
                .await?,
        })
    }
}

fn partitions_of(checkpoints: &[Checkpoint]) -> Partitions {
    checkpoints.first().map_or(Partitions::ONE, |one| one.share.of())
}

fn position(checkpoint: Checkpoint) -> Position {
    Position { log: checkpoint.log, topic: checkpoint.topic, sequence: checkpoint.sequence }
}
