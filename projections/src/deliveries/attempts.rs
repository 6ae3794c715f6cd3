//! What was sent, and what the receiver said to it: the delivery log.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hoplog_events::webhook::WebhookId;

use super::{Deliveries, Message, Purpose, Row, Value, micros, optional_instant};
use crate::cursor::{QueryError, cut, decode, encode};
use crate::database::DatabaseError;

/// For how long attempts are kept, and messages that were given up.
pub(super) const KEPT: TimeDelta = TimeDelta::days(7);

/// How many attempts are kept of one webhook.
pub(super) const ATTEMPTS_MAX: u32 = 10_000;

/// The most attempts on a page.
const PAGE_MAX: usize = 500;

/// What became of a message with an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Delivered,
    /// It is tried again.
    Retrying,
    /// It was given up.
    Failed,
}

impl Outcome {
    /// The name in the API, and in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Retrying => "retrying",
            Self::Failed => "failed",
        }
    }
}

impl FromStr for Outcome {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Delivered, Self::Retrying, Self::Failed];
        all.into_iter().find(|outcome| outcome.name() == text).ok_or("not an outcome")
    }
}

/// One attempt to deliver a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The message's id.
    pub message: String,
    /// The event's type.
    pub event_type: String,
    /// Which attempt it was: 1 for the first.
    pub attempt: u32,
    /// When it began.
    pub at: DateTime<Utc>,
    /// What became of the message.
    pub outcome: Outcome,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Why it was no success.
    pub error: Option<String>,
    /// The beginning of the answer.
    pub excerpt: Option<String>,
    /// How long it took.
    pub duration: Duration,
    /// When it is tried again.
    pub next_at: Option<DateTime<Utc>>,
}

/// Some attempts, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptPage {
    /// The attempts.
    pub attempts: Vec<Attempt>,
    /// Where the next page begins, if there is one.
    pub next_cursor: Option<String>,
}

const INSERT: &str = "\
    insert into webhook_attempts \
    (webhook, at, message, attempt, event_type, outcome, status, error, excerpt, duration_us, next_at) \
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict do nothing";

fn values(webhook: WebhookId, attempt: &Attempt) -> [Value; 11] {
    let text = |text: &Option<String>| match text {
        Some(text) => Value::from(text.as_str()),
        None => Value::Text(None),
    };
    [
        webhook.to_string().into(),
        attempt.at.timestamp_micros().into(),
        attempt.message.as_str().into(),
        i64::from(attempt.attempt).into(),
        attempt.event_type.as_str().into(),
        attempt.outcome.name().into(),
        Value::Int(attempt.status.map(i64::from)),
        text(&attempt.error),
        text(&attempt.excerpt),
        i64::try_from(attempt.duration.as_micros()).unwrap_or(i64::MAX).into(),
        micros(attempt.next_at),
    ]
}

impl Deliveries {
    /// Keeps what became of a message with an attempt. Gives since when every attempt of its
    /// webhook has failed.
    ///
    /// # Errors
    /// When the database can't be written: the message is sent again.
    pub async fn record(
        &self,
        message: &Message,
        attempt: &Attempt,
    ) -> Result<Option<DateTime<Utc>>, DatabaseError> {
        let webhook: Value = message.webhook.to_string().into();
        let (id, at) = (Value::from(message.id.as_str()), attempt.at.timestamp_micros());
        let (room, mut transaction) = self.begin().await?;
        if attempt.outcome == Outcome::Delivered {
            let sql = "delete from webhook_messages where webhook = $1 and message = $2";
            transaction.execute(sql.to_owned(), &[webhook.clone(), id]).await?;
            let sql = "update webhook_health set failing_since = null \
                       where webhook = $1 and failing_since is not null";
            transaction.execute(sql.to_owned(), &[webhook]).await?;
        } else {
            let sql = "update webhook_messages set attempts = $3, next_at = $4 \
                       where webhook = $1 and message = $2";
            let attempts = i64::from(attempt.attempt).into();
            let values = [webhook.clone(), id, attempts, micros(attempt.next_at)];
            transaction.execute(sql.to_owned(), &values).await?;
            let sql = "insert into webhook_health (webhook, failing_since) values ($1, $2) \
                       on conflict (webhook) do update set failing_since = \
                       coalesce(webhook_health.failing_since, excluded.failing_since)";
            transaction.execute(sql.to_owned(), &[webhook, at.into()]).await?;
        }
        transaction.execute(INSERT.to_owned(), &values(message.webhook, attempt)).await?;
        transaction.commit().await?;
        drop(room);
        self.failing_since(message.webhook).await
    }

    /// Keeps an attempt with a message that is not on the log: a test.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn record_test(
        &self,
        webhook: WebhookId,
        attempt: &Attempt,
    ) -> Result<(), DatabaseError> {
        self.change(INSERT, &values(webhook, attempt)).await.map(|_| ())
    }

    async fn failing_since(
        &self,
        webhook: WebhookId,
    ) -> Result<Option<DateTime<Utc>>, DatabaseError> {
        let sql = "select failing_since from webhook_health where webhook = $1".to_owned();
        let read = |row: &Row| optional_instant(row, 0);
        let values = [webhook.to_string().into()];
        let rows = self.fetch(sql, &values, read).await?;
        Ok(rows.into_iter().next().flatten())
    }

    /// The attempts of a webhook, the newest first.
    ///
    /// # Errors
    /// When the cursor is none, or the database can't answer.
    pub async fn attempts(
        &self,
        webhook: WebhookId,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<AttemptPage, QueryError> {
        let (at, message) = match cursor {
            None => (i64::MAX, String::new()),
            Some(token) => {
                let [at, message] = decode::<2>("attempt", token)?;
                (at.parse().map_err(|_| QueryError::Cursor)?, message)
            }
        };
        let limit = limit.clamp(1, PAGE_MAX);
        let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let sql = "select message, event_type, attempt, at, outcome, status, error, excerpt, \
                   duration_us, next_at from webhook_attempts \
                   where webhook = $1 and (at < $2 or at = $2 and message < $3) \
                   order by at desc, message desc limit $4";
        let values = [webhook.to_string().into(), at.into(), message.into(), one_more.into()];
        let mut attempts =
            self.database.fetch(Purpose::Lookup, sql.to_owned(), &values, read).await?;
        let next_cursor = cut(&mut attempts, limit).map(|last| {
            encode("attempt", &[&last.at.timestamp_micros().to_string(), &last.message])
        });
        Ok(AttemptPage { attempts, next_cursor })
    }

    /// Drops what is older than [`KEPT`], or more than [`ATTEMPTS_MAX`].
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn trim(&self, webhook: WebhookId, now: DateTime<Utc>) -> Result<(), DatabaseError> {
        let oldest = (now - KEPT).timestamp_micros();
        let values = [webhook.to_string().into(), oldest.into()];
        for sql in [
            "delete from webhook_attempts where webhook = $1 and at < $2",
            "delete from webhook_messages where webhook = $1 and since < $2 and next_at is null",
        ] {
            self.change(sql, &values).await?;
        }
        let sql = "delete from webhook_attempts where webhook = $1 and at < \
                   (select a.at from webhook_attempts a where a.webhook = $1 \
                   order by a.at desc limit 1 offset $2)";
        let values = [webhook.to_string().into(), i64::from(ATTEMPTS_MAX).into()];
        self.change(sql, &values).await.map(|_| ())
    }
}

fn read(row: &Row) -> Result<Attempt, DatabaseError> {
    Ok(Attempt {
        message: row.text(0)?.to_owned(),
        event_type: row.text(1)?.to_owned(),
        attempt: u32::try_from(row.count(2)?).unwrap_or(u32::MAX),
        at: row.instant(3)?,
        outcome: row.parse(4)?,
        status: row.optional_int(5)?.and_then(|status| u16::try_from(status).ok()),
        error: row.optional_text(6)?.map(str::to_owned),
        excerpt: row.optional_text(7)?.map(str::to_owned),
        duration: Duration::from_micros(row.count(8)?),
        next_at: optional_instant(row, 9)?,
    })
}
