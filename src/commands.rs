//! What people can ask for: one file per use case. Each makes a request and hands it to
//! [`crate::execute`], the only write path.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use hoplog_events::envelope::CommandId;
use hoplog_events::hex::hex;
use hoplog_events::link::{Destination, LinkKey, OwnerId};
use hoplog_events::log::EventLog;
use hoplog_events::position::Version;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use crate::accounts::LiveDomains;
use crate::blocklist::LiveBlockLists;
use crate::domain::link::{LinkCommand, Request, Requester};
use crate::execute::{ExecuteError, Origin, Outcome, execute};

pub mod change_link;
pub mod code;
pub mod code_secret;
pub mod create_link;
pub mod erase_clicks;
pub mod erase_link;
mod erasure;
pub mod expire_links;
pub mod external_id;
pub mod grant_clicks;
pub mod manage_domain;
pub mod note_title;
pub mod quarantine_links;
pub mod rename_tag;
pub mod report_link;
#[cfg(test)]
pub(crate) mod tests;
pub mod worker;

use code_secret::CodeSecret;
pub use erasure::EraseError;

/// Everything commands need.
#[derive(Debug)]
pub struct Commands {
    log: Arc<dyn EventLog>,
    codes: code::CodeMaker,
    secret: CodeSecret,
    own_hosts: Vec<Box<str>>,
    domains: Arc<LiveDomains>,
    blocked: Arc<LiveBlockLists>,
}

/// Who gives a command, and in which request.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Whose new links are.
    pub owner: OwnerId,
    /// Whether they reach the links of every owner.
    pub admin: bool,
    /// Written with every event.
    pub actor: Box<str>,
    /// The request.
    pub correlation_id: Box<str>,
    /// When.
    pub now: DateTime<Utc>,
}

/// The name under which a client wants something done once, and what it wanted.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// As the client sent it.
    pub key: String,
    /// The request in one fixed spelling.
    pub request: String,
}

impl Commands {
    /// Makes codes.
    #[must_use]
    pub fn codes(&self) -> &code::CodeMaker {
        &self.codes
    }

    /// Where no link may lead.
    #[must_use]
    pub fn blocked(&self) -> &Arc<LiveBlockLists> {
        &self.blocked
    }

    /// Whether a URL leads neither to this service nor to what its block lists have, as far as the settings know its hosts.
    #[must_use]
    pub fn may_lead_to(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().trim_end_matches('.');
        let is_host = |own: &str| own.trim_end_matches('.').eq_ignore_ascii_case(host);
        let is_own = self.own_hosts.iter().any(|own| is_host(own));
        let is_listed = || {
            let destination = url.as_str().parse::<Destination>();
            destination.is_ok_and(|url| self.blocked.current().find(&url).is_some())
        };
        !is_own && !is_listed()
    }

    /// Commands that append to a log. `own_hosts`: where no link may lead.
    #[must_use]
    pub fn new(
        log: Arc<dyn EventLog>,
        codes: code::CodeMaker,
        secret: CodeSecret,
        own_hosts: Vec<Box<str>>,
    ) -> Self {
        let (domains, blocked) = (Arc::default(), Arc::default());
        Self { log, codes, secret, own_hosts, domains, blocked }
    }

    /// The same, and no link may lead to what these lists have either.
    #[must_use]
    pub fn blocking(self, blocked: LiveBlockLists) -> Self {
        Self { blocked: Arc::new(blocked), ..self }
    }

    /// The same, and no link may lead to these domains of ours either.
    #[must_use]
    pub fn among(self, domains: &Arc<LiveDomains>) -> Self {
        Self { domains: Arc::clone(domains), ..self }
    }

    /// The hosts of the service's own domain: the public one, and the one that was asked.
    fn own_hosts(&self, host: Option<&str>) -> Vec<Box<str>> {
        self.own_hosts.iter().cloned().chain(host.map(Into::into)).collect()
    }

    fn request(
        &self,
        issuer: &Issuer,
        host: Option<&str>,
        expected: Option<Vec<Version>>,
        command: LinkCommand,
    ) -> Request {
        let requester =
            if issuer.admin { Requester::Admin } else { Requester::Owner(issuer.owner.clone()) };
        Request {
            requester,
            now: issuer.now,
            expected,
            named: None,
            own_hosts: self.own_hosts(host),
            domains: self.domains.now(),
            blocked: self.blocked.current(),
            command,
        }
    }

    async fn execute(
        &self,
        key: &LinkKey,
        request: &Request,
        origin: &Origin,
    ) -> Result<Outcome, ExecuteError> {
        execute(&self.log, key, request, origin).await
    }
}

impl Issuer {
    /// The command's identity: fresh, or the same for the same key of the same owner.
    #[must_use]
    pub fn origin(&self, idempotency: Option<&IdempotencyKey>) -> Origin {
        let Some(idempotency) = idempotency else {
            return Origin::once(&self.actor, Some(self.correlation_id.clone()));
        };
        let name = format!("{}\n{}", self.owner, idempotency.key);
        let hash = Sha256::digest(idempotency.request.as_bytes());
        Origin {
            actor: self.actor.clone(),
            command_id: CommandId(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes())),
            command_hash: Some(hex(&hash[..8]).into()),
            correlation_id: Some(self.correlation_id.clone()),
        }
    }
}
