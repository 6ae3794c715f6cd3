//! What is kept of a visit that leads nowhere, until its batch is made: little, as anybody can send it.

use std::net::IpAddr;

use axum::http::{HeaderMap, Method};
use chrono::{DateTime, Utc};
use hoplog_events::link::{CODE_CHARS_MAX, Domain};
use hoplog_events::orphan::OrphanKind;

use super::Led;
use crate::clicks::enrichment::first_language;
use crate::clicks::visit::{Said, cut};

/// Characters kept of a method, a purpose or a language.
const WORD_CHARS_MAX: usize = 16;

/// What a code that was misspelled, or copied with what stood around it, may hold beside what codes are made of. No `@`, `=` or
/// `%`: names and tokens have those.
const AROUND_CODES: &str = ".~!'()*,;:";

/// What our API keys begin with, and how many characters behind it are too many to keep.
const KEY: (&str, usize) = ("hop_", 12);

/// What browsers and crawlers ask every host for on their own: nobody was sent there.
const ON_THEIR_OWN: [&str; 3] = ["favicon.ico", "robots.txt", "sitemap.xml"];

/// The same, in many sizes.
const ICON: &str = "apple-touch-icon";

/// What is kept of a request.
#[derive(Debug, Clone)]
pub struct LostVisit {
    pub(super) kind: OrphanKind,
    pub(super) domain: Domain,
    pub(super) path: Option<Box<str>>,
    pub(super) at: DateTime<Utc>,
    pub(super) address: IpAddr,
    pub(super) method: Option<Box<str>>,
    pub(super) purpose: Option<Box<str>>,
    pub(super) user_agent: Option<Box<str>>,
    /// Until it is written: then only the host is kept.
    pub(super) referrer: Option<Box<str>>,
    pub(super) language: Option<Box<str>>,
}

impl LostVisit {
    /// Takes it from a request, and what was asked for.
    #[must_use]
    pub fn new(
        Led { kind, domain, address }: Led,
        at: DateTime<Utc>,
        path: Option<&str>,
        (method, headers): (&Method, &HeaderMap),
    ) -> Self {
        let said = Said::of(headers);
        let word = |text: &str| -> Box<str> { cut(text.into(), WORD_CHARS_MAX).into() };
        Self {
            kind,
            domain,
            path: path.filter(|path| could_be_a_code(path)).map(Into::into),
            at,
            address,
            method: (method != Method::GET).then(|| word(method.as_str())),
            purpose: said.purpose.as_deref().map(word),
            referrer: said.referrer.map(Into::into),
            language: said.accept_language.and_then(first_language).map(|tag| word(&tag)),
            user_agent: said.user_agent.map(Into::into),
        }
    }
}

/// Whether it is nobody's wish: the same from every browser, on every host.
#[must_use]
pub fn is_on_their_own(path: &str) -> bool {
    ON_THEIR_OWN.contains(&path) || path.starts_with(ICON)
}

/// Whether a path may be kept; `/` at its end: there was more.
fn could_be_a_code(path: &str) -> bool {
    let code = path.strip_suffix('/').unwrap_or(path);
    let is_of_one =
        |c: char| c.is_ascii_alphanumeric() || "-_".contains(c) || AROUND_CODES.contains(c);
    !code.is_empty()
        && code.len() <= CODE_CHARS_MAX
        && code.chars().all(is_of_one)
        && !has_a_key(code)
}

/// Whether a text has in it what looks like an API key of ours, or like a good part of one.
fn has_a_key(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let (begins, most) = KEY;
    text.match_indices(begins).any(|(place, _)| {
        let rest = text[place + begins.len()..].bytes();
        rest.take_while(u8::is_ascii_alphanumeric).count() > most
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::accounts::ApiKey;

    fn led() -> Led {
        let (kind, domain) = (OrphanKind::UnknownCode, Domain::service());
        Led { kind, domain, address: [192, 0, 2, 1].into() }
    }

    /// Pitfall 13 in the field (privacy): what visitors send by mistake is not kept.
    #[test]
    fn of_a_path_only_what_could_be_a_code_is_kept() {
        for kept in ["lunch", "Lunch_2-b", "launch.", "launch),", "wp-login.php", "wp-admin/"] {
            assert!(could_be_a_code(kept), "{kept}");
        }
        let long = "a".repeat(65);
        for other in [
            "",
            "/",
            "a/b",
            "ann@example.com",
            "token=abc",
            "caf%C3%A9",
            "a b",
            "é",
            "a\u{7f}",
            &long,
        ] {
            assert!(!could_be_a_code(other), "{other}");
        }
    }

    /// Somebody pastes a key behind the host.
    #[test]
    fn what_looks_like_an_api_key_is_not_kept() {
        for _ in 0..100 {
            let key = ApiKey::generate();
            let key = key.reveal();
            for path in [key, &format!("{key})"), &format!("key:{key}/"), &key[..20]] {
                assert!(!could_be_a_code(path), "{path}");
            }
            assert!(!could_be_a_code(&key.to_ascii_uppercase()));
        }
        for kept in ["hop_", "hop_on-hop_off-in-the-summer", "shop_window"] {
            assert!(could_be_a_code(kept), "{kept}");
        }
    }

    #[test]
    fn what_browsers_ask_for_on_their_own_is_no_visit() {
        for path in ["favicon.ico", "robots.txt", "apple-touch-icon-120x120.png"] {
            assert!(is_on_their_own(path), "{path}");
        }
        assert!(!is_on_their_own("favicon"));
    }

    #[test]
    fn whatever_is_sent_little_is_kept() {
        let mut headers = HeaderMap::new();
        let long = "x".repeat(5_000);
        for name in ["user-agent", "accept-language", "sec-purpose"] {
            headers.insert(name, HeaderValue::from_str(&long).unwrap());
        }
        let referrer = format!("https://{long}.example/secret?token=1");
        headers.insert("referer", HeaderValue::from_str(&referrer).unwrap());
        let visit =
            LostVisit::new(led(), DateTime::UNIX_EPOCH, Some(&long), (&Method::HEAD, &headers));
        assert_eq!((visit.path, visit.method.as_deref()), (None, Some("HEAD")));
        assert_eq!(visit.referrer.map(|referrer| referrer.len()), Some(1_024));
        assert_eq!(visit.language.map(|tag| tag.len()), Some(WORD_CHARS_MAX));
        assert_eq!(visit.purpose.map(|purpose| purpose.len()), Some(WORD_CHARS_MAX));
        let visit = LostVisit::new(led(), DateTime::UNIX_EPOCH, None, (&Method::GET, &headers));
        assert_eq!(visit.method, None);
    }
}
