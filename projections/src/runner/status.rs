//! How a projection is.

use std::time::{Duration, Instant};

use hoplog_events::position::{Position, Sequence};

use crate::builds::{Build, BuildPurpose};
use crate::lease::{Member, Standing};

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
    /// Tables are built beside the ones that are read, which are kept up to date meanwhile.
    Rebuilding,
    /// Tables are built aside to compare them with the ones that are read.
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

    /// Whether each partition may be in a state of its own.
    fn is_of_partitions(self) -> bool {
        !matches!(self, Self::Paused | Self::Failed)
    }
}

/// How far a projection is; told after every batch.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// What it does. Of several partitions that this process keeps, the one that is worst off
    /// decides.
    pub state: State,
    /// The last event that its tables account for: those of every partition.
    pub sequence: Sequence,
    /// The last thing that went wrong; empty again after the next batch.
    pub last_error: Option<String>,
    /// Events that were gone from the log before this process could apply them.
    pub trimmed_events: u64,
    /// Events that are parked.
    pub parked: u64,
    /// The tables that are being built, here or elsewhere.
    pub build: Option<Build>,
    partitions: Vec<PartitionProgress>,
}

/// How far a partition is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PartitionProgress {
    pub(crate) state: State,
    pub(crate) sequence: Sequence,
    /// Who keeps it up to date, where several may.
    pub(crate) holder: Option<Member>,
    /// Facts folded per second in the last batch, and when that was.
    rate: Option<(f64, Instant)>,
}

/// A rate older than this says nothing about now.
const RATE_FRESH: Duration = Duration::from_secs(10);

impl Progress {
    /// Links' events or single clicks per second; 0 when nothing came lately.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let rates = self.partitions.iter().filter_map(|partition| partition.rate);
        rates.filter(|(_, at)| at.elapsed() < RATE_FRESH).fold(0.0, |sum, (rate, _)| sum + rate)
    }

    /// The partitions, by their numbers.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = PartitionProgress> {
        let whole = Some(self.state).filter(|state| !state.is_of_partitions());
        self.partitions.iter().map(move |partition| PartitionProgress {
            state: whole.unwrap_or(partition.state),
            ..*partition
        })
    }

    /// Takes over how far the partitions are that others keep; all, if the tables are others now.
    pub(crate) fn follow(&mut self, standing: &Standing, kept: impl Fn(u32) -> bool, state: State) {
        self.partitions.resize_with(standing.checkpoints.len(), PartitionProgress::default);
        let seen = standing.checkpoints.iter().zip(&standing.holders);
        for (number, (partition, (checkpoint, holder))) in
            (0..).zip(self.partitions.iter_mut().zip(seen))
        {
            partition.holder = *holder;
            if !kept(number) {
                partition.sequence = checkpoint.sequence;
                partition.state = state;
            }
        }
        self.add_up();
        self.parked = standing.parked;
        if standing.paused {
            self.state = State::Paused;
        }
    }

    /// What it is told to be doing, beside the tables that are read.
    #[must_use]
    pub fn told_state(&self) -> State {
        match (self.state, self.build.map(|build| build.purpose)) {
            (State::Paused | State::Failed, _) | (_, None | Some(BuildPurpose::Erasure)) => {
                self.state
            }
            (_, Some(BuildPurpose::Verify)) => State::Verifying,
            (_, Some(BuildPurpose::Rebuild | BuildPurpose::Rollback)) => State::Rebuilding,
        }
    }

    /// All partitions are equally far.
    pub(crate) fn reach(&mut self, count: u32, sequence: Sequence) {
        self.partitions.resize_with(count as usize, PartitionProgress::default);
        self.partitions.iter_mut().for_each(|partition| partition.sequence = sequence);
        self.sequence = sequence;
        self.last_error = None;
    }

    /// What this process does with a partition. Returns whether that is news.
    pub(crate) fn enter(&mut self, number: u32, state: State) -> bool {
        let before = self.state;
        let Some(partition) = self.partitions.get_mut(number as usize) else { return false };
        let changed = std::mem::replace(&mut partition.state, state) != state;
        self.add_up();
        changed || self.state != before
    }

    /// How far this process is with a partition.
    pub(crate) fn advance(&mut self, number: u32, sequence: Sequence) {
        if let Some(partition) = self.partitions.get_mut(number as usize) {
            partition.sequence = sequence;
        }
        self.add_up();
    }

    /// How fast that went.
    pub(crate) fn went_at(&mut self, number: u32, rate: f64) {
        if let Some(partition) = self.partitions.get_mut(number as usize) {
            partition.rate = Some((rate, Instant::now()));
        }
    }

    fn add_up(&mut self) {
        let sequences = self.partitions.iter().map(|partition| partition.sequence);
        self.sequence = sequences.min().unwrap_or_default();
        let any = |state| self.partitions.iter().any(|partition| partition.state == state);
        let states = [State::CatchingUp, State::Live];
        self.state = states.into_iter().find(|state| any(*state)).unwrap_or(State::Standby);
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
    /// Partition by partition.
    pub partitions: Vec<PartitionStatus>,
    /// Events that were gone from the log before this process could apply them.
    pub trimmed_events: u64,
    /// Events that are parked.
    pub parked: u64,
    /// The tables that are being built, if any are.
    pub build: Option<Build>,
}

/// How a partition of a projection is, for operators.
#[derive(Debug, Clone)]
pub struct PartitionStatus {
    /// Counts from 0.
    pub number: u32,
    /// What this process does with it.
    pub state: State,
    /// The process that keeps it up to date; `None`: nobody, or nobody else may.
    pub holder: Option<Member>,
    /// The last event that the rows of its links account for.
    pub position: Position,
    /// How many sequences lie between that and the head of the topic; `None`: the log is away.
    pub lag_events: Option<u64>,
}

#[cfg(test)]
mod tests;
