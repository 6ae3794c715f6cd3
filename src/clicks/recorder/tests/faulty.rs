//! A real log behind a switch that makes it fail as a network does.

use async_trait::async_trait;
use hoplog_events::envelope::RecordedEvent;
use hoplog_events::log::{
    Append, AppendError, Appended, ReadError, Rewrite, RewriteError, Subscription,
};
use hoplog_events::position::{LogId, Position, StreamId};
use tokio::sync::watch;

use super::*;

/// How the log behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::clicks) enum Mode {
    /// As it should.
    Well,
    /// Says at once that it can't.
    Away,
    /// Says nothing.
    Hanging,
    /// Takes nothing of more than 2,000 bytes.
    Narrow,
    /// Does it, and says that it can't.
    LosesAnswers,
    /// Does it, says that it can't, and is away from then on.
    LosesAnswerAndGoes,
    /// Says that it can't, and does it when the mode changes.
    Late,
}

/// The log, and its switch.
#[derive(Debug)]
pub(in crate::clicks) struct FaultyLog {
    inner: Mutex<Arc<EmbeddedLog>>,
    mode: watch::Sender<Mode>,
}

impl FaultyLog {
    pub(in crate::clicks) fn new(inner: EmbeddedLog) -> Arc<Self> {
        let (inner, mode) = (Mutex::new(Arc::new(inner)), watch::Sender::new(Mode::Well));
        Arc::new(Self { inner, mode })
    }

    pub(in crate::clicks) fn inner(&self) -> Arc<EmbeddedLog> {
        Arc::clone(&self.inner.lock().unwrap())
    }

    /// Puts another log in the place of this one.
    pub(in crate::clicks) fn replace(&self, inner: EmbeddedLog) {
        *self.inner.lock().unwrap() = Arc::new(inner);
    }

    pub(in crate::clicks) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Waits until it behaves like this.
    pub(in crate::clicks) async fn until(&self, mode: Mode) {
        self.mode.subscribe().wait_for(|now| *now == mode).await.unwrap();
    }

    async fn readable(&self) -> Result<Arc<EmbeddedLog>, ReadError> {
        let mode = *self.mode.borrow();
        match mode {
            Mode::Well | Mode::Narrow | Mode::LosesAnswers => Ok(self.inner()),
            Mode::Hanging => std::future::pending().await,
            Mode::Away | Mode::LosesAnswerAndGoes | Mode::Late => {
                Err(ReadError::Unavailable("away".to_owned()))
            }
        }
    }

    fn append_late(&self, append: Append) {
        let (inner, mut mode) = (self.inner(), self.mode.subscribe());
        tokio::spawn(async move {
            mode.wait_for(|mode| *mode != Mode::Late).await.unwrap();
            // It may conflict by now.
            let _ = inner.append(append).await;
        });
    }
}

#[async_trait]
impl EventLog for FaultyLog {
    fn id(&self) -> LogId {
        self.inner().id()
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let (away, mode) = (Err(AppendError::Unavailable("away".to_owned())), *self.mode.borrow());
        match mode {
            Mode::Narrow if append.events.iter().any(|event| event.body.len() > 2_000) => {
                return Err(AppendError::Size);
            }
            Mode::Well | Mode::Narrow => return self.inner().append(append).await,
            Mode::Away => {}
            Mode::Hanging => std::future::pending().await,
            Mode::Late => self.append_late(append),
            Mode::LosesAnswers => drop(self.inner().append(append).await?),
            Mode::LosesAnswerAndGoes => {
                self.inner().append(append).await?;
                self.mode.send_if_modified(|now| {
                    let goes = *now == mode;
                    *now = if goes { Mode::Away } else { *now };
                    goes
                });
            }
        }
        away
    }

    fn can_rewrite(&self) -> bool {
        self.inner().can_rewrite()
    }

    async fn rewrite(&self, rewrites: Vec<Rewrite>) -> Result<(), RewriteError> {
        match self.readable().await {
            Ok(log) => log.rewrite(rewrites).await,
            Err(error) => Err(RewriteError::Unavailable(error.to_string())),
        }
    }

    async fn read(
        &self,
        stream: &StreamId,
        after: Version,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.readable().await?.read(stream, after).await
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, ReadError> {
        self.readable().await?.last(stream).await
    }

    async fn read_all(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.readable().await?.read_all(topic, after, limit).await
    }

    async fn subscribe(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        self.readable().await?.subscribe(topic, after, limit).await
    }

    async fn head(&self, topic: Topic) -> Result<Position, ReadError> {
        self.readable().await?.head(topic).await
    }
}
