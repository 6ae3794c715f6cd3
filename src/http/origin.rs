//! The public origin of short links: the setting, or what the request says.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri, header};
use hoplog_events::link::ShortCode;

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
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .or_else(|| uri.authority().map(axum::http::uri::Authority::as_str))
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
        let host: Box<str> = url.host_str().unwrap_or_default().into();
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

    /// The short link of a code.
    #[must_use]
    pub fn short_url(&self, code: &ShortCode) -> String {
        format!("{}/{code}", self.base)
    }
}

/// A host without its port; an IPv6 address keeps its brackets.
fn host_name(host: &str) -> &str {
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
}
