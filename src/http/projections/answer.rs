//! Projections and what was done with them, as the API answers them.

use hoplog_projections::builds::Build;
use hoplog_projections::rebuild::{RebuildReport, TableReport, VerifyReport};
use hoplog_projections::runner::{PartitionStatus, Status};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// How a projection is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProjectionAnswer {
    /// Its name.
    #[schema(example = "click_statistics")]
    pub name: &'static str,
    /// Which rows its code makes of the events.
    pub version: i64,
    /// `catching-up`, `live`, `standby` (other processes keep it up to date), `rebuilding`,
    /// `verifying`, `paused` or `failed`. Where this process keeps some partitions, theirs.
    pub state: &'static str,
    /// The last event that its tables account for.
    pub position: String,
    /// Events on the log behind that; `null`: the log is away.
    pub lag_events: Option<u64>,
    /// For how long the first of them has been on the log; `null`: the log is away.
    pub lag_seconds: Option<f64>,
    /// Facts a second, lately.
    pub rate: f64,
    /// Events that are set aside: those that can't be handled, and those that wait for them.
    pub parked: u64,
    /// Tables of it that are being built; `null`: none are.
    pub build: Option<BuildAnswer>,
    /// Why it does not go on.
    pub last_error: Option<String>,
    /// Events that were gone from the log before this process could apply them: the numbers will
    /// never have them.
    pub trimmed_events: u64,
    /// Its work by partition of the links, which several processes can share. All else here is
    /// about the whole: `position` and `lagEvents` are those of the partition that is furthest
    /// behind.
    pub partitions: Vec<PartitionAnswer>,
}

/// How far a build of tables is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuildAnswer {
    /// `rebuild`, `rollback` or `verify`.
    pub purpose: &'static str,
    /// Events that are done.
    pub events_done: u64,
    /// Of so many.
    pub events_total: u64,
    /// Facts a second since it began.
    pub rate: f64,
    /// At this pace, until it is done; `null`: that can't be told yet.
    pub seconds_left: Option<f64>,
}

impl From<Build> for BuildAnswer {
    fn from(build: Build) -> Self {
        Self {
            purpose: build.purpose.name(),
            events_done: build.events_done,
            events_total: build.events_total,
            rate: build.rate(),
            seconds_left: build.time_left().map(|left| left.as_secs_f64()),
        }
    }
}

/// How a partition of a projection is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PartitionAnswer {
    /// Its number, from 0.
    pub partition: u32,
    /// What this process does with it: `live` or `catching-up` where it is kept up to date,
    /// `standby` elsewhere; otherwise the state of the whole.
    pub state: &'static str,
    /// The process that keeps it up to date, by an id that each draws at its start; not there if
    /// nobody does, or only this process can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<Uuid>,
    /// The last event that the rows of its links account for.
    pub position: String,
    /// Events on the log behind that; `null`: the log is away.
    pub lag_events: Option<u64>,
}

/// All projections.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProjectionList {
    /// One for each.
    pub data: Vec<ProjectionAnswer>,
}

/// What a rebuild did.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RebuildAnswer {
    /// Up to where the new tables account.
    pub position: String,
    /// How many facts were folded.
    pub facts: u64,
    /// How many events the log has had and has no more.
    pub trimmed_events: u64,
}

/// What a comparison found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerifyAnswer {
    /// Whether every row is the same.
    pub identical: bool,
    /// Where both stood.
    pub position: String,
    /// How many events the log has had and has no more: what the rows that are read have of them
    /// is told as a difference.
    pub trimmed_events: u64,
    /// Table by table.
    pub tables: Vec<TableAnswer>,
}

/// What a comparison found in one table.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TableAnswer {
    /// The table.
    pub table: &'static str,
    /// Rows that are read.
    pub live_rows: u64,
    /// Rows that the log gives.
    pub rebuilt_rows: u64,
    /// Rows that differ.
    pub differing_rows: u64,
    /// The first of them.
    pub differences: Vec<String>,
}

impl From<Status> for ProjectionAnswer {
    fn from(status: Status) -> Self {
        Self {
            name: status.name,
            version: status.version,
            state: status.state.name(),
            position: status.position.to_string(),
            lag_events: status.lag_events,
            lag_seconds: status.lag_seconds,
            rate: status.rate,
            parked: status.parked,
            build: status.build.map(Into::into),
            last_error: status.last_error,
            trimmed_events: status.trimmed_events,
            partitions: status.partitions.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<PartitionStatus> for PartitionAnswer {
    fn from(status: PartitionStatus) -> Self {
        Self {
            partition: status.number,
            state: status.state.name(),
            holder: status.holder.map(|member| member.0),
            position: status.position.to_string(),
            lag_events: status.lag_events,
        }
    }
}

impl From<RebuildReport> for RebuildAnswer {
    fn from(report: RebuildReport) -> Self {
        let RebuildReport { position, facts, trimmed_events } = report;
        Self { position: position.to_string(), facts, trimmed_events }
    }
}

impl From<VerifyReport> for VerifyAnswer {
    fn from(report: VerifyReport) -> Self {
        let table = |table: TableReport| TableAnswer {
            table: table.table,
            live_rows: table.live_rows,
            rebuilt_rows: table.rebuilt_rows,
            differing_rows: table.differing_rows,
            differences: table.differences,
        };
        Self {
            identical: report.is_equal(),
            position: report.position.to_string(),
            trimmed_events: report.trimmed_events,
            tables: report.tables.into_iter().map(table).collect(),
        }
    }
}
