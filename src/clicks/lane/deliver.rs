//! The deliverer of a lane: brings what waits in the spool to the log, in order, once.
//!
//! It sends the first batch until the log has it, then removes it, then goes on. So of all
//! batches in the file only the first can be on the log already, whenever the node is killed; the
//! version it expects and its command id tell. Trying is also how it is noticed that the log is
//! back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hoplog_events::log::{AppendError, ExpectedVersion};
use hoplog_events::position::Version;
use hoplog_events::spool::{SpoolError, SpooledBatch};
use tokio::time::timeout;

use super::super::once::{Outcome, append_once};
use super::super::spool::Spool;
use super::Lane;
use super::patience::Pause;

/// Why a batch still waits. It is tried again.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error(transparent)]
    Log(#[from] AppendError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("no answer in time")]
    Slow,
}

/// Delivers for ever. May be dropped at any moment.
pub(in crate::clicks) async fn deliver(lane: Arc<Lane>, spool: Arc<Spool>) {
    let mut pause = Pause::default();
    loop {
        while !spool.has(lane.number) {
            lane.spooled.notified().await;
        }
        match lane.deliver_first(&spool).await {
            Ok(()) => pause = Pause::default(),
            Err(error) => {
                match error {
                    DeliveryError::Log(AppendError::Size) => {
                        tracing::error!("the log takes no batch of this size: raise its limit");
                    }
                    error => tracing::debug!(%error, "spooled clicks wait"),
                }
                pause.wait().await;
            }
        }
    }
}

impl Lane {
    async fn deliver_first(&self, spool: &Spool) -> Result<(), DeliveryError> {
        let started = Instant::now();
        let Some((ticket, batch)) = spool.first(self.number).await? else {
            tracing::error!("spooled clicks are gone: was the file deleted?");
            spool.forget_lane(self.number);
            self.state.lock().await.leave = true;
            return Ok(());
        };
        let end = self.send(spool, &batch).await?;
        spool.remove(ticket).await?;
        let us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.delivery_us.store(us, Ordering::Relaxed);
        self.delivered(spool, &batch, end).await;
        spool.shrink_if_empty().await;
        Ok(())
    }

    /// Sends a batch; where its stream ends with it.
    async fn send(&self, spool: &Spool, batch: &SpooledBatch) -> Result<Version, DeliveryError> {
        let shift = self.state.lock().await.shift;
        let version = Version(batch.version.0.saturating_add_signed(shift));
        let mut append = batch.append();
        append.expected = ExpectedVersion::Exact(version);
        let sent = timeout(self.outlet.bounds.attempt, append_once(&*self.outlet.log, &append));
        let sent = sent.await.map_err(|_| DeliveryError::Slow).and_then(|sent| Ok(sent?));
        spool.note_away(!matches!(sent, Ok(_) | Err(DeliveryError::Log(AppendError::Size))));
        match sent? {
            Outcome::Kept { end } => Ok(end),
            Outcome::Passed { end } => {
                let mut state = self.state.lock().await;
                state.note_end(version, end);
                state.shift = difference(end, batch.version);
                Err(AppendError::Conflict { actual: end }.into())
            }
        }
    }

    async fn delivered(&self, spool: &Spool, batch: &SpooledBatch, end: Version) {
        let mut state = self.state.lock().await;
        let meant = Version(batch.version.0 + 1);
        let expected = Version(meant.0.saturating_add_signed(state.shift));
        state.note_end(expected, end);
        state.shift = difference(end, meant);
        if spool.forget(batch) {
            state.next = state.next.map(|next| Version(next.0.saturating_add_signed(state.shift)));
            (state.shift, state.uncertain) = (0, false);
        }
    }
}

fn difference(end: Version, meant: Version) -> i64 {
    end.0.cast_signed() - meant.0.cast_signed()
}
