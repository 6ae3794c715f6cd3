//! What a visitor's request adds to a link's destination, where its owner wants that. It is added to path and
//! query, never to what stands before them: scheme, host and port are the owner's alone.

use std::borrow::Cow;

use hoplog_events::link::{Destination, Extras, QueryForwarding, URL_BYTES_MAX};
use percent_encoding::percent_decode_str;
use url::Url;
use url::form_urlencoded::parse as pairs;

/// How often a forwarded path may be escaped over itself.
const DECODINGS_MAX: usize = 4;

/// What a visitor's request has behind the code.
#[derive(Debug, Clone, Copy, Default)]
pub struct Addition<'a> {
    /// The path behind `/{code}/`.
    pub path: Option<&'a str>,
    /// The query.
    pub query: Option<&'a str>,
}

/// Why a visitor can't be sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForwardError {
    /// There is no such page: the path leads upwards, or could be read as something else.
    #[error("the path can't be forwarded")]
    Path,
    /// Ask for less.
    #[error("the destination would be longer than {URL_BYTES_MAX} bytes")]
    TooLong,
}

/// Where a visitor is sent; `None`: to the destination as it is.
///
/// # Errors
/// See [`ForwardError`].
pub fn forwarded(
    destination: &Destination,
    extras: &Extras,
    addition: Addition<'_>,
) -> Result<Option<String>, ForwardError> {
    let path = addition.path.filter(|path| extras.forward_path && !path.is_empty());
    let query = addition.query.filter(|query| !query.is_empty());
    let query = extras.forward_query.zip(query);
    if path.is_none() && query.is_none() {
        return Ok(None);
    }
    // It never is none: every destination was parsed.
    let Some(mut url) = destination.to_url() else { return Ok(None) };
    if let Some(path) = path {
        add_path(&mut url, path)?;
    }
    if let Some((forwarding, query)) = query {
        let query = merged(url.query().unwrap_or_default(), query, forwarding);
        url.set_query(Some(&query));
    }
    let url = String::from(url);
    if url.len() > URL_BYTES_MAX { Err(ForwardError::TooLong) } else { Ok(Some(url)) }
}

/// Behind the destination's own path, with one slash between them, and never above it.
fn add_path(url: &mut Url, path: &str) -> Result<(), ForwardError> {
    // The parser takes a back slash for a slash.
    let is_odd = |c: char| c == '\\' || c.is_control();
    if path.contains(is_odd) || leads_upwards(path) {
        return Err(ForwardError::Path);
    }
    let path = format!("{}/{path}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(())
}

/// Whether a path has a segment that leads up, for a server that reads escaped slashes and dots as such, or
/// drops what stands behind a semicolon. What is escaped again and again is taken for such a path.
fn leads_upwards(path: &str) -> bool {
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    let mut path = Cow::Borrowed(path);
    for _ in 0..DECODINGS_MAX {
        if path.split(['/', '\\']).any(is_dots) {
            return true;
        }
        let decoded = percent_decode_str(&path).decode_utf8_lossy().into_owned();
        if decoded == *path {
            return false;
        }
        path = Cow::Owned(decoded);
    }
    true
}

/// The owner's parameters, then the visitor's, each as it was written.
fn merged(own: &str, given: &str, forwarding: QueryForwarding) -> String {
    let is_given = |parameter: &str| {
        let name = |text: &str| pairs(text.as_bytes()).next().map(|(name, _)| name.into_owned());
        let own = name(parameter);
        own.is_some() && given.split('&').any(|given| name(given) == own)
    };
    let kept = own.split('&').filter(|parameter| match forwarding {
        QueryForwarding::Append => true,
        QueryForwarding::Override => !is_given(parameter),
    });
    // No destination has a back slash as it is: in the owner's there is none.
    let given = given.replace('\\', "%5C");
    let all: Vec<&str> = kept.chain([&*given]).filter(|part| !part.is_empty()).collect();
    all.join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn extras(forward_query: Option<QueryForwarding>, forward_path: bool) -> Extras {
        Extras { forward_query, forward_path, ..Extras::default() }
    }

    fn go(to: &str, extras: &Extras, path: &str, query: &str) -> Result<String, ForwardError> {
        let addition = Addition { path: Some(path), query: Some(query) };
        let url = forwarded(&to.parse().unwrap(), extras, addition)?;
        Ok(url.unwrap_or_else(|| "as it is".to_owned()))
    }

    #[test]
    fn nothing_is_forwarded_unless_the_owner_wants_it() {
        let to = "https://example.com/?a=1";
        assert_eq!(go(to, &Extras::default(), "rest", "b=2"), Ok("as it is".into()));
        assert_eq!(go(to, &extras(None, true), "", "b=2"), Ok("as it is".into()));
        let query_only = extras(Some(QueryForwarding::Append), false);
        assert_eq!(go(to, &query_only, "rest", ""), Ok("as it is".into()));
    }

    #[test]
    fn a_query_is_appended_or_overrides() {
        for (to, query, appended, overridden) in [
            ("https://e.com/", "b=2", "https://e.com/?b=2", "https://e.com/?b=2"),
            ("https://e.com/?", "b=2", "https://e.com/?b=2", "https://e.com/?b=2"),
            ("https://e.com/p#f", "b=2", "https://e.com/p?b=2#f", "https://e.com/p?b=2#f"),
            (
                "https://e.com/?a=1&b=1",
                "b=2",
                "https://e.com/?a=1&b=1&b=2",
                "https://e.com/?a=1&b=2",
            ),
            (
                "https://e.com/?b=0&b=1",
                "b=2&b=3",
                "https://e.com/?b=0&b=1&b=2&b=3",
                "https://e.com/?b=2&b=3",
            ),
            // What no destination has.
            ("https://e.com/", "a=\\\\b", "https://e.com/?a=%5C%5Cb", "https://e.com/?a=%5C%5Cb"),
            // However the name is written.
            ("https://e.com/?b%62=1&c", "bb", "https://e.com/?b%62=1&c&bb", "https://e.com/?c&bb"),
            (
                "https://e.com/?a=%26",
                "x=<'\">",
                "https://e.com/?a=%26&x=%3C%27%22%3E",
                "https://e.com/?a=%26&x=%3C%27%22%3E",
            ),
            (
                "https://e.com/?a=1",
                "url=https://evil.example/",
                "https://e.com/?a=1&url=https://evil.example/",
                "https://e.com/?a=1&url=https://evil.example/",
            ),
        ] {
            let ways = [QueryForwarding::Append, QueryForwarding::Override];
            let [append, over] = ways.map(|way| go(to, &extras(Some(way), false), "", query));
            assert_eq!(
                (append, over),
                (Ok(appended.into()), Ok(overridden.into())),
                "{to} {query}"
            );
        }
    }

    #[test]
    fn a_path_goes_behind_the_destinations_own_and_never_above_it() {
        for (to, path, expected) in [
            ("https://e.com", "a/b", "https://e.com/a/b"),
            ("https://e.com/docs/", "a", "https://e.com/docs/a"),
            ("https://e.com/docs?q=1#f", "a/", "https://e.com/docs/a/?q=1#f"),
            ("https://e.com/", "/evil.example/x", "https://e.com//evil.example/x"),
            ("https://e.com/", "@evil.example", "https://e.com/@evil.example"),
            ("https://e.com/", "a%2Fb%20c", "https://e.com/a%2Fb%20c"),
            ("https://e.com/", "...", "https://e.com/..."),
        ] {
            assert_eq!(go(to, &extras(None, true), path, ""), Ok(expected.into()), "{to} {path}");
        }
        for path in [
            "..",
            "a/../b",
            "./a",
            "%2e%2E/a",
            ".%2e",
            "a/%2e",
            "a\\b",
            "\\..",
            "a\tb",
            "..%2fadmin",
            "a/%2e%2e%2Fadmin",
            "..%5cadmin",
            "..;x=1/admin",
            "%252e%252e/admin",
            "%25252525252e%25252525252e/admin",
        ] {
            let refused = go("https://e.com/docs", &extras(None, true), path, "");
            assert_eq!(refused, Err(ForwardError::Path), "{path}");
        }
        let long = "a".repeat(URL_BYTES_MAX);
        let refused = go("https://e.com/", &extras(None, true), &long, "");
        assert_eq!(refused, Err(ForwardError::TooLong));
    }

    /// Anything that a request line can hold, and more.
    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z0-9/.@:?#&=%\\\\ ;+_~'\"<>{}|^`\\[\\]-]{0,40}",
            "(\\.\\.|%2e|%2f|%5c|%0d%0a|/|//|@|:|\\\\|https://evil\\.example|javascript:|[a-z]){0,10}",
            "\\PC{0,20}",
        ]
    }

    proptest! {
        /// Trap 19 (notes' §5.1): whatever a visitor adds, the owner's scheme, host, port and the beginning of the
        /// path stay, and what comes out passes the checks of every destination.
        #[test]
        fn trap_19_a_visitor_never_chooses_where_a_link_leads(
            host in prop_oneof!["e\\.com", "e\\.com:8443", "127\\.0\\.0\\.1", "\\[::1\\]:80", "xn--e1afmkfd\\.xn--p1ai"],
            scheme in "https?",
            base in "(/[a-z]{1,4}){0,3}/?",
            own in "(\\?[a-z]=[0-9](&[a-z]=[0-9]){0,3})?(#[a-z]{1,3})?",
            path in any_text(),
            query in any_text(),
            forwarding in prop_oneof![
                Just(None), Just(Some(QueryForwarding::Append)), Just(Some(QueryForwarding::Override))
            ],
            forward_path in any::<bool>(),
        ) {
            let text = format!("{scheme}://{host}{base}{own}");
            let destination: Destination = text.parse().unwrap();
            let addition = Addition { path: Some(&path), query: Some(&query) };
            let outcome = forwarded(&destination, &extras(forwarding, forward_path), addition);
            let Ok(Some(to)) = outcome else { return Ok(()) };
            let checked: Destination = to.parse().unwrap();
            prop_assert_eq!(checked.as_str(), &*to, "it is as the parser writes it");
            let (before, after) = (destination.to_url().unwrap(), checked.to_url().unwrap());
            prop_assert_eq!(before.origin(), after.origin());
            prop_assert_eq!((before.scheme(), before.host_str(), before.port(), before.fragment()),
                (after.scheme(), after.host_str(), after.port(), after.fragment()));
            let begins = after.path().starts_with(before.path().trim_end_matches('/'));
            prop_assert!(begins, "{} leaves {}", after, before);
            prop_assert!(to.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{}", to);
            if forwarding == Some(QueryForwarding::Append) {
                prop_assert!(after.query().unwrap_or_default().starts_with(before.query().unwrap_or_default()));
            }
        }
    }
}
