//! The shared cache's part in the application: opened, kept connected, written, asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hoplog_events::link::LinkKey;
use hoplog_events::position::{LogId, Position, Topic};
use hoplog_projections::ReadModels;
use hoplog_projections::click_statistics::{self, ClickTotals};
use hoplog_projections::commit::CommitListener;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::{App, AppState};
use crate::cache::Level2;
use crate::queries::QueryFailure;
use crate::queries::shared_cache::{SharedCache, SharedCacheWriter};
use crate::queries::shared_rankings::{RankingsFollower, SharedRankings};
use crate::redis_connection::RedisAddress;

/// How long a call to the shared cache may take: a redirect that waits longer is better off with
/// the read model.
const CALL_DEADLINE: Duration = Duration::from_millis(50);

/// The shared cache, and its task until that runs.
#[derive(Debug)]
pub struct Shared {
    pub(super) cache: SharedCache,
    pub(super) rankings: SharedRankings,
    writer: Mutex<Option<SharedCacheWriter>>,
}

impl Shared {
    /// From now on the read models tell it what they commit. Redis need not be there.
    pub(super) fn open(address: &RedisAddress, log: LogId, read_models: &ReadModels) -> Self {
        let level2 = Arc::new(Level2::new(address.clone(), CALL_DEADLINE));
        let rankings = SharedRankings::new(Arc::clone(&level2), log);
        let (cache, writer) = SharedCache::new(level2, log);
        let listener: Arc<dyn CommitListener> = Arc::new(cache.clone());
        read_models.tell(listener);
        Self { cache, rankings, writer: Mutex::new(Some(writer)) }
    }
}

impl App {
    /// The clicks of a link, up to a position of topic CLICKS or later.
    ///
    /// # Errors
    /// When the read model is away or does not reach the position in time.
    pub async fn totals_at(
        &self,
        key: &LinkKey,
        position: Option<Position>,
    ) -> Result<ClickTotals, QueryFailure> {
        let clicks = position.filter(|position| position.topic == Topic::Clicks);
        let ours = clicks.filter(|position| position.log == self.log.id());
        if let Some((shared, position)) = self.shared.as_ref().zip(ours)
            && let Some(totals) = shared.cache.totals(key, position.sequence).await
        {
            return Ok(totals);
        }
        self.wait_for(click_statistics::NAME, clicks).await?;
        Ok(self.totals_of(key).await?)
    }

    /// How the shared cache is: `ok`, or what is wrong; `None`: there is none.
    pub async fn shared_cache_status(&self) -> Option<String> {
        let level2 = self.shared.as_ref()?.cache.level2();
        let answer = level2.ping().await;
        let wrong = |error| format!("{error}; circuit breaker {}", level2.breaker().name());
        Some(answer.map_or_else(wrong, |()| "ok".to_owned()))
    }
}

/// Keeps the shared cache connected, and writes to it (rankings on one node) on the projectors' threads: redirects come
/// first.
pub(super) fn start(app: &AppState, jobs: &mut JoinSet<()>, projectors: &Handle) {
    let Some(shared) = &app.shared else { return };
    let cache = shared.cache.clone();
    jobs.spawn(async move { cache.level2().keep_connected().await });
    let writer = shared.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(writer) = writer {
        let (directory, statistics) =
            (app.read_models.link_directory(), app.read_models.click_statistics());
        let links = (app.links.cache().clone(), app.clock.clone());
        jobs.spawn_on(writer.run(directory, statistics, links), projectors);
    }
    let (log, leader) = (Arc::clone(&app.log), Arc::clone(app));
    let follower = RankingsFollower::new(&shared.rankings, log, app.clock.clone());
    jobs.spawn_on(follower.run(move || leader.read_models.leads()), projectors);
}
