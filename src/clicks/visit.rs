//! A visit as the redirect hands it over: whatever the request brought, unparsed.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Method, header};
use chrono::{DateTime, Utc};

use crate::queries::resolve_link::Target;

/// What is kept of a request until its batch is made. Cloning header values counts references;
/// nothing is parsed or copied on the request path but the query string.
#[derive(Debug, Clone)]
pub struct Visit {
    /// The link that was visited.
    pub target: Arc<Target>,
    /// When.
    pub at: DateTime<Utc>,
    /// Where the request came from.
    pub address: Option<IpAddr>,
    /// The HTTP method.
    pub method: Method,
    /// The query string of the short link.
    pub query: Option<Box<str>>,
    /// `User-Agent`
    pub user_agent: Option<HeaderValue>,
    /// `Referer`
    pub referrer: Option<HeaderValue>,
    /// `Accept-Language`
    pub accept_language: Option<HeaderValue>,
    /// `Sec-Purpose`, or what older browsers send for it.
    pub purpose: Option<HeaderValue>,
}

impl Visit {
    /// Takes what a click is made of from a request.
    #[must_use]
    pub fn new(
        target: Arc<Target>,
        at: DateTime<Utc>,
        address: Option<IpAddr>,
        (method, query, headers): (&Method, Option<&str>, &HeaderMap),
    ) -> Self {
        let purpose = ["sec-purpose", "purpose", "x-moz", "x-purpose"];
        Self {
            target,
            at,
            address,
            method: method.clone(),
            query: query.map(Into::into),
            user_agent: headers.get(header::USER_AGENT).cloned(),
            referrer: headers.get(header::REFERER).cloned(),
            accept_language: headers.get(header::ACCEPT_LANGUAGE).cloned(),
            purpose: purpose.iter().find_map(|name| headers.get(*name)).cloned(),
        }
    }
}
