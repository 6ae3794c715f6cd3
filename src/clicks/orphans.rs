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
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::click::VisitorHash;
use hoplog_events::link::Domain;
use hoplog_events::log::EventLog;
use hoplog_events::orphan::OrphanKind;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

mod budget;
mod counts;
pub mod lost;
#[cfg(test)]
mod tests;
mod writer;

use super::enrichment::Enricher;
use super::node::NodeId;
use crate::clock::Clock;
use crate::config::OrphanSettings;
use budget::Budget;
use counts::Counts;
use lost::LostVisit;
use writer::Writer;

/// Visits that may wait for the log; further ones are counted only.
const WAITING_MAX: usize = 1_000;

/// How long a stop waits for the log: less than those who stop a process do.
const CLOSING: Duration = Duration::from_secs(2);

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
    clock: Clock,
    /// There is something to write where there was nothing.
    wake: Notify,
    closing: CancellationToken,
    /// The stop does not wait any longer.
    over: CancellationToken,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what one event has room for.
    fn take(&self, visits_max: usize) -> Waiting {
        let mut state = self.state();
        let most = state.waiting.visits.len().min(visits_max);
        let visits = state.waiting.visits.drain(..most).collect();
        Waiting { visits, counts: state.waiting.counts.take() }
    }
}

/// A visit that leads nowhere, before anything is kept of it.
#[derive(Debug, Clone)]
pub struct Led {
    /// Why.
    pub kind: OrphanKind,
    /// The domain that is visited.
    pub domain: Domain,
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
            clock: outlet.clock.clone(),
            wake: Notify::new(),
            closing: CancellationToken::new(),
            over: CancellationToken::new(),
        });
        let writer = Writer::new(Arc::clone(&shared), outlet, settings.kept);
        let writer = Mutex::new(Some(tokio::spawn(writer.run())));
        Self { shared: Some(shared), writer }
    }

    /// Notes a visit of now, if it may be recorded; else counts it. `keep` makes what is kept of it. Never waits.
    pub fn note(
        &self,
        led: Led,
        is_busy: bool,
        keep: impl FnOnce(Led, DateTime<Utc>) -> LostVisit,
    ) {
        let Some(shared) = &self.shared else { return };
        let mut state = shared.state();
        if shared.closing.is_cancelled() {
            // Nobody reads the queue any more.
            return shed(1);
        }
        // Asked here, so that instants come to the budget in their order.
        let at = shared.clock.now();
        let limit = if is_busy || state.waiting.visits.len() >= WAITING_MAX {
            Some("busy")
        } else {
            state.budget.admit(led.address, at).err()
        };
        let is_news = match limit {
            None => {
                state.waiting.visits.push(keep(led, at));
                true
            }
            Some(limit) => {
                only_counted(limit, 1);
                // A scanner does not wake the writer each time.
                let is_first = state.waiting.counts.is_empty();
                state.waiting.counts.add((at, led.kind, led.domain), 1);
                is_first
            }
        };
        drop(state);
        if is_news {
            shared.wake.notify_one();
        }
    }

    /// Writes what waits, and stops: within two seconds, whatever the log does. Later visits are lost.
    pub async fn close(&self) {
        let Some(shared) = &self.shared else { return };
        shared.closing.cancel();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut writer) = writer else { return };
        let in_time = tokio::time::timeout(CLOSING, &mut writer).await;
        let ended = if let Ok(ended) = in_time {
            ended
        } else {
            shared.over.cancel();
            writer.await
        };
        if let Err(error) = ended {
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

/// Visits of which the log has only the number, and why.
fn only_counted(limit: &'static str, visits: u64) {
    metrics::counter!("hoplog_orphans_unrecorded_total", "limit" => limit).increment(visits);
}

/// Visits that are lost: neither recorded nor counted on the log.
fn shed(visits: u64) {
    metrics::counter!("hoplog_orphans_shed_total").increment(visits);
}
