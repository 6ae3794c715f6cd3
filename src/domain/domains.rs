//! Domains: the hosts that links live on. Each is an aggregate: what it is follows from its events.
//!
//! The service's own domain, `default` on the log, is always there; nobody adds it, and only its settings change.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use hoplog_events::domain::{
    DomainAdded, DomainChanged, DomainEvent, DomainRemoved, DomainSettings, RobotsText,
};
use hoplog_events::link::{Destination, Domain, RedirectStatus, SERVICE_DOMAIN};
use hoplog_events::position::Version;

use super::blocklist::BlockLists;

#[cfg(test)]
mod tests;

/// How many domains there may be, those that were removed among them: every node has them in memory, and every event of
/// them is read at the start.
pub const DOMAINS_MAX: usize = 1_000;

/// A domain: the sum of its events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkDomain {
    /// Its name on the log.
    pub name: Domain,
    /// What it answers where there is no link.
    pub settings: DomainSettings,
    /// When it was added; of the service's own: when it was first changed.
    pub added_at: DateTime<Utc>,
    /// Whether it answers nothing any more.
    pub is_removed: bool,
    /// How many events it is the sum of.
    pub version: Version,
}

/// All domains that were ever added, as they are at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Domains {
    own: Option<Arc<LinkDomain>>,
    others: HashMap<Box<str>, Arc<LinkDomain>>,
}

impl Domains {
    /// Those domains.
    #[must_use]
    pub fn of(all: impl IntoIterator<Item = impl Into<Arc<LinkDomain>>>) -> Self {
        let mut domains = Self::default();
        for domain in all {
            let domain: Arc<LinkDomain> = domain.into();
            if domain.name.is_service() {
                domains.own = Some(domain);
            } else {
                domains.others.insert(domain.name.as_str().into(), domain);
            }
        }
        domains
    }

    /// Whether there is no domain but the service's own, and never was.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.others.is_empty()
    }

    /// The service's own domain; `None`: nothing was ever set.
    #[must_use]
    pub fn own(&self) -> Option<&Arc<LinkDomain>> {
        self.own.as_ref()
    }

    /// Another domain by its lower-case host name, removed or not.
    #[must_use]
    pub fn other(&self, host: &str) -> Option<&Arc<LinkDomain>> {
        self.others.get(host)
    }

    /// Whether links are answered at a lower-case host, which is not the service's own.
    #[must_use]
    pub fn answer(&self, host: &str) -> bool {
        self.other(host).is_some_and(|domain| !domain.is_removed)
    }

    /// The domains that links can be made on beside the service's own, by name.
    #[must_use]
    pub fn there(&self) -> Vec<&Arc<LinkDomain>> {
        let mut there: Vec<_> = self.others.values().filter(|domain| !domain.is_removed).collect();
        there.sort_unstable_by_key(|domain| domain.name.as_str());
        there
    }

    /// How many there were ever, beside the service's own.
    #[must_use]
    pub fn count(&self) -> usize {
        self.others.len()
    }
}

/// A host name that a domain can have, from what somebody wrote: Unicode becomes punycode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostName(pub Domain);

/// Why a text is no host name for a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostNameError {
    /// Give the name alone.
    #[error(
        "must be a host name alone, such as go.example.com: without scheme, port, path and a dot at the end"
    )]
    NotAlone,
    /// Give a name.
    #[error("is an address; links live on names")]
    Address,
    /// Correct it.
    #[error(
        "is not a host name: its parts have 1 to 63 letters, digits and '-', which is at no end of them"
    )]
    Name,
    /// Change the service's own domain instead.
    #[error("is the name of the service's own domain, which is always there")]
    Own,
}

impl FromStr for HostName {
    type Err = HostNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_more = |c: char| c.is_whitespace() || c.is_control() || "%/\\:?#@[]".contains(c);
        if text.contains(is_more) || text.ends_with('.') {
            return Err(HostNameError::NotAlone);
        }
        let url::Host::Domain(name) = url::Host::parse(text).map_err(|_| HostNameError::Name)?
        else {
            return Err(HostNameError::Address);
        };
        if name == SERVICE_DOMAIN {
            return Err(HostNameError::Own);
        }
        if name.split('.').any(|label| label.starts_with('-') || label.ends_with('-')) {
            return Err(HostNameError::Name);
        }
        name.parse().map(Self).map_err(|_| HostNameError::Name)
    }
}

/// Settings to change; `None`: stays as it is, `Some(None)`: is cleared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EditDomain {
    /// Where the bare host shall lead.
    pub default_url: Option<Option<Destination>>,
    /// Where codes shall lead that nobody has.
    pub not_found_url: Option<Option<Destination>>,
    /// What robots shall be told.
    pub robots: Option<Option<RobotsText>>,
    /// The status of the redirect of the bare host, and of new links that name none.
    pub redirect: Option<Option<RedirectStatus>>,
}

impl EditDomain {
    fn apply(&self, now: &DomainSettings) -> DomainSettings {
        let (edit, now) = (self.clone(), now.clone());
        DomainSettings {
            default_url: edit.default_url.unwrap_or(now.default_url),
            not_found_url: edit.not_found_url.unwrap_or(now.not_found_url),
            robots: edit.robots.unwrap_or(now.robots),
            redirect: edit.redirect.unwrap_or(now.redirect),
        }
    }
}

/// What somebody wants of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DomainCommand {
    /// Links shall live on it.
    Add(Box<DomainSettings>),
    /// Some of its settings changed.
    Edit(Box<EditDomain>),
    /// It shall answer nothing any more.
    Remove,
}

/// A command with what its rules need to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRequest {
    /// The domain.
    pub name: Domain,
    /// When.
    pub now: DateTime<Utc>,
    /// The hosts of the service's own domain.
    pub own_hosts: Vec<Box<str>>,
    /// The other domains there are.
    pub domains: Arc<Domains>,
    /// Where nothing may lead.
    pub blocked: Arc<BlockLists>,
    /// What.
    pub command: DomainCommand,
}

/// A destination of a domain, by its name in requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DomainField {
    /// Where the bare host leads.
    DefaultUrl,
    /// Where codes lead that nobody has.
    NotFoundUrl,
}

/// Why nothing happens. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// Check the name: there is no such domain.
    #[error("there is no such domain")]
    NotFound,
    /// Change it instead.
    #[error("{0} is a domain of this service already")]
    Taken(Domain),
    /// Change its settings instead.
    #[error("is the service's own host, which is the domain default")]
    OwnHost,
    /// Remove another one.
    #[error("the service's own domain is always there")]
    Own,
    /// Remove none: those that were removed count, too.
    #[error("there are {DOMAINS_MAX} domains already, those that were removed among them")]
    TooMany,
    /// Choose another destination.
    #[error("leads back to this service")]
    Loop(DomainField),
    /// Choose another destination.
    #[error("leads to a place that is on a block list ({entry})")]
    Blocked {
        /// Which one.
        field: DomainField,
        /// What the list says.
        entry: Box<str>,
    },
}

/// Whether a destination leads to the service itself, by whichever of its hosts.
#[must_use]
pub fn leads_home(destination: &Destination, own_hosts: &[Box<str>], domains: &Domains) -> bool {
    let url = destination.to_url();
    let host = url.as_ref().and_then(|url| url.host_str()).unwrap_or_default();
    // A trailing dot is the same host.
    let host = host.trim_end_matches('.');
    let is_host = |own: &str| own.trim_end_matches('.').eq_ignore_ascii_case(host);
    own_hosts.iter().any(|own| is_host(own)) || !domains.is_alone() && domains.answer(host)
}

/// What follows from a command on a domain; nothing: it is so already.
///
/// # Errors
/// When the rules refuse it.
pub fn decide(
    domain: Option<&LinkDomain>,
    request: &DomainRequest,
) -> Result<Vec<DomainEvent>, DomainError> {
    let name = request.name.clone();
    let is_own = name.is_service();
    let there = domain.filter(|domain| !domain.is_removed);
    match &request.command {
        DomainCommand::Add(_) | DomainCommand::Remove if is_own => Err(DomainError::Own),
        DomainCommand::Add(_) if there.is_some() => Err(DomainError::Taken(name)),
        DomainCommand::Add(settings) => {
            let is_host = |own: &str| own.trim_end_matches('.') == name.as_str();
            if request.own_hosts.iter().any(|own| is_host(own)) {
                return Err(DomainError::OwnHost);
            }
            if domain.is_none() && request.domains.count() >= DOMAINS_MAX {
                return Err(DomainError::TooMany);
            }
            check(settings, &DomainSettings::default(), request)?;
            let settings = (**settings).clone();
            Ok(vec![DomainEvent::Added(DomainAdded { domain: name, settings })])
        }
        DomainCommand::Edit(edit) => {
            let nothing = DomainSettings::default();
            let now = match there {
                Some(domain) => &domain.settings,
                None if is_own => &nothing,
                None => return Err(DomainError::NotFound),
            };
            let settings = edit.apply(now);
            if settings == *now {
                return Ok(Vec::new());
            }
            check(&settings, now, request)?;
            Ok(vec![DomainEvent::Changed(DomainChanged { domain: name, settings })])
        }
        DomainCommand::Remove => match there {
            Some(_) => Ok(vec![DomainEvent::Removed(DomainRemoved { domain: name })]),
            None => Err(DomainError::NotFound),
        },
    }
}

/// A domain leads neither to itself nor to another one of ours: that would be a circle. What stays as it is `now` is
/// no reason to refuse another change: visitors are not led there either.
fn check(
    settings: &DomainSettings,
    now: &DomainSettings,
    request: &DomainRequest,
) -> Result<(), DomainError> {
    let destinations = [
        (&settings.default_url, &now.default_url, DomainField::DefaultUrl),
        (&settings.not_found_url, &now.not_found_url, DomainField::NotFoundUrl),
    ];
    for (destination, before, field) in destinations {
        let Some(destination) = destination.as_ref().filter(|_| destination != before) else {
            continue;
        };
        let name: [Box<str>; 1] = [request.name.as_str().into()];
        let home = leads_home(destination, &request.own_hosts, &request.domains)
            || leads_home(destination, &name, &request.domains);
        if home {
            return Err(DomainError::Loop(field));
        }
        if let Some(entry) = request.blocked.find(destination) {
            return Err(DomainError::Blocked { field, entry });
        }
    }
    Ok(())
}

/// The domain behind an event. What begins with neither its addition nor, of the service's own, a change is none.
#[must_use]
pub fn evolve(
    domain: Option<LinkDomain>,
    event: &DomainEvent,
    at: DateTime<Utc>,
) -> Option<LinkDomain> {
    let version = Version(domain.as_ref().map_or(0, |domain| domain.version.0) + 1);
    match event {
        DomainEvent::Added(DomainAdded { domain: name, settings }) => Some(LinkDomain {
            name: name.clone(),
            settings: settings.clone(),
            added_at: at,
            is_removed: false,
            version,
        }),
        DomainEvent::Changed(DomainChanged { domain: name, settings }) => {
            let added_at = match &domain {
                Some(domain) => domain.added_at,
                None if name.is_service() => at,
                None => return None,
            };
            let is_removed = domain.is_some_and(|domain| domain.is_removed);
            let (name, settings) = (name.clone(), settings.clone());
            Some(LinkDomain { name, settings, added_at, is_removed, version })
        }
        DomainEvent::Removed(_) => Some(LinkDomain { is_removed: true, version, ..domain? }),
    }
}
