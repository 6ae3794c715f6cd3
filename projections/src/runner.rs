//! Keeps one projection up to date: one task per projection, batches bounded, progress told. The
//! task works on all partitions that are this process's.
//!
//! ```text
//!            ┌─────────── catching up ──► live ◄───────────┐
//!  start ──► │                 │            │              │ resume, rebuild
//!            └── rebuilding    └──► failed / paused ───────┘
//! ```
//!
//! An event that can't be handled is parked with what comes after it in its sequence; everything
//! else goes on. A projection that can't go on at all says so (`failed`, `last_error`) and stays
//! where it is; its tables still answer, with what they account for. Tables are built beside the
//! ones that are read, by a job of its own: nothing stops meanwhile.

mod apply;
mod batch;
mod follow;
mod job;
mod park;
mod seats;
mod sets;
mod status;
mod turn;
mod worker;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hoplog_events::catalogue::DecodeError;
use hoplog_events::log::{ReadError, ReadLimit};
use hoplog_events::position::Position;

use crate::database::DatabaseError;

pub(crate) use apply::Applier;
pub use batch::Batch;
pub(crate) use job::{History, Job};
pub use park::{First, Retried};
pub(crate) use status::PartitionProgress;
pub use status::{PartitionStatus, Progress, State, Status};
pub(crate) use worker::{Command, Worker, renewal};

/// How much is folded in memory and written in one transaction: at most about 25,000 clicks.
pub(crate) const BATCH: ReadLimit = ReadLimit { events_max: 4_096, bytes_max: 8 * 1024 * 1024 };

/// How long to let clicks gather between two batches: hot rows are then written once for many.
pub(crate) const LINGER: Duration = Duration::from_millis(100);

/// How long at most, when batches take long: a row that a thousand clicks share costs the same as
/// one that ten share. Whoever waits for a position cuts it short.
pub(crate) const LINGER_MAX: Duration = Duration::from_secs(1);

/// The first and the longest pause before a batch is tried again.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// How many batches a process folds and writes at once, of all projections and partitions: what is
/// more waits, and the database keeps connections for leases and operators.
pub(crate) const BATCHES_MAX: usize = 8;

/// How many operator's commands may wait for a projection.
pub(crate) const COMMANDS_MAX: usize = 16;

/// Why a projection does not go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Transient ones are tried again; a broken database needs a rebuild.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// An unreadable log is tried again; a log that ends too early needs an operator.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// An event can't be read: it is not what its type says.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Somebody else moved the checkpoint. Nothing was changed. Among those that take turns this
    /// happens when a turn ends; otherwise stop one of the two.
    #[error("another worker moved the checkpoint of {0}")]
    CheckpointLost(String),
    /// Somebody else has taken over. Nothing is lost.
    #[error("another worker holds the lease of {0}")]
    LeaseLost(String),
    /// The database is back at an earlier checkpoint, rows and all: a crash, a failover or a
    /// restored backup lost what came after. Tried again, from there.
    #[error("the tables of {0} are back at an earlier checkpoint")]
    WentBack(String),
    /// The tables were made from another log. Rebuild, or bring the right log back.
    #[error("the tables of {projection} were made from log {theirs}, not from {ours}")]
    OtherLog {
        /// The projection.
        projection: &'static str,
        /// The log of the tables.
        theirs: hoplog_events::position::LogId,
        /// The log that is here.
        ours: hoplog_events::position::LogId,
    },
    /// The log has lost its beginning, and with it what the tables have of it. Force it to do
    /// without.
    #[error("the log no longer has events up to {to}: {projection} would lose what it has of them")]
    Trimmed {
        /// The projection.
        projection: &'static str,
        /// The last event that is gone.
        to: hoplog_events::position::Sequence,
    },
    /// An event can't be handled, and tables without it are not wanted. Mend what handles it, or
    /// have it passed over (it is parked in the tables that are read).
    #[error(
        "{projection} can't handle event {position}, {event_type} of {stream:?}: {reason}; \
         see what is parked"
    )]
    Poison {
        /// The projection.
        projection: &'static str,
        /// The event.
        position: Position,
        /// Its stream's key.
        stream: String,
        /// What it is.
        event_type: String,
        /// Why it can't be handled.
        reason: String,
    },
    /// So many that it is not about single events. Find out what is wrong, then let it go on.
    #[error("{0} can't handle too many events: no more are parked")]
    TooManyParked(&'static str),
    /// Somebody else changed what is parked meanwhile. Tried again.
    #[error("what is parked of {0} has changed")]
    ParkingChanged(String),
    /// Name one that is parked.
    #[error("nothing is parked that is called {0:?}")]
    NotParked(String),
    /// A parked event is gone from the log. It can only be passed over.
    #[error("event {0} is no longer on the log")]
    Gone(Position),
    /// One build at a time: wait for the other one.
    #[error("tables of {0} are being built already")]
    Building(&'static str),
    /// There are no tables from before: rebuild.
    #[error("there are no tables of {0} from before")]
    NoPrevious(&'static str),
    /// Start the version that made the tables, and do it with that; or wait until the tables of
    /// this one are built.
    #[error("the tables of {projection} are of version {theirs}, this is {ours}")]
    OtherVersion {
        /// The projection.
        projection: &'static str,
        /// The version of the tables.
        theirs: i64,
        /// The version here.
        ours: i64,
    },
    /// The tables that are read moved on faster than others could follow. Try again when there is
    /// less to do.
    #[error("{0} moves on too fast")]
    Overtaken(&'static str),
    /// The process is stopping. Start again: a rebuild begins anew.
    #[error("stopped before the end")]
    Stopped,
    /// The fold panicked: a bug of ours.
    #[error("the fold failed: {0}")]
    Fold(String),
}

impl WorkerError {
    /// Whether it only means that it is somebody else's turn.
    pub(crate) fn ends_a_turn(&self) -> bool {
        matches!(self, Self::CheckpointLost(_) | Self::LeaseLost(_))
    }

    /// Whether trying again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Database(DatabaseError::Unavailable(_))
                | Self::Log(ReadError::Unavailable(_))
                | Self::WentBack(_)
                | Self::ParkingChanged(_)
        )
    }

    /// Whether it is one event that can't be handled, not the log or the database.
    pub(crate) fn is_about_an_event(&self) -> bool {
        let refused = matches!(self, Self::Database(DatabaseError::Row(_)));
        refused || matches!(self, Self::Decode(_) | Self::Fold(_))
    }
}

/// Pauses that double up to a bound, each shortened by up to a half so that workers spread out.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: AtomicU32,
}

impl Backoff {
    pub(crate) fn next(&self) -> Duration {
        let (first, longest) = RETRY_PAUSE;
        let failures = self.failures.fetch_add(1, Ordering::Relaxed);
        let pause = first.saturating_mul(1 << failures.min(16)).min(longest);
        let (random, _) = uuid::Uuid::new_v4().as_u64_pair();
        let share = u32::try_from(random % 512).unwrap_or_default();
        pause.saturating_sub(pause * share / 1_024)
    }

    fn reset(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew() {
        let backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..40).map(|_| backoff.next()).collect();
        assert!(pauses[0] <= RETRY_PAUSE.0 && pauses[0] >= RETRY_PAUSE.0 / 2);
        assert!(pauses[39] <= RETRY_PAUSE.1 && pauses[39] >= RETRY_PAUSE.1 / 2);
        backoff.reset();
        assert!(backoff.next() <= RETRY_PAUSE.0);
    }
}
