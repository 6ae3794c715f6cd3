//! The tables that are read, compared with what the log gives, row by row.

use std::time::Duration;

use hoplog_events::position::{Position, Sequence};

use super::{Builder, CHASE_MAX, Course, partitions_of, split};
use crate::builds::BuildPurpose;
use crate::checkpoint::Checkpoint;
use crate::database::{Row, Snapshot};
use crate::parking::{Aside, Unhandled};
use crate::projection::Table;
use crate::runner::{History, WorkerError};
use crate::table_set::TableSet;

/// How often the log is asked again whether it is the one of the tables, and the pause before that.
const CONFIRM_ATTEMPTS: u32 = 20;
const CONFIRM_PAUSE: Duration = Duration::from_millis(200);

/// The most differences a report lists for each table.
pub const DIFFERENCES_MAX: usize = 20;

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
    /// The position at which the tables were compared; that of the partition that is furthest
    /// behind.
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

impl Builder {
    /// Builds a set of tables up to where the ones that are read are, which go on, and compares
    /// them at a moment at which both are equally far.
    pub(crate) async fn verify(&self) -> Result<VerifyReport, WorkerError> {
        self.confirm().await?;
        let (applier, purpose) = (&self.applier, BuildPurpose::Verify);
        let read = applier.read_by_all().await?;
        let partitions = partitions_of(&applier.checkpoints_of(read).await?);
        let new = applier.create(partitions, self.claim, purpose).await?;
        let outcome = self.claimed(Box::pin(self.build_and_compare(new))).await;
        if let Err(error) = applier.abandon(Some(new.set), self.claim).await {
            tracing::warn!(%error, "tables left behind; the next start or build drops them");
        }
        self.tell(None);
        outcome
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

    async fn build_and_compare(&self, new: Checkpoint) -> Result<VerifyReport, WorkerError> {
        let database = &self.applier.database;
        // What is parked in the tables that are read is left out here as well.
        let aside = Aside::load(database, &new, Unhandled::PassOver).await?;
        let mut course = self.course(vec![new], aside, BuildPurpose::Verify);
        course.history = History::Kept;
        let furthest_behind = |live: &[Checkpoint]| {
            live.iter().map(|checkpoint| checkpoint.sequence).min().unwrap_or_default()
        };
        // For all partitions in one pass, then each to where its own rows are.
        let live = self.read_checkpoints(new).await?;
        self.bring_all(&mut course, furthest_behind(&live)).await?;
        course.checkpoints = course.checkpoints.drain(..).flat_map(split).collect();
        for attempt in 0..CHASE_MAX {
            let held = self.hold_after(attempt).await;
            let live = self.read_checkpoints(new).await?;
            for (place, checkpoint) in live.iter().enumerate() {
                self.bring(&mut course, place, checkpoint.sequence).await?;
            }
            let set = live.first().map_or(self.applier.active(), |checkpoint| checkpoint.set);
            let mut snapshot = database.snapshot().await?;
            if are_equally_far(&mut snapshot, set, new.set).await? {
                drop(held);
                let at = furthest_behind(&live);
                return self.compare(&mut snapshot, set, &course, at).await;
            }
        }
        Err(WorkerError::Overtaken(self.applier.projection.name()))
    }

    /// The checkpoints of the tables that are read, which have as many partitions.
    async fn read_checkpoints(&self, new: Checkpoint) -> Result<Vec<Checkpoint>, WorkerError> {
        let set = self.applier.read_by_all().await?;
        let live = self.applier.checkpoints_of(set).await?;
        if live.len() == new.share.of().count() as usize {
            Ok(live)
        } else {
            Err(WorkerError::Overtaken(set.projection))
        }
    }

    async fn compare(
        &self,
        snapshot: &mut Snapshot,
        live: TableSet,
        course: &Course,
        at: Sequence,
    ) -> Result<VerifyReport, WorkerError> {
        let mut tables = Vec::new();
        for table in self.applier.projection.tables() {
            tables.push(compare_table(snapshot, table, live, course.set).await?);
        }
        let (log, topic) = (self.applier.log.id(), self.applier.projection.topic());
        let position = Position { log, topic, sequence: at };
        Ok(VerifyReport { position, trimmed_events: course.trimmed_events, tables })
    }
}

/// Whether every partition has the same checkpoint in both sets.
async fn are_equally_far(
    snapshot: &mut Snapshot,
    live: TableSet,
    rebuilt: TableSet,
) -> Result<bool, WorkerError> {
    let sql = "select count(*) from (select partition, sequence from checkpoints \
               where projection = $1 and table_set = $2 \
               except select partition, sequence from checkpoints \
               where projection = $1 and table_set = $3) as x";
    let values = [live.projection.into(), live.number.into(), rebuilt.number.into()];
    let differing = snapshot.fetch(sql.to_owned(), &values, |row| row.count(0)).await?;
    Ok(differing == [0])
}

async fn compare_table(
    snapshot: &mut Snapshot,
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
    let counts = [
        format!("select count(*) from {a}"),
        format!("select count(*) from {b}"),
        format!("select count(*) from ({differing}) as d"),
    ];
    let mut counted = [0; 3];
    for (sql, count) in counts.into_iter().zip(&mut counted) {
        *count = snapshot.fetch(sql, &[], |row| row.count(0)).await?.pop().unwrap_or_default();
    }
    let [live_rows, rebuilt_rows, differing_rows] = counted;
    let listed = format!("select k from ({differing}) as d order by k limit {DIFFERENCES_MAX}");
    let text = |row: &Row| row.text(0).map(str::to_owned);
    let differences = snapshot.fetch(listed, &[], text).await?;
    Ok(TableReport { table: table.name, live_rows, rebuilt_rows, differing_rows, differences })
}
