//! A visit as the redirect hands it over: whatever the request brought, unparsed.
//!
//! The words are copied out of the request. Holding on to its header values would be cheaper by
//! a few hundred bytes, but each of them keeps the connection's whole read buffer (8 KiB) from
//! being used again.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, Method, header};
use chrono::{DateTime, Utc};

use crate::queries::resolve_link::Target;

/// Characters kept of a user agent.
pub(super) const USER_AGENT_CHARS_MAX: usize = 512;

/// Characters kept of a referrer.
pub(super) const REFERRER_CHARS_MAX: usize = 1_024;

/// Characters kept of a list of languages.
const LANGUAGES_CHARS_MAX: usize = 256;

/// A query up to this length is kept as it is.
const QUERY_BYTES_KEPT: usize = 512;

/// The bytes kept of a longer one: five parameters of 128 characters, each written as `%XX`, twice.
const QUERY_BYTES_MAX: usize = 4 * 1_024;

/// Characters kept of a purpose.
const PURPOSE_CHARS_MAX: usize = 64;

/// What is kept of a request until its batch is made.
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
    /// The query string of the short link; of a long one, the parameters of campaigns.
    pub query: Option<Box<str>>,
    /// `User-Agent`
    pub user_agent: Option<Box<str>>,
    /// `Referer`
    pub referrer: Option<Box<str>>,
    /// `Accept-Language`
    pub accept_language: Option<Box<str>>,
    /// `Sec-Purpose`, or what older browsers send for it.
    pub purpose: Option<Box<str>>,
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
        let purpose = purpose.iter().find_map(|name| headers.get(*name));
        let kept = |value: Option<&HeaderValue>, max| value.map(|value| text(value, max));
        Self {
            target,
            at,
            address,
            method: method.clone(),
            query: query.map(campaign_of),
            user_agent: kept(headers.get(header::USER_AGENT), USER_AGENT_CHARS_MAX),
            referrer: kept(headers.get(header::REFERER), REFERRER_CHARS_MAX),
            accept_language: kept(headers.get(header::ACCEPT_LANGUAGE), LANGUAGES_CHARS_MAX),
            purpose: kept(purpose, PURPOSE_CHARS_MAX),
        }
    }
}

/// What of a query a campaign may be in: all of it where that is short, as nearly always.
fn campaign_of(query: &str) -> Box<str> {
    if query.len() <= QUERY_BYTES_KEPT {
        return query.into();
    }
    let mut kept = String::new();
    for pair in query.split('&').filter(|pair| pair.starts_with("utm_")) {
        if kept.len() + pair.len() < QUERY_BYTES_MAX {
            kept.push_str(pair);
            kept.push('&');
        }
    }
    kept.into()
}

/// A header as text: bytes that are not UTF-8 are replaced, and what is too long is cut.
fn text(value: &HeaderValue, chars_max: usize) -> Box<str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => cut(Cow::Borrowed(text), chars_max),
        Err(_) => cut(String::from_utf8_lossy(value.as_bytes()), chars_max),
    }
}

/// The first characters of a text.
pub(super) fn cut(text: Cow<'_, str>, chars_max: usize) -> Box<str> {
    if text.len() <= chars_max {
        return text.into();
    }
    text.chars().take(chars_max).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Queries wait in the queue: 64 KiB each would be gigabytes.
    #[test]
    fn of_a_long_query_the_campaign_is_kept_and_no_more() {
        let short = "utm_source=mail&ref=x";
        assert_eq!(&*campaign_of(short), short);
        let long = format!("fbclid={}&utm_source=mail&x=1&utm_term=t", "f".repeat(60_000));
        assert_eq!(&*campaign_of(&long), "utm_source=mail&utm_term=t&");
        let hostile = format!("utm_source={}&utm_medium=m", "s".repeat(60_000));
        assert_eq!(&*campaign_of(&hostile), "utm_medium=m&");
        let many = "utm_source=mail&".repeat(4_000);
        assert!(campaign_of(&many).len() <= QUERY_BYTES_MAX);
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(&*cut("é".repeat(600).into(), 512), "é".repeat(512));
        let value = HeaderValue::from_bytes(b"a\xff\xfeb").unwrap();
        assert_eq!(&*text(&value, 64), "a\u{fffd}\u{fffd}b");
    }
}
