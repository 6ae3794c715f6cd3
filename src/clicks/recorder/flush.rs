//! From a closed batch to clicks that are safe.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hoplog_events::click::ClicksData;
use hoplog_events::log::AppendError;

use super::super::enrichment::Enricher;
use super::super::lane::{Lane, Patience};
use super::super::visit::Visit;
use super::{Batch, DURABLE, FAILED, GATHERED_VISITS_MAX, QUEUED_FLUSH_INTERVAL, Shared};
use crate::clock::Clock;
use crate::config::ClicksAck;

/// Takes batches and appends them, one at a time.
pub(super) struct Flusher {
    pub(super) shared: Arc<Shared>,
    pub(super) lane: Arc<Lane>,
    pub(super) refuse_after: Duration,
    pub(super) enricher: Arc<Enricher>,
    pub(super) clock: Clock,
    pub(super) ack: ClicksAck,
    /// What is written of the batch at hand; its memory is used again and again.
    pub(super) data: ClicksData,
}

impl Flusher {
    /// Flushes until the recorder is closed and nothing is left.
    pub(super) async fn run(mut self) {
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
        let queued = (self.ack == ClicksAck::Queued).then_some(QUEUED_FLUSH_INTERVAL);
        let gathering = self.lane.gathering().or(queued);
        if let Some(gathering) = gathering
            && self.shared.waiting() < GATHERED_VISITS_MAX
        {
            tokio::select! {
                () = tokio::time::sleep(gathering) => {}
                () = self.shared.closing.cancelled() => {}
            }
        }
    }

    async fn flush(&mut self, batch: Batch) {
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

    async fn record(&mut self, visits: Vec<Visit>) -> Result<(), AppendError> {
        let now = self.clock.now();
        let unwritable = |error: serde_json::Error| AppendError::Unavailable(error.to_string());
        let salt_away = |error: io::Error| AppendError::Unavailable(error.to_string());
        let mut patience = self.patience();
        while let Err(error) = self.enricher.make_ready(&visits, now) {
            patience.wait(salt_away(error)).await?;
        }
        self.data.clear();
        for visit in &visits {
            let click = self.enricher.click(visit, now).map_err(salt_away)?;
            if !self.data.push(&click).map_err(unwritable)? {
                self.lane.keep(&self.data, self.patience()).await?;
                self.data.clear();
                self.data.push(&click).map_err(unwritable)?;
            }
        }
        if !self.data.is_empty() {
            self.lane.keep(&self.data, self.patience()).await?;
        }
        Ok(())
    }

    fn patience(&self) -> Patience {
        Patience::new(self.refuse_after, self.ack, self.shared.closing.clone())
    }
}
