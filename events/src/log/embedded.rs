//! The default log: one SQLite file, one writer, group commit.
//!
//! ```text
//! append ──► bounded queue ──► writer task: everything queued = one transaction = one fsync
//! read, subscribe ──► read-only connections (WAL: never wait for the writer)
//! ```
//!
//! An fsync takes milliseconds, an insert microseconds. So the writer takes whatever has queued
//! while the last fsync ran, and commits it at once: the cost of an append falls with the load.
//! `synchronous=FULL` in WAL mode syncs the log file at every commit.
//!
//! What is rewritten goes through the writer as well, one transaction per request: see `rewrite`.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqlitePool;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::APPEND_BYTES_MAX;
use super::{
    Append, AppendError, Appended, EventLog, ReadError, ReadLimit, Rewrite, RewriteError,
    Subscription,
};
use crate::envelope::RecordedEvent;
use crate::position::{LogId, Position, Sequence, StreamId, Topic, Version};

mod files;
mod hold;
mod insert;
mod plan;
mod read;
mod rewrite;
mod writer;

pub use files::OpenError;

use hold::Hold;
use read::{Reader, TopicSubscription};
use writer::{Message, Pending, Rewriting, Writer};

/// How many appends may wait for the writer; further callers wait for a place.
const QUEUE_APPENDS_MAX: usize = 4_096;

/// How often the write-ahead log is tried to be emptied after something was rewritten, and the pause
/// between. A reader that stays for longer than this (a copy of the file is made) is told of.
const EMPTYING_ATTEMPTS: u32 = 40;
const EMPTYING_PAUSE: Duration = Duration::from_millis(25);

/// The embedded log. Close it to be sure that everything is written and the file is tidy;
/// dropping it without loses nothing that was acknowledged.
#[derive(Debug)]
pub struct EmbeddedLog {
    id: LogId,
    queue: mpsc::Sender<Message>,
    reader: Reader,
    readers: SqlitePool,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// How to open a log; the default is right for everything but tests.
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenOptions {
    /// The most pages the file may have: a full disk, for tests of one.
    pub pages_max: Option<u32>,
}

impl EmbeddedLog {
    /// Opens the log in a file, or makes a new one.
    ///
    /// # Errors
    /// When the file can't be opened, is no log, or was written by a newer version.
    pub async fn open(path: &Path, options: OpenOptions) -> Result<Self, OpenError> {
        let (hold, id, heads) = Hold::open(path, options).await?;
        let readers = files::open_for_reading(path).await?;
        let (queue, messages) = mpsc::channel(QUEUE_APPENDS_MAX);
        let (senders, receivers) = heads.map(watch::channel).into_iter().unzip();
        let writer = tokio::spawn(Writer::new(hold, id, senders).run(messages));
        let reader = Reader::new(readers.clone(), id, receivers);
        Ok(Self { id, queue, reader, readers, writer: Mutex::new(Some(writer)) })
    }

    /// Whether the old bodies are gone, too.
    async fn rewrite_once(&self, rewrites: Vec<Rewrite>) -> Result<bool, RewriteError> {
        let closed = || RewriteError::Unavailable("the log is closed".to_owned());
        let (reply, answer) = oneshot::channel();
        let rewriting = Rewriting { rewrites, reply };
        self.queue.send(Message::Rewrite(rewriting)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Waits until everything that was queued is written, then closes the file.
    pub async fn close(&self) {
        // Before the writer: the last to close moves the write-ahead log into the file, and a reader
        // can't.
        self.readers.close().await;
        let _ = self.queue.send(Message::Close).await;
        let writer = self.writer.lock().ok().and_then(|mut writer| writer.take());
        if let Some(writer) = writer {
            let _ = writer.await;
        }
    }
}

#[async_trait]
impl EventLog for EmbeddedLog {
    fn id(&self) -> LogId {
        self.id
    }

    fn keeps_order_of_appends_under_way(&self) -> bool {
        true
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let bytes: usize = append.events.iter().map(|event| event.body.len()).sum();
        if append.events.is_empty() || bytes > APPEND_BYTES_MAX {
            return Err(AppendError::Size);
        }
        let closed = || AppendError::Unavailable("the log is closed".to_owned());
        let (reply, answer) = oneshot::channel();
        let pending = Pending { append, bytes, reply };
        self.queue.send(Message::Append(pending)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    fn can_rewrite(&self) -> bool {
        true
    }

    async fn rewrite(&self, rewrites: Vec<Rewrite>) -> Result<(), RewriteError> {
        super::check(&rewrites)?;
        let mut left = rewrites;
        for _ in 0..EMPTYING_ATTEMPTS {
            if self.rewrite_once(std::mem::take(&mut left)).await? {
                return Ok(());
            }
            sleep(EMPTYING_PAUSE).await;
        }
        let reason = "a reader keeps the write-ahead log from being emptied";
        Err(RewriteError::Unavailable(reason.to_owned()))
    }

    async fn read(
        &self,
        stream: &StreamId,
        after: Version,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.reader.read(stream, after).await
    }

    async fn read_page(
        &self,
        stream: &StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.reader.read_page(stream, after, limit).await
    }

    async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, ReadError> {
        self.reader.last(stream).await
    }

    async fn read_all(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.reader.read_all(topic, after, limit).await
    }

    async fn subscribe(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Box<dyn Subscription>, ReadError> {
        self.reader.check(topic, after).await?;
        Ok(Box::new(TopicSubscription::new(self.reader.clone(), topic, after, limit)))
    }

    async fn head(&self, topic: Topic) -> Result<Position, ReadError> {
        Ok(Position { log: self.id, topic, sequence: self.reader.head(topic) })
    }
}

/// The table of a topic.
fn table(topic: Topic) -> &'static str {
    match topic {
        Topic::Links => "links_events",
        Topic::Clicks => "clicks_events",
        Topic::Accounts => "accounts_events",
    }
}

/// The place of a topic in arrays that hold something per topic.
fn index(topic: Topic) -> usize {
    match topic {
        Topic::Links => 0,
        Topic::Clicks => 1,
        Topic::Accounts => 2,
    }
}

#[cfg(test)]
mod tests;
