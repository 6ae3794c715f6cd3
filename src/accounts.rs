//! API keys: made, listed, revoked as events; held in memory to be checked on every request, and
//! with them the webhooks and domains that there are, which stand on the same topic.

use std::time::Duration;

use hoplog_events::account::{ApiKeyId, Scope};
use hoplog_events::link::OwnerId;

use crate::domain::link::Requester;

mod api_key;
mod domains;
mod key_ring;
mod manage;
mod roster;
#[cfg(test)]
mod tests;

pub use api_key::{ApiKey, hash_of, shown};
pub use domains::LiveDomains;
pub use key_ring::{AuthError, KeyRecord, KeyRing};
pub use manage::{KeyError, NewKey, create_key, revoke_key};

/// The owner of keys that come from the settings or the first start.
pub const ADMIN_OWNER: &str = "admin";

/// Whose key a request carries, and what it may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The key, unless it is the configured one, which never ends.
    key: Option<ApiKeyId>,
    /// Written with the events of its commands: `key:<id>`.
    pub actor: Box<str>,
    /// Whose links it reaches.
    pub owner: OwnerId,
    /// For how long the owner had had keys when the request came; of the configured key for ever.
    pub owner_age: Duration,
    scopes: Scopes,
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Scopes(u8);

impl Scopes {
    fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |set, scope| set | bit(*scope)))
    }

    /// `admin` is every scope.
    fn has(self, scope: Scope) -> bool {
        self.0 & (bit(scope) | bit(Scope::Admin)) != 0
    }
}

fn bit(scope: Scope) -> u8 {
    1 << match scope {
        Scope::LinksRead => 0,
        Scope::LinksWrite => 1,
        Scope::StatsRead => 2,
        Scope::EventsRead => 3,
        Scope::Admin => 4,
        Scope::Webhooks => 5,
        Scope::RateLimit => 6,
    }
}

impl Principal {
    /// How the rules see it.
    #[must_use]
    pub fn requester(&self) -> Requester {
        self.only_owner().map_or(Requester::Admin, Requester::Owner)
    }

    /// The owner whose things it sees; `None`: everybody's.
    #[must_use]
    pub fn only_owner(&self) -> Option<OwnerId> {
        (!self.can(Scope::Admin)).then(|| self.owner.clone())
    }

    /// Whether somebody might guess its key: the configured one is whatever the operator likes, others
    /// are random.
    #[must_use]
    pub fn is_guessable(&self) -> bool {
        self.key.is_none()
    }

    /// Whether it may do what the scope stands for.
    #[must_use]
    pub fn can(&self, scope: Scope) -> bool {
        self.scopes.has(scope)
    }
}
