//! The log on EventStoreDB (KurrentDB since version 25): every stream a stream on the servers,
//! a topic the part of `$all` whose streams begin alike.
//!
//! ```text
//!  position in $all   204   391   577   730   911
//!                      │     │     │     │     │
//!  hoplog-links-default/a   │     │     1     │        a link; revision = version − 1
//!  hoplog-clicks-node/0     0     │           1        a click recorder
//!                      hoplog-log ┘ the log's id, written once
//!                      hoplog-agreement-worker-7: no facts, they end
//! ```
//!
//! - The **version check** is the servers': the revision that a stream must have.
//! - A **command** is looked for on its stream before its events are sent, as far back as
//!   [`append`] says, and on all of it when the servers refuse the version. What an attempt wrote
//!   is read back: the servers answer a repeated event id as if it were new.
//! - Nothing can be **rewritten**: the servers never change an event. They forget whole beginnings of
//!   streams (truncated, then scavenged), and with the beginning of a link its creation would go.
//! - **Readers** ask `$all` for the streams of one topic, from a position, and stop where they have
//!   enough. A reader that does not ask has no request under way.
//!
//! Held to the conformance suite against `double`, a server that speaks the same protocol. It
//! has not been run against a real one. Facts about servers are from the client library and from
//! their documentation: 24.2 is the first that says reliably when a reader has caught up.

mod agreements;
mod append;
mod commands;
mod connection;
#[cfg(feature = "eventstore-double")]
#[expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "for tests")]
pub mod double;
mod heads;
mod identity;
mod names;
mod options;
mod read;
mod scan;
mod subscription;

use std::sync::Arc;

use async_trait::async_trait;

use agreements::AgreementStreams;
use append::Sender;
use connection::Connection;
use names::Names;
pub use options::EventStoreOptions;
use read::Reader;
use subscription::TopicSubscription;

use super::versioned::Writer;
use super::{Append, AppendError, Appended, EventLog, ReadError, ReadLimit, Seen, Subscription};
use crate::agreement::Agreements;
use crate::envelope::RecordedEvent;
use crate::position::{LogId, Position, Sequence, StreamId, Topic, Version};

/// Why the log can't be used. One line each.
#[derive(Debug, thiserror::Error)]
pub enum EventStoreOpenError {
    /// Start the servers, or correct the address or the credentials.
    #[error("the servers can't be reached: {0}")]
    Connect(String),
    /// Look at the file: it holds a certificate or a key.
    #[error("{path} can't be read: {error}")]
    File {
        /// Where it should be.
        path: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// Choose another prefix: this stream was made by somebody else.
    #[error("stream {0} was not made by hoplog")]
    Foreign(String),
}

/// The log. Cheap to share in an `Arc`.
#[derive(Debug)]
pub struct EventStoreLog {
    reader: Reader,
    writer: Writer<Sender>,
    agreements: AgreementStreams,
}

impl EventStoreLog {
    /// Connects, and makes the log if there is none.
    ///
    /// # Errors
    /// See [`EventStoreOpenError`].
    pub async fn open(options: &EventStoreOptions) -> Result<Self, EventStoreOpenError> {
        options.files_are_there()?;
        let connection = Arc::new(Connection::new(options));
        let names = Names::new(&options.prefix);
        let log = identity::open(&connection, &names).await?;
        let agreements =
            AgreementStreams { connection: Arc::clone(&connection), names: names.clone() };
        let reader = Reader { connection, names, log, heads: Arc::default() };
        let writer = Writer::new(Sender::new(reader.clone()));
        Ok(Self { reader, writer, agreements })
    }

    /// Lets go of the connection.
    pub fn close(&self) {
        self.reader.connection.close();
    }
}

#[async_trait]
impl EventLog for EventStoreLog {
    fn id(&self) -> LogId {
        self.reader.log
    }

    fn agreements(&self) -> Option<&dyn Agreements> {
        Some(&self.agreements)
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.writer.append(&append).await
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
        let reader = self.reader.clone();
        let scanned = scan::place(after);
        Ok(Box::new(TopicSubscription { reader, topic, after, scanned, limit }))
    }

    async fn confirm(&self, topic: Topic, seen: Seen) -> Result<(), ReadError> {
        self.reader.confirm(topic, seen).await
    }

    async fn head(&self, topic: Topic) -> Result<Position, ReadError> {
        let sequence = self.reader.head(topic).await?;
        Ok(Position { log: self.reader.log, topic, sequence })
    }
}

#[cfg(test)]
#[cfg(feature = "eventstore-double")]
mod tests;
