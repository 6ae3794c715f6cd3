//! What has still to be sent, and what was given up.

use chrono::{DateTime, Utc};
use hoplog_events::position::{Sequence, Topic};
use hoplog_events::webhook::WebhookId;

use super::{Column, Deliveries, Row, Rows, Value, optional_instant};
use crate::database::DatabaseError;

/// A message that is to be sent for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The event it tells of.
    pub sequence: Sequence,
    /// Its id, the same at every attempt.
    pub id: String,
    /// The event's type.
    pub event_type: String,
    /// Messages of one lane are sent for the first time in the order of the log.
    pub lane: String,
    /// What is sent.
    pub body: String,
    /// When it was read from the log.
    pub since: DateTime<Utc>,
}

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Whose it is.
    pub webhook: WebhookId,
    /// Its id, the same at every attempt.
    pub id: String,
    /// The event's type.
    pub event_type: String,
    /// Messages of one lane are not sent at the same time.
    pub lane: String,
    /// What is sent.
    pub body: String,
    /// How often it was tried.
    pub attempts: u32,
}

/// What waits for a webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many messages.
    pub messages: u64,
    /// How many of them are of clicks, and were not tried yet.
    pub new_clicks: u64,
    /// When the time of the next one comes.
    pub next: Option<DateTime<Utc>>,
}

/// A message that was stored before, by a process that did not live to know it, stays.
pub(super) const INSERT: &str = "\
    insert into webhook_messages \
    (webhook, topic, sequence, message, event_type, lane, body, attempts, since, next_at) \
    select webhook, topic, sequence, message, event_type, lane, body, 0, since, since \
    from {rows} where true on conflict do nothing";

const COLUMNS: &[Column] = &[
    Column::Text("webhook"),
    Column::Text("topic"),
    Column::Int("sequence"),
    Column::Text("message"),
    Column::Text("event_type"),
    Column::Text("lane"),
    Column::Text("body"),
    Column::Int("since"),
];

pub(super) fn rows(webhook: WebhookId, topic: Topic, messages: &[NewMessage]) -> Rows {
    let webhook = webhook.to_string();
    let mut rows = Rows::new(COLUMNS);
    for message in messages {
        rows.push(|row| {
            row.text(&webhook)
                .text(topic.name())
                .count(message.sequence.0)
                .text(&message.id)
                .text(&message.event_type)
                .text(&message.lane)
                .text(&message.body)
                .int(message.since.timestamp_micros());
        });
    }
    rows
}

impl Deliveries {
    /// Messages whose time has come, the oldest first, but none of the lanes that are busy.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn due(
        &self,
        webhook: WebhookId,
        now: DateTime<Utc>,
        busy: &[String],
        limit: usize,
    ) -> Result<Vec<Message>, DatabaseError> {
        let places: Vec<String> = (4..4 + busy.len()).map(|n| format!("${n}")).collect();
        let free = if places.is_empty() {
            String::new()
        } else {
            format!("and lane not in ({})", places.join(", "))
        };
        let sql = format!(
            "select message, event_type, lane, body, attempts from webhook_messages \
             where webhook = $1 and next_at <= $2 {free} order by since, topic, sequence limit $3"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut values: Vec<Value> =
            vec![webhook.to_string().into(), now.timestamp_micros().into(), limit.into()];
        values.extend(busy.iter().map(|lane| Value::from(lane.as_str())));
        let read = |row: &Row| {
            Ok(Message {
                webhook,
                id: row.text(0)?.to_owned(),
                event_type: row.text(1)?.to_owned(),
                lane: row.text(2)?.to_owned(),
                body: row.text(3)?.to_owned(),
                attempts: u32::try_from(row.count(4)?).unwrap_or(u32::MAX),
            })
        };
        self.fetch(sql, &values, read).await
    }

    /// What waits for a webhook.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn waiting(&self, webhook: WebhookId) -> Result<Waiting, DatabaseError> {
        let sql = "select count(*), min(next_at), \
                   count(case when topic = 'clicks' and attempts = 0 then 1 end) \
                   from webhook_messages where webhook = $1 and next_at is not null";
        let read = |row: &Row| {
            let (messages, new_clicks) = (row.count(0)?, row.count(2)?);
            Ok(Waiting { messages, new_clicks, next: optional_instant(row, 1)? })
        };
        let values = [webhook.to_string().into()];
        let rows = self.fetch(sql.to_owned(), &values, read).await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    /// How many messages of all webhooks wait.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn waiting_in_all(&self) -> Result<u64, DatabaseError> {
        let sql = "select count(*) from webhook_messages where next_at is not null".to_owned();
        let rows = self.fetch(sql, &[], |row| row.count(0)).await?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    /// The webhooks that have a message whose time has come.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn due_webhooks(&self, now: DateTime<Utc>) -> Result<Vec<WebhookId>, DatabaseError> {
        let sql = "select distinct webhook from webhook_messages where next_at <= $1".to_owned();
        let values = [now.timestamp_micros().into()];
        let read = |row: &Row| Ok(WebhookId(row.parse(0)?));
        self.fetch(sql, &values, read).await
    }

    /// Lets a message be tried again at once, also one that was given up. `false`: it is not
    /// there, or was delivered.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn retry(
        &self,
        webhook: WebhookId,
        message: &str,
        now: DateTime<Utc>,
    ) -> Result<bool, DatabaseError> {
        let sql = "update webhook_messages set next_at = $3 where webhook = $1 and message = $2";
        let values = [webhook.to_string().into(), message.into(), now.timestamp_micros().into()];
        Ok(self.change(sql, &values).await? == 1)
    }

    /// Lets all that waits be tried at once, and forgets for how long nothing was taken: somebody
    /// says that the receiver is there again.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn begin_again(
        &self,
        webhook: WebhookId,
        now: DateTime<Utc>,
    ) -> Result<(), DatabaseError> {
        let values = [webhook.to_string().into(), now.timestamp_micros().into()];
        let (_room, mut transaction) = self.begin().await?;
        let waiting = "update webhook_messages set next_at = $2 \
                       where webhook = $1 and next_at > $2";
        transaction.execute(waiting.to_owned(), &values).await?;
        let health = "update webhook_health set failing_since = null where webhook = $1";
        transaction.execute(health.to_owned(), &values[..1]).await?;
        transaction.commit().await
    }
}
