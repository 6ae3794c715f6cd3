//! Seeing to it that erasures end: those that are under way, those that were left unfinished, and what
//! files still have of them.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_projections::DatabaseError;

use super::{App, ErasureError};
use crate::http::server::DRAIN_TIMEOUT;

/// How often it is looked whether an erasure is left unfinished, and whether files have to be written
/// anew: after erasures that other nodes were asked for.
const KEEP_INTERVAL: Duration = Duration::from_mins(1);

/// The same after one could not be finished.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

impl App {
    /// Gives when the rest of it is done.
    pub(super) async fn scrub(&self) -> Result<Option<DateTime<Utc>>, DatabaseError> {
        // Each is a file of its own: what holds one up does not hold the other up.
        let read_models = self.read_models.scrub().await;
        let deliveries = self.webhooks.deliveries.scrub().await;
        Ok(read_models?.max(deliveries?).map(|left| self.clock.now() + left))
    }

    /// Sees to it that what was begun is finished, and that files are written anew: after erasures
    /// that came from elsewhere, and those that were not waited for.
    pub(in crate::app) async fn keep_erased(&self) {
        loop {
            let finished = self.finish_erasures().await;
            // While one is under way, what it has noted is no surprise.
            if let Err(error) = &finished
                && !matches!(error, ErasureError::Building(_))
            {
                tracing::warn!(%error, "an erasure is not finished; trying again");
            }
            if let Err(error) = self.scrub().await {
                tracing::warn!(%error, "files still have what was erased; trying again");
            }
            let pause = if finished.is_ok() { KEEP_INTERVAL } else { RETRY_INTERVAL };
            tokio::time::sleep(pause).await;
        }
    }

    /// Does it to the end, also when nobody waits for the answer any more.
    pub async fn erase_to_the_end<E>(self: &Arc<Self>, erasing: E) -> Option<E::Output>
    where
        E: Future<Output: Send> + Send + 'static,
    {
        let erasures = Arc::clone(&self.erasing);
        let under_way = tokio::spawn(async move {
            let _until_it_ends = erasures.read().await;
            erasing.await
        });
        under_way.await.ok()
    }

    /// Waits for the erasures that are under way, for a while: what is not done then is finished at the
    /// next start.
    pub(in crate::app) async fn erasures_end(&self) {
        if tokio::time::timeout(DRAIN_TIMEOUT, self.erasing.write()).await.is_err() {
            tracing::warn!("an erasure did not end in time; the next start finishes it");
        }
    }
}
