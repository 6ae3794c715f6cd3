//! The log on NATS JetStream: every topic a stream on the servers, every event a message.
//!
//! ```text
//!  topic LINKS = stream LINKS     links.<partition>.<domain>.<code>     one subject per link
//!  topic CLICKS = stream CLICKS   clicks.<partition>.<recorder>         a batch per message
//!                 stream REWRITTEN    rewritten.<topic>.<range>.…       in the place of old events
//!                 stream AGREEMENTS   agreements.<name>                 no facts: they end
//! ```
//!
//! - The **version check** is the servers': `Nats-Expected-Last-Subject-Sequence` names the last
//!   message that the writer knows of the subject; 0 claims a code.
//! - A **command** is looked for on its stream when the servers refuse the version, so a retry is
//!   answered as the first attempt was, however much later. `Nats-Msg-Id` answers most retries
//!   without that look.
//! - **Readers** ask for messages by sequence; there are no consumers and no acknowledgements.
//! - A message can't be changed. What is **rewritten** becomes a message of another stream, and the
//!   old one is deleted: see `rewritten` and `rewrite`.
//! - An acknowledgement means what the servers are set to: on disk with `sync_interval: always`,
//!   in the memory of a majority with three replicas, else in the operating system's care.
//!
//! Facts about the servers are from their source (2.12 to 2.15) and their design records
//! (ADR-31 direct get, ADR-50 batches).

mod agreements;
mod api;
mod append;
mod connect;
mod description;
mod leader;
mod login;
mod options;
mod page;
mod read;
mod rewrite;
mod rewritten;
mod settings;
mod settle;
mod streams;
mod subject;
mod subscription;
mod topic;

use async_trait::async_trait;

use agreements::AgreementStream;
use api::{Api, ApiError};
use append::Publisher;
use connect::Patience;
pub use options::JetStreamOptions;
use read::Reader;
use rewrite::Rewriter;
use streams::Opened;
use subject::Subjects;
use subscription::TopicSubscription;

use super::versioned::Writer;
use super::{
    Append, AppendError, Appended, EventLog, ReadError, ReadLimit, Rewrite, RewriteError,
    Subscription,
};
use crate::agreement::Agreements;
use crate::asyncapi::Description;
use crate::envelope::RecordedEvent;
use crate::position::{LogId, Position, Sequence, StreamId, Topic, Version};

/// The header that holds a stream's version with the event.
const VERSION: &str = "Hoplog-Version";

/// The header that holds the command.
const COMMAND_ID: &str = "Hoplog-Command-Id";

/// The header that holds the CloudEvents type.
const EVENT_TYPE: &str = "Hoplog-Type";

/// The header of a rewritten event that says when it was stored at first.
const STORED: &str = "Hoplog-Stored";

/// The oldest servers that keep several messages as a whole.
const SERVER_MIN: (i64, i64, i64) = (2, 12, 0);

/// Why the log can't be used. One line each.
#[derive(Debug, thiserror::Error)]
pub enum JetStreamOpenError {
    /// Start the servers, or correct the address or the credentials.
    #[error("the servers can't be reached: {0}")]
    Connect(String),
    /// Run newer servers.
    #[error("the servers are of version {0}; 2.12 or newer is needed")]
    Version(String),
    /// Let the servers take larger messages.
    #[error("the servers take messages of {found} bytes, {needed} are needed: raise max_payload")]
    MaxPayload {
        /// What they take.
        found: usize,
        /// What an append may need.
        needed: usize,
    },
    /// Look at the servers: streams can't be made or looked at.
    #[error("the streams can't be opened: {0}")]
    Api(String),
    /// Choose another prefix: this stream was made by somebody else.
    #[error("stream {0} was not made by hoplog")]
    Foreign(String),
    /// Choose another prefix: these streams are of two logs.
    #[error("stream {0} belongs to another log than the others")]
    Mixed(String),
    /// Set the stream otherwise with the servers' own tools, and find out who did that.
    #[error(
        "stream {stream}: {setting} is {found} and has to be {wanted}, or the servers throw events \
         away"
    )]
    Destructive {
        /// The stream.
        stream: String,
        /// The setting, by the servers' name for it.
        setting: String,
        /// What it is.
        found: String,
        /// What it has to be.
        wanted: String,
    },
    /// Set the number of partitions that the log was made with.
    #[error("stream {name} was made with {recorded} partitions, the settings say {wanted}")]
    Partitions {
        /// The stream.
        name: String,
        /// The number it was made with.
        recorded: String,
        /// The number in the settings.
        wanted: u16,
    },
}

impl From<ApiError> for JetStreamOpenError {
    fn from(error: ApiError) -> Self {
        Self::Api(error.to_string())
    }
}

/// The log. Cheap to share in an `Arc`.
#[derive(Debug)]
pub struct JetStreamLog {
    reader: Reader,
    writer: Writer<Publisher>,
    agreements: AgreementStream,
    /// `None`: the servers may not delete.
    rewriter: Option<Rewriter>,
}

impl JetStreamLog {
    /// Connects, makes the streams that are missing and compares the others with the options.
    /// What differs is returned in words and left as it is.
    ///
    /// # Errors
    /// See [`JetStreamOpenError`].
    pub async fn open(
        options: &JetStreamOptions,
    ) -> Result<(Self, Vec<String>), JetStreamOpenError> {
        let client = connect::connect(options).await?;
        let api = Api { client, timeout: options.timeout, patience: Patience::default() };
        let Opened { id: log, differences, can_rewrite } = streams::open(&api, options).await?;
        let agreements = AgreementStream::open(&api, options).await?;
        let subjects = Subjects::new(&options.prefix, options.partitions);
        let (replicated, stale) = (options.replicas > 1, options.stale);
        let reader = Reader { api, subjects, log, replicated, stale };
        let writer = Writer::new(Publisher::new(reader.clone()));
        let rewriter = can_rewrite.then(|| Rewriter::new(reader.clone()));
        if let Some(rewriter) = &rewriter {
            rewriter.sweep().await;
        }
        Ok((Self { reader, writer, agreements, rewriter }, differences))
    }

    /// How others read this log, for a document.
    #[must_use]
    pub fn described(&self) -> Description {
        description::part(&self.reader.subjects)
    }

    /// The same of a log with these options.
    #[must_use]
    pub fn described_with(options: &JetStreamOptions) -> Description {
        description::part(&Subjects::new(&options.prefix, options.partitions))
    }

    /// Sends what is on its way and closes the connection.
    pub async fn close(&self) {
        // A connection that is gone needs no farewell.
        let _ = self.reader.api.client.drain().await;
    }
}

#[async_trait]
impl EventLog for JetStreamLog {
    fn id(&self) -> LogId {
        self.reader.log
    }

    fn agreements(&self) -> Option<&dyn Agreements> {
        Some(&self.agreements)
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.writer.append(&append).await
    }

    fn can_rewrite(&self) -> bool {
        self.rewriter.is_some()
    }

    async fn rewrite(&self, rewrites: Vec<Rewrite>) -> Result<(), RewriteError> {
        let Some(servers) = &self.rewriter else { return Err(RewriteError::Unsupported) };
        super::check(&rewrites)?;
        servers.rewrite(rewrites).await
    }

    async fn read(
        &self,
        stream: &StreamId,
        after: Version,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let from = self.reader.before_version(stream, Version(after.0 + 1)).await?;
        self.reader.read(stream, from, after).await
    }

    async fn read_page(
        &self,
        stream: &StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let from = self.reader.before_version(stream, Version(after.0.saturating_add(1))).await?;
        self.reader.read_page(stream, from, after, limit).await
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
        let subscription = TopicSubscription::begin(self.reader.clone(), topic, after, limit);
        Ok(Box::new(subscription.await?))
    }

    async fn head(&self, topic: Topic) -> Result<Position, ReadError> {
        self.reader.head(topic).await
    }
}

#[cfg(test)]
mod tests;
