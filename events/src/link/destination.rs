//! Where a link may lead.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// The longest destination, in bytes, before and after it is normalised.
pub const URL_BYTES_MAX: usize = 8_192;

/// An absolute `http` or `https` URL without credentials, as the WHATWG parser writes it:
/// international hosts in punycode, nothing in it that could end a header line.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("format" = "uri"))]
pub struct Destination(Box<str>);

/// Why a text can't be a destination. Each says what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// Give a URL.
    #[error("must not be empty")]
    Empty,
    /// Shorten it.
    #[error("is longer than {URL_BYTES_MAX} bytes")]
    TooLong,
    /// Percent-encode the character or leave it out.
    #[error("contains {0:?}, which must be percent-encoded or left out")]
    Character(char),
    /// Give an absolute URL.
    #[error("is not an absolute URL ({0})")]
    Syntax(String),
    /// Use `http` or `https`.
    #[error("has the scheme {0:?}; allowed are http and https")]
    Scheme(String),
    /// Leave user name and password out.
    #[error("contains a user name or password")]
    Credentials,
}

/// Where an erased link led: a name that nobody can have (RFC 2606).
pub const ERASED_DESTINATION: &str = "https://erased.invalid/";

impl Destination {
    /// What stands in the place of a destination that was erased.
    #[must_use]
    pub fn erased() -> Self {
        Self(ERASED_DESTINATION.into())
    }

    /// The URL as it is sent in `Location`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL in its parts; `None` never happens for a value that was parsed.
    #[must_use]
    pub fn to_url(&self) -> Option<Url> {
        Url::parse(&self.0).ok()
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() {
            return Err(DestinationError::Empty);
        }
        if text.len() > URL_BYTES_MAX {
            return Err(DestinationError::TooLong);
        }
        // The URL parser drops tabs and line ends and turns `\` into `/`; what a person sees
        // must be what is stored, so these are refused instead.
        if let Some(other) = text.chars().find(|c| is_deceptive(*c)) {
            return Err(DestinationError::Character(other));
        }
        let url = Url::parse(text).map_err(|error| DestinationError::Syntax(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(DestinationError::Scheme(url.scheme().to_owned()));
        }
        // `http:/x` and `http:x` are repaired by the parser; a person who wrote them meant something else.
        let after_scheme = text.get(url.scheme().len()..).unwrap_or_default();
        if !after_scheme.starts_with("://") || after_scheme.starts_with(":///") {
            return Err(DestinationError::Syntax("expected // and a host after the scheme".into()));
        }
        if !url.username().is_empty() || url.password().is_some() || has_userinfo(text) {
            return Err(DestinationError::Credentials);
        }
        let text = String::from(url);
        if text.len() > URL_BYTES_MAX {
            return Err(DestinationError::TooLong);
        }
        Ok(Self(text.into()))
    }
}

/// White space, control characters, back slashes, and the invisible characters that reorder or
/// hide text (Unicode bidirectional controls and zero-width ones).
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || c == '\\'
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Whether there is an `@` in the authority, even one with nothing before it.
fn has_userinfo(text: &str) -> bool {
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Destination {
    type Error = DestinationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Destination> for String {
    fn from(destination: Destination) -> String {
        destination.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use DestinationError as E;

    fn parse(text: &str) -> Result<String, E> {
        text.parse::<Destination>().map(String::from)
    }

    #[test]
    fn a_destination_is_kept_as_the_parser_writes_it() {
        assert_eq!(parse("HTTPS://Example.com"), Ok("https://example.com/".into()));
        assert_eq!(
            parse("http://example.com:80/a%20b?q=1#f"),
            Ok("http://example.com/a%20b?q=1#f".into())
        );
        assert_eq!(parse("https://пример.рф/"), Ok("https://xn--e1afmkfd.xn--p1ai/".into()));
    }

    /// Trap 8 (U15): what must never become a `Location`.
    #[test]
    fn trap_8_dangerous_destinations_are_refused_by_name() {
        let cases = [
            ("", E::Empty),
            ("javascript:alert(1)", E::Scheme("javascript".into())),
            ("data:text/html,x", E::Scheme("data".into())),
            ("file:///etc/passwd", E::Scheme("file".into())),
            ("ftp://example.com/", E::Scheme("ftp".into())),
            ("https://user:pw@example.com/", E::Credentials),
            ("https://@example.com/", E::Credentials),
            ("https://example.com/\r\nSet-Cookie: a=b", E::Character('\r')),
            ("https://example.com/\ta", E::Character('\t')),
            ("https://example.com\\@evil.com", E::Character('\\')),
            ("https://example.com/ a", E::Character(' ')),
            ("https://example.com/\u{202e}cod", E::Character('\u{202e}')),
            ("https://example.com/\0", E::Character('\0')),
        ];
        for (text, error) in cases {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
        for text in [
            "example.com",
            "//example.com",
            "https:example.com",
            "https:/example.com",
            "https:///x",
            "https://",
        ] {
            assert!(matches!(parse(text), Err(E::Syntax(_))), "{text:?}");
        }
        assert_eq!(parse(&format!("https://e.com/{}", "a".repeat(URL_BYTES_MAX))), Err(E::TooLong));
    }
}
