//! Where links can live: the domain that a request names.

use std::convert::Infallible;
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hoplog_events::link::{Domain, LinkKey, RedirectStatus, SERVICE_DOMAIN, ShortCode};
use hoplog_events::position::Topic;

use crate::app::{App, AppState};
use crate::domain::domains::{Domains, HostName};
use crate::http::fields::{Fields, Parameters};
use crate::http::origin::Origin;
use crate::http::problem::Problem;

/// The field and the parameter that name a domain.
pub const DOMAIN: &str = "domain";

/// How many domains are named to whoever named none of them.
const NAMED_MAX: usize = 10;

/// A link as requests name one: by its code, or by domain/code where it is not on the service's own domain. Which link
/// that is [`Places::link`] knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkName {
    domain: Option<Box<str>>,
    code: ShortCode,
}

impl FromStr for LinkName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (domain, code) = match text.rsplit_once('/') {
            Some((domain, code)) => (Some(domain.into()), code),
            None => (None, text),
        };
        let wrong = |error| format!("must be the code of a link, or domain/code: {error}");
        code.parse().map(|code| Self { domain, code }).map_err(wrong)
    }
}

/// The domains of the service, as one request sees them.
#[derive(Debug, Clone)]
pub struct Places {
    own_host: Box<str>,
    domains: Arc<Domains>,
}

impl Places {
    /// The domains there are now. `origin`: of the service's own.
    #[must_use]
    pub fn of(app: &App, origin: &Origin) -> Self {
        Self::new(origin.host(), app.keys.domains().now())
    }

    /// Those domains beside the service's own, whose host is given.
    #[must_use]
    pub fn new(own_host: &str, domains: Arc<Domains>) -> Self {
        Self { own_host: own_host.into(), domains }
    }

    /// The same; if a domain that somebody names is none of them, as the log has them now: another node may have added it a
    /// moment ago.
    ///
    /// # Errors
    /// When the log is away: then nobody knows whether it is one.
    pub async fn knowing<'a>(
        self,
        app: &App,
        mut named: impl Iterator<Item = &'a str>,
    ) -> Result<Self, Problem> {
        if named.all(|name| self.to_make(name).is_ok()) {
            return Ok(self);
        }
        let head = app.log.head(Topic::Accounts).await?;
        app.keys.catch_up(&app.log, head.sequence).await?;
        Ok(Self { domains: app.keys.domains().now(), ..self })
    }

    /// The link that a name means.
    ///
    /// # Errors
    /// Which domains are allowed.
    pub fn link(&self, LinkName { domain, code }: LinkName) -> Result<LinkKey, String> {
        let domain = domain.map_or_else(|| Ok(Domain::service()), |name| self.to_find(&name))?;
        Ok(LinkKey { domain, code })
    }

    /// The link that a field names.
    pub(in crate::http) fn take_link(
        &self,
        fields: &mut Fields,
        field: &'static str,
        name: Option<LinkName>,
    ) -> Option<LinkKey> {
        let found = self.link(name?);
        found.map_err(|detail| fields.wrong(field, "unknown_domain", detail)).ok()
    }

    /// The domain that a text names, in which links can be made: by its host, or `default` for the service's own.
    ///
    /// # Errors
    /// Which ones are allowed.
    pub fn to_make(&self, name: &str) -> Result<Domain, String> {
        self.find(name, Domains::answer)
    }

    /// The domain that a text names, of which links can be told: also one that was removed.
    ///
    /// # Errors
    /// Which ones are allowed.
    pub fn to_find(&self, name: &str) -> Result<Domain, String> {
        self.find(name, |domains, name| domains.other(name).is_some())
    }

    fn find(&self, name: &str, is_one: impl Fn(&Domains, &str) -> bool) -> Result<Domain, String> {
        if name == SERVICE_DOMAIN || name.eq_ignore_ascii_case(&self.own_host) {
            return Ok(Domain::service());
        }
        match name.parse() {
            Ok(HostName(domain)) if is_one(&self.domains, domain.as_str()) => Ok(domain),
            Ok(_) => Err(self.unknown("is not a domain of this service")),
            Err(error) => Err(self.unknown(error)),
        }
    }

    fn unknown(&self, what: impl Display) -> String {
        let there = self.domains.there();
        let names = there.iter().take(NAMED_MAX).map(|domain| format!(", {}", domain.name));
        let names: String = names.collect();
        let more = there.len().saturating_sub(NAMED_MAX);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("{what}; allowed is {}{names}{more}", self.own_host)
    }

    /// Takes the domain of a new link.
    pub(super) fn take(&self, fields: &mut Fields) -> Domain {
        let Some(name) = fields.optional::<String>(DOMAIN) else { return Domain::service() };
        self.to_make(&name).unwrap_or_else(|detail| {
            fields.wrong(DOMAIN, "unknown_domain", detail);
            Domain::service()
        })
    }

    /// Takes the domain that links are asked for of.
    pub(in crate::http) fn take_filter(&self, query: &mut Parameters) -> Option<Domain> {
        let name = query.raw(DOMAIN)?;
        let found = self.to_find(&name);
        found.map_err(|detail| query.wrong(DOMAIN, "unknown_domain", detail)).ok()
    }

    /// How links of a domain redirect that do not say it.
    pub(super) fn redirect_of(&self, domain: &Domain) -> RedirectStatus {
        let found = if domain.is_service() {
            self.domains.own()
        } else {
            self.domains.other(domain.as_str())
        };
        found.and_then(|found| found.settings.redirect).unwrap_or_default()
    }
}

impl FromRequestParts<AppState> for Places {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        Ok(Self::of(app, &Origin::of(app, parts)))
    }
}
