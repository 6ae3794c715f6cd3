//! From a closed batch to events on the log.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hoplog_events::catalogue::Event;
use hoplog_events::click::{Click, ClickEvent, ClicksRecorded};
use hoplog_events::envelope::{CommandId, Metadata, NewEvent};
use hoplog_events::log::{APPEND_BYTES_MAX, Append, AppendError, EventLog, ExpectedVersion};
use hoplog_events::position::{StreamId, Topic};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::enrichment::Enricher;
use super::super::visit::Visit;
use super::{Batch, DURABLE, FAILED, QUEUED_FLUSH_INTERVAL, QUEUED_FLUSH_VISITS, Shared};
use crate::clock::Clock;
use crate::config::ClicksAck;

/// Clicks in one event at most.
pub(crate) const EVENT_CLICKS_MAX: usize = 2_000;

/// Bytes of clicks in one event at most; leaves room for the envelope.
const EVENT_BYTES_MAX: usize = APPEND_BYTES_MAX - 10_000;

/// Bytes that a click takes besides its texts, at most.
const CLICK_BYTES_FIXED: usize = 400;

/// How long a batch that can't be appended is tried again before those who wait are refused.
const DURABLE_PATIENCE: Duration = Duration::from_secs(5);

/// The first pause before an append is tried again; doubles up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The longest pause before an append is tried again.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Takes batches and appends them, one at a time.
pub(super) struct Flusher {
    pub(super) shared: Arc<Shared>,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) enricher: Arc<Enricher>,
    pub(super) clock: Clock,
    pub(super) ack: ClicksAck,
    pub(super) partition: usize,
}

impl Flusher {
    /// Flushes until the recorder is closed and nothing is left.
    pub(super) async fn run(self) {
        loop {
            self.wait_for_visits().await;
            let batch = self.shared.take();
            if !batch.visits.is_empty() {
                self.flush(batch).await;
            } else if self.shared.closing.is_cancelled() {
                return;
            }
        }
    }

    async fn wait_for_visits(&self) {
        let waiting = self.shared.waiting();
        if waiting == 0 {
            tokio::select! {
                () = self.shared.wake.notified() => {}
                () = self.shared.closing.cancelled() => return,
            }
        }
        // Whoever waits for the disk is served at once; otherwise larger batches cost less.
        if self.ack == ClicksAck::Queued && self.shared.waiting() < QUEUED_FLUSH_VISITS {
            tokio::select! {
                () = tokio::time::sleep(QUEUED_FLUSH_INTERVAL) => {}
                () = self.shared.closing.cancelled() => {}
            }
        }
    }

    async fn flush(&self, batch: Batch) {
        let count = batch.visits.len();
        metrics::histogram!("hoplog_clicks_batch")
            .record(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
        let recorded = self.record(batch.visits).await;
        self.shared.places.add_permits(count);
        if recorded.is_ok() {
            metrics::counter!("hoplog_clicks_recorded_total").increment(count as u64);
        } else if self.ack == ClicksAck::Queued {
            // Their redirects were answered: this is the one loss there can be, and it is said.
            metrics::counter!("hoplog_clicks_shed_total").increment(count as u64);
            tracing::error!(
                clicks = count,
                "clicks were lost: the log could not be written before the stop"
            );
        }
        batch.fate.decide(if recorded.is_ok() { DURABLE } else { FAILED });
    }

    async fn record(&self, visits: Vec<Visit>) -> Result<(), AppendError> {
        let now = self.clock.now();
        let salt_away = |error: io::Error| AppendError::Unavailable(error.to_string());
        let mut patience = Patience::new();
        while let Err(error) = self.enricher.make_ready(&visits, now) {
            self.wait(&mut patience, salt_away(error)).await?;
        }
        let clicks: Result<Vec<Click>, io::Error> =
            visits.into_iter().map(|visit| self.enricher.click(visit, now)).collect();
        for clicks in split(clicks.map_err(salt_away)?) {
            self.append(clicks_event(&self.stream(), clicks, &self.clock, "visitor")?).await?;
        }
        Ok(())
    }

    fn stream(&self) -> StreamId {
        StreamId::new(Topic::Clicks, self.partition.to_string())
    }

    /// The same command id at every attempt: an append whose answer got lost is not repeated.
    async fn append(&self, append: Append) -> Result<(), AppendError> {
        let mut patience = Patience::new();
        while let Err(error) = self.log.append(append.clone()).await {
            self.wait(&mut patience, error).await?;
        }
        Ok(())
    }

    /// Waits before the next attempt. Those who wait for the disk have little patience; what was
    /// answered already is given up at the stop only.
    async fn wait(&self, patience: &mut Patience, error: AppendError) -> Result<(), AppendError> {
        let is_over = patience.started.elapsed() > DURABLE_PATIENCE;
        let gives_up = match self.ack {
            ClicksAck::Durable => is_over,
            ClicksAck::Queued => self.shared.closing.is_cancelled() && is_over,
        };
        if gives_up || error == AppendError::Size {
            return Err(error);
        }
        tracing::warn!(%error, "clicks wait: they can't be written");
        tokio::time::sleep(patience.pause).await;
        patience.pause = (patience.pause * 2).min(RETRY_PAUSE_MAX);
        Ok(())
    }
}

/// How long something has been tried, and the next pause.
struct Patience {
    started: Instant,
    pause: Duration,
}

impl Patience {
    fn new() -> Self {
        Self { started: Instant::now(), pause: RETRY_PAUSE }
    }
}

/// Cuts clicks into events that are small enough for every log.
pub(crate) fn split(clicks: Vec<Click>) -> Vec<Vec<Click>> {
    if clicks.len() <= EVENT_CLICKS_MAX
        && clicks.iter().map(bytes_max).sum::<usize>() <= EVENT_BYTES_MAX
    {
        return vec![clicks];
    }
    let mut events: Vec<Vec<Click>> = Vec::new();
    let mut bytes = EVENT_BYTES_MAX;
    for click in clicks {
        bytes += bytes_max(&click);
        match events.last_mut() {
            Some(event) if bytes <= EVENT_BYTES_MAX && event.len() < EVENT_CLICKS_MAX => {
                event.push(click);
            }
            _ => {
                bytes = bytes_max(&click);
                events.push(vec![click]);
            }
        }
    }
    events
}

/// The most that a click can take as JSON: a byte of text is at most `\u00XX`.
fn bytes_max(click: &Click) -> usize {
    let texts = [
        &click.method,
        &click.purpose,
        &click.user_agent,
        &click.referrer,
        &click.language,
        &click.country,
        &click.region,
        &click.city,
        &click.address,
        &click.import_id,
        &click.utm.source,
        &click.utm.medium,
        &click.utm.campaign,
        &click.utm.term,
        &click.utm.content,
    ];
    // Counted in whole passes, which the compiler makes wide.
    let bytes = |text: &Option<Box<str>>| {
        let text = text.as_deref().unwrap_or_default().as_bytes();
        let controls = text.iter().filter(|byte| **byte < 0x20 || **byte == 0x7f).count();
        let quotes = text.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        text.len() + 5 * controls + quotes + 2
    };
    CLICK_BYTES_FIXED + texts.into_iter().map(bytes).sum::<usize>()
}

/// One append of one event.
pub(crate) fn clicks_event(
    stream: &StreamId,
    clicks: Vec<Click>,
    clock: &Clock,
    actor: &str,
) -> Result<Append, AppendError> {
    let command_id = CommandId(Uuid::now_v7());
    let metadata =
        Metadata { actor: actor.into(), command_id, command_hash: None, correlation_id: None };
    let now = clock.now();
    let time = clicks.first().map_or(now, |click| click.at);
    let event = Event::Click(ClickEvent::Recorded(ClicksRecorded { clicks }));
    let event = NewEvent::write(stream, &event, Uuid::now_v7(), time, now, &metadata)
        .map_err(|error| AppendError::Unavailable(error.to_string()))?;
    let (stream, expected) = (stream.clone(), ExpectedVersion::Any);
    Ok(Append { stream, expected, command_id, events: vec![event] })
}
