//! What happens to webhooks: who wants to be told of which events, where, and with which secret
//! what is sent there is signed.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use chrono::{DateTime, Utc};

use crate::link::{Destination, LinkKey, OwnerId, Tag, Title};
use crate::position::{LogId, Sequence, StreamId, Topic};
use crate::selector::TypeSelector;

/// The identity of a webhook; not secret.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct WebhookId(pub Uuid);

impl WebhookId {
    /// The stream that holds this webhook's events.
    #[must_use]
    pub fn stream(self) -> StreamId {
        StreamId::new(Topic::Accounts, format!("webhook/{}", self.0))
    }
}

impl fmt::Display for WebhookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for WebhookId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::try_parse(text).map(Self)
    }
}

/// What signs the messages of a webhook: `whsec_` and 24 to 64 bytes in base64. It has to be
/// readable to sign, so it is on the log as it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("pattern" = "^whsec_[A-Za-z0-9+/]+=*$"))]
pub struct WebhookSecret(pub Box<str>);

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

/// What a webhook wants to be told of, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSettings {
    /// Where messages are sent.
    pub url: Destination,
    /// The types of events it wants, each with its version, or without for every version.
    pub types: Vec<TypeSelector>,
    /// Only events of this link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkKey>,
    /// Only events of links with this tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Title>,
}

impl WebhookSettings {
    /// Whether events of a type are wanted.
    #[must_use]
    pub fn want(&self, event_type: &str) -> bool {
        self.types.iter().any(|wanted| wanted.admits(event_type))
    }

    /// Whether any event of a topic is wanted.
    #[must_use]
    pub fn read(&self, topic: Topic) -> bool {
        self.types.iter().any(|wanted| wanted.topic() == Some(topic))
    }
}

/// The last events from before a webhook: it is told of what comes behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookStart {
    /// The log whose sequences these are.
    #[schemars(with = "Uuid")]
    pub log: LogId,
    /// In the topic `links`.
    #[schemars(with = "u64")]
    pub links: Sequence,
    /// In the topic `clicks`.
    #[schemars(with = "u64")]
    pub clicks: Sequence,
}

impl WebhookStart {
    /// The same in one topic.
    #[must_use]
    pub fn of(&self, topic: Topic) -> Sequence {
        match topic {
            Topic::Links => self.links,
            Topic::Clicks => self.clicks,
            Topic::Accounts => Sequence::START,
        }
    }
}

/// One fact about one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookEvent {
    /// The first one.
    Created(WebhookCreated),
    /// It has other settings.
    Changed(WebhookChanged),
    /// It has another secret.
    SecretRotated(WebhookSecretRotated),
    /// Nothing is sent any more.
    Disabled(WebhookDisabled),
    /// It goes on.
    Enabled(WebhookEnabled),
    /// It is gone.
    Deleted(WebhookDeleted),
}

/// The first event of every webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::envelope::may_lack_secret)]
#[serde(rename_all = "camelCase")]
pub struct WebhookCreated {
    /// The webhook's identity.
    pub id: WebhookId,
    /// Whose links it is told of; nobody: of every owner's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerId>,
    /// What it wants, and where.
    #[serde(flatten)]
    pub settings: WebhookSettings,
    /// What signs its messages.
    pub secret: WebhookSecret,
    /// Where it begins.
    pub after: WebhookStart,
}

/// The webhook wants something else from now on, or elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookChanged {
    /// All its settings, as they are now.
    #[serde(flatten)]
    pub settings: WebhookSettings,
    /// Where it begins in a topic that it did not read before.
    pub after: WebhookStart,
}

/// Messages are signed with another secret; for a while with the one before as well, so that
/// receivers can change at their own pace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::envelope::may_lack_secret)]
#[serde(rename_all = "camelCase")]
pub struct WebhookSecretRotated {
    /// What signs from now on.
    pub secret: WebhookSecret,
    /// Until then the secret before signs beside it.
    pub previous_until: DateTime<Utc>,
}

/// Nothing is sent any more, until the webhook is enabled. What happens meanwhile is not lost: it
/// is sent then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WebhookDisabled {
    /// Why.
    pub reason: DisabledReason,
}

/// Why a webhook was disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DisabledReason {
    /// Somebody wanted it.
    Operator,
    /// Its receiver took nothing for days.
    Failures,
    /// Its receiver said that it is gone (410).
    Gone,
}

impl DisabledReason {
    /// The name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Failures => "failures",
            Self::Gone => "gone",
        }
    }
}

/// The webhook goes on where it stopped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct WebhookEnabled {}

/// The webhook is gone, with all that it had still to send.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct WebhookDeleted {}
