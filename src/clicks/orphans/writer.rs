//! The one task that brings orphan visits to the log.
//!
//! It has a stream of its own and is its only writer, and sends a batch again until the log has it: once, as the
//! version it expects tells. Meanwhile what comes waits in a queue with an end, and is counted behind that.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, Utc};
use hoplog_events::catalogue::Event;
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::log::{Append, AppendError, ExpectedVersion};
use hoplog_events::orphan::{ORPHANS_MAX, Orphan, OrphanEvent, OrphansRecorded, Unrecorded};
use hoplog_events::position::{StreamId, Topic, Version};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::lost::LostVisit;
use super::{Counts, OrphanOutlet, Shared, Waiting, count};
use crate::clicks::once::{Outcome, append_once};
use crate::clicks::visit::cut;

/// How long visits are gathered: what a `kill -9` can cost of them.
const GATHERED_FOR: Duration = Duration::from_secs(1);

/// How long counts are gathered while nothing is recorded.
const COUNTED_FOR: Duration = Duration::from_mins(1);

/// How long one attempt to append may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The first pause before a batch is sent again; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause before a batch is sent again.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Characters kept of a place's name, of a referring host, or of what an agent is recognised as.
const NAME_CHARS_MAX: usize = 128;

/// Writes batches, one at a time.
pub(super) struct Writer {
    shared: Arc<Shared>,
    outlet: OrphanOutlet,
    kept: Days,
    stream: StreamId,
    /// The version of the stream; `None`: ask the log.
    version: Option<Version>,
    counted_at: Instant,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, outlet: OrphanOutlet, kept: Days) -> Self {
        let stream = StreamId::new(Topic::Clicks, format!("orphans/{}", outlet.node.id()));
        Self { shared, outlet, kept, stream, version: None, counted_at: Instant::now() }
    }

    /// Writes until everybody is told to stop and nothing waits.
    pub(super) async fn run(mut self) {
        loop {
            self.wait().await;
            let waiting = self.shared.take(ORPHANS_MAX);
            if !waiting.visits.is_empty() || !waiting.counts.is_empty() {
                self.write(waiting).await;
            } else if self.shared.closing.is_cancelled() {
                return;
            }
        }
    }

    /// Until there is enough to write, or it has waited for long enough.
    async fn wait(&self) {
        let closing = self.shared.closing.cancelled();
        tokio::pin!(closing);
        let gathered = Instant::now() + GATHERED_FOR;
        while !self.shared.closing.is_cancelled() {
            let (visits, counts) = {
                let waiting = &self.shared.state().waiting;
                (waiting.visits.len(), waiting.counts.len())
            };
            let until = match (visits, counts) {
                (0, 0) => None,
                (0, _) => Some(self.counted_at + COUNTED_FOR),
                _ => Some(gathered),
            };
            let is_due = until.is_some_and(|until| until <= Instant::now());
            if visits >= ORPHANS_MAX || is_due {
                return;
            }
            let gathering = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = gathering => return,
                () = self.shared.wake.notified() => {}
                () = &mut closing => return,
            }
        }
    }

    async fn write(&mut self, waiting: Waiting) {
        let (id, now) = (Uuid::now_v7(), self.outlet.clock.now());
        let visits: io::Result<Vec<Orphan>> = (0..)
            .zip(&waiting.visits)
            .map(|(place, visit)| self.orphan(visit, (id, place), now))
            .collect();
        let (visits, mut counts) = (visits, waiting.counts);
        let visits = visits.unwrap_or_else(|error| {
            tracing::warn!(%error, "orphan visits are only counted: the visitor salts can't be kept");
            waiting.visits.iter().for_each(|visit| uncounted(&mut counts, visit));
            Vec::new()
        });
        let recorded = visits.len() as u64;
        let written = match self.append(id, now, (visits, &counts)) {
            Ok(append) => self.keep(append).await,
            Err(error) => Err(error),
        };
        self.counted_at = Instant::now();
        match written {
            Ok(()) => metrics::counter!("hoplog_orphans_recorded_total").increment(recorded),
            Err(error) => {
                metrics::counter!("hoplog_orphans_shed_total").increment(recorded);
                tracing::warn!(%error, visits = recorded, "orphan visits were lost");
            }
        }
    }

    /// The visit as it is recorded: nobody's.
    fn orphan(
        &self,
        visit: &LostVisit,
        (event, place): (Uuid, usize),
        now: DateTime<Utc>,
    ) -> io::Result<Orphan> {
        let OrphanOutlet { enricher, forgets, .. } = &self.outlet;
        let agent = visit.user_agent.as_deref();
        let address = Some(visit.address);
        let hash = enricher.salts().hash(visit.at, now, address, agent.unwrap_or_default())?;
        let found = enricher.locator().locate(visit.address);
        let name = |text: std::borrow::Cow<'_, str>| Box::<str>::from(cut(text, NAME_CHARS_MAX));
        let host = visit.referrer.as_deref().map(|referrer| forgets.host(referrer));
        let host = host.filter(|host| !host.is_empty());
        Ok(Orphan {
            kind: visit.kind,
            domain: visit.domain.clone(),
            path: visit.path.clone(),
            at: visit.at,
            method: visit.method.clone(),
            purpose: visit.purpose.clone(),
            user_agent: agent.map(|agent| name(forgets.agent(agent).into())),
            referrer: host.map(name),
            language: visit.language.clone(),
            country: found.country.map(name),
            region: found.region.map(name),
            city: found.city.map(name),
            visitor: forgets.visitor(hash, event, place),
        })
    }

    fn append(
        &self,
        id: Uuid,
        now: DateTime<Utc>,
        (visits, counts): (Vec<Orphan>, &Counts),
    ) -> Result<Append, AppendError> {
        let command_id = CommandId(Uuid::now_v7());
        let metadata = Metadata {
            actor: "visitor".into(),
            command_id,
            command_hash: None,
            correlation_id: None,
        };
        let unrecorded = counts.iter().map(|((since, kind, domain), visits)| Unrecorded {
            kind: *kind,
            domain: domain.clone(),
            since: *since,
            visits: *visits,
        });
        let first_day = now.date_naive().checked_sub_days(self.kept).unwrap_or_default();
        let kept_from = first_day.and_time(NaiveTime::MIN).and_utc();
        let time = visits.first().map_or(now, |visit| visit.at);
        let recorded = OrphansRecorded { visits, unrecorded: unrecorded.collect(), kept_from };
        let event = Event::Orphan(OrphanEvent::Recorded(recorded));
        let event = NewEvent::write(&self.stream, &event, id, time, now, &metadata)
            .map_err(|error| AppendError::Unavailable(error.to_string()))?;
        let (stream, expected) = (self.stream.clone(), ExpectedVersion::Exact(Version::NONE));
        Ok(Append { stream, expected, command_id, events: vec![event] })
    }

    /// Sends a batch until the log has it; when everybody is told to stop, once more.
    async fn keep(&mut self, append: Append) -> Result<(), AppendError> {
        let mut pause = PAUSE;
        loop {
            let is_last = self.shared.closing.is_cancelled();
            let attempt = timeout(ATTEMPT, self.attempt(append.clone())).await;
            let late = || Err(AppendError::Unavailable("no answer in time".to_owned()));
            match attempt.unwrap_or_else(|_| late()) {
                Ok(true) => return Ok(()),
                // The stream is elsewhere: another one may have the same name.
                Ok(false) => continue,
                Err(error) if is_last || error == AppendError::Size => return Err(error),
                Err(error) => tracing::debug!(%error, "orphan visits wait"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shared.closing.cancelled() => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Whether the batch is on the log now.
    async fn attempt(&mut self, append: Append) -> Result<bool, AppendError> {
        let log = self.outlet.log.as_ref();
        let version = if let Some(version) = self.version {
            version
        } else {
            let last = log.last(&self.stream).await;
            let last = last.map_err(|error| AppendError::Unavailable(error.to_string()))?;
            last.map_or(Version::NONE, |event| event.version)
        };
        self.version = Some(version);
        let append = Append { expected: ExpectedVersion::Exact(version), ..append };
        let (is_kept, end) = match append_once(log, &append).await? {
            Outcome::Kept { end } => (true, end),
            Outcome::Passed { end } => (false, end),
        };
        self.version = Some(end);
        Ok(is_kept)
    }
}

/// A visit that can't be recorded is counted.
fn uncounted(counts: &mut Counts, visit: &LostVisit) {
    count(counts, (visit.at, visit.kind, visit.domain.clone()), 1);
}
