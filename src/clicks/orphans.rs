//! Orphan visits: what led nowhere, recorded beside clicks and after them.
//!
//! ```text
//! visit that leads nowhere ──► budget ──► queue ──► batch of a second: enrich, forget who it was ──► log
//!                                │ beyond it, or the queue is full
//!                                └──► counted ──────────────────────────► told with a batch
//! ```
//!
//! Anybody can make them, so they may cost no more than a limit says, and nobody waits for them: they
//! are never in the way of an answer, and clicks go first.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use hoplog_events::click::VisitorHash;
use hoplog_events::link::Domain;
use hoplog_events::log::EventLog;
use hoplog_events::orphan::OrphanKind;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod budget;
pub mod lost;
#[cfg(test)]
mod tests;
mod writer;

use super::enrichment::Enricher;
use super::node::NodeId;
use crate::clock::Clock;
use crate::config::OrphanSettings;
use budget::Budget;
use lost::LostVisit;
use writer::Writer;

/// Visits that may wait for the log; further ones are counted only.
const WAITING_MAX: usize = 1_000;

/// Where a quarter of an hour begins: what is counted is told by these.
const QUARTER: TimeDelta = TimeDelta::minutes(15);

/// Visits that are counted and not recorded: by quarter of an hour, kind and domain.
type Counts = BTreeMap<(DateTime<Utc>, OrphanKind, Domain), u64>;

/// What waits to be written.
#[derive(Debug, Default)]
struct Waiting {
    visits: Vec<LostVisit>,
    counts: Counts,
}

#[derive(Debug)]
struct State {
    waiting: Waiting,
    budget: Budget,
}

/// What those who note and the one who writes share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write where there was nothing.
    wake: Notify,
    closing: CancellationToken,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes as many visits as one event has room for, and all counts.
    fn take(&self, visits_max: usize) -> Waiting {
        let mut state = self.state();
        let most = state.waiting.visits.len().min(visits_max);
        let visits = state.waiting.visits.drain(..most).collect();
        Waiting { visits, counts: std::mem::take(&mut state.waiting.counts) }
    }
}

/// A visit that leads nowhere, before anything is kept of it.
#[derive(Debug, Clone)]
pub struct Led {
    /// Why.
    pub kind: OrphanKind,
    /// The domain that is visited.
    pub domain: Domain,
    /// When.
    pub at: DateTime<Utc>,
    /// Where the request came from.
    pub address: IpAddr,
}

/// Records orphan visits. Close it to write what waits; dropping it ends its task where it is.
#[derive(Debug)]
pub struct Orphans {
    /// None where they are not recorded.
    shared: Option<Arc<Shared>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What is left of a visitor of whom nothing is to be known: what erased clicks have of theirs. Which that is
/// read models say, by what they count.
pub trait Forgets: std::fmt::Debug + Send + Sync {
    /// A hash that counts as the visitor's does, and is another one for each visit.
    fn visitor(&self, visitor: VisitorHash, event: Uuid, place: usize) -> VisitorHash;

    /// A text that is recognised as the agent's is, and says nothing else.
    fn agent(&self, agent: &str) -> String;

    /// The host of a referrer.
    fn host<'a>(&self, referrer: &'a str) -> Cow<'a, str>;
}

/// What a recorder of orphan visits works with.
#[derive(Debug, Clone)]
pub struct OrphanOutlet {
    /// Where they are written.
    pub log: Arc<dyn EventLog>,
    /// Under which name.
    pub node: Arc<NodeId>,
    /// What is looked up for them.
    pub enricher: Arc<Enricher>,
    /// What is kept of who came.
    pub forgets: Arc<dyn Forgets>,
    /// The time.
    pub clock: Clock,
}

impl Orphans {
    /// A recorder that writes to a log, as far as the settings allow.
    #[must_use]
    pub fn start(outlet: OrphanOutlet, settings: &OrphanSettings) -> Self {
        if !settings.are_recorded {
            return Self { shared: None, writer: Mutex::default() };
        }
        let state = State { waiting: Waiting::default(), budget: Budget::new(settings.per_day) };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            wake: Notify::new(),
            closing: CancellationToken::new(),
        });
        let writer = Writer::new(Arc::clone(&shared), outlet, settings.kept);
        let writer = Mutex::new(Some(tokio::spawn(writer.run())));
        Self { shared: Some(shared), writer }
    }

    /// Notes a visit, if it may be recorded; else counts it. `keep` makes what is kept of it. Never waits.
    pub fn note(&self, led: Led, is_busy: bool, keep: impl FnOnce(Led) -> LostVisit) {
        let Some(shared) = &self.shared else { return };
        let mut state = shared.state();
        let limit = if is_busy || state.waiting.visits.len() >= WAITING_MAX {
            Some("busy")
        } else {
            state.budget.admit(led.address, led.at).err()
        };
        let is_news = match limit {
            None => {
                state.waiting.visits.push(keep(led));
                true
            }
            Some(limit) => {
                metrics::counter!("hoplog_orphans_unrecorded_total", "limit" => limit).increment(1);
                // A scanner does not wake the writer each time.
                let is_first = state.waiting.counts.is_empty();
                count(&mut state.waiting.counts, (led.at, led.kind, led.domain), 1);
                is_first
            }
        };
        drop(state);
        if is_news {
            shared.wake.notify_one();
        }
    }

    /// Writes what waits, and stops. Later visits are not noted by anybody.
    pub async fn close(&self) {
        let Some(shared) = &self.shared else { return };
        shared.closing.cancel();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "orphan visits were not written");
        }
    }
}

impl Drop for Orphans {
    fn drop(&mut self) {
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            writer.abort();
        }
    }
}

fn count(counts: &mut Counts, (at, kind, domain): (DateTime<Utc>, OrphanKind, Domain), more: u64) {
    let micros = QUARTER.num_microseconds().unwrap_or(1);
    let since = at.timestamp_micros().div_euclid(micros) * micros;
    let since = DateTime::from_timestamp_micros(since).unwrap_or(at);
    *counts.entry((since, kind, domain)).or_default() += more;
}
