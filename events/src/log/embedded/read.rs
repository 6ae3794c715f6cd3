//! Reads and subscriptions.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Row, Sqlite, SqlitePool};
use tokio::sync::watch;
use uuid::Uuid;

use super::super::{ReadError, ReadLimit, Subscription};
use super::rewrite::without_padding;
use super::{index, table};
use crate::envelope::{CommandId, RecordedEvent};
use crate::position::{LogId, Position, Sequence, StreamId, Topic, Version};

/// Reads the file and knows where each topic ends. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pool: SqlitePool,
    log: LogId,
    heads: Arc<Vec<watch::Receiver<Sequence>>>,
}

impl Reader {
    pub(super) fn new(pool: SqlitePool, log: LogId, heads: Vec<watch::Receiver<Sequence>>) -> Self {
        Self { pool, log, heads: Arc::new(heads) }
    }

    pub(super) fn head(&self, topic: Topic) -> Sequence {
        *self.heads[index(topic)].borrow()
    }

    /// A reader that has seen more than there is has seen another log. The file is asked too: a
    /// stream's events can be read a moment before the writer tells the new head.
    pub(super) async fn check(&self, topic: Topic, after: Sequence) -> Result<(), ReadError> {
        if after <= self.head(topic) {
            return Ok(());
        }
        let sql = format!("SELECT COALESCE(MAX(sequence), 0) FROM {}", table(topic));
        let head = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&self.pool);
        let head: i64 = head.await.map_err(unavailable)?;
        let head = Sequence(head.unsigned_abs());
        if after > head { Err(ReadError::Rewound { head, after }) } else { Ok(()) }
    }

    pub(super) async fn read(
        &self,
        stream: &StreamId,
        after: Version,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let all = ReadLimit { events_max: usize::MAX, bytes_max: usize::MAX };
        self.read_page(stream, after, all).await
    }

    pub(super) async fn read_page(
        &self,
        stream: &StreamId,
        after: Version,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let topic = stream.topic();
        let sql = format!(
            "SELECT sequence, stream, version, command_id, event_type, body FROM {} \
             WHERE stream = $1 AND version > $2 ORDER BY version LIMIT $3",
            table(topic)
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(stream.key()).bind(signed(after.0));
        self.fetch(topic, query, limit).await
    }

    pub(super) async fn last(&self, stream: &StreamId) -> Result<Option<RecordedEvent>, ReadError> {
        let topic = stream.topic();
        let sql = format!(
            "SELECT sequence, stream, version, command_id, event_type, body FROM {} \
             WHERE stream = $1 ORDER BY version DESC LIMIT 1",
            table(topic)
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(stream.key());
        let row = query.fetch_optional(&self.pool).await.map_err(unavailable)?;
        row.map(|row| self.event(topic, &row)).transpose()
    }

    pub(super) async fn read_all(
        &self,
        topic: Topic,
        after: Sequence,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        self.check(topic, after).await?;
        // Nothing behind the head, or a reader could know more than `head` says.
        let sql = format!(
            "SELECT sequence, stream, version, command_id, event_type, body FROM {} \
             WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence LIMIT $3",
            table(topic)
        );
        let query =
            sqlx::query(AssertSqlSafe(sql)).bind(signed(after.0)).bind(signed(self.head(topic).0));
        self.fetch(topic, query, limit).await
    }

    /// The events of a query, whose last parameter is how many there may be.
    async fn fetch(
        &self,
        topic: Topic,
        query: Query<'_, Sqlite, SqliteArguments>,
        limit: ReadLimit,
    ) -> Result<Vec<RecordedEvent>, ReadError> {
        let events_max = i64::try_from(limit.events_max.max(1)).unwrap_or(i64::MAX);
        let mut rows = query.bind(events_max).fetch(&self.pool);
        let (mut events, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.try_next().await.map_err(unavailable)? {
            let event = self.event(topic, &row)?;
            bytes += event.body.len();
            if bytes > limit.bytes_max && !events.is_empty() {
                break;
            }
            events.push(event);
        }
        Ok(events)
    }

    fn event(&self, topic: Topic, row: &SqliteRow) -> Result<RecordedEvent, ReadError> {
        let read = || -> Result<RecordedEvent, sqlx::Error> {
            let sequence: i64 = row.try_get(0)?;
            let version: i64 = row.try_get(2)?;
            let command_id: &[u8] = row.try_get(3)?;
            let command_id =
                Uuid::from_slice(command_id).map_err(|e| sqlx::Error::Decode(e.into()))?;
            Ok(RecordedEvent {
                position: Position {
                    log: self.log,
                    topic,
                    sequence: Sequence(sequence.unsigned_abs()),
                },
                stream: StreamId::new(topic, row.try_get::<&str, _>(1)?),
                version: Version(version.unsigned_abs()),
                command_id: CommandId(command_id),
                event_type: row.try_get::<&str, _>(4)?.into(),
                body: Bytes::copy_from_slice(without_padding(row.try_get(5)?)),
            })
        };
        read().map_err(unavailable)
    }
}

/// Sequences and versions are counted from 1 and never get near the limit of SQLite's integers.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[expect(clippy::needless_pass_by_value, reason = "made for map_err")]
fn unavailable(error: sqlx::Error) -> ReadError {
    ReadError::Unavailable(error.to_string())
}

/// Follows a topic by reading after its own place; the watch only says when there is more, so
/// nothing can be missed or repeated between catching up and live.
#[derive(Debug)]
pub(super) struct TopicSubscription {
    reader: Reader,
    head: watch::Receiver<Sequence>,
    topic: Topic,
    after: Sequence,
    limit: ReadLimit,
}

impl TopicSubscription {
    pub(super) fn new(reader: Reader, topic: Topic, after: Sequence, limit: ReadLimit) -> Self {
        let head = reader.heads[index(topic)].clone();
        Self { reader, head, topic, after, limit }
    }
}

#[async_trait]
impl Subscription for TopicSubscription {
    async fn next(&mut self) -> Result<Vec<RecordedEvent>, ReadError> {
        loop {
            let after = self.after;
            self.head
                .wait_for(|head| *head > after)
                .await
                .map_err(|_| ReadError::Unavailable("the log is closed".to_owned()))?;
            let events = self.reader.read_all(self.topic, after, self.limit).await?;
            if let Some(last) = events.last() {
                self.after = last.position.sequence;
                return Ok(events);
            }
        }
    }
}
