//! What a redirect needs to know of a link, and how it looks one up.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hoplog_events::link::{
    Destination, Extras, LinkKey, LinkState, OwnerId, PasswordHash, RedirectStatus,
};
use hoplog_events::position::Version;
use hoplog_projections::link_directory::LinkRow;
use quick_cache::Equivalent;

use crate::domain::choice::Choice;
use crate::domain::link::{Link, answered_redirect};

/// What a redirect needs to know of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The link.
    pub key: LinkKey,
    /// Whose it is.
    pub owner: OwnerId,
    /// Where it leads.
    pub url: Destination,
    /// The same as bytes, to be sent without a copy.
    pub location: Bytes,
    /// The status of the redirect.
    pub redirect: RedirectStatus,
    /// Whether it is served at all.
    pub state: LinkState,
    /// From this instant on it is not.
    pub expires_at: Option<DateTime<Utc>>,
    /// What few links have: most pay nothing for it but one look at this.
    pub extras: Option<Box<Extras>>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// How many events it is the sum of.
    pub version: Version,
}

impl Target {
    /// The hash of what visitors have to know.
    #[must_use]
    pub fn password(&self) -> Option<&PasswordHash> {
        self.extras.as_ref()?.password.as_ref()
    }

    /// Whether it is good for so many clicks only.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.max_clicks.is_some())
    }

    /// The status that redirects are answered with.
    #[must_use]
    pub fn answered_redirect(&self) -> RedirectStatus {
        match &self.extras {
            Some(extras) => answered_redirect(self.redirect, extras),
            None => self.redirect,
        }
    }

    /// Whether it leads not all of its visitors to the same place.
    #[must_use]
    pub fn leads_apart(&self) -> bool {
        self.extras.as_ref().is_some_and(|extras| extras.leads_apart())
    }

    /// Where it leads those for whom this was chosen.
    #[must_use]
    pub fn destination(&self, choice: Choice) -> &Destination {
        choice.elsewhere(self.extras.as_deref()).unwrap_or(&self.url)
    }

    /// The same as bytes. Only those of most links and most visitors are at hand.
    #[must_use]
    pub fn location(&self, choice: Choice) -> Bytes {
        match choice.elsewhere(self.extras.as_deref()) {
            None => self.location.clone(),
            Some(other) => Bytes::copy_from_slice(other.as_str().as_bytes()),
        }
    }

    /// Whether its destination is not for everybody: who asks has to do something for it, or is one of few.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        let guards = |extras: &Extras| extras.password.is_some() || extras.max_clicks.is_some();
        self.extras.as_deref().is_some_and(guards)
    }
}

impl From<Link> for Target {
    fn from(link: Link) -> Self {
        Target {
            location: Bytes::copy_from_slice(link.url.as_str().as_bytes()),
            key: link.key,
            owner: link.owner,
            url: link.url,
            redirect: link.redirect,
            state: link.state,
            expires_at: link.expires_at,
            extras: link.extras.of_redirects(),
            created_at: link.created_at,
            version: link.version,
        }
    }
}

impl From<LinkRow> for Target {
    fn from(row: LinkRow) -> Self {
        Target::from(Link::from(row))
    }
}

/// A link's identity as it stands in a request, to look up without allocating.
#[derive(Debug, Clone, Copy, Hash)]
pub struct LinkPath<'a> {
    /// The domain.
    pub domain: &'a str,
    /// The code.
    pub code: &'a str,
}

impl LinkPath<'_> {
    /// The link's key; `None`: there can't be such a link.
    #[must_use]
    pub fn key(&self) -> Option<LinkKey> {
        let (domain, code) = (self.domain.parse().ok()?, self.code.parse().ok()?);
        Some(LinkKey { domain, code })
    }
}

impl Equivalent<LinkKey> for LinkPath<'_> {
    fn equivalent(&self, key: &LinkKey) -> bool {
        self.code == key.code.as_str() && self.domain == key.domain.as_str()
    }
}
