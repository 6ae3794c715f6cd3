//! What is kept of messages has a copy of what they tell, for as long as they wait, and for seven days if
//! they were given up. What is erased is erased there as well: the message stays, and tells what
//! the log tells now.

use std::time::Duration;

use hoplog_events::position::Topic;
use hoplog_events::webhook::WebhookId;

use super::{Deliveries, Row};
use crate::database::{DatabaseError, Transaction};

/// How many messages are read at once: a message of clicks may have a quarter of a megabyte.
const PAGE: u32 = 20;

/// What a message tells from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    /// Its id.
    pub message: String,
    /// What is sent.
    pub body: String,
}

/// Gives messages of a webhook that are kept other bodies. Those that are not kept are none.
pub(super) async fn rewrite(
    transaction: &mut Transaction,
    webhook: WebhookId,
    rewritten: &[Rewritten],
) -> Result<(), DatabaseError> {
    let sql = "update webhook_messages set body = $3 \
               where webhook = $1 and message = $2 and body <> $3";
    let mut changed = 0;
    for Rewritten { message, body } in rewritten {
        let values = [webhook.to_string().into(), message.as_str().into(), body.as_str().into()];
        changed += transaction.execute(sql.to_owned(), &values).await?;
    }
    if changed == 0 {
        return Ok(());
    }
    transaction.mark_unscrubbed("messages").await
}

impl Deliveries {
    /// The webhooks of which messages are kept.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn with_messages(&self) -> Result<Vec<WebhookId>, DatabaseError> {
        let sql = "select distinct webhook from webhook_messages".to_owned();
        self.fetch(sql, &[], |row| Ok(WebhookId(row.parse(0)?))).await
    }

    /// Messages of a webhook that are kept of a topic, in the order of their ids, behind one: each
    /// with what it tells. None behind the last.
    ///
    /// # Errors
    /// When the database can't answer.
    pub async fn kept(
        &self,
        webhook: WebhookId,
        topic: Topic,
        after: &str,
    ) -> Result<Vec<Rewritten>, DatabaseError> {
        let sql = format!(
            "select message, body from webhook_messages where webhook = $1 and topic = $2 \
             and message > $3 order by message limit {PAGE}"
        );
        let values = [webhook.to_string().into(), topic.name().into(), after.into()];
        let read = |row: &Row| {
            Ok(Rewritten { message: row.text(0)?.to_owned(), body: row.text(1)?.to_owned() })
        };
        self.fetch(sql, &values, read).await
    }

    /// Lets messages tell something else.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn rewrite(
        &self,
        webhook: WebhookId,
        rewritten: &[Rewritten],
    ) -> Result<(), DatabaseError> {
        if rewritten.is_empty() {
            return Ok(());
        }
        let (_room, mut transaction) = self.begin().await?;
        rewrite(&mut transaction, webhook, rewritten).await?;
        transaction.commit().await
    }

    /// Notes that what was sent long ago tells of something that is erased now: of messages that
    /// were delivered the file has copies as well.
    ///
    /// # Errors
    /// When the database can't be written.
    pub async fn mark(&self) -> Result<(), DatabaseError> {
        let (_room, mut transaction) = self.begin().await?;
        transaction.mark_unscrubbed("delivered").await?;
        transaction.commit().await
    }

    /// Takes what was erased out of the file as well, where the state is in one. Gives how long it is
    /// until the rest is to be tried again; `None`: there is no rest.
    ///
    /// # Errors
    /// When it can't be written just now.
    pub async fn scrub(&self) -> Result<Option<Duration>, DatabaseError> {
        self.database.scrub().await
    }
}
