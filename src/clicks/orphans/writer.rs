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
use hoplog_events::orphan::{ORPHANS_MAX, Orphan, OrphanEvent, OrphansRecorded};
use hoplog_events::position::{StreamId, Topic, Version};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::counts::Counts;
use super::lost::LostVisit;
use super::{OrphanOutlet, Shared, Waiting, only_counted, shed};
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

    /// Writes until everybody is told to stop and nothing waits, or the log does not take it then.
    pub(super) async fn run(mut self) {
        loop {
            self.wait().await;
            // Asked before the queue is: whatever was noted before the stop is in it.
            let is_closing = self.shared.closing.is_cancelled();
            let waiting = self.shared.take(ORPHANS_MAX);
            let is_empty = waiting.visits.is_empty() && waiting.counts.is_empty();
            let is_lost = !is_empty && !self.write(waiting).await;
            if is_closing && is_lost {
                self.give_up();
            } else if is_closing && is_empty {
                return;
            }
        }
    }

    /// What waits still is lost: who stops a process does not wait for each batch of it.
    fn give_up(&self) {
        loop {
            let Waiting { visits, counts } = self.shared.take(ORPHANS_MAX);
            let all = visits.len() as u64 + counts.visits();
            if all == 0 {
                return;
            }
            shed(all);
            tracing::warn!(visits = all, "orphan visits were lost at the stop");
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
                (waiting.visits.len(), !waiting.counts.is_empty())
            };
            let until = match (visits, counts) {
                (0, false) => None,
                (0, true) => Some(self.counted_at + COUNTED_FOR),
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

    /// Whether nothing of it is lost.
    async fn write(&mut self, Waiting { visits, mut counts }: Waiting) -> bool {
        let (id, now) = (Uuid::now_v7(), self.outlet.clock.now());
        let orphans: io::Result<Vec<Orphan>> =
            (0..).zip(&visits).map(|(place, visit)| self.orphan(visit, (id, place), now)).collect();
        let orphans = orphans.unwrap_or_else(|error| {
            tracing::warn!(%error, "orphan visits are only counted: the visitor salts can't be kept");
            uncounted(&mut counts, &visits, "salts");
            Vec::new()
        });
        let recorded = orphans.len() as u64;
        let written = match self.append(id, now, (orphans, &counts)) {
            Ok(append) => self.keep(append).await,
            Err(error) => Err(error),
        };
        self.counted_at = Instant::now();
        match written {
            Ok(()) => metrics::counter!("hoplog_orphans_recorded_total").increment(recorded),
            // Without its visits it has room everywhere.
            Err(AppendError::Size) if recorded > 0 => {
                tracing::warn!(
                    visits = recorded,
                    "orphan visits are only counted: too large for the log"
                );
                uncounted(&mut counts, &visits, "size");
                self.shared.state().waiting.counts.merge(counts);
            }
            Err(error) => {
                let counted = counts.visits();
                shed(recorded + counted);
                tracing::warn!(%error, visits = recorded, counted, "orphan visits were lost");
                return false;
            }
        }
        true
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
        let hash = enricher.salts().hash_in_vain(
            visit.at,
            now,
            visit.address,
            agent.unwrap_or_default(),
        )?;
        let found = enricher.locator().locate(visit.address);
        let name = |text: std::borrow::Cow<'_, str>| Box::<str>::from(cut(text, NAME_CHARS_MAX));
        // Browsers send a whole URL.
        let url = visit.referrer.as_deref().filter(|referrer| referrer.contains("://"));
        let host = url.map(|referrer| forgets.host(referrer));
        let host = host.filter(|host| is_a_host(host));
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
        let first_day = now.date_naive().checked_sub_days(self.kept).unwrap_or_default();
        let kept_from = first_day.and_time(NaiveTime::MIN).and_utc();
        let time = visits.first().map_or(now, |visit| visit.at);
        let recorded = OrphansRecorded { visits, unrecorded: counts.told(), kept_from };
        let event = Event::Orphan(OrphanEvent::Recorded(recorded));
        let event = NewEvent::write(&self.stream, &event, id, time, now, &metadata)
            .map_err(|error| AppendError::Unavailable(error.to_string()))?;
        let (stream, expected) = (self.stream.clone(), ExpectedVersion::Exact(Version::NONE));
        Ok(Append { stream, expected, command_id, events: vec![event] })
    }

    /// Sends a batch until the log has it; when everybody is told to stop, once more, and while there is time.
    async fn keep(&mut self, append: Append) -> Result<(), AppendError> {
        let (mut pause, shared) = (PAUSE, Arc::clone(&self.shared));
        let late = || AppendError::Unavailable("no answer in time".to_owned());
        loop {
            let is_last = shared.closing.is_cancelled();
            let attempt = timeout(ATTEMPT, self.attempt(append.clone()));
            let attempted = tokio::select! {
                biased;
                () = shared.over.cancelled() => return Err(late()),
                attempted = attempt => attempted.unwrap_or_else(|_| Err(late())),
            };
            match attempted {
                Ok(true) => return Ok(()),
                // The stream is elsewhere: another one may have the same name.
                Ok(false) => continue,
                Err(error) if is_last || error == AppendError::Size => return Err(error),
                Err(error) => tracing::debug!(%error, "orphan visits wait"),
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shared.closing.cancelled() => {}
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

/// Visits that can't be recorded are counted.
fn uncounted(counts: &mut Counts, visits: &[LostVisit], limit: &'static str) {
    only_counted(limit, visits.len() as u64);
    for visit in visits {
        counts.add((visit.at, visit.kind, visit.domain.clone()), 1);
    }
}

/// Whether a text can be the name or the address of a host. What is none may be anything that somebody sent.
fn is_a_host(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        return address.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte));
    }
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !text.is_empty() && text.bytes().all(is_of_a_name)
}
