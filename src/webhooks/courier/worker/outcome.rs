//! What becomes of a message that was sent, and of its webhook.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hoplog_events::webhook::{DisabledReason, WebhookId};
use hoplog_projections::deliveries::Outcome;

use super::{Sent, Worker, WorkerError};
use crate::domain::link::Requester;
use crate::domain::webhook::{WebhookCommand, WebhookRequest};
use crate::execute::Origin;
use crate::webhooks::manage::execute;
use crate::webhooks::{Webhooks, attempt, count, schedule};

/// Written with what deliveries do to webhooks.
const ACTOR: &str = "system:webhooks";

/// A webhook is disabled when a message is given up and nothing was taken for so long.
const PATIENCE: TimeDelta = TimeDelta::days(3);

/// How often the pause doubles after which a message is sent again that could not be kept: to
/// about a minute.
const UNKEPT_DOUBLINGS: u32 = 6;

impl Worker {
    /// Keeps what became of a message. When that is not possible it is sent again.
    pub(super) async fn settle(&mut self, sent: Sent) {
        self.busy.retain(|lane| *lane != sent.message.lane);
        (self.fails, self.is_stale) = (!sent.answer.is_success(), true);
        match self.keep(sent).await {
            Ok(()) => self.unkept = 0,
            Err(error) => {
                tracing::warn!(%error, webhook = %self.id, "what became of a message is not kept");
                self.unkept = self.unkept.saturating_add(1);
                self.rest().await;
            }
        }
    }

    /// What can't be kept is sent again: not at once, or a full disk would flood the receiver.
    async fn rest(&mut self) {
        let pause = Duration::from_secs(1 << self.unkept.min(UNKEPT_DOUBLINGS));
        tokio::select! {
            () = self.shutdown.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    async fn keep(&mut self, sent: Sent) -> Result<(), WorkerError> {
        let Sent { message, at, answer } = sent;
        let number = message.attempts.saturating_add(1);
        let now = self.webhooks.clock.now();
        let (is_success, is_gone) = (answer.is_success(), answer.is_gone());
        let pause = schedule::pause(number, answer.retry_after).filter(|_| !is_success);
        let outcome = match pause {
            _ if is_success => Outcome::Delivered,
            Some(_) => Outcome::Retrying,
            None => Outcome::Failed,
        };
        count(outcome.name());
        let (id, event_type) = (message.id.clone(), message.event_type.clone());
        let mut attempt = attempt(id, event_type, number, at, outcome, answer);
        attempt.next_at = pause.map(|pause| now + pause);
        let failing_since = self.webhooks.deliveries.record(&message, &attempt).await?;
        if is_gone {
            disable(&self.webhooks, self.id, DisabledReason::Gone).await?;
        } else if outcome == Outcome::Failed && is_too_long(failing_since, now) {
            disable(&self.webhooks, self.id, DisabledReason::Failures).await?;
        }
        Ok(())
    }
}

async fn disable(
    webhooks: &Webhooks,
    id: WebhookId,
    reason: DisabledReason,
) -> Result<(), WorkerError> {
    tracing::warn!(webhook = %id, reason = reason.name(), "a webhook is disabled");
    let request = WebhookRequest {
        requester: Requester::Admin,
        now: webhooks.clock.now(),
        plain_is_allowed: true,
        command: WebhookCommand::Disable(reason),
    };
    let origin = Origin::once(ACTOR, None);
    let done = execute(&webhooks.log, id, &request, &origin).await?;
    webhooks.keys.catch_up(&webhooks.log, done.position.sequence).await?;
    Ok(())
}

fn is_too_long(failing_since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    failing_since.is_some_and(|since| now - since >= PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_given_up_when_nothing_was_taken_for_three_days() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        assert!(!is_too_long(None, now));
        assert!(!is_too_long(Some(now - PATIENCE + TimeDelta::seconds(1)), now));
        assert!(is_too_long(Some(now - PATIENCE), now));
    }
}
