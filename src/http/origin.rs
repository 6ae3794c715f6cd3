//! The public origin of short links: the setting, or what the request says.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use hoplog_events::link::{Domain, LinkKey};

use crate::app::{App, AppState};

/// The scheme and host that short links are shown with, and the host that was asked for one.
#[derive(Debug, Clone)]
pub struct Origin {
    base: Box<str>,
    host: Box<str>,
    /// The host of the request, which reaches this service, too.
    asked: Box<str>,
}

impl Origin {
    /// The origin that a request's answer names.
    #[must_use]
    pub fn of(app: &App, request: &Parts) -> Self {
        let asked = Self::of_request(&request.headers, &request.uri);
        match app.origin.clone() {
            Some(public) => Self { asked: asked.asked, ..public },
            None => asked,
        }
    }

    /// The origin of a request, when no base URL is set. A `Host` that is no host is not echoed.
    #[must_use]
    pub fn of_request(headers: &HeaderMap, uri: &Uri) -> Self {
        let host = authority(headers, uri)
            .filter(|host| host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b)))
            .filter(|host| !host.is_empty())
            .unwrap_or("localhost");
        let base = format!("http://{host}").into();
        let host: Box<str> = host_name(host).to_ascii_lowercase().into();
        Self { base, asked: host.clone(), host }
    }

    /// The origin that is set.
    #[must_use]
    pub fn of_url(url: &url::Url) -> Self {
        let base = url.as_str().trim_end_matches('/').into();
        // A dot at its end is the same host.
        let host = url.host_str().unwrap_or_default();
        let host: Box<str> = host.strip_suffix('.').unwrap_or(host).into();
        Self { base, asked: host.clone(), host }
    }

    /// The scheme, and the host with its port where it has one of its own.
    #[must_use]
    pub fn scheme_and_authority(&self) -> (&str, &str) {
        self.base.split_once("://").unwrap_or(("http", &self.base))
    }

    /// The host without its port.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host that the request was sent to, without its port: no link may lead there, whatever
    /// the public origin is.
    #[must_use]
    pub fn asked_host(&self) -> &str {
        &self.asked
    }

    /// A link's short form, with the host of its domain.
    #[must_use]
    pub fn short_url(&self, LinkKey { domain, code }: &LinkKey) -> String {
        if domain.is_service() {
            return format!("{}/{code}", self.base);
        }
        format!("{}://{domain}/{code}", self.scheme_and_authority().0)
    }

    /// The host of a domain without its port.
    #[must_use]
    pub fn host_of<'a>(&'a self, domain: &'a Domain) -> &'a str {
        if domain.is_service() { &self.host } else { domain.as_str() }
    }
}

/// The host that a request is sent to, with its port: the target's, if it has one (RFC 9112, section 3.2.2), without
/// who asks for it.
pub(super) fn authority<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let target = uri.authority().map(axum::http::uri::Authority::as_str);
    let target = target.map(|target| target.rsplit_once('@').map_or(target, |(_, host)| host));
    target.or_else(|| headers.get(header::HOST)?.to_str().ok())
}

/// A host without its port; an IPv6 address keeps its brackets.
pub(super) fn host_name(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

impl FromRequestParts<AppState> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        app: &AppState,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self::of(app, parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_header_that_is_no_host_is_not_echoed() {
        let origin = |host: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            Origin::of_request(&headers, &Uri::from_static("/"))
        };
        assert_eq!(origin("Go.example.com:8080").host(), "go.example.com");
        assert_eq!(&*origin("go.example.com:8080").base, "http://go.example.com:8080");
        assert_eq!(origin("[::1]:80").host(), "[::1]");
        assert_eq!(origin("a\"><script>").host(), "localhost");
    }

    #[test]
    fn a_public_origin_has_its_host_without_the_dot_at_the_end() {
        let of = |url: &str| Origin::of_url(&url.parse().unwrap());
        assert_eq!(of("https://own.example./").host(), "own.example");
        assert_eq!(of("https://own.example:8443/").host(), "own.example");
    }
}
