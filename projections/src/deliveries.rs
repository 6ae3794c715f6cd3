//! How far each webhook is, what it still has to be sent, and what became of what was sent.
//!
//! This is no read model: it can't be computed from the log. Its tables are of their own, and no
//! rebuild touches them.
//!
//! ```text
//! log ──► messages + checkpoint (one transaction) ──► attempts ──► delivered: the message goes
//!                                                       │
//!                                                       └──► failed: the message waits, or is given up
//! ```

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use hoplog_events::envelope::CommandId;
use hoplog_events::log::{EventLog, ReadError, Seen};
use hoplog_events::position::{LogId, Sequence, Topic};
use hoplog_events::webhook::WebhookId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use crate::database::{Column, Database, DatabaseError, Purpose, Row, Rows, Transaction, Value};
use crate::lease::Part;

mod attempts;
mod erasure;
mod messages;
#[cfg(test)]
mod tests;
mod turn;

pub use attempts::{Attempt, AttemptPage, Outcome};
pub use erasure::Rewritten;
pub use messages::{Message, NewMessage, Waiting};

const DEFINITION: &str = include_str!("deliveries/tables.sql");

/// How long a process may deliver before it has to say again that it is there.
pub const TURN: Duration = Duration::from_secs(5);

/// How many statements of deliveries are under way at once: the projectors, on whose connections
/// they are, must find a free one.
const STATEMENTS_MAX: usize = 2;

/// The state of all deliveries. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Deliveries {
    database: Database,
    room: Arc<Semaphore>,
    /// This process among those that share the database.
    holder: Arc<str>,
    alone: bool,
}

/// How far a webhook is in a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The log that gave the sequence.
    pub log: LogId,
    /// Everything up to here was sent, or waits to be.
    pub sequence: Sequence,
    /// The command of the event there, if one was seen: another log may have another one.
    pub last: Option<CommandId>,
}

/// Stands for no webhook: for where the log ended when this state was begun.
const FOUNDATION: WebhookId = WebhookId(Uuid::nil());

const PLACE: &str = "insert into webhook_checkpoints \
    (webhook, topic, log_id, sequence, last_event) values ($1, $2, $3, $4, $5)";

/// Why the state can't be begun.
#[derive(Debug, thiserror::Error)]
pub enum FoundError {
    /// See [`DatabaseError`].
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// See [`ReadError`].
    #[error(transparent)]
    Log(#[from] ReadError),
}

impl Deliveries {
    /// Opens the tables, and makes them if they are missing.
    ///
    /// # Errors
    /// When the database can't be used.
    pub async fn open(database: Database, part: Part) -> Result<Self, DatabaseError> {
        let turn = database.definition_turn().await?;
        let mut transaction = database.begin().await?;
        transaction.define(DEFINITION).await?;
        transaction.commit().await?;
        drop(turn);
        let holder = Uuid::new_v4().to_string().into();
        let room = Arc::new(Semaphore::new(STATEMENTS_MAX));
        Ok(Self { database, room, holder, alone: !part.takes_turns() })
    }

    /// Notes where the log ends, if nobody did before. A webhook of which nothing is kept begins
    /// there at the earliest: where this state was lost, nobody is told again of months.
    ///
    /// # Errors
    /// When the log can't be read, or the database can't be written.
    pub async fn found(&self, log: &dyn EventLog) -> Result<(), FoundError> {
        for topic in [Topic::Links, Topic::Clicks] {
            if self.progress(FOUNDATION, topic).await?.is_some() {
                continue;
            }
            let head = log.head(topic).await?;
            let progress = Progress { log: head.log, sequence: head.sequence, last: None };
            let sql = format!("{PLACE} on conflict (webhook, topic) do nothing");
            self.change(&sql, &place(FOUNDATION, topic, progress)).await?;
        }
        Ok(())
    }

    /// Where a log ended when this state was begun; `None`: that was another log.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn foundation(
        &self,
        log: LogId,
        topic: Topic,
    ) -> Result<Option<Sequence>, DatabaseError> {
        let founded = self.progress(FOUNDATION, topic).await?;
        Ok(founded.filter(|founded| founded.log == log).map(|founded| founded.sequence))
    }

    /// Where all this is kept.
    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Closes the database, after what is under way.
    pub async fn close(&self) {
        self.database.close().await;
    }

    /// How far a webhook is; `None`: it has not begun.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn progress(
        &self,
        webhook: WebhookId,
        topic: Topic,
    ) -> Result<Option<Progress>, DatabaseError> {
        let sql = "select log_id, sequence, last_event from webhook_checkpoints where webhook = $1 and topic = $2";
        let values = [webhook.to_string().into(), topic.name().into()];
        let read = |row: &Row| {
            let (log, sequence) = (LogId(row.parse(0)?), Sequence(row.count(1)?));
            Ok(Progress { log, sequence, last: row.optional_parse(2)?.map(CommandId) })
        };
        Ok(self.fetch(sql.to_owned(), &values, read).await?.into_iter().next())
    }

    /// Lets a webhook begin somewhere, or somewhere else, without a look at what lies between.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn place(
        &self,
        webhook: WebhookId,
        topic: Topic,
        progress: Progress,
    ) -> Result<(), DatabaseError> {
        let sql = format!(
            "{PLACE} on conflict (webhook, topic) do update set log_id = excluded.log_id, \
             sequence = excluded.sequence, last_event = excluded.last_event"
        );
        self.change(&sql, &place(webhook, topic, progress)).await.map(|_| ())
    }

    /// Moves a webhook on to an event that was seen, and keeps what it is to be sent on the way:
    /// both, or nothing. What was erased on the way is taken out of what is kept, in the same
    /// moment. `false`: another process has moved it, or this one's turn is over.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn advance(
        &self,
        webhook: WebhookId,
        topic: Topic,
        from: Progress,
        to: Seen,
        messages: &[NewMessage],
        rewritten: &[Rewritten],
    ) -> Result<bool, DatabaseError> {
        let sql = "update webhook_checkpoints set sequence = $5, last_event = $7 \
                   where webhook = $1 and topic = $2 and log_id = $3 and sequence = $4 \
                   and exists (select 1 from webhook_turns t where t.holder = $6)";
        let values = [
            webhook.to_string().into(),
            topic.name().into(),
            from.log.to_string().into(),
            from.sequence.0.cast_signed().into(),
            to.sequence.0.cast_signed().into(),
            (*self.holder).into(),
            to.command_id.0.to_string().into(),
        ];
        let (_room, mut transaction) = self.begin().await?;
        if transaction.execute(sql.to_owned(), &values).await? != 1 {
            return Ok(false);
        }
        let rows = messages::rows(webhook, topic, messages);
        transaction.write(messages::INSERT, rows).await?;
        erasure::rewrite(&mut transaction, webhook, rewritten).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Forgets everything about a webhook.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn forget(&self, webhook: WebhookId) -> Result<(), DatabaseError> {
        let (_room, mut transaction) = self.begin().await?;
        for table in ["messages", "attempts", "health", "checkpoints"] {
            let sql = format!("delete from webhook_{table} where webhook = $1");
            transaction.execute(sql, &[webhook.to_string().into()]).await?;
        }
        transaction.commit().await
    }

    /// The webhooks that something is kept of.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn known(&self) -> Result<Vec<WebhookId>, DatabaseError> {
        let sql = "select distinct webhook from webhook_checkpoints where webhook <> $1";
        let read = |row: &Row| Ok(WebhookId(row.parse(0)?));
        self.fetch(sql.to_owned(), &[FOUNDATION.to_string().into()], read).await
    }

    /// A transaction, when there is room for one.
    async fn begin(&self) -> Result<(OwnedSemaphorePermit, Transaction), DatabaseError> {
        let room = self.room().await?;
        Ok((room, self.database.begin().await?))
    }

    async fn room(&self) -> Result<OwnedSemaphorePermit, DatabaseError> {
        let room = Arc::clone(&self.room).acquire_owned().await;
        // Never closed.
        room.map_err(|_| DatabaseError::Busy)
    }

    /// The rows of a short answer.
    async fn fetch<T: Send>(
        &self,
        sql: String,
        values: &[Value],
        read: impl FnMut(&Row) -> Result<T, DatabaseError> + Send,
    ) -> Result<Vec<T>, DatabaseError> {
        let _room = self.room().await?;
        self.database.fetch(Purpose::Projection, sql, values, read).await
    }

    async fn change(&self, sql: &str, values: &[Value]) -> Result<u64, DatabaseError> {
        let _room = self.room().await?;
        self.database.change(sql, values).await
    }
}

fn place(webhook: WebhookId, topic: Topic, progress: Progress) -> [Value; 5] {
    [
        webhook.to_string().into(),
        topic.name().into(),
        progress.log.to_string().into(),
        progress.sequence.0.cast_signed().into(),
        Value::Text(progress.last.map(|last| last.0.to_string())),
    ]
}

fn micros(at: Option<DateTime<Utc>>) -> Value {
    Value::Int(at.map(|at| at.timestamp_micros()))
}

fn optional_instant(row: &Row, column: usize) -> Result<Option<DateTime<Utc>>, DatabaseError> {
    Ok(row.optional_int(column)?.and_then(DateTime::from_timestamp_micros))
}
