//! What happens to API keys, of which only hashes are ever written down, and what else belongs to
//! the service as a whole.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::link::{OwnerId, Title};
use crate::position::{StreamId, Topic};

/// The identity of an API key; not secret.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct ApiKeyId(pub Uuid);

impl ApiKeyId {
    /// The stream that holds this key's events.
    #[must_use]
    pub fn stream(self) -> StreamId {
        StreamId::new(Topic::Accounts, format!("key/{}", self.0))
    }
}

impl std::fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// What a key may do.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Scope {
    /// See links and their history.
    #[serde(rename = "links:read")]
    LinksRead,
    /// Create, change and delete links.
    #[serde(rename = "links:write")]
    LinksWrite,
    /// See statistics and single clicks.
    #[serde(rename = "stats:read")]
    StatsRead,
    /// Read and follow the log.
    #[serde(rename = "events:read")]
    EventsRead,
    /// Make webhooks, which are told of the owner's links and clicks.
    #[serde(rename = "webhooks")]
    Webhooks,
    /// Ask about the rate limits of other services.
    #[serde(rename = "ratelimit")]
    RateLimit,
    /// Everything, for every owner.
    #[serde(rename = "admin")]
    Admin,
}

impl std::str::FromStr for Scope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Scope::ALL.into_iter().find(|scope| scope.name() == text);
        known.ok_or("must be links:read, links:write, stats:read, events:read, webhooks, ratelimit or admin")
    }
}

impl Scope {
    /// Every scope.
    pub const ALL: [Scope; 7] = [
        Scope::LinksRead,
        Scope::LinksWrite,
        Scope::StatsRead,
        Scope::EventsRead,
        Scope::Webhooks,
        Scope::RateLimit,
        Scope::Admin,
    ];

    /// The name in the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scope::LinksRead => "links:read",
            Scope::LinksWrite => "links:write",
            Scope::StatsRead => "stats:read",
            Scope::EventsRead => "events:read",
            Scope::Webhooks => "webhooks",
            Scope::RateLimit => "ratelimit",
            Scope::Admin => "admin",
        }
    }
}

/// SHA-256 of an API key, written as 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("pattern" = "^[0-9a-f]{64}$"))]
pub struct KeyHash(pub Box<str>);

/// The stream that holds the secret behind codes.
#[must_use]
pub fn code_secret_stream() -> StreamId {
    StreamId::new(Topic::Accounts, "service/code-secret")
}

/// One fact about one API key, or about the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountEvent {
    /// Codes that idempotency keys stand for are made with this secret.
    CodeSecretMade(CodeSecretMade),
    /// The key works from now on.
    ApiKeyCreated(ApiKeyCreated),
    /// The key works no more.
    ApiKeyRevoked(ApiKeyRevoked),
}

/// The first event of every API key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyCreated {
    /// The key's identity.
    pub id: ApiKeyId,
    /// Whose links the key reaches.
    pub owner: OwnerId,
    /// A name for people.
    pub name: Title,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// SHA-256 of the key.
    pub hash: KeyHash,
    /// The key's first characters, to tell keys apart.
    pub prefix: Box<str>,
    /// From this instant on it works no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
}

/// The key works no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiKeyRevoked {
    /// Which key.
    pub id: ApiKeyId,
}

/// The codes that idempotency keys stand for are made with this secret from now on: nobody can
/// compute them from keys that are easy to guess, and a log that is moved keeps them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = crate::envelope::may_lack_secret)]
#[serde(rename_all = "camelCase")]
pub struct CodeSecretMade {
    /// The secret: 64 hexadecimal digits, or the identity of a log that has links from before.
    pub secret: Box<str>,
}

impl std::fmt::Debug for CodeSecretMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CodeSecretMade(…)")
    }
}
