//! How long one batch is tried again.

use std::time::Duration;

use hoplog_events::log::AppendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::ClicksAck;

/// The first pause before something is tried again; doubles up to [`RETRY_PAUSE_MAX`].
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The longest pause before something is tried again.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(1);

/// How long one batch is tried again. Nobody waits for a queued one: it is tried until the stop.
#[derive(Debug)]
pub(in crate::clicks) struct Patience {
    started: Instant,
    pause: Pause,
    refuse_after: Duration,
    /// Whether somebody waits.
    pub(super) ends: bool,
    closing: CancellationToken,
}

impl Patience {
    /// Patience that begins now.
    pub(in crate::clicks) fn new(
        refuse_after: Duration,
        ack: ClicksAck,
        closing: CancellationToken,
    ) -> Self {
        let ends = ack == ClicksAck::Durable;
        Self { started: Instant::now(), pause: Pause::default(), refuse_after, ends, closing }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits before the next attempt. Those who wait for the disk have little patience; what was
    /// answered already is given up at the stop only.
    ///
    /// # Errors
    /// The one that is given, when the patience is over or nothing gets better.
    pub(in crate::clicks) async fn wait(&mut self, error: AppendError) -> Result<(), AppendError> {
        let ends = self.ends || self.closing.is_cancelled();
        if ends && self.elapsed() > self.refuse_after || error == AppendError::Size {
            return Err(error);
        }
        tracing::warn!(%error, "clicks wait: they can't be written");
        self.pause.wait().await;
        Ok(())
    }
}

/// Pauses that grow, with jitter: nodes that lost the same log do not come back at once.
#[derive(Debug)]
pub(super) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(RETRY_PAUSE)
    }
}

impl Pause {
    pub(super) async fn wait(&mut self) {
        let jitter = 0.5 + rand::random::<f64>() / 2.0;
        tokio::time::sleep(self.0.mul_f64(jitter)).await;
        self.0 = (self.0 * 2).min(RETRY_PAUSE_MAX);
    }
}
