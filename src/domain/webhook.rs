//! The webhook: its state, the commands it takes, and the events that follow.

use chrono::{DateTime, TimeDelta, Utc};
use hoplog_events::link::{Destination, LinkKey, OwnerId, Tag, Title};
use hoplog_events::position::Version;
use hoplog_events::selector::TypeSelector;
use hoplog_events::webhook::{
    DisabledReason, WebhookId, WebhookSecret, WebhookSettings, WebhookStart,
};

use super::link::Requester;

mod decide;
mod evolve;
#[cfg(test)]
mod tests;

pub use decide::decide;
pub use evolve::evolve;

/// How long the secret before a rotation signs beside the new one.
pub const PREVIOUS_SECRET: TimeDelta = TimeDelta::days(1);

/// How many types a webhook may name.
pub const TYPES_MAX: usize = 50;

/// How many webhooks an owner may have; as many may be told of every owner's links.
pub const WEBHOOKS_MAX: usize = 100;

/// A webhook: the sum of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its identity.
    pub id: WebhookId,
    /// Whose links it is told of; `None`: of every owner's.
    pub owner: Option<OwnerId>,
    /// What it wants, and where.
    pub settings: WebhookSettings,
    /// What signs its messages.
    pub secret: WebhookSecret,
    /// The secret before, and until when it signs as well.
    pub previous: Option<(WebhookSecret, DateTime<Utc>)>,
    /// Where it began.
    pub start: WebhookStart,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// Whether something is sent.
    pub state: WebhookState,
    /// How many events it is the sum of.
    pub version: Version,
}

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookState {
    /// It is told of what happens.
    Active,
    /// Nothing is sent until it is enabled.
    Disabled {
        /// Why.
        reason: DisabledReason,
        /// Since when.
        at: DateTime<Utc>,
    },
    /// It is gone.
    Deleted,
}

impl Webhook {
    /// Whether it is there for whoever asks.
    #[must_use]
    pub fn is_seen_by(&self, requester: &Requester) -> bool {
        sees(requester, self.owner.as_ref()) && self.state != WebhookState::Deleted
    }

    /// The secrets that sign what is sent at an instant, the newest first.
    #[must_use]
    pub fn secrets(&self, now: DateTime<Utc>) -> Vec<&WebhookSecret> {
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until);
        std::iter::once(&self.secret).chain(previous.map(|(secret, _)| secret)).collect()
    }
}

fn sees(requester: &Requester, owner: Option<&OwnerId>) -> bool {
    match (requester, owner) {
        (Requester::Admin, _) => true,
        (Requester::Owner(own), Some(owner)) => own == owner,
        (Requester::Owner(_), None) => false,
    }
}

/// What somebody wants of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookCommand {
    /// A new webhook.
    Create(Box<CreateWebhook>),
    /// Some of its settings changed.
    Edit(Box<EditWebhook>),
    /// Another secret.
    RotateSecret(WebhookSecret),
    /// Nothing more is sent for now.
    Disable(DisabledReason),
    /// It goes on.
    Enable,
    /// Gone for good.
    Delete,
}

/// A new webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateWebhook {
    /// Its identity.
    pub id: WebhookId,
    /// Whose links it shall be told of; `None`: of every owner's.
    pub owner: Option<OwnerId>,
    /// What it wants, and where.
    pub settings: WebhookSettings,
    /// What signs its messages.
    pub secret: WebhookSecret,
    /// Where it begins.
    pub start: WebhookStart,
}

/// Settings to change; `None`: stays as it is, `Some(None)`: is cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditWebhook {
    /// The last events from before the change: of a topic that is wanted now and was not before,
    /// it is told of what comes behind them.
    pub start: WebhookStart,
    /// Where messages shall be sent.
    pub url: Option<Destination>,
    /// What it shall be told of.
    pub types: Option<Vec<TypeSelector>>,
    /// Only events of this link.
    pub link: Option<Option<LinkKey>>,
    /// Only events of links with this tag.
    pub tag: Option<Option<Tag>>,
    /// What it is for.
    pub description: Option<Option<Title>>,
}

/// What somebody wants, and who, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookRequest {
    /// Who.
    pub requester: Requester,
    /// When.
    pub now: DateTime<Utc>,
    /// Whether messages may go over plain HTTP: only to networks that the operator allowed.
    pub plain_is_allowed: bool,
    /// What.
    pub command: WebhookCommand,
}

/// Why nothing happens. Each says what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// Check the id: there is none, or it is somebody else's.
    #[error("there is no such webhook")]
    NotFound,
    /// Use a URL with https.
    #[error("must be https: http is for networks that the operator allows (HOPLOG_WEBHOOK_ALLOW)")]
    PlainHttp,
    /// Name some types.
    #[error("must name 1 to {TYPES_MAX} types")]
    Types,
}
