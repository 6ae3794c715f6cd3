//! Which of its domains a request is for: the host that was asked says it. A host that is none of them is the service's own.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hoplog_events::link::{Destination, Domain, LinkKey, SERVICE_DOMAIN, ShortCode};

use super::origin::{Origin, authority, host_name};
use super::problem::Problem;
use crate::app::{App, AppState};
use crate::config::Role;
use crate::domain::alias::is_reserved;
use crate::domain::domains::{Domains, LinkDomain};

/// The path of what robots are told.
const ROBOTS: &str = "/robots.txt";

/// The domain of a request; `None`: the service's own.
#[derive(Debug, Clone)]
pub struct Site(Option<Arc<LinkDomain>>);

impl Site {
    /// The domain that a request is for. Where there is none but the service's own, nothing is looked at.
    #[must_use]
    pub fn of(app: &App, request: &Parts) -> Self {
        let domains = app.keys.domains();
        if domains.are_alone() {
            return Self(None);
        }
        let own = app.origin.as_ref().map(Origin::host);
        Self(named(&domains.look(), own, request))
    }

    /// Its name on the log.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.as_ref().map_or(SERVICE_DOMAIN, |domain| domain.name.as_str())
    }

    /// The same by itself.
    #[must_use]
    pub fn domain(&self) -> Domain {
        self.0.as_ref().map_or_else(Domain::service, |domain| domain.name.clone())
    }

    /// Whether it was removed: then nothing is answered. To answer with the links of the service's own domain would be
    /// to give visitors what others made.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.0.as_ref().is_some_and(|domain| domain.is_removed)
    }

    /// A link on it. A text that can't be a code names none.
    ///
    /// # Errors
    /// 404.
    pub fn link(&self, code: &str) -> Result<LinkKey, Problem> {
        let code = code.parse().ok().filter(|_| !self.is_gone());
        code.map(|code| LinkKey { domain: self.domain(), code }).ok_or_else(Problem::link_not_found)
    }

    /// The domain that says what is answered where there is no link; `None`: none says anything.
    fn says(self, app: &App) -> Option<Arc<LinkDomain>> {
        match self.0 {
            Some(domain) => Some(domain).filter(|domain| !domain.is_removed),
            None => app.keys.domains().look().own().cloned(),
        }
    }
}

impl FromRequestParts<AppState> for Site {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Infallible> {
        Ok(Self::of(app, parts))
    }
}

/// The domain whose host was asked. Hosts are the same in whatever case, with a port or a dot behind them or without.
/// `own`: the service's own host, which goes first, whatever there is on the log.
fn named(domains: &Domains, own: Option<&str>, request: &Parts) -> Option<Arc<LinkDomain>> {
    let host = host_name(authority(&request.headers, &request.uri)?);
    let host = host.strip_suffix('.').unwrap_or(host);
    if own.is_some_and(|own| own.eq_ignore_ascii_case(host)) {
        return None;
    }
    let found = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        domains.other(&host.to_ascii_lowercase())
    } else {
        domains.other(host)
    };
    found.cloned()
}

/// Whether a redirect would lead back to this service. Links are made to lead elsewhere; what they lead to may have become a
/// domain of ours since. Where there is none but the service's own, nothing is looked at.
pub(super) fn leads_home(app: &App, location: &[u8]) -> bool {
    let domains = app.keys.domains();
    !domains.are_alone() && is_home(app, &domains.look(), location)
}

fn is_home(app: &App, domains: &Domains, location: &[u8]) -> bool {
    let host = std::str::from_utf8(location).ok().and_then(host_of);
    let is_own = |host: &str| app.origin.as_ref().is_some_and(|origin| origin.host() == host);
    host.is_some_and(|host| domains.answer(host) || is_own(host))
}

/// The host of a URL as the parser writes it: in lower case.
fn host_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let host = host_name(rest.split(['/', '?', '#']).next()?);
    Some(host.strip_suffix('.').unwrap_or(host))
}

/// What a visitor is told in the place of a redirect that would come back here.
pub(super) fn leads_in_a_circle() -> Problem {
    let detail = "the link leads back to this service; its owner has to change where it leads";
    Problem::new(StatusCode::LOOP_DETECTED, "loop", detail)
}

/// What a domain answers for a code that nobody has, if it has something to say: what robots are told, or where else to go.
pub(super) fn in_place_of_a_link(app: &App, request: &Parts) -> Option<Response> {
    let path = request.uri.path();
    let domain = Site::of(app, request).says(app)?;
    let settings = &domain.settings;
    if path == ROBOTS {
        let text = String::from(settings.robots.clone()?);
        return Some(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response());
    }
    let is_code = path.strip_prefix('/')?.parse::<ShortCode>().is_ok();
    let elsewhere = settings.not_found_url.as_ref().filter(|_| is_code)?;
    // A code that is nobody's may be somebody's tomorrow: nobody keeps this.
    lead(app, elsewhere, StatusCode::FOUND, "no-store")
}

/// What a domain answers for its bare host, and for paths that are nobody's. `None`: what is answered where there is nothing.
pub(super) fn in_place_of_nothing(app: &App, request: &Parts) -> Option<Response> {
    if !matches!(request.method, Method::GET | Method::HEAD) || !app.roles.has(Role::Query) {
        return None;
    }
    let domain = Site::of(app, request).says(app)?;
    let settings = &domain.settings;
    let path = request.uri.path().strip_prefix('/')?;
    if path.is_empty() {
        let status = u16::from(settings.redirect.unwrap_or_default());
        let status = StatusCode::from_u16(status).ok()?;
        return lead(app, settings.default_url.as_ref()?, status, "private, max-age=0");
    }
    let first = path.split('/').next()?;
    let is_ours = is_reserved(first) || first.parse::<ShortCode>().is_err();
    let elsewhere = settings.not_found_url.as_ref().filter(|_| !is_ours)?;
    lead(app, elsewhere, StatusCode::FOUND, "no-store")
}

/// Leads a visitor on; `None`: not there, as an administrator put the place on a block list since.
fn lead(
    app: &App,
    destination: &Destination,
    status: StatusCode,
    kept: &'static str,
) -> Option<Response> {
    if leads_home(app, destination.as_str().as_bytes()) {
        return Some(leads_in_a_circle().into_response());
    }
    if app.commands.blocked().current().find(destination).is_some() {
        return None;
    }
    let location = HeaderValue::from_str(destination.as_str()).ok()?;
    let kept = HeaderValue::from_static(kept);
    Some((status, [(header::LOCATION, location), (header::CACHE_CONTROL, kept)]).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hoplog_events::domain::DomainSettings;
    use hoplog_events::position::Version;

    fn domains() -> Domains {
        let name = "go.example".parse().unwrap();
        let settings = DomainSettings::default();
        let added_at = chrono::DateTime::UNIX_EPOCH;
        let version = Version(1);
        Domains::of([LinkDomain { name, settings, added_at, is_removed: false, version }])
    }

    fn asked(uri: &str, host: Option<&str>) -> Option<String> {
        let mut request = axum::http::Request::builder().uri(uri);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        let (request, ()) = request.body(()).unwrap().into_parts();
        named(&domains(), Some("own.example"), &request).map(|domain| domain.name.to_string())
    }

    /// Traps of hosts: case, a port, a dot at the end, none at all, and a target that names another host.
    #[test]
    fn a_domain_is_found_however_its_host_is_written() {
        for host in ["go.example", "GO.Example", "go.example:8080", "go.example.", "Go.example.:1"]
        {
            assert_eq!(asked("/a", Some(host)).as_deref(), Some("go.example"), "{host}");
        }
        for host in ["go.example.evil", "x.go.example", "", ".", ":80", "go.example..", "127.0.0.1"]
        {
            assert_eq!(asked("/a", Some(host)), None, "{host}");
        }
        assert_eq!(asked("/a", None), None, "HTTP/1.0");
        let named = asked("http://go.example/a", Some("other.example"));
        assert_eq!(named.as_deref(), Some("go.example"), "the target goes first (RFC 9112)");
        let named = asked("http://x:y@go.example:80/a", Some("other.example"));
        assert_eq!(named.as_deref(), Some("go.example"), "whoever asks for it");
    }

    /// What is on the log may be of a service that had another public origin: its own links go on being its own.
    #[test]
    fn the_services_own_host_goes_first() {
        let (request, ()) = axum::http::Request::builder()
            .uri("http://GO.example.:80/a")
            .body(())
            .unwrap()
            .into_parts();
        assert!(named(&domains(), None, &request).is_some());
        assert!(named(&domains(), Some("go.example"), &request).is_none());
    }

    #[test]
    fn the_host_of_a_destination_is_found_without_parsing_it() {
        for (url, host) in [
            ("https://go.example/", "go.example"),
            ("https://go.example:8443/a@b", "go.example"),
            ("https://go.example.?x", "go.example"),
            ("http://[::1]:80/", "[::1]"),
        ] {
            assert_eq!(host_of(url), Some(host), "{url}");
        }
    }
}
