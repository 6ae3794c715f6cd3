//! What projections do when the log forgets what they have not applied.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::{
    Append, AppendError, Appended, EventLog, ReadError, ReadLimit, Rewrite, RewriteError,
    Subscription,
};
use hoplog_events::position::{LogId, Position, Sequence, StreamId, Topic, Version};
use serde_json::json;

use super::world::{PATIENCE, World, click};
use crate::ReadModels;
use crate::lease::Part;
use crate::partition::Partitions;
use crate::read_models::OperationError;
use crate::runner::{Status, WorkerError};

/// A log that has forgotten clicks.
#[derive(Debug)]
struct Forgetful {
    inner: Arc<dyn EventLog>,
    /// The last click that is gone.
    gone: Arc<AtomicU64>,
}

impl Forgetful {
    fn check(&self, topic: Topic, after: Sequence) -> Result<(), ReadError> {
        let to = Sequence(self.gone.load(Ordering::Relaxed));
        if topic == Topic::Clicks && after < to {
            return Err(ReadError::Trimmed { from: Sequence(after.0 + 1), to });
        }
        Ok(())
    }
}

#[async_trait]
impl EventLog for Forgetful {
    fn id(&self) -> LogId {
        self.inner.id()
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.inner.append(append).await
    }

    fn can_rewrite(&self) -> bool {
        self.inner.can_rewrite()
    }

    async fn rewrite(&self, rewrites: Vec<Rewrite>) -> Result<(), RewriteError> {
        self.inner.rewrite(rewrites).await
    }

    async fn read(&self, of: &StreamId, after: Version) -> Result<Vec<RecordedEvent>, ReadError> {
        self.inner.read(of, after).await
    }

    async fn last(&self, of: &StreamId) -> Result<Option<RecordedEvent>, ReadError> {
        self.inner.last(of).await
    }

    async fn read_all(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.check(topic, after)?;
        self.inner.read_all(topic, after, limit).await
    }

    async fn subscribe(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        let gone = self.check(topic, after).err();
        let after = match gone {
            Some(ReadError::Trimmed { to, .. }) => to,
            _ => after,
        };
        let inner = self.inner.subscribe(topic, after, limit).await?;
        Ok(Box::new(Telling { gone, inner }))
    }

    async fn head(&self, topic: Topic) -> Result<Position, ReadError> {
        self.inner.head(topic).await
    }
}

struct Telling {
    gone: Option<ReadError>,
    inner: Box<dyn Subscription>,
}

#[async_trait]
impl Subscription for Telling {
    async fn next(&mut self) -> Result<Vec<RecordedEvent>, ReadError> {
        match self.gone.take() {
            Some(gone) => Err(gone),
            None => self.inner.next().await,
        }
    }
}

async fn status(models: &ReadModels) -> Status {
    let all = models.status(chrono::DateTime::UNIX_EPOCH).await;
    all.into_iter().find(|status| status.name == "clicks").unwrap()
}

/// Told, counted, and not stopped by it. Also if nothing came behind: nobody waits for what is
/// gone. Numbers that are there are not thrown away for it.
pub(crate) async fn clicks_that_are_gone_are_told_and_not_thrown_away(world: World) {
    let visit = || vec![click("a", "2026-03-01T00:00:00Z", json!({}))];
    world.clicks(visit()).await;
    world.caught_up().await;
    world.models.stop_projecting().await;
    for _ in 0..3 {
        world.clicks(visit()).await;
    }
    let head = world.log.head(Topic::Clicks).await.unwrap();
    let gone = Arc::new(AtomicU64::new(head.sequence.0));
    let log = Arc::new(Forgetful { inner: Arc::clone(&world.log), gone });
    let database = world.database.clone();
    let models = ReadModels::open(database, log, Part::Alone, Partitions::ONE).await.unwrap();
    models.run();
    models.wait_for_all(head, PATIENCE).await.unwrap();
    assert_eq!(status(&models).await.trimmed_events, 3);
    models.wait_for_all(world.clicks(visit()).await, PATIENCE).await.unwrap();
    let refused = models.rebuild("clicks").await.unwrap_err();
    let OperationError::Failed(WorkerError::Trimmed { to: Sequence(4), .. }) = refused else {
        panic!("{refused}")
    };
    let report = models.verify("clicks").await.unwrap();
    assert_eq!((report.trimmed_events, report.is_equal()), (4, false), "{report:?}");
    let report = models.rebuild_from_kept("clicks").await.unwrap();
    assert_eq!((report.trimmed_events, report.facts), (4, 1));
    assert!(models.verify("clicks").await.unwrap().is_equal());
}
