//! A lane: one flusher's way to the log, and round by the spool while the log is away.
//!
//! ```text
//!            nothing spooled, log there
//! batch ──┬─────────────────────────────► append at the next version of the lane's stream
//!         │  else, if there is a spool
//!         └──► spool ──► deliverer ─────► append at the version it was spooled for
//! ```
//!
//! A lane has a stream of its own and is its only writer. It counts the versions itself, the
//! spooled batches included, so that each batch has one place on the stream whichever way it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hoplog_events::click::ClicksData;
use hoplog_events::log::{Append, AppendError, EventLog, ExpectedVersion};
use hoplog_events::position::Version;
use hoplog_events::spool::{Backlog, SpooledBatch};
use tokio::sync::{Mutex, Notify};
use tokio::time::timeout;

use super::batch::clicks_event;
use super::node::NodeId;
use super::once::{Outcome, append_once};
use super::spool::Spool;
use crate::clock::Clock;

pub(super) mod deliver;
mod patience;
mod place;

pub(super) use patience::Patience;
use place::State;

/// How long a batch gathers at least while its lane is spooling: delivering it takes less than
/// that, so the spool gets shorter while visitors keep coming.
const SPOOLED_FLUSH_INTERVAL: Duration = Duration::from_millis(20);

/// How long a batch gathers at most while its lane is spooling.
const SPOOLED_FLUSH_INTERVAL_MAX: Duration = Duration::from_millis(500);

/// How much longer a batch gathers than the last one took to be delivered.
const GATHERING_PER_DELIVERY: u32 = 3;

/// Where batches of clicks go.
#[derive(Debug, Clone)]
pub struct Outlet {
    /// The log.
    pub log: Arc<dyn EventLog>,
    /// Under which name they are written.
    pub node: Arc<NodeId>,
    /// Where they wait while the log is away; none where the log is on the same disk.
    pub spool: Option<Arc<Spool>>,
    /// How long is waited for what.
    pub bounds: Bounds,
}

/// How long is waited for the log.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long a batch is tried to be appended before it goes to the spool.
    pub spool_after: Duration,
    /// How long a batch that nothing takes is tried again before those who wait are refused.
    pub refuse_after: Duration,
    /// How long one attempt to append may take where there is no hurry.
    pub attempt: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            spool_after: Duration::from_secs(1),
            refuse_after: Duration::from_secs(5),
            attempt: Duration::from_secs(5),
        }
    }
}

/// One flusher's way to the log.
#[derive(Debug)]
pub(super) struct Lane {
    number: u32,
    outlet: Outlet,
    clock: Clock,
    state: Mutex<State>,
    /// Something was spooled.
    spooled: Notify,
    /// How long the last delivery took.
    delivery_us: AtomicU64,
}

/// What one try came to.
enum Try {
    /// The batch is safe.
    Kept,
    /// It is not, and trying again may help.
    Again(AppendError),
    /// It is not, and there is no room.
    Refused(AppendError),
}

impl Lane {
    /// The lane of a flusher, or of what a flusher of before the start left in the spool.
    pub(super) fn new(number: u32, outlet: &Outlet, clock: &Clock) -> Self {
        let found = outlet.spool.iter().flat_map(|spool| spool.found());
        let backlog: Option<&Backlog> = found.into_iter().find(|lane| lane.lane == number);
        let (stream, next) = match backlog {
            Some(backlog) => (backlog.stream.clone(), Some(backlog.next)),
            None => outlet.node.stream(number),
        };
        Self {
            number,
            outlet: outlet.clone(),
            clock: clock.clone(),
            state: Mutex::new(State::new(stream, next)),
            spooled: Notify::new(),
            delivery_us: AtomicU64::new(0),
        }
    }

    /// How long a batch should gather; `None`: it need not.
    pub(super) fn gathering(&self) -> Option<Duration> {
        self.is_spooling().then(|| {
            let delivery = Duration::from_micros(self.delivery_us.load(Ordering::Relaxed));
            let gathering = delivery * GATHERING_PER_DELIVERY;
            gathering.clamp(SPOOLED_FLUSH_INTERVAL, SPOOLED_FLUSH_INTERVAL_MAX)
        })
    }

    /// Keeps clicks: on the log, or in the spool.
    ///
    /// # Errors
    /// When neither took them in time.
    pub(super) async fn keep(
        &self,
        clicks: &ClicksData,
        mut patience: Patience,
    ) -> Result<(), AppendError> {
        let (stream, version) = self.place(&mut patience).await?;
        let append = clicks_event(&stream, version, clicks, &self.clock, "visitor")?;
        loop {
            let error = match self.try_to_keep(&append, clicks.len(), &patience).await {
                Try::Kept => return Ok(()),
                Try::Refused(error) if patience.ends => return Err(error),
                Try::Refused(error) | Try::Again(error) => error,
            };
            if let Err(error) = patience.wait(error).await {
                self.give_up().await;
                return Err(error);
            }
        }
    }

    async fn try_to_keep(&self, append: &Append, clicks: u32, patience: &Patience) -> Try {
        let mut state = self.state.lock().await;
        let Some(next) = state.next else { return Try::Again(unplaced()) };
        let append = Append { expected: ExpectedVersion::Exact(next), ..append.clone() };
        let mut refusal = None;
        if let Some(spool) = self.outlet.spool.as_deref().filter(|_| self.may_spool(patience)) {
            let batch = self.spooled_batch(append.clone(), next, clicks);
            let is_first = !self.is_spooling();
            match spool.put(&batch).await {
                Ok(()) => {
                    state.next = Some(Version(next.0 + 1));
                    if is_first {
                        spool.note_away(true);
                    }
                    self.spooled.notify_one();
                    return Try::Kept;
                }
                Err(error) => refusal = Some(AppendError::Unavailable(error.to_string())),
            }
        }
        match refusal {
            // What waits goes first: there is no way past it.
            Some(refusal) if self.is_spooling() => Try::Refused(refusal),
            _ => self.attempt(&mut state, &append, next, patience).await,
        }
    }

    async fn attempt(
        &self,
        state: &mut State,
        append: &Append,
        next: Version,
        patience: &Patience,
    ) -> Try {
        let attempt = append_once(&*self.outlet.log, append);
        match timeout(self.attempt_timeout(patience), attempt).await {
            Ok(Ok(Outcome::Kept { end })) => {
                state.note_end(Version(next.0 + 1), end);
                (state.next, state.uncertain) = (Some(end), false);
                self.note_away(false);
                Try::Kept
            }
            Ok(Ok(Outcome::Passed { end })) => {
                state.note_end(next, end);
                (state.next, state.uncertain) = (Some(end), false);
                Try::Again(AppendError::Conflict { actual: end })
            }
            Ok(Err(error)) => Try::Again(error),
            Err(_) => Try::Again(AppendError::Unavailable("no answer in time".to_owned())),
        }
    }

    fn spooled_batch(&self, append: Append, version: Version, clicks: u32) -> SpooledBatch {
        let Append { stream, command_id, mut events, .. } = append;
        let (lane, since) = (self.number, self.clock.now());
        SpooledBatch { lane, stream, version, command_id, event: events.remove(0), clicks, since }
    }

    fn is_spooling(&self) -> bool {
        self.outlet.spool.as_ref().is_some_and(|spool| spool.has(self.number))
    }

    fn may_spool(&self, patience: &Patience) -> bool {
        self.outlet.spool.as_ref().is_some_and(|spool| {
            spool.has(self.number)
                || spool.is_away()
                || patience.elapsed() >= self.outlet.bounds.spool_after
        })
    }

    fn note_away(&self, is_away: bool) {
        if let Some(spool) = &self.outlet.spool {
            spool.note_away(is_away);
        }
    }

    /// With a spool, one that has room yet, the attempt ends in time for it.
    fn attempt_timeout(&self, patience: &Patience) -> Duration {
        let bounds = &self.outlet.bounds;
        let left = bounds.spool_after.saturating_sub(patience.elapsed());
        if self.outlet.spool.is_some() && !left.is_zero() { left } else { bounds.attempt }
    }
}

/// A batch is placed before it is tried; without a place it may not go anywhere.
fn unplaced() -> AppendError {
    AppendError::Unavailable("the end of the stream is not known".to_owned())
}
