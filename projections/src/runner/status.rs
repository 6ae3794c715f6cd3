//! How a projection is.

use std::time::{Duration, Instant};

use hoplog_events::position::{Position, Sequence};

/// What a projection does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It reads what was there before it started.
    #[default]
    CatchingUp,
    /// It waits for new events.
    Live,
    /// Another process keeps it up to date.
    Standby,
    /// It builds its tables anew beside the ones that are read.
    Rebuilding,
    /// It builds its tables aside to compare them with the ones that are read.
    Verifying,
    /// An operator stopped it.
    Paused,
    /// It can't go on; see the last error.
    Failed,
}

impl State {
    /// The name in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CatchingUp => "catching-up",
            Self::Live => "live",
            Self::Standby => "standby",
            Self::Rebuilding => "rebuilding",
            Self::Verifying => "verifying",
            Self::Paused => "paused",
            Self::Failed => "failed",
        }
    }
}

/// How far a projection is; told after every batch.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// What it does.
    pub state: State,
    /// The last event that its tables account for.
    pub sequence: Sequence,
    /// The last thing that went wrong; empty again after the next batch.
    pub last_error: Option<String>,
    /// Facts folded per second in the last batch, and when that was.
    pub(crate) rate: Option<(f64, Instant)>,
}

/// A rate older than this says nothing about now.
const RATE_FRESH: Duration = Duration::from_secs(10);

impl Progress {
    /// Links' events or single clicks per second; 0 when nothing came lately.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let fresh = self.rate.filter(|(_, at)| at.elapsed() < RATE_FRESH);
        fresh.map_or(0.0, |(rate, _)| rate)
    }
}

/// How a projection is, for operators.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its name.
    pub name: &'static str,
    /// Which rows its code makes of the events.
    pub version: i64,
    /// What it does.
    pub state: State,
    /// The last event that its tables account for.
    pub position: Position,
    /// How many sequences lie between that and the head of the topic; `None`: the log is away.
    pub lag_events: Option<u64>,
    /// For how long the first event that the tables don't account for has been on the log; 0 if
    /// there is none. `None`: the log is away.
    pub lag_seconds: Option<f64>,
    /// Links' events or single clicks per second.
    pub rate: f64,
    /// The last thing that went wrong.
    pub last_error: Option<String>,
}
