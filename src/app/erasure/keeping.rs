//! Seeing to it that erasures end: those that are under way, those that were left unfinished, and what
//! files still have of them.

use std::sync::Arc;
use std::time::Duration;

use hoplog_projections::DatabaseError;

use super::{App, Erasure, ErasureError};
use crate::http::server::DRAIN_TIMEOUT;

/// How often it is looked whether an erasure is left unfinished, and whether files have to be written
/// anew: after erasures that other nodes were asked for.
const KEEP_INTERVAL: Duration = Duration::from_mins(1);

/// The same after one could not be finished.
const RETRY_INTERVAL: Duration = Duration::from_secs(10);

/// How long ago one was begun that is taken for one that nobody is at any more.
pub(super) const LEFT_AFTER: Duration = Duration::from_mins(1);

impl App {
    /// Gives how long the rest of it is not tried.
    async fn scrub(&self) -> Result<Option<Duration>, DatabaseError> {
        // Each is a file of its own: what holds one up does not hold the other up.
        let read_models = self.read_models.scrub().await;
        let deliveries = self.webhooks.deliveries.scrub().await;
        Ok(read_models?.max(deliveries?))
    }

    /// Sees to it that what was begun is finished, and that files are written anew: after erasures
    /// that came from elsewhere, and those that were not waited for.
    pub(in crate::app) async fn keep_erased(&self) {
        loop {
            let finished = {
                let _until_it_ends = self.erasing.read().await;
                self.finish_erasures(LEFT_AFTER).await
            };
            if let Err(error) = &finished {
                tracing::warn!(%error, "an erasure is not finished; trying again");
            }
            let left = self.scrub().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "files still have what was erased; trying again");
                None
            });
            let pause = if finished.is_ok() { KEEP_INTERVAL } else { RETRY_INTERVAL };
            tokio::time::sleep(left.map_or(pause, |left| left.min(pause))).await;
        }
    }

    /// Does it to the end, also when nobody waits for the answer any more; then takes it out of the files,
    /// for which no stop waits: the next start does that.
    pub async fn erase_to_the_end<E>(
        self: &Arc<Self>,
        erasing: E,
    ) -> Option<Result<Erasure, ErasureError>>
    where
        E: Future<Output = Result<Erasure, ErasureError>> + Send + 'static,
    {
        // Before it is spawned: a stop would not know of it else.
        let until_it_ends = Arc::clone(&self.erasing).read_owned().await;
        let app = Arc::clone(self);
        let under_way = tokio::spawn(async move {
            let erased = erasing.await;
            drop(until_it_ends);
            let erasure = erased?;
            let scrubbed_at = app.scrub().await?.map(|left| app.clock.now() + left);
            Ok(Erasure { scrubbed_at, ..erasure })
        });
        under_way.await.ok()
    }

    /// Waits for the erasures that are under way, for a while: what is not done then is finished
    /// later.
    pub(in crate::app) async fn erasures_end(&self) {
        if tokio::time::timeout(DRAIN_TIMEOUT, self.erasing.write()).await.is_err() {
            tracing::warn!("an erasure did not end in time; what it was at is finished later");
        }
    }
}
