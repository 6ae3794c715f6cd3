//! A visit as the redirect hands it over: whatever the request brought, unparsed.
//!
//! The words are copied out of the request, all into one piece of memory. Holding on to its header values would be cheaper by
//! a few hundred bytes, but each of them keeps the connection's whole read buffer (8 KiB) from
//! being used again.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use chrono::{DateTime, Utc};

use crate::domain::choice::Choice;
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
    /// Where the visitor was led.
    pub choice: Choice,
    words: Words,
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
        let mut found = Found::default();
        headers.iter().for_each(|(name, value)| found.note(name, value));
        let words = Words::of(&[
            query.map(campaign_of),
            kept(found.user_agent, USER_AGENT_CHARS_MAX),
            kept(found.referrer, REFERRER_CHARS_MAX),
            kept(found.accept_language, LANGUAGES_CHARS_MAX),
            kept(found.purpose.map(|(_, value)| value), PURPOSE_CHARS_MAX),
        ]);
        Self { target, at, address, method: method.clone(), choice: Choice::default(), words }
    }

    /// The same visit, led to one of the link's destinations.
    #[must_use]
    pub fn led_to(self, choice: Choice) -> Self {
        Self { choice, ..self }
    }

    /// The query string of the short link; of a long one, the parameters of campaigns.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.words.get(0)
    }

    /// `User-Agent`
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.words.get(1)
    }

    /// `Referer`
    #[must_use]
    pub fn referrer(&self) -> Option<&str> {
        self.words.get(2)
    }

    /// `Accept-Language`
    #[must_use]
    pub fn accept_language(&self) -> Option<&str> {
        self.words.get(3)
    }

    /// `Sec-Purpose`, or what older browsers send for it.
    #[must_use]
    pub fn purpose(&self) -> Option<&str> {
        self.words.get(4)
    }
}

/// What a request says of the visitor, as it is kept of a click: whoever asks before there is one is told the same.
#[derive(Debug, Clone)]
pub struct Said<'a> {
    /// `User-Agent`
    pub user_agent: Option<Cow<'a, str>>,
    /// `Referer`
    pub referrer: Option<Cow<'a, str>>,
    /// `Accept-Language`, if it is text.
    pub accept_language: Option<&'a str>,
    /// `Sec-Purpose`, or what older browsers send for it.
    pub purpose: Option<Cow<'a, str>>,
}

impl<'a> Said<'a> {
    /// What the headers of a request say.
    #[must_use]
    pub fn of(headers: &'a HeaderMap) -> Self {
        let mut found = Found::default();
        headers.iter().for_each(|(name, value)| found.note(name, value));
        Self {
            user_agent: kept(found.user_agent, USER_AGENT_CHARS_MAX),
            referrer: kept(found.referrer, REFERRER_CHARS_MAX),
            accept_language: found.accept_language.and_then(|value| value.to_str().ok()),
            purpose: kept(found.purpose.map(|(_, value)| value), PURPOSE_CHARS_MAX),
        }
    }
}

/// The headers that may tell of a purpose, the best first.
const PURPOSES: [&str; 4] = ["sec-purpose", "purpose", "x-moz", "x-purpose"];

/// The headers that are kept, the first of each name: looking each up would take as long as going
/// through all that a request has.
#[derive(Default)]
struct Found<'a> {
    user_agent: Option<&'a HeaderValue>,
    referrer: Option<&'a HeaderValue>,
    accept_language: Option<&'a HeaderValue>,
    /// With its place in [`PURPOSES`].
    purpose: Option<(usize, &'a HeaderValue)>,
}

impl<'a> Found<'a> {
    fn note(&mut self, name: &HeaderName, value: &'a HeaderValue) {
        if *name == header::USER_AGENT {
            self.user_agent.get_or_insert(value);
        } else if *name == header::REFERER {
            self.referrer.get_or_insert(value);
        } else if *name == header::ACCEPT_LANGUAGE {
            self.accept_language.get_or_insert(value);
        } else if let Some(place) = PURPOSES.iter().position(|purpose| name.as_str() == *purpose)
            && self.purpose.is_none_or(|(best, _)| place < best)
        {
            self.purpose = Some((place, value));
        }
    }
}

/// How many words there are.
const WORDS: usize = 5;

/// Some texts in one piece of memory, each of which may be missing. All together are below 16 KiB.
#[derive(Debug, Clone)]
struct Words {
    text: Box<str>,
    /// Where each ends.
    ends: [u16; WORDS],
    /// Which are there, a bit each.
    given: u8,
}

impl Words {
    fn of(words: &[Option<Cow<'_, str>>; WORDS]) -> Self {
        let bytes = words.iter().flatten().map(|word| word.len()).sum();
        let (mut text, mut ends, mut given) = (String::with_capacity(bytes), [0; WORDS], 0);
        for (place, word) in words.iter().enumerate() {
            if let Some(word) = word {
                text.push_str(word);
                given |= 1 << place;
            }
            ends[place] = u16::try_from(text.len()).unwrap_or(u16::MAX);
        }
        Self { text: text.into(), ends, given }
    }

    fn get(&self, place: usize) -> Option<&str> {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        let word = self.text.get(usize::from(start)..usize::from(self.ends[place]));
        word.filter(|_| self.given & 1 << place != 0)
    }
}

/// What of a query a campaign may be in: all of it where that is short, as nearly always.
fn campaign_of(query: &str) -> Cow<'_, str> {
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

fn kept(value: Option<&HeaderValue>, chars_max: usize) -> Option<Cow<'_, str>> {
    value.map(|value| text(value, chars_max))
}

/// A header as text: bytes that are not UTF-8 are replaced, and what is too long is cut.
fn text(value: &HeaderValue, chars_max: usize) -> Cow<'_, str> {
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => cut(Cow::Borrowed(text), chars_max),
        Err(_) => cut(String::from_utf8_lossy(value.as_bytes()), chars_max),
    }
}

/// The first characters of a text.
pub(super) fn cut(text: Cow<'_, str>, chars_max: usize) -> Cow<'_, str> {
    if text.len() <= chars_max {
        return text;
    }
    let Some((end, _)) = text.char_indices().nth(chars_max) else { return text };
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn words_come_back_as_they_were_given(words in prop::array::uniform5(prop::option::of("\\PC{0,40}"))) {
            let kept = Words::of(&words.each_ref().map(|word| word.as_deref().map(Cow::Borrowed)));
            for (place, word) in words.iter().enumerate() {
                prop_assert_eq!(kept.get(place), word.as_deref());
            }
        }
    }

    #[test]
    fn of_headers_that_tell_a_purpose_the_best_counts() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("x-moz", "m"), ("purpose", "p"), ("sec-purpose", "s"), ("sec-purpose", "t")]
        {
            headers.append(name, HeaderValue::from_static(value));
            let mut found = Found::default();
            headers.iter().for_each(|(name, value)| found.note(name, value));
            let best = if headers.contains_key("sec-purpose") { "s" } else { value };
            assert_eq!(found.purpose.unwrap().1, best);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_between_characters() {
        assert_eq!(&*cut("é".repeat(600).into(), 512), "é".repeat(512));
        let value = HeaderValue::from_bytes(b"a\xff\xfeb").unwrap();
        assert_eq!(&*text(&value, 64), "a\u{fffd}\u{fffd}b");
    }
}
